"""The table of thresholds: it covers every setting, and each row moves the decision that it names."""

from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argus.curate import RateFilter, ScorerFailed, Threshold
from argus.curate.filters import Decider, apply_thresholds, clip_deciders, video_filters
from argus.curate.thresholds import (
    DECISION_SETTINGS,
    HIGH_QUALITY_THRESHOLDS,
    LAYOUT_SETTINGS,
    LEARNED_THRESHOLDS,
    SCORING_SETTINGS,
    THRESHOLDS,
    Direction,
    find_threshold,
    threshold_of,
    thresholds_of,
)
from argus.dataset import CuratedClip, Score, SourceRow
from argus.media import MediaInfo
from argus.report import compute_sweeps
from schemas.config import FilterSettings, HighQuality, LearnedThresholds
from schemas.names import Decision, Layout, Split

RECIPE = "0123456789abcdef"
SETTINGS = FilterSettings(tilt_deg=20.0, nadir_share=0.5, dark_share=0.4, bright_share=0.3)
CLIP_DECIDERS = clip_deciders({RateFilter.name: {}})
FILTERS = (*video_filters(SETTINGS), *CLIP_DECIDERS)
FILTER_ROWS = [
    (one, row)
    for one in FILTERS
    for row in thresholds_of(one.name)
    if getattr(one, "decide_by", row.score) == row.score
]


def neutral_scores(name: str) -> dict[str, float]:
    """Return scores of a filter that pass every threshold, with guards that let thresholds count."""
    scores = {}
    for row in thresholds_of(name):
        limit = row.limit(SETTINGS) or 0.0
        scores[row.score] = limit / 2 if row.direction is Direction.MAX else 2 * limit + 1
        if row.guard:
            scores[row.guard.score] = 2 * float(getattr(SETTINGS, row.guard.setting)) + 0.1
    return scores


def beyond(row: Threshold) -> float:
    """Return a score on the wrong side of its limit."""
    limit = row.limit(SETTINGS)
    assert limit is not None
    return 1.5 * limit + 0.01 if row.direction is Direction.MAX else limit / 2


def test_every_filter_setting_is_declared_once() -> None:
    assert set(FilterSettings.model_fields) == DECISION_SETTINGS | set(SCORING_SETTINGS)
    assert not DECISION_SETTINGS & set(SCORING_SETTINGS)
    rows = {row.setting for row in (*THRESHOLDS, *HIGH_QUALITY_THRESHOLDS)}
    guards = {row.guard.setting for row in THRESHOLDS if row.guard}
    assert not LAYOUT_SETTINGS & (rows | guards)
    groups = {"high_quality": HighQuality, "learned": LearnedThresholds}
    for group, model in groups.items():
        names = {row.partition(".")[2] for row in rows if row.startswith(f"{group}.")}
        assert names == set(model.model_fields) - {"quality"}


def test_keys_are_unique_and_name_scores_of_filters() -> None:
    for table in (THRESHOLDS, HIGH_QUALITY_THRESHOLDS):
        keys = [row.key for row in table]
        assert len(keys) == len(set(keys))
    names = {one.name for one in FILTERS}
    for row in HIGH_QUALITY_THRESHOLDS:
        assert row.filter in names | {"shots"}
    assert find_threshold("blur", "fine") is None
    with pytest.raises(KeyError):
        threshold_of("blur", "fine")


@pytest.mark.parametrize(("one", "row"), FILTER_ROWS, ids=[f"{row.key}" for _, row in FILTER_ROWS])
def test_a_row_moves_the_decision_of_its_filter(one: Decider, row: Threshold) -> None:
    scores = neutral_scores(one.name)
    assert one.decide(scores, SETTINGS).kept
    scores[row.score] = beyond(row)
    verdict = one.decide(scores, SETTINGS)
    assert (verdict.kept, verdict.reason) == (False, row.reason)
    assert (verdict.name, verdict.value) == (row.score, scores[row.score])
    assert verdict.threshold == row.limit(SETTINGS)
    laxer = SETTINGS.model_copy(update={row.setting: scores[row.score]})
    assert one.decide(scores, laxer).kept is not row.is_strict


@pytest.mark.parametrize(("one", "row"), [pair for pair in FILTER_ROWS if pair[1].guard])
def test_a_guard_switches_its_threshold_off(one: Decider, row: Threshold) -> None:
    assert row.guard is not None
    scores = {**neutral_scores(one.name), row.score: beyond(row), row.guard.score: 0.0}
    assert one.decide(scores, SETTINGS).kept


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    row=st.sampled_from(THRESHOLDS),
    limit=st.floats(-1e6, 1e6),
    distance=st.floats(0, 1e6),
)
def test_a_score_passes_on_one_side_of_the_limit_only(
    row: Threshold, limit: float, distance: float
) -> None:
    sign = 1 if row.direction is Direction.MIN else -1
    assert row.passes(limit, limit) is not row.is_strict
    if limit + distance != limit and limit - distance != limit:
        assert row.passes(limit + sign * distance, limit)
        assert not row.passes(limit - sign * distance, limit)


def test_a_missing_score_decides_nothing() -> None:
    with pytest.raises(ScorerFailed):
        apply_thresholds({one.name: {} for one in FILTERS}, FILTERS, SETTINGS)


def video_with(number: int, row: Threshold, scores: dict[str, float]) -> SourceRow:
    """Return a kept video with one kept clip, which has the scores of the row's filter."""
    stored = tuple(Score(row.filter, name, value) for name, value in scores.items())
    clip = CuratedClip(f"url:{number}@0-1000", 0, 1000, 5, Decision.KEPT, scores=stored)
    return SourceRow(
        source_id=f"url:{number}",
        url="https://videos.example/a",
        split=Split.TRAIN,
        decision=Decision.KEPT,
        layout=Layout.MONO_ERP,
        clips=(clip,),
        media=MediaInfo(256, 128, Fraction(10), 10, 1.0, "h264", "mp4"),
        recipe=RECIPE,
        run_id="tests",
        code_version="0.1.0",
        decided_at=datetime.now(UTC),
    )


def swept_settings(row: Threshold) -> FilterSettings:
    """Return settings in which the row has a limit."""
    if row not in LEARNED_THRESHOLDS:
        return SETTINGS
    thresholds = LearnedThresholds(**{row.setting.removeprefix("learned."): 0.5})
    return SETTINGS.model_copy(update={"learned": thresholds})


CLIP_ROWS = [
    row
    for row in THRESHOLDS
    if row in LEARNED_THRESHOLDS
    or any(row.key == f"{one.name}.{getattr(one, 'decide_by', row.score)}" for one in CLIP_DECIDERS)
]


@pytest.mark.parametrize("row", CLIP_ROWS, ids=lambda row: row.key)
def test_a_sweep_over_a_row_moves_the_decision_of_its_filter(row: Threshold) -> None:
    limits = swept_settings(row)
    limit = row.limit(limits)
    assert limit is not None
    is_max = row.direction is Direction.MAX
    scores = {row.score: 0.25 if is_max else 0.75}
    if row not in LEARNED_THRESHOLDS:
        scores = neutral_scores(row.filter)
    outside = 1.5 * limit + 0.01 if is_max else limit / 2
    videos = [video_with(0, row, scores), video_with(1, row, {**scores, row.score: outside})]
    (found,) = compute_sweeps(videos, {RECIPE: limits}, row.key)
    assert (found.setting, found.current) == (row.setting, limit)
    clips = {point.threshold: point.clips for point in found.yields}
    assert clips[outside] == (1 if row.is_strict else 2)
    assert clips[limit] == 1
