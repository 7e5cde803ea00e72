"""Every video and clip that is dropped has the score that dropped it, and decides the same from scores alone."""

from pathlib import Path

import pytest

from argus.curate import VideoSource, process_video
from argus.dataset import CuratedVideo, Score
from argus.media import write_video
from argus.synth import VIDEO_KINDS, render_clip, write_video_kind
from schemas.config import ClipSettings, CurateConfig, FetchSettings, FilterSettings
from schemas.names import Decision, Layout
from tests.support.processed import config, process_kind, without_provenance

SOURCE = VideoSource("url:0123456789abcdef", "https://example.com/a.mp4")
FAST = ("partial", "broken_seam", "title")
UNREAD = {"corrupt", "corrupt_index", "truncated", "empty", "text", "audio_only"}


def list_dropping(scores: tuple[Score, ...]) -> list[str]:
    return [f"{score.filter}.{score.name}" for score in scores if not score.kept]


def check(video: CuratedVideo) -> None:
    if video.decision is Decision.KEPT:
        assert list_dropping(video.scores) == []
    elif not video.clips:
        assert list_dropping(video.scores)
    for clip in video.clips:
        assert bool(list_dropping(clip.scores)) is (clip.decision is Decision.DROPPED)
    for scores in (video.scores, *(clip.scores for clip in video.clips)):
        for score in scores:
            assert score.kept or score.threshold is not None


@pytest.mark.parametrize("kind", FAST)
def test_what_is_dropped_names_a_score(tmp_path: Path, kind: str) -> None:
    done = process_kind(tmp_path, kind, seed=7)
    check(done.row)
    again = done.again(config())
    assert again is not None
    assert without_provenance(again) == without_provenance(done.row)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(set(VIDEO_KINDS) - set(FAST) - UNREAD))
def test_what_is_dropped_of_every_kind_names_a_score(tmp_path: Path, kind: str) -> None:
    check(process_kind(tmp_path, kind, seed=7).row)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("vr180", {"layout.seam"}),
        ("perspective_16x9", {"layout.seam"}),
        ("dual_fisheye", {"layout.circles"}),
    ],
)
def test_the_scores_that_speak_for_a_dropped_layout_are_marked(
    tmp_path: Path, kind: str, expected: set[str]
) -> None:
    path = tmp_path / "a.mp4"
    write_video_kind(path, kind, seed=7, seconds=2, fps=5, height=192)
    video = process_video(path, SOURCE, CurateConfig(catalogue="none"))
    assert expected | {"layout.accepted"} <= set(list_dropping(video.scores))


def test_a_layout_that_is_not_to_be_converted_names_its_evidence(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video_kind(path, "eac", seed=7, seconds=2, fps=5, height=96)
    filters = FilterSettings(convert=(Layout.STEREO_TB,))
    video = process_video(path, SOURCE, CurateConfig(catalogue="none", filters=filters))
    assert list_dropping(video.scores) == ["layout.cube_eac", "layout.accepted"]


def test_lengths_name_their_score(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, render_clip(47, 15, (64, 128), 5, "walk").frames, 5)
    too_long = CurateConfig(catalogue="none", fetch=FetchSettings(max_duration_s=2.0))
    assert list_dropping(process_video(path, SOURCE, too_long).scores) == ["length.seconds"]
    clips = ClipSettings(height=64, min_clip_s=3.0, clip_s=3.0)
    no_shot = CurateConfig(
        catalogue="none", clip=clips, filters=FilterSettings(shot_boundary=0.0001)
    )
    assert list_dropping(process_video(path, SOURCE, no_shot).scores) == ["shots.min_cut_score"]
