import csv
from fractions import Fraction

import numpy as np
import pytest

from argus.errors import VideoError
from argus.media import open_video, probe, read_spherical
from argus.synth import write_catalogue, write_negatives, write_world_videos
from schemas.names import Layout, Reason, Split

HEIGHT, FPS, SECONDS = 64, 4, 2.5


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return write_world_videos(tmp_path_factory.mktemp("good"), seed=50, count=3, seconds=SECONDS, fps=FPS, height=HEIGHT)


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    return {video.path.stem: video for video in write_negatives(tmp_path_factory.mktemp("bad"), seconds=SECONDS, fps=FPS, height=HEIGHT)}


def frames_of(video):
    with open_video(video.path) as reader:
        return reader.frames(range(len(reader)))


def test_good_videos_are_whole_spheres_some_of_them_tagged(good):
    for video in good:
        info = probe(video.path)
        assert (info.width, info.height, info.fps, info.frames) == (128, 64, Fraction(4), 10)
        assert (video.layout, video.keep, video.reasons) == (Layout.MONO_ERP, True, frozenset())
    assert [read_spherical(video.path) is not None for video in good] == [True, False, True]


def test_the_same_seed_writes_the_same_files(good, tmp_path):
    again = write_world_videos(tmp_path, seed=50, count=1, seconds=SECONDS, fps=FPS, height=HEIGHT)
    assert again[0].path.read_bytes() == good[0].path.read_bytes()


def test_every_defect_is_there_and_nothing_else_lies_about(bad):
    assert {reason for video in bad.values() for reason in video.reasons} >= {
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
    assert [name for name, video in bad.items() if video.keep] == ["cuts"]
    assert all(video.reasons or video.keep for video in bad.values())
    folder = bad["cuts"].path.parent
    assert sorted(path.name for path in folder.iterdir()) == sorted(video.path.name for video in bad.values())


def test_stereo_videos_show_two_eyes(bad):
    top_bottom, sides, squeezed = (frames_of(bad[name])[0].astype(int) for name in ("stereo_tb", "stereo_sbs", "stereo_sbs_2to1"))
    assert (top_bottom.shape, sides.shape, squeezed.shape) == ((128, 128, 3), (64, 256, 3), (64, 128, 3))
    for left, right in (np.split(top_bottom, 2, axis=0), np.split(sides, 2, axis=1), np.split(squeezed, 2, axis=1)):
        difference = np.abs(left - right).mean()
        assert 0.2 < difference < 15
        assert np.abs(left - np.roll(right, 40, axis=1)).mean() > 2 * difference
    assert read_spherical(bad["stereo_tb"].path).stereo_mode == "top-bottom"
    assert read_spherical(bad["stereo_tb_untagged"].path) is None


def test_cuts_are_where_they_are_said_to_be(bad):
    steps = np.abs(np.diff(frames_of(bad["cuts"]).astype(int), axis=0)).mean((1, 2, 3))
    assert sorted(np.argsort(steps)[-2:] + 1) == [round(time * FPS) for time in bad["cuts"].cuts_s]


def test_contents_are_as_bad_as_they_should_be(bad):
    assert np.abs(np.diff(frames_of(bad["static"]).astype(int), axis=0)).mean() < 0.5
    assert 0.4 < (frames_of(bad["half_black"]).max(-1) <= 8).mean() < 0.5
    assert frames_of(bad["fog"]).var() < 100
    seam = frames_of(bad["broken_seam"])[0].astype(int)
    assert np.abs(seam[:, 0] - seam[:, -1]).mean() > 3 * np.abs(np.diff(seam, axis=1)).mean()
    assert probe(bad["one_frame"].path).frames == 1


@pytest.mark.parametrize("name", ["corrupt", "corrupt_index", "truncated", "empty", "text", "audio_only"])
def test_broken_files_cannot_be_read(bad, name):
    with pytest.raises(VideoError) as caught, open_video(bad[name].path) as reader:
        reader.frames(range(len(reader)))
    assert caught.value.reason in bad[name].reasons


def test_catalogue_gives_every_split_a_good_video(good, bad, tmp_path):
    root = tmp_path
    videos = []
    for video in [*bad.values(), *good]:
        (root / video.path.name).write_bytes(b"")
        videos.append(type(video)(root / video.path.name, video.layout, video.keep, video.reasons))
    write_catalogue(root / "catalogue.csv", videos, "http://127.0.0.1:1/", folder=root, extra_urls=["http://127.0.0.1:1/absent.mp4"])
    rows = list(csv.DictReader((root / "catalogue.csv").read_text().splitlines()))
    assert len(rows) == len(videos) + 1
    splits = {row["url"].rsplit("/", 1)[1]: row["split"] for row in rows}
    assert {splits[video.path.name] for video in videos if video.keep} == set(Split)
    assert rows[-1]["url"].endswith("absent.mp4")
