"""Learned scorers: which can run, what their scores decide, and what happens if one fails."""

import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from argus.curate import ScorerFailed, recipe_digest
from argus.curate.frame_sampling import SampledFrames
from argus.curate.scorers import (
    REGISTRY,
    ClipSamples,
    LocalScorerPool,
    apply_learned_thresholds,
    check_thresholds,
    clip_samples_filename,
    decide_by_scorers,
    find_scorers,
    mark_scorer_failed,
    plan_scorers,
    score_clip,
    scorer_class,
)
from argus.curate.thresholds import LEARNED_THRESHOLDS, Direction, Threshold
from argus.dataset import ClipFile, CuratedClip, CuratedVideo
from argus.errors import InvalidInput
from argus.networks import accept_weights
from schemas.config import CurateConfig, FilterSettings, LearnedSettings, LearnedThresholds
from schemas.names import Decision, Layout, Reason, Split

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
    "text_ocr_overlay_share": Reason.TEXT,
    "aesthetic_mean": Reason.LOW_AESTHETIC,
}
FILE = ClipFile("a.mp4", 64, 128, Fraction(5))


class FixedScorer:
    """A scorer that returns or raises what it was created with."""

    name, version = "fixed", 1
    score_names, required_package, weight_files = ("value",), None, ()

    def __init__(self, answer: dict[str, float] | Exception) -> None:
        self.answer = answer

    @classmethod
    def load(cls, weights: Path, device: str) -> "FixedScorer":
        return cls({"value": 1.0})

    def score(self, clip: ClipSamples) -> dict[str, float]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def video(*clips: CuratedClip) -> CuratedVideo:
    kept = any(clip.decision is Decision.KEPT for clip in clips)
    decision, reason = (Decision.KEPT, None) if kept else (Decision.DROPPED, Reason.BLACK)
    return CuratedVideo(
        source_id="url:1",
        url="http://a/b",
        split=Split.TRAIN,
        decision=decision,
        reason=reason,
        detail="a sentence",
        layout=Layout.MONO_ERP,
        clips=clips,
    )


def clip(number: int, reason: Reason | None = None) -> CuratedClip:
    start, end = 1000 * number, 1000 * number + 1000
    return CuratedClip(
        f"url:1@{start}-{end}",
        start,
        end,
        5,
        Decision.DROPPED if reason else Decision.KEPT,
        reason,
        quality=0.5,
        file=None if reason else FILE,
    )


def config(*scorers: str, weights: Path, **thresholds: float) -> CurateConfig:
    return CurateConfig(
        catalogue="none",
        learned=LearnedSettings(scorers=scorers, weights=str(weights)),
        filters=FilterSettings(learned=LearnedThresholds(**thresholds)),
    )


def create_weight_files(weights: Path, *names: str) -> None:
    for name in names:
        for file in scorer_class(name).weight_files:
            (weights / file.path).parent.mkdir(parents=True, exist_ok=True)
            (weights / file.path).touch()
        accept_weights(weights, scorer_class(name).weight_files)


def test_scorers_that_cannot_run_are_listed_with_what_they_lack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready, missing = find_scorers(REGISTRY, tmp_path)
    assert (ready, list(missing)) == ((), list(REGISTRY))
    assert "raft/raft_large.safetensors" in missing["raft"]
    assert str(tmp_path) in missing["raft"]
    create_weight_files(tmp_path, "lpips", "raft")
    monkeypatch.setitem(sys.modules, "torchvision", None)
    ready, missing = find_scorers(("raft", "lpips"), tmp_path)
    assert ready == ("lpips",)
    assert "pip install 'argus-360[learned]'" in missing["raft"]
    with pytest.raises(InvalidInput, match="dover"):
        find_scorers(("dover",), tmp_path)


def test_every_scorer_and_every_learned_threshold_is_in_the_tables() -> None:
    fields = {row.setting.removeprefix("learned.") for row in LEARNED_THRESHOLDS}
    assert fields == set(LearnedThresholds.model_fields) == set(REASONS)
    for name in REGISTRY:
        scorer = scorer_class(name)
        assert scorer.name == name
        assert scorer.weight_files
        scores = {row.score for row in LEARNED_THRESHOLDS if row.filter == name}
        assert scores
        assert scores <= set(scorer.score_names)


@pytest.mark.parametrize("row", LEARNED_THRESHOLDS, ids=lambda row: row.setting)
def test_a_threshold_drops_for_its_reason_on_its_side(row: Threshold) -> None:
    field = row.setting.removeprefix("learned.")
    thresholds = LearnedThresholds(**{field: 0.5})
    is_max = row.direction is Direction.MAX
    for value, kept in ((0.4, is_max), (0.5, True), (0.6, not is_max)):
        scores, reason = decide_by_scorers(
            {row.filter: {row.score: value, "other": 0.0}}, thresholds
        )
        assert reason == (None if kept else REASONS[field])
        assert [(one.filter, one.name, one.value, one.threshold, one.kept) for one in scores] == [
            (row.filter, row.score, value, 0.5, kept),
            (row.filter, "other", 0.0, None, True),
        ]
    _, reason = decide_by_scorers({row.filter: {row.score: -1e9}}, LearnedThresholds())
    assert reason is None, "without a threshold the score is only recorded"


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (ZeroDivisionError("no frames"), "ZeroDivisionError"),
        ({"value": float("nan")}, "nan"),
        ({"value": float("inf")}, "inf"),
        ({}, "value"),
    ],
)
def test_a_scorer_that_fails_gives_no_scores(
    answer: dict[str, float] | Exception, cause: str
) -> None:
    with pytest.raises(ScorerFailed) as caught:
        score_clip(CLIP, [FixedScorer(answer)])
    assert "fixed" in str(caught.value)
    assert cause in str(caught.value)
    assert score_clip(CLIP, [FixedScorer({"value": 2.0})]) == {"fixed": {"value": 2.0}}


def test_a_failed_scorer_neither_keeps_nor_drops_a_video() -> None:
    result = mark_scorer_failed(video(clip(0), clip(1)), "the scorer fixed failed")
    assert (result.decision, result.reason, result.retryable, result.clips) == (
        Decision.FAILED,
        Reason.SCORER_FAILED,
        True,
        (),
    )


def test_kept_clips_are_decided_and_a_video_is_dropped_with_its_last_clip() -> None:
    clips = (clip(0), clip(1, Reason.STATIC), clip(2))
    thresholds = LearnedThresholds(lpips_between=0.002)
    scores = {
        clips[0].clip_id: {"lpips": {"between": 0.001}},
        clips[2].clip_id: {"lpips": {"between": 0.1}},
    }
    some = apply_learned_thresholds(video(*clips), scores, ["raft"], thresholds)
    assert (some.decision, some.reason) == (Decision.KEPT, None)
    assert [(one.decision, one.reason, one.file) for one in some.clips] == [
        (Decision.DROPPED, Reason.STATIC, None),
        (Decision.DROPPED, Reason.STATIC, None),
        (Decision.KEPT, None, FILE),
    ]
    assert [(one.filter, one.name, one.value) for one in some.clips[2].scores] == [
        ("lpips", "between", 0.1),
        ("raft", "speed_deg_s", None),
    ]
    assert some.clips[1] == clips[1], "a clip that was dropped before is not scored"
    still = {one.clip_id: {"lpips": {"between": 0.001}} for one in clips}
    none = apply_learned_thresholds(video(*clips), still, [], thresholds)
    assert (none.decision, none.reason) == (Decision.DROPPED, Reason.STATIC)
    dropped = video(clip(0, Reason.STATIC))
    assert apply_learned_thresholds(dropped, {}, ["raft"], thresholds) == dropped


def test_a_threshold_without_its_scorer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        plan_scorers(config("raft", weights=tmp_path, raft_speed_deg_s=2))
    for part in ("filters.learned.raft_speed_deg_s", "2", "raft/raft_large.safetensors"):
        assert part in str(caught.value)
    with pytest.raises(InvalidInput) as caught:
        plan_scorers(config(weights=tmp_path, lpips_between=0.002))
    for part in ("filters.learned.lpips_between", "0.002", "learned.scorers"):
        assert part in str(caught.value)
    create_weight_files(tmp_path, "lpips")
    thresholds = LearnedThresholds(lpips_between=0.002)
    check_thresholds(thresholds, ["lpips", "raft"], {"raft": "no torchvision"})


def test_scorers_that_cannot_run_leave_scores_without_a_value(tmp_path: Path) -> None:
    plan = plan_scorers(config("lpips", "raft", weights=tmp_path))
    assert plan is not None
    (only,) = LocalScorerPool(plan).score_video(video(clip(0)), tmp_path).clips
    assert [(one.filter, one.name, one.value, one.threshold, one.kept) for one in only.scores] == [
        *(("lpips", name, None, None, True) for name in ("left_right", "top_bottom", "between")),
        ("raft", "speed_deg_s", None, None, True),
    ]
    assert "raft/raft_large.safetensors" in plan.report()["raft"]
    assert plan_scorers(config(weights=tmp_path)) is None


def test_only_scorers_that_decide_are_part_of_the_recipe(tmp_path: Path) -> None:
    create_weight_files(tmp_path, "lpips")
    plain = recipe_digest(config(weights=tmp_path))
    assert recipe_digest(config("lpips", "raft", weights=tmp_path)) == plain
    assert recipe_digest(config("lpips", weights=tmp_path, lpips_between=0.002)) != plain


def test_samples_are_read_back_and_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "samples" / clip_samples_filename(0, 2000)
    CLIP.save(path)
    loaded = ClipSamples.load(path)
    assert np.array_equal(loaded.sampled.frames, CLIP.sampled.frames)
    assert np.array_equal(loaded.sampled.next_frames, CLIP.sampled.next_frames)
    assert loaded.sampled.intervals_s.tolist() == [0.2, 0.0]
    assert (loaded.strip.shape, loaded.fps) == ((9, 27, 48, 3), 4.995)
    replace(CLIP, strip=CLIP.strip[:, :8]).save(path)
    with pytest.raises(ValueError, match="uint8"):
        ClipSamples.load(path)
    np.savez(path, frames=np.array([object()], dtype=object))  # a pickle inside
    with pytest.raises(ValueError, match="allow_pickle=False"):
        ClipSamples.load(path)
    path.write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r".+"):
        ClipSamples.load(path)
    path.unlink()
    with pytest.raises(ValueError, match=r".+"):
        ClipSamples.load(path)


def test_scorers_are_imported_on_demand_and_without_torch() -> None:
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
