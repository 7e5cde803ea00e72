"""Which learned scorers are at hand, what their numbers decide, and what happens when one fails."""

import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from argus.curate import ScorerFailed, VideoSource, recipe_digest
from argus.curate.frame_sampling import SampledFrames
from argus.curate.scorers import (
    BOUNDS,
    REGISTRY,
    Bound,
    ClipSamples,
    available,
    decide,
    judged,
    measure,
    require,
    clip_samples_filename,
    scorer_class,
    unjudged,
)
from argus.dataset import CuratedClip, CuratedVideo
from argus.errors import InvalidInput
from ray_jobs.curate.scorer_pool import Scoring, plan
from schemas.config import CurateConfig, FilterSettings, LearnedSettings, LearnedThresholds
from schemas.names import Decision, Layout, Reason

CLIP = ClipSamples(
    SampledFrames(
        np.zeros((2, 512, 1024, 3), np.uint8),
        np.ones((2, 512, 1024, 3), np.uint8),
        np.array([0.2, 0.0]),
    ),
    np.zeros((9, 27, 48, 3), np.uint8),
    4.995,
)
REASONS = {
    "lpips_left_right": Reason.STEREO,
    "lpips_top_bottom": Reason.STEREO,
    "lpips_between": Reason.STATIC,
    "raft_speed_deg_s": Reason.STATIC,
    "transnetv2_boundary": Reason.SHOT_BOUNDARY,
    "text_db_share": Reason.TEXT,
    "aesthetic_mean": Reason.LOW_AESTHETIC,
}


class Fixed:
    """A scorer that gives what it is told to, or raises it."""

    name, version, scores, package, files = "fixed", 1, ("value",), None, ()

    def __init__(self, answer: dict[str, float] | Exception) -> None:
        self.answer = answer

    @classmethod
    def load(cls, weights: Path, device: str) -> "Fixed":
        return cls({"value": 1.0})

    def score(self, clip: ClipSamples) -> dict[str, float]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def video(*clips: CuratedClip) -> CuratedVideo:
    kept = any(clip.decision is Decision.KEPT for clip in clips)
    decision, reason = (Decision.KEPT, None) if kept else (Decision.DROPPED, Reason.BLACK)
    return CuratedVideo(
        VideoSource("url:1", "http://a/b"),
        decision,
        reason,
        "a sentence",
        None,
        Layout.MONO_ERP,
        (),
        clips,
        None,
        None,
    )


def clip(number: int, reason: Reason | None = None) -> CuratedClip:
    decision = Decision.DROPPED if reason else Decision.KEPT
    start, end = 1000 * number, 1000 * number + 1000
    return CuratedClip(
        f"url:1@{start}-{end}",
        start,
        end,
        5,
        64,
        128,
        Fraction(5),
        decision,
        reason,
        0.5,
        (),
        None if reason else "a.mp4",
    )


def config(*scorers: str, weights: Path, **thresholds: float) -> CurateConfig:
    policy = FilterSettings(learned=LearnedThresholds(**thresholds))
    return CurateConfig(
        catalogue="none",
        learned=LearnedSettings(scorers=scorers, weights=str(weights)),
        filters=policy,
    )


def place_files(weights: Path, *names: str) -> None:
    for name in names:
        for file in scorer_class(name).files:
            (weights / file).parent.mkdir(parents=True, exist_ok=True)
            (weights / file).touch()


def test_absent_scorers_are_named_with_what_they_lack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready, missing = available(REGISTRY, tmp_path)
    assert (ready, list(missing)) == ((), list(REGISTRY))
    assert missing["raft"] == f"raft/raft_large.safetensors missing in {tmp_path}"
    place_files(tmp_path, "lpips", "raft")
    monkeypatch.setitem(sys.modules, "torchvision", None)
    ready, missing = available(("raft", "lpips"), tmp_path)
    assert ready == ("lpips",)
    assert missing["raft"].startswith(
        "the package torchvision is not installed: pip install 'argus-360[learned]'"
    )
    with pytest.raises(
        InvalidInput, match="there is no learned scorer 'dover'; known are lpips, raft"
    ):
        available(("dover",), tmp_path)


def test_every_scorer_and_every_threshold_is_in_the_tables() -> None:
    assert {bound.field for bound in BOUNDS} == set(LearnedThresholds.model_fields) == set(REASONS)
    for name in REGISTRY:
        scorer = scorer_class(name)
        assert scorer.name == name
        assert scorer.files
        assert {bound.score for bound in BOUNDS if bound.scorer == name} == set(scorer.scores)


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.field)
def test_a_threshold_drops_for_its_reason_on_its_side(bound: Bound) -> None:
    thresholds = LearnedThresholds(**{bound.field: 0.5})
    for value, kept in ((0.4, bound.above), (0.5, True), (0.6, not bound.above)):
        scores, reason = decide({bound.scorer: {bound.score: value, "other": 0.0}}, thresholds)
        assert reason == (None if kept else REASONS[bound.field])
        assert [(one.filter, one.name, one.value, one.threshold, one.kept) for one in scores] == [
            (bound.scorer, bound.score, value, 0.5, kept),
            (bound.scorer, "other", 0.0, None, True),
        ]
    assert (
        decide({bound.scorer: {bound.score: -1e9}}, LearnedThresholds())[1] is None
    )  # only recorded


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            ZeroDivisionError("no frames"),
            "the scorer fixed failed, so the video is not judged: ZeroDivisionError: no frames",
        ),
        ({"value": float("nan")}, "value is nan"),
        ({"value": float("inf")}, "value is inf"),
        ({}, r"it gave \[\] instead of \['value'\]"),
    ],
)
def test_a_scorer_that_fails_gives_no_numbers(
    answer: dict[str, float] | Exception, message: str
) -> None:
    with pytest.raises(ScorerFailed, match=message):
        measure(CLIP, [Fixed(answer)])
    assert measure(CLIP, [Fixed({"value": 2.0})]) == {"fixed": {"value": 2.0}}


def test_an_unjudged_video_neither_passes_nor_is_dropped() -> None:
    result = unjudged(video(clip(0), clip(1)), "the scorer fixed failed")
    assert (result.decision, result.reason, result.retryable, result.clips) == (
        Decision.FAILED,
        Reason.SCORER_FAILED,
        True,
        (),
    )


def test_kept_clips_are_judged_and_a_video_falls_with_its_last_one() -> None:
    clips = (clip(0), clip(1, Reason.STATIC), clip(2))
    thresholds = LearnedThresholds(lpips_between=0.002)
    measured = {
        clips[0].clip_id: {"lpips": {"between": 0.001}},
        clips[2].clip_id: {"lpips": {"between": 0.1}},
    }
    some = judged(video(*clips), measured, ["raft"], thresholds)
    assert (some.decision, some.reason, some.detail) == (Decision.KEPT, None, "1 of 3 clips kept")
    assert [(one.decision, one.reason, one.video) for one in some.clips] == [
        (Decision.DROPPED, Reason.STATIC, None),
        (Decision.DROPPED, Reason.STATIC, None),
        (Decision.KEPT, None, "a.mp4"),
    ]
    assert [(one.filter, one.name, one.value) for one in some.clips[2].scores] == [
        ("lpips", "between", 0.1),
        ("raft", "speed_deg_s", None),
    ]
    assert some.clips[1] == clips[1]  # dropped before: not measured at all
    none = judged(
        video(*clips), {one.clip_id: {"lpips": {"between": 0.001}} for one in clips}, [], thresholds
    )
    assert (none.decision, none.reason, none.detail) == (
        Decision.DROPPED,
        Reason.STATIC,
        "none of its 3 clips is kept",
    )
    dropped = video(clip(0, Reason.STATIC))
    assert judged(dropped, {}, ["raft"], thresholds) == dropped


def test_a_threshold_without_its_scorer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInput,
        match=r"filters.learned.raft_speed_deg_s is 2, but the scorer raft cannot run: raft/raft_large.safetensors missing in",
    ):
        plan(config("raft", weights=tmp_path, raft_speed_deg_s=2))
    with pytest.raises(
        InvalidInput,
        match=r"lpips_between is 0.002, but the scorer lpips cannot run: learned.scorers does not name it: it is empty",
    ):
        plan(config(weights=tmp_path, lpips_between=0.002))
    place_files(tmp_path, "lpips")
    require(LearnedThresholds(lpips_between=0.002), ["lpips", "raft"], {"raft": "no torchvision"})


def test_without_any_scorer_at_hand_nothing_is_started_and_the_rows_say_so(tmp_path: Path) -> None:
    scoring = plan(config("lpips", "raft", weights=tmp_path))
    assert isinstance(scoring, Scoring)
    assert scoring.started(LearnedSettings()) is scoring  # needs no Ray
    (only,) = scoring.judge(video(clip(0)), tmp_path).clips
    assert [(one.filter, one.name, one.value, one.threshold, one.kept) for one in only.scores] == [
        *(("lpips", name, None, None, True) for name in ("left_right", "top_bottom", "between")),
        ("raft", "speed_deg_s", None, None, True),
    ]
    assert scoring.report()["raft"].startswith("not measured: raft/raft_large.safetensors missing")
    assert plan(config(weights=tmp_path)) is None


def test_only_what_decides_is_part_of_the_recipe(tmp_path: Path) -> None:
    place_files(tmp_path, "lpips")
    plain = recipe_digest(config(weights=tmp_path))
    assert recipe_digest(config("lpips", "raft", weights=tmp_path)) == plain
    assert recipe_digest(config("lpips", weights=tmp_path, lpips_between=0.002)) != plain


def test_samples_come_back_and_a_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "samples" / clip_samples_filename(0, 2000)
    CLIP.save(path)
    back = ClipSamples.load(path)
    assert np.array_equal(back.moments.frames, CLIP.moments.frames)
    assert np.array_equal(back.moments.next_frames, CLIP.moments.next_frames)
    assert (back.moments.intervals_s.tolist(), back.strip.shape, back.fps) == (
        [0.2, 0.0],
        (9, 27, 48, 3),
        4.995,
    )
    replace(CLIP, strip=CLIP.strip[:, :8]).save(path)
    with pytest.raises(ValueError, match="expected are"):
        ClipSamples.load(path)
    np.savez(path, frames=np.array([object()], dtype=object))  # a pickle within
    with pytest.raises(ValueError, match="allow_pickle=False"):
        ClipSamples.load(path)
    path.write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"cannot be read|pickle"):
        ClipSamples.load(path)
    path.unlink()
    with pytest.raises(ValueError, match="cannot be read"):
        ClipSamples.load(path)


def test_nothing_of_it_is_imported_while_it_is_not_asked_for() -> None:
    code = """
import sys, ray_jobs.curate
assert not any(name.startswith(("argus.curate.scorers", "ray_jobs.curate.scorer_pool")) for name in sys.modules)
import argus.curate.scorers
assert not {"torch", "torchvision", "transformers"} & set(sys.modules)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr[-2000:]
