"""Conversion of other containers to mp4: everything is kept, or named, or the file is refused.

The sources are made and the copies read by the bundled ffmpeg.
"""

import os
import re
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest

from argus.errors import VideoError
from argus.media import (
    Omission,
    SphericalMetadata,
    list_omissions,
    probe,
    read_spherical,
    tag_spherical,
)
from schemas.names import Reason

PICTURE = ["-f", "lavfi", "-i", "testsrc2=s=160x96:r=10:d=3"]
SOUND = ["-f", "lavfi", "-i", "sine=d=3"]
H264 = ["-c:v", "libx264", "-bf", "2", "-g", "10", "-pix_fmt", "yuv420p", "-threads", "1"]
HEVC = ["-c:v", "libx265", "-x265-params", "log-level=none:keyint=10:repeat-headers=1:pools=1"]
TEXTS = (
    "1\n00:00:00,500 --> 00:00:01,000\nOne <i>two</i>\n\n2\n00:00:01,500 --> 00:00:02,000\nThree\n"
)
FRAMES = 30
KINDS = {"v": "video", "a": "audio"}


def run_ffmpeg(*arguments: object) -> str:
    """Run the bundled ffmpeg and return its standard output."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y"]
    done = subprocess.run(
        [
            *command,
            *(os.fspath(part) if isinstance(part, Path) else str(part) for part in arguments),
        ],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def describe(path: Path) -> str:
    """Return what the bundled ffmpeg says about a file."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", path]
    return subprocess.run(command, capture_output=True, check=False).stderr.decode()


def tag(source: Path, **metadata: object) -> tuple[Path, set[tuple[str, str, int | None]]]:
    """Tag a file of any container; return the mp4 and what it does not hold."""
    tagged = source.parent / "tagged.mp4"
    omissions = tag_spherical(source, tagged, SphericalMetadata(**metadata))
    assert omissions == list_omissions(source)
    return tagged, {(one.part, one.detail, one.track) for one in omissions}


def list_frames(path: Path, stream: str = "v:0") -> list[tuple[float, str]]:
    """Return the time and the digest of every frame, in the order in which they are shown."""
    text = run_ffmpeg(
        *("-i", path, "-map", f"0:{stream}", "-fps_mode", "passthrough", "-copyts"),
        *("-enc_time_base", "demux", "-f", "framemd5", "-"),
    )
    unit = re.search(r"#tb 0: (\d+)/(\d+)", text)
    assert unit
    rows = [line.split(",") for line in text.splitlines() if not line.startswith("#")]
    return [(int(row[2]) * int(unit[1]) / int(unit[2]), row[5].strip()) for row in rows]


def list_packets(path: Path, stream: str, *options: str) -> list[str]:
    """Return the digest of every packet."""
    arguments = ["-i", path, "-map", f"0:{stream}", "-c", "copy", *options, "-f", "framehash", "-"]
    lines = run_ffmpeg(*arguments).splitlines()
    return [line.split(",")[5].strip() for line in lines if not line.startswith("#")]


def read_times(path: Path, kind: str) -> list[float]:
    """Return the time in seconds at which each packet of a kind is shown, in stored order."""
    with av.open(str(path)) as container:
        packets = container.demux(getattr(container.streams, kind)[0])
        return [float(packet.pts * packet.time_base) for packet in packets if packet.size]


def read_start(path: Path, kind: str) -> float:
    """Return the time in seconds of what is shown or heard first."""
    return min(read_times(path, kind))


def assert_same_frames(before: Path, after: Path, stream: str = "v:0", within_s: float = 1e-4):
    expected, found = list_frames(before, stream), list_frames(after, stream)
    assert [digest for _, digest in found] == [digest for _, digest in expected]
    times = (np.array([time for time, _ in frames]) for frames in (expected, found))
    shown, copied = (array - array[0] for array in times)
    np.testing.assert_allclose(copied, shown, atol=within_s)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """H.264 with B-frames and AAC, 3 s at 10 fps."""
    path = tmp_path_factory.mktemp("plain") / "plain.mkv"
    run_ffmpeg(*PICTURE, *SOUND, *H264, "-c:a", "aac", "-fflags", "+bitexact", path)
    return path


@pytest.fixture(scope="module")
def vp9(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """VP9 and Opus, 3 s at 10 fps."""
    path = tmp_path_factory.mktemp("vp9") / "vp9.webm"
    codecs = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"]
    run_ffmpeg(*PICTURE, *SOUND, *codecs, path)
    return path


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.srt"
    path.write_text(TEXTS)
    return path


@pytest.mark.parametrize("name", ["srt.mkv", "ass.mkv", "webvtt.mkv", "webvtt.webm"])
def test_text_subtitles_are_kept(plain, vp9, texts, tmp_path, name):
    source = tmp_path / name
    run_ffmpeg(
        *("-i", vp9 if source.suffix == ".webm" else plain, "-i", texts),
        *("-map", "0:v", "-map", "1", "-c", "copy", "-c:s", source.stem),
        *("-metadata:s:s:0", "language=fre", "-metadata:s:s:0", "title=Sous-titres"),
        *("-disposition:s:0", "forced", source),
    )
    tagged, lost = tag(source)
    assert run_ffmpeg("-i", tagged, "-map", "0:s:0", "-f", "srt", "-").strip() == TEXTS.strip()
    with av.open(str(tagged)) as container:
        stream = container.streams.subtitles[0]
        assert (stream.language, stream.metadata["name"]) == ("fre", "Sous-titres")
        assert "forced" in stream.disposition.name
    styles = {(source.stem, 1)} if source.stem != "srt" else set()
    assert {(detail, track) for part, detail, track in lost if part == "text styles"} == styles


@pytest.mark.parametrize("codec", ["srt", "ass", "webvtt"])
def test_texts_that_overlap_are_named(plain, texts, tmp_path, codec):
    texts.write_text(TEXTS.replace("00:00:01,000", "00:00:01,800"))
    run_ffmpeg("-i", plain, "-i", texts, "-c", "copy", "-c:s", codec, tmp_path / "source.mkv")
    _, lost = tag(tmp_path / "source.mkv")
    assert [track for part, _, track in lost if part == "text overlaps"] == [2]


@pytest.mark.parametrize("suffix", [".mkv", ".m2ts"])
def test_bitmap_subtitles_are_named(plain, tmp_path, suffix):
    segments = [
        b"PG" + struct.pack(">IIBH", 90000 * second, 0, kind, len(data)) + data
        for second in (1, 2)
        for kind, data in (
            (0x16, struct.pack(">HHBHBBBB", 160, 96, 16, second, 128, 0, 0, 0)),
            (0x80, b""),
        )
    ]
    (tmp_path / "source.sup").write_bytes(b"".join(segments))
    source = tmp_path / f"source{suffix}"
    run_ffmpeg(
        *("-i", plain, "-i", tmp_path / "source.sup", "-map", "0", "-map", "1", "-c", "copy"),
        *("-metadata:s:s:0", "language=eng", source),
    )
    tagged, lost = tag(source)
    assert [
        detail.partition(",")[0]
        for part, detail, track in lost
        if (part, track) == ("subtitles", 2)
    ] == ["hdmv_pgs_subtitle"]
    assert_same_frames(source, tagged)


def test_dvd_subtitles_are_kept(plain, tmp_path):
    source = tmp_path / "source.mkv"
    packet = bytes.fromhex("0014000e") + bytes(10) + bytes.fromhex("0000000eff00")
    with av.open(str(plain)) as old, av.open(str(source), "w") as new:
        video = new.add_stream_from_template(old.streams.video[0], opaque=True)
        texts = new.add_mux_stream("dvd_subtitle")
        for one in old.demux(video=0):
            if one.size:
                one.stream = video
                new.mux(one)
        for second in (1, 2):
            subtitle = av.Packet(packet)
            subtitle.stream, subtitle.time_base = texts, Fraction(1, 1000)
            subtitle.pts = subtitle.dts = 1000 * second
            subtitle.duration = 500
            new.mux(subtitle)
    tagged, lost = tag(source)
    assert not [part for part, _, _ in lost if part == "subtitles"]
    assert list_packets(tagged, "s:0")[:1] == list_packets(source, "s:0")[:1]


@pytest.mark.parametrize("count", [2, 300])
@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_chapters_are_kept(plain, vp9, tmp_path, suffix, count):
    titles = [f"Chapter {number} " + "x" * (number % 250) for number in range(count)]
    step = 3000 // count
    chapters = [
        f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={n * step}\nEND={(n + 1) * step}\ntitle={title}\n"
        for n, title in enumerate(titles)
    ]
    (tmp_path / "chapters.txt").write_text(";FFMETADATA1\n" + "".join(chapters))
    source = tmp_path / f"source{suffix}"
    run_ffmpeg(
        *("-i", vp9 if suffix == ".webm" else plain, "-i", tmp_path / "chapters.txt"),
        *("-map_chapters", "1", "-c", "copy", source),
    )
    tagged, _ = tag(source)
    with av.open(str(tagged)) as container:
        found = container.chapters()
    assert [chapter["metadata"]["title"] for chapter in found] == titles
    starts = [float(chapter["start"] * chapter["time_base"]) for chapter in found]
    np.testing.assert_allclose(starts, np.arange(count) * step / 1000, atol=1e-3)


KEYS = (
    "title artist album_artist composer album date comment genre copyright grouping lyrics "
    "description synopsis show episode_id network keywords rating make model performer director "
    "publisher encoded_by my_own_key"
)
NUMBERS = "track disc media_type hd_video gapless_playback compilation season_number episode_sort"


@pytest.mark.parametrize("value", ["7", "seven"])
@pytest.mark.parametrize("suffix", [".mkv", ".flv", ".avi", ".webm"])
def test_every_tag_is_kept_or_named(plain, vp9, tmp_path, suffix, value):
    tags = {key: f"{key} äöü" for key in KEYS.split()} | dict.fromkeys(NUMBERS.split(), value)
    tags |= {"location": "+48.1000+011.5000/", "creation_time": "2024-03-04T05:06:07.000000Z"}
    options = [part for key, text in tags.items() for part in ("-metadata", f"{key}={text}")]
    source = tmp_path / f"source{suffix}"
    codecs = ["-c", "copy", "-bsf:v", "h264_mp4toannexb"] if suffix == ".avi" else ["-c", "copy"]
    run_ffmpeg("-i", vp9 if suffix == ".webm" else plain, *codecs, *options, source)
    with av.open(str(source)) as container:
        stored = {key.lower(): text for key, text in container.metadata.items()}
    tagged, lost = tag(source)
    with av.open(str(tagged)) as container:
        kept = {key for key, text in container.metadata.items() if stored.get(key) == text}
    named = {
        key
        for part, keys, track in lost
        if (part, track) == ("tags", None)
        for key in keys.split(", ")
    }
    assert len(stored) > 5 or suffix == ".avi"
    assert set(stored) <= kept | named
    assert not kept & named


@pytest.mark.parametrize("kind", ["v", "a"])
@pytest.mark.parametrize(
    "disposition",
    ["default", "forced", "comment", "hearing_impaired", "visual_impaired", "original"],
)
def test_every_disposition_is_kept_or_named(plain, tmp_path, disposition, kind):
    source = tmp_path / "source.mkv"
    run_ffmpeg("-i", plain, "-c", "copy", f"-disposition:{kind}:0", disposition, source)
    with av.open(str(source)) as container:
        stored = {flag.name for flag in getattr(container.streams, KINDS[kind])[0].disposition}
    tagged, lost = tag(source)
    with av.open(str(tagged)) as container:
        kept = {flag.name for flag in getattr(container.streams, KINDS[kind])[0].disposition}
    named = {
        flag for part, flags, _ in lost if part == "dispositions" for flag in flags.split(", ")
    }
    assert disposition in stored
    assert stored <= kept | named
    assert not kept & named


def test_tracks_keep_their_order_languages_and_titles(plain, tmp_path):
    source = tmp_path / "source.mkv"
    run_ffmpeg(
        *("-i", plain, "-i", plain, "-map", "0:a", "-map", "0:v", "-map", "1:a", "-map", "1:v"),
        *("-c", "copy", "-metadata:s:0", "language=ger", "-metadata:s:0", "title=Ton"),
        *("-metadata:s:2", "language=jpn", "-metadata:s:3", "title=Extra"),
        *("-disposition:1", "default", "-disposition:3", "0", source),
    )
    tagged, _ = tag(source)
    with av.open(str(tagged)) as container:
        tracks = [
            (stream.type, stream.language, stream.metadata.get("name"))
            for stream in container.streams
        ]
        assert container.streams[1].disposition & 1
        assert not container.streams[3].disposition & 1
    assert tracks == [
        ("audio", "ger", "Ton"),
        ("video", "und", None),
        ("audio", "jpn", None),
        ("video", "und", "Extra"),
    ]
    for stream in ("v:0", "v:1"):
        assert_same_frames(source, tagged, stream)
    assert read_spherical(tagged) == SphericalMetadata()


@pytest.mark.parametrize(
    ("name", "kind", "part"),
    [
        ("font.ttf", "application/x-truetype-font", "attachment"),
        ("notes.txt", "text/plain", "attachment"),
        ("cover.webp", "image/webp", "attachment"),
        ("cover.gif", "image/gif", "cover art"),
    ],
)
def test_attached_files_are_named(plain, tmp_path, name, kind, part):
    (tmp_path / name).write_bytes(b"not an image, but nobody has to know")
    if part == "cover art":
        run_ffmpeg(*PICTURE, "-frames:v", "1", tmp_path / name)
    source = tmp_path / "source.mkv"
    run_ffmpeg(
        *("-i", plain, "-c", "copy", "-attach", tmp_path / name),
        *("-metadata:s:t:0", f"mimetype={kind}", "-metadata:s:t:0", f"filename={name}", source),
    )
    assert (part, name, 2) in tag(source)[1]


@pytest.mark.parametrize(
    ("name", "kind"), [("cover.jpg", "image/jpeg"), ("cover.png", "image/png")]
)
def test_cover_art_is_kept(plain, tmp_path, name, kind):
    run_ffmpeg(*PICTURE, "-frames:v", "1", tmp_path / name)
    source = tmp_path / "source.mkv"
    run_ffmpeg(
        *("-i", plain, "-c", "copy", "-attach", tmp_path / name),
        *("-metadata:s:t:0", f"mimetype={kind}", "-metadata:s:t:0", f"filename={name}", source),
    )
    tagged, lost = tag(source)
    assert not [detail for part, detail, _ in lost if part != "tags"]
    assert list_packets(source, "v:1") == list_packets(tagged, "v:1")
    assert "attached pic" in describe(tagged)
    assert (tmp_path / name).read_bytes() in tagged.read_bytes()


def test_data_tracks_and_program_names_are_named(plain, tmp_path):
    (tmp_path / "data.bin").write_bytes(b"a telemetry record")
    source = tmp_path / "source.ts"
    run_ffmpeg(
        *("-i", plain, "-i", plain, "-f", "data", "-i", tmp_path / "data.bin"),
        *("-map", "0", "-map", "1", "-map", "2", "-c", "copy"),
        *("-program", "title=One:st=0:st=1:st=4", "-program", "title=Two:st=2:st=3", source),
    )
    tagged, lost = tag(source)
    assert {("programs", "One, Two", None)} <= lost
    assert [track for part, _, track in lost if part == "data"] == [2]
    for stream in ("v:0", "v:1"):
        assert_same_frames(source, tagged, stream)
    for stream in ("a:0", "a:1"):
        expected = list_packets(source, stream, "-bsf", "aac_adtstoasc")
        assert list_packets(tagged, stream) == expected


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
    assert f"({entry} /" in describe(tagged)
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
def test_the_aspect_of_the_container_is_kept(plain, vp9, tmp_path, suffix, aspect):
    source = tmp_path / f"source{suffix}"
    run_ffmpeg("-i", vp9 if suffix == ".webm" else plain, "-c", "copy", "-aspect", aspect, source)
    tagged, _ = tag(source)
    ratios = [
        re.findall(r"SAR (\S+) DAR ([^,\]\s]+)", describe(path))[-1] for path in (source, tagged)
    ]
    assert ratios[0] == ratios[1] != ("1:1", "5:3")


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_rotation_is_kept(plain, tmp_path, rotation):
    source = tmp_path / "source.mkv"
    run_ffmpeg("-display_rotation:v", rotation, "-i", plain, "-c", "copy", source)
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
    before, after = (sorted(re.findall(pattern, describe(path))) for path in (source, tagged))
    assert before == after
    assert len(before) == 3


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


@pytest.mark.parametrize(
    ("codecs", "parts"),
    [([*H264], 2), ([*H264, "-c:a", "ac3"], 3), ([*HEVC], 2), (["-c:v", "mpeg2video"], 2)],
    ids=["h264", "three", "hevc", "mpeg2"],
)
def test_joined_transport_streams_lose_no_packet(tmp_path, codecs, parts):
    one, source = tmp_path / "one.ts", tmp_path / "joined.ts"
    run_ffmpeg(*PICTURE, *SOUND, *codecs, one)
    source.write_bytes(one.read_bytes() * parts)
    tagged, _ = tag(source)
    expected, found = list_frames(one), list_frames(tagged)
    assert [digest for _, digest in found] == [digest for _, digest in expected] * parts
    assert (np.diff([time for time, _ in found]) > 0).all()
    assert found[-1][0] - found[0][0] == pytest.approx(3 * parts - 0.1, abs=0.1)
    assert len(list_packets(tagged, "a:0")) == len(list_packets(one, "a:0")) * parts


@pytest.mark.parametrize("gap_s", [12, 40])
@pytest.mark.parametrize("suffix", [".ts", ".flv", ".mkv"])
def test_a_long_still_picture_keeps_its_duration(tmp_path, suffix, gap_s):
    source = tmp_path / f"source{suffix}"
    run_ffmpeg(
        *(
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=160x96:r=10:d=1",
            "-f",
            "lavfi",
            "-i",
            f"sine=d={gap_s + 1}",
        ),
        *("-vf", f"setpts='PTS+gte(N,5)*{gap_s}/TB'", "-fps_mode", "vfr", *H264),
        *("-bf", "0" if suffix == ".flv" else "2", source),
    )
    tagged, _ = tag(source)
    assert_same_frames(source, tagged)


@pytest.mark.parametrize(
    "options",
    [
        ["-vf", "select='gte(t,2)+not(mod(n,5))'", "-fps_mode", "vfr"],
        ["-vf", "setpts='PTS+0.004*mod(N,3)/TB'", "-fps_mode", "vfr", "-enc_time_base", "1:1000"],
        ["-r", "30000/1001"],
    ],
    ids=["variable", "jitter", "ntsc"],
)
@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".flv"])
def test_times_are_exact(tmp_path, suffix, options):
    source = tmp_path / f"source{suffix}"
    run_ffmpeg(*PICTURE, *SOUND, *H264, *options, source)
    assert_same_frames(source, tag(source)[0])


@pytest.mark.parametrize("delayed", ["v", "a"])
@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".flv"])
def test_picture_and_sound_stay_together(plain, tmp_path, suffix, delayed):
    source = tmp_path / f"source{suffix}"
    first, second = ("1:v", "0:a") if delayed == "v" else ("0:v", "1:a")
    run_ffmpeg(
        *("-i", plain, "-itsoffset", "0.7", "-i", plain, "-map", first, "-map", second),
        *("-c", "copy", source),
    )
    tagged, _ = tag(source)
    starts = [read_start(path, "video") - read_start(path, "audio") for path in (source, tagged)]
    assert starts[1] == pytest.approx(starts[0], abs=2e-3)
    assert abs(starts[0]) > 0.6


@pytest.mark.parametrize(
    ("name", "codecs"),
    [
        ("h264.avi", H264),
        ("mpeg4.avi", ["-c:v", "mpeg4", "-bf", "2"]),
        ("tagged.avi", ["-c:v", "mpeg4", "-bf", "2", "-vtag", "xvid"]),
        ("pyramid.avi", [*H264, "-bf", "5", "-b-pyramid", "normal"]),
        ("raw.h264", H264),
        ("raw.hevc", HEVC),
    ],
)
def test_reordered_frames_get_the_times_that_the_file_lacks(tmp_path, name, codecs):
    source = tmp_path / name
    run_ffmpeg(*PICTURE, *codecs, source)
    tagged, _ = tag(source)
    expected, found = list_frames(source), list_frames(tagged)
    assert [digest for _, digest in found] == [digest for _, digest in expected]
    steps = np.diff([time for time, _ in found])
    np.testing.assert_allclose(steps, np.full(FRAMES - 1, 0.1), atol=1e-3)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
@pytest.mark.parametrize(
    "codecs",
    [
        [*H264, "-x264-params", "open-gop=1:keyint=10:bframes=3:b-adapt=0:scenecut=0"],
        [*HEVC[:-1], "log-level=none:keyint=10:open-gop=1:bframes=3:b-adapt=0:pools=1"],
        ["-c:v", "mpeg2video", "-bf", "2", "-g", "10"],
    ],
    ids=["h264", "hevc", "mpeg2"],
)
def test_a_cut_inside_open_groups_keeps_its_first_frames(tmp_path, codecs, suffix):
    """The first stored frame is not the first one shown."""
    whole, source = tmp_path / "whole.ts", tmp_path / f"source{suffix}"
    run_ffmpeg(*PICTURE, *SOUND, *codecs, "-c:a", "ac3", whole)
    run_ffmpeg("-ss", "1.5", "-i", whole, "-c", "copy", source)
    tagged, _ = tag(source)
    expected, found = list_frames(source), list_frames(tagged)
    assert [digest for _, digest in found] == [digest for _, digest in expected]
    assert_same_frames(source, tagged)
    assert len(list_packets(tagged, "v:0")) == len(list_packets(source, "v:0"))
    starts = [read_start(path, "video") - read_start(path, "audio") for path in (source, tagged)]
    assert starts[1] == pytest.approx(starts[0], abs=2e-3)


ORDERS = {
    "pairs": [0, 2, 1, 3],
    "groups": [0, 3, 2, 1],
    "pyramid": [0, 4, 2, 1, 3],
    "repeated": [0, 2, 2, 1, 5],
}


@pytest.mark.parametrize("delay", [0, 700])
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_frames_in_an_order_that_no_header_states_keep_their_times(plain, tmp_path, order, delay):
    """FFmpeg takes the stored order for the order of showing, and finds times that go back."""
    source, count = tmp_path / "source.mkv", len(order)
    run_ffmpeg(*PICTURE, "-c:v", "mjpeg", tmp_path / "pictures.mkv")
    with (
        av.open(str(tmp_path / "pictures.mkv")) as pictures,
        av.open(str(plain)) as sound,
        av.open(str(source), "w") as new,
    ):
        video = new.add_stream_from_template(pictures.streams[0], opaque=True)
        audio = new.add_stream_from_template(sound.streams.audio[0], opaque=True)
        for number, packet in enumerate(pictures.demux(video=0)):
            if packet.size:
                packet.pts = 100 * (number - number % count + order[number % count]) + delay
                packet.dts, packet.stream = 100 * number - 10_000, video
                new.mux(packet)
        for packet in sound.demux(audio=0):
            if packet.size:
                packet.stream = audio
                new.mux(packet)
    tagged, _ = tag(source)
    before, after = (read_times(path, "video") for path in (source, tagged))
    np.testing.assert_allclose(np.diff(after), np.diff(before), atol=1e-3)
    assert (np.diff(before) < 0).any()
    assert list_packets(tagged, "v:0") == list_packets(source, "v:0")
    starts = [read_start(path, "video") - read_start(path, "audio") for path in (source, tagged)]
    assert starts[1] == pytest.approx(starts[0], abs=2e-3)


@pytest.mark.parametrize("name", [b"\xe9t\xe9.mkv", b"-i.mkv", b"file:x%d.mkv", b"a|b;c\n.mkv"])
def test_any_legal_name_is_copied(plain, tmp_path, name):
    source = tmp_path / os.fsdecode(name)
    source.write_bytes(plain.read_bytes())
    tagged = source.with_name(source.name.replace(".mkv", ".mp4"))
    tag_spherical(source, tagged, SphericalMetadata())
    assert_same_frames(plain, tagged)


def test_an_omission_names_its_track():
    assert str(Omission("tags", "rating, mood")) == "tags (rating, mood)"
    assert str(Omission("data", "klv", 3)) == "track 3: data (klv)"


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
