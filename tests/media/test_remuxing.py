"""Conversion of other containers to mp4: pictures and sound are kept, or the file is refused.

The sources are made and the copies read by the bundled ffmpeg.
"""

import os
import re
import struct
import subprocess
import sys

import pytest

from argus.errors import VideoError
from argus.media import SphericalMetadata, probe, tag_spherical
from schemas.names import Reason
from tests.support.ffmpeg import describe_with_ffmpeg, run_ffmpeg
from tests.support.remuxed_files import (
    H264,
    HEVC,
    PICTURE,
    SOUND,
    assert_same_frames,
    list_frames,
    list_packets,
    tag,
)


@pytest.mark.parametrize(
    ("name", "codecs", "named"),
    [
        ("vp8.webm", ["-c:v", "libvpx", "-an"], "vp8"),
        ("theora.mkv", ["-c:v", "flv1", "-an"], "flv1"),
        ("vp8.mkv", ["-c:v", "libvpx", "-deadline", "realtime", "-c:a", "aac"], "vp8"),
        ("wmv.asf", ["-c:v", "wmv2", "-c:a", "aac"], "wmv2"),
        ("sound.avi", [*H264, "-c:a", "pcm_u8"], "pcm_u8"),
        ("sound.mkv", [*H264, "-c:a", "wmav2"], "wmav2"),
        ("sound.flv", [*H264, "-c:a", "adpcm_swf"], "adpcm_swf"),
    ],
)
def test_pictures_and_sound_are_never_left_out(tmp_path, name, codecs, named):
    run_ffmpeg(*PICTURE, *SOUND, *codecs, tmp_path / name)
    with pytest.raises(VideoError, match=named) as caught:
        tag_spherical(tmp_path / name, tmp_path / "never.mp4", SphericalMetadata())
    assert caught.value.reason is Reason.UNSUPPORTED_CODEC
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["sound.mkv", "sound.ts", "sound.ogg", "sound.flv"])
def test_a_file_without_picture_is_refused(tmp_path, name):
    run_ffmpeg(*SOUND, "-c:a", "libvorbis" if name.endswith("ogg") else "aac", tmp_path / name)
    with pytest.raises(VideoError) as caught:
        tag_spherical(tmp_path / name, tmp_path / "never.mp4", SphericalMetadata())
    assert caught.value.reason is Reason.NO_VIDEO_STREAM


@pytest.mark.parametrize(
    ("name", "codecs", "entry"),
    [
        ("pcm.mkv", [*H264, "-c:a", "pcm_s24le"], "avc1"),
        ("pcm.avi", [*H264, "-bf", "0", "-c:a", "pcm_s16le"], "avc1"),
        ("mp3.flv", [*H264, "-c:a", "mp3"], "avc1"),
        ("ac3.ts", [*H264, "-c:a", "ac3"], "avc1"),
        ("dts.mkv", [*H264, "-ar", "48000", "-c:a", "dca", "-strict", "-2"], "avc1"),
        ("truehd.mkv", [*H264, "-ar", "48000", "-c:a", "truehd", "-strict", "-2"], "avc1"),
        ("alac.mkv", [*H264, "-c:a", "alac"], "avc1"),
        ("flac.mkv", [*HEVC, "-c:a", "flac"], "hvc1"),
        ("opus.mkv", [*HEVC, "-c:a", "libopus"], "hvc1"),
        ("mp2.mpg", ["-c:v", "mpeg2video", "-c:a", "mp2"], "mp4v"),
        ("vorbis.webm", ["-c:v", "libvpx-vp9", "-deadline", "realtime"], "vp09"),
    ],
)
def test_sound_is_kept_packet_by_packet(tmp_path, name, codecs, entry):
    source = tmp_path / name
    run_ffmpeg(*PICTURE, *SOUND, *codecs, source)
    tagged, _ = tag(source)
    assert f"({entry} /" in describe_with_ffmpeg(tagged)
    assert_same_frames(source, tagged)
    if "pcm" in name:
        decoded = [
            run_ffmpeg("-i", path, "-map", "0:a", "-f", "md5", "-") for path in (source, tagged)
        ]
        assert decoded[0] == decoded[1]
    else:
        assert list_packets(tagged, "a:0") == list_packets(source, "a:0")


@pytest.mark.parametrize("aspect", ["16:9", "4:3", "2.39"])
@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_the_aspect_of_the_container_is_kept(h264_mkv, vp9_webm, tmp_path, suffix, aspect):
    source = tmp_path / f"source{suffix}"
    run_ffmpeg(
        "-i", vp9_webm if suffix == ".webm" else h264_mkv, "-c", "copy", "-aspect", aspect, source
    )
    tagged, _ = tag(source)
    ratios = [
        re.findall(r"SAR (\S+) DAR ([^,\]\s]+)", describe_with_ffmpeg(path))[-1]
        for path in (source, tagged)
    ]
    assert ratios[0] == ratios[1] != ("1:1", "5:3")


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_rotation_is_kept(h264_mkv, tmp_path, rotation):
    source = tmp_path / "source.mkv"
    run_ffmpeg("-display_rotation:v", rotation, "-i", h264_mkv, "-c", "copy", source)
    tagged, _ = tag(source)
    assert probe(tagged).rotation == probe(source).rotation == rotation % 360
    assert_same_frames(source, tagged)


HDR = ["-color_primaries", "bt2020", "-colorspace", "bt2020nc", "-color_range", "tv"]


@pytest.mark.parametrize(
    "color",
    [
        [*HDR, "-color_trc", "smpte2084"],
        [*HDR, "-color_trc", "arib-std-b67"],
        ["-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709"],
        ["-color_primaries", "smpte170m", "-colorspace", "smpte170m", "-color_range", "pc"],
    ],
)
@pytest.mark.parametrize("codec", [H264, HEVC], ids=["h264", "hevc"])
def test_color_is_kept(tmp_path, codec, color):
    source = tmp_path / "source.mkv"
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    run_ffmpeg(*PICTURE, *codec, tmp_path / "plain.mkv")
    run_ffmpeg(
        *(
            "-mastering_display",
            display,
            "-content_light",
            "1000,400",
            "-i",
            tmp_path / "plain.mkv",
        ),
        *("-c", "copy", *color, source),
    )
    tagged, _ = tag(source)
    pattern = r"(yuv\w+\([^)]*\)|MaxCLL=.*|r\(0.*)"
    before, after = (
        sorted(re.findall(pattern, describe_with_ffmpeg(path))) for path in (source, tagged)
    )
    assert before == after
    assert len(before) == 3


@pytest.mark.parametrize("codec", [HEVC, ["-c:v", "libvpx-vp9"]], ids=["hevc", "vp9"])
def test_pictures_are_not_declared_as_rgb(tmp_path, codec):
    """FFmpeg writes the matrix of RGB to FLV where none is known."""
    source = tmp_path / "source.flv"
    run_ffmpeg(*PICTURE, *codec, source)
    tagged, _ = tag(source)
    assert probe(source).color.matrix == probe(tagged).color.matrix == "unknown"
    assert "gbr" not in describe_with_ffmpeg(tagged)


@pytest.mark.parametrize(
    ("name", "codecs"),
    [
        ("hevc.mkv", HEVC),
        ("hevc.ts", HEVC),
        ("once.mkv", [*HEVC[:-1], "log-level=none:keyint=10:repeat-headers=0:pools=1"]),
        ("hevc.hevc", HEVC),
    ],
)
def test_hevc_is_written_for_every_player(tmp_path, name, codecs):
    source = tmp_path / name
    run_ffmpeg(*PICTURE, *codecs, source)
    tagged, _ = tag(source)
    data = tagged.read_bytes()
    assert b"hvc1" in data
    assert b"hev1" not in data
    start = data.index(b"hvcC") + 4
    arrays, kinds = data[start + 22], []
    position = start + 23
    for _ in range(arrays):
        kind, count = struct.unpack_from(">BH", data, position)
        kinds.append(kind & 0x3F)
        position += 3
        for _ in range(count):
            position += 2 + struct.unpack_from(">H", data, position)[0]
    assert {32, 33, 34} <= set(kinds)  # parameter sets: VPS, SPS, PPS
    if name.endswith(".hevc"):  # has no times: only the order can be compared
        assert [digest for _, digest in list_frames(tagged)] == [
            digest for _, digest in list_frames(source)
        ]
    else:
        assert_same_frames(source, tagged)


@pytest.mark.parametrize("name", [b"\xe9t\xe9.mkv", b"-i.mkv", b"file:x%d.mkv", b"a|b;c\n.mkv"])
def test_any_legal_name_is_copied(h264_mkv, tmp_path, name):
    source = tmp_path / os.fsdecode(name)
    source.write_bytes(h264_mkv.read_bytes())
    tagged = source.with_name(source.name.replace(".mkv", ".mp4"))
    tag_spherical(source, tagged, SphericalMetadata())
    assert_same_frames(h264_mkv, tagged)


@pytest.mark.faults
@pytest.mark.parametrize("limit_kib", [4, 16, 48])
def test_a_limit_on_the_size_of_files_leaves_nothing(tmp_path, limit_kib):
    source = tmp_path / "source.mkv"
    run_ffmpeg(*PICTURE, *SOUND, *H264, "-qp", "0", source)
    script = (
        "import resource, sys; from argus.media import SphericalMetadata, tag_spherical; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]) << 10,) * 2); "
        "tag_spherical(sys.argv[2], sys.argv[3], SphericalMetadata())"
    )
    command = [sys.executable, "-c", script, str(limit_kib), source, tmp_path / "tagged.mp4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "OSError: [Errno 27]" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["source.mkv"]
