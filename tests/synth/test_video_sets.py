"""Sets of videos: what their files contain, and the catalogue that lists them."""

import csv
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from argus.errors import VideoError
from argus.media import open_video, probe, read_spherical
from argus.synth import write_catalogue, write_layouts, write_negatives, write_world_videos
from schemas.names import Layout, Reason, Split
from tests.support.videos import read_frames

HEIGHT, FPS, SECONDS = 64, 4, 2.5


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return write_world_videos(
        tmp_path_factory.mktemp("good"), seed=50, count=3, seconds=SECONDS, fps=FPS, height=HEIGHT
    )


@pytest.fixture(scope="module")
def negatives(tmp_path_factory):
    videos = write_negatives(
        tmp_path_factory.mktemp("negatives"), seconds=SECONDS, fps=FPS, height=HEIGHT
    )
    return {video.path.stem: video for video in videos}


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    videos = write_layouts(tmp_path_factory.mktemp("layouts"), seconds=0.5, fps=FPS, height=HEIGHT)
    return {video.path.stem: video for video in videos}


def frame_steps(frames):
    """Return the mean absolute difference between consecutive frames."""
    return np.abs(np.diff(frames.astype(int), axis=0)).mean((1, 2, 3))


def test_good_videos_are_whole_spheres_and_every_second_one_is_tagged(good):
    for video in good:
        info = probe(video.path)
        assert (info.width, info.height, info.fps, info.frames) == (128, 64, Fraction(4), 10)
        assert (video.layout, video.is_kept, video.reasons) == (Layout.MONO_ERP, True, frozenset())
    assert [read_spherical(video.path) is not None for video in good] == [True, False, True]


def test_the_same_seed_writes_the_same_bytes(good, tmp_path):
    again = write_world_videos(tmp_path, seed=50, count=1, seconds=SECONDS, fps=FPS, height=HEIGHT)
    assert again[0].path.read_bytes() == good[0].path.read_bytes()


def test_negatives_have_every_defect_and_leave_no_other_file(negatives):
    assert {reason for video in negatives.values() for reason in video.reasons} >= {
        Reason.STEREO,
        Reason.NOT_360,
        Reason.STATIC,
        Reason.BLACK,
        Reason.LOW_VARIANCE,
        Reason.SEAM,
        Reason.TOO_SHORT,
        Reason.CORRUPT,
        Reason.TRUNCATED,
        Reason.EMPTY_FILE,
        Reason.NOT_A_VIDEO,
        Reason.NO_VIDEO_STREAM,
    }
    assert [name for name, video in negatives.items() if video.is_kept] == ["cuts"]
    assert all(video.reasons or video.is_kept for video in negatives.values())
    files = {path.name for path in negatives["cuts"].path.parent.iterdir()}
    assert files == {video.path.name for video in negatives.values()}


def test_stereo_videos_show_two_eyes(negatives):
    top_bottom, sides, squeezed = (
        read_frames(negatives[name].path)[0].astype(int)
        for name in ("stereo_tb", "stereo_sbs", "stereo_sbs_2to1")
    )
    assert top_bottom.shape == (128, 128, 3)
    assert sides.shape == (64, 256, 3)
    assert squeezed.shape == (64, 128, 3)
    for frame, axis in ((top_bottom, 0), (sides, 1), (squeezed, 1)):
        left, right = np.split(frame, 2, axis=axis)
        difference = np.abs(left - right).mean()
        assert 0.2 < difference < 15
        assert np.abs(left - np.roll(right, 40, axis=1)).mean() > 2 * difference
    assert read_spherical(negatives["stereo_tb"].path).stereo_mode == "top-bottom"
    assert read_spherical(negatives["stereo_tb_untagged"].path) is None


def test_cuts_are_at_the_stated_times(negatives):
    steps = frame_steps(read_frames(negatives["cuts"].path))
    cuts = [round(time * FPS) for time in negatives["cuts"].cuts_s]
    assert sorted(np.argsort(steps)[-2:] + 1) == cuts


def test_defects_have_the_intended_strength(negatives):
    frames = {
        name: read_frames(negatives[name].path)
        for name in ("static", "half_black", "fog", "broken_seam")
    }
    assert frame_steps(frames["static"]).mean() < 0.5
    assert 0.4 < (frames["half_black"].max(-1) <= 8).mean() < 0.5
    assert frames["fog"].var() < 100
    frame = frames["broken_seam"][0].astype(int)
    seam_step = np.abs(frame[:, 0] - frame[:, -1]).mean()
    assert seam_step > 3 * np.abs(np.diff(frame, axis=1)).mean()
    assert probe(negatives["one_frame"].path).frames == 1


@pytest.mark.parametrize(
    "name", ["corrupt", "corrupt_index", "truncated", "empty", "text", "audio_only"]
)
def test_damaged_files_cannot_be_read(negatives, name):
    with pytest.raises(VideoError) as caught, open_video(negatives[name].path) as reader:
        reader.frames(range(len(reader)))
    assert caught.value.reason in negatives[name].reasons


def test_every_layout_is_written_tagged_and_untagged(layouts):
    assert {video.layout for video in layouts.values()} >= {
        Layout.HALF_ERP,
        Layout.PARTIAL,
        Layout.CUBEMAP,
        Layout.EAC,
        Layout.DUAL_FISHEYE,
        Layout.MONO_ERP_16X9,
        Layout.STEREO_TB,
    }
    tags = {name: read_spherical(video.path) for name, video in layouts.items()}
    for name in layouts:
        if f"{name}_untagged" in layouts:
            assert tags[name] is not None, name
            assert tags[f"{name}_untagged"] is None, name
    untagged = {name for name, tag in tags.items() if tag is None}
    assert {name for name in untagged if not name.endswith("_untagged")} == {
        "cubemap_3x2",
        "cubemap_6x1",
        "dual_fisheye",
    }
    assert (tags["eac"].projection, tags["cubemap_v2"].projection) == ("eac", "cubemap")
    assert (tags["vr180"].is_half_sphere, tags["vr180"].stereo_mode) == (True, "left-right")
    assert (tags["vr180_mono"].is_half_sphere, tags["vr180_mono"].stereo_mode) == (True, "mono")
    assert tags["partial"].bounds == (0, 0.25, 0.125, 0.125)


def test_layouts_have_their_sizes(layouts):
    infos = {name: probe(video.path) for name, video in layouts.items()}
    assert {
        name: (info.height, info.width)
        for name, info in infos.items()
        if not name.endswith("_untagged")
    } == {
        "vr180": (64, 128),
        "vr180_mono": (64, 64),
        "partial": (48, 96),
        "cubemap_3x2": (64, 96),
        "cubemap_v2": (64, 96),
        "cubemap_6x1": (32, 192),
        "eac": (64, 114),  # 16:9
        "dual_fisheye": (64, 128),
        "mono_erp_16x9": (64, 114),
        "stereo_tb_2to1": (64, 128),
    }


def test_the_catalogue_gives_every_split_a_good_video(good, negatives, tmp_path):
    videos = []
    for video in [*negatives.values(), *good]:
        copy = replace(video, path=tmp_path / video.path.name)
        copy.path.write_bytes(b"")
        videos.append(copy)
    missing_url = "http://127.0.0.1:1/missing.mp4"
    write_catalogue(
        tmp_path / "catalogue.csv",
        videos,
        "http://127.0.0.1:1/",
        folder=tmp_path,
        extra_urls=[missing_url],
    )
    rows = list(csv.DictReader((tmp_path / "catalogue.csv").read_text().splitlines()))
    assert len(rows) == len(videos) + 1
    splits = {row["url"].rsplit("/", 1)[1]: row["split"] for row in rows}
    assert {splits[video.path.name] for video in videos if video.is_kept} == set(Split)
    assert rows[-1]["url"] == missing_url
