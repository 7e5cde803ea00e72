"""Decisions from the scores of learned scorers: a changed threshold needs no network."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from argus.curate.details import add_reading, describe_clips
from argus.curate.filters import ScoreTable
from argus.curate.scorers.base import scorer_class
from argus.curate.thresholds import LEARNED_THRESHOLDS, Threshold
from argus.dataset import CuratedClip, CuratedVideo, Score
from argus.errors import InvalidInput
from schemas.config import FilterSettings, LearnedThresholds
from schemas.names import Decision, Reason


def required_scorers(thresholds: LearnedThresholds) -> tuple[str, ...]:
    """Return the scorers for which a threshold is set; they are part of the recipe."""
    return tuple(dict.fromkeys(row.filter for row, _ in _set_limits(thresholds)))


def check_thresholds(
    thresholds: LearnedThresholds, requested: Iterable[str], missing: Mapping[str, str]
) -> None:
    """Refuse a threshold whose scorer cannot run, because it would never decide.

    Args:
        thresholds: the limits.
        requested: scorers that the configuration names.
        missing: what each scorer that cannot run lacks, as a clause.

    Raises:
        InvalidInput: a threshold is set for a scorer that is not requested or cannot run.
    """
    names = set(requested)
    for row, limit in _set_limits(thresholds):
        if row.filter in names and row.filter not in missing:
            continue
        cause = missing.get(
            row.filter,
            f"learned.scorers names {', '.join(sorted(names)) or 'none'}; add {row.filter} to it",
        )
        raise InvalidInput(
            f"filters.{row.setting} is {limit:g}, but the scorer {row.filter} cannot run: {cause}"
        )


def decide_by_scorers(
    scores: ScoreTable, thresholds: LearnedThresholds
) -> tuple[tuple[Score, ...], Reason | None]:
    """Decide about a clip.

    Args:
        scores: values by scorer and name.
        thresholds: the limits.

    Returns:
        All scores as records, and the first reason to drop the clip, or None.
    """
    limits = {row.key: (row, limit) for row, limit in _set_limits(thresholds)}
    records = tuple(
        _to_record(scorer, name, value, limits.get(f"{scorer}.{name}"))
        for scorer, values in scores.items()
        for name, value in values.items()
    )
    failed = {f"{record.filter}.{record.name}" for record in records if not record.kept}
    return records, next((row.reason for key, (row, _) in limits.items() if key in failed), None)


def blank_scores(missing: Iterable[str]) -> tuple[Score, ...]:
    """Return records without a value for all scores of requested scorers that cannot run."""
    return tuple(
        Score(scorer, name, None, None, True)
        for scorer in missing
        for name in scorer_class(scorer).score_names
    )


def apply_learned_thresholds(
    video: CuratedVideo,
    scores: Mapping[str, ScoreTable],
    missing: Iterable[str],
    thresholds: LearnedThresholds,
) -> CuratedVideo:
    """Decide about a video after its kept clips were scored.

    Args:
        video: the processed video.
        scores: values by clip id, scorer and name.
        missing: requested scorers that cannot run.
        thresholds: the limits.

    Returns:
        The video with the scores; dropped if no clip is left.
    """
    blanks = blank_scores(missing)
    clips = tuple(
        _decide_clip(clip, scores.get(clip.clip_id, {}), blanks, thresholds) for clip in video.clips
    )
    kept = sum(clip.decision is Decision.KEPT for clip in clips)
    if video.decision is not Decision.KEPT or kept:
        detail = add_reading(describe_clips(kept, len(clips)), video.media)
        return replace(video, clips=clips, detail=detail if kept else video.detail)
    reason = next(
        after.reason
        for before, after in zip(video.clips, clips, strict=True)
        if before.decision is Decision.KEPT
    )
    return replace(
        video,
        clips=clips,
        decision=Decision.DROPPED,
        reason=reason,
        detail=add_reading(describe_clips(0, len(clips)), video.media),
    )


def mark_scorer_failed(video: CuratedVideo, detail: str) -> CuratedVideo:
    """Return a video as failed: neither kept nor dropped, and tried again by a later refresh."""
    return replace(
        video,
        clips=(),
        decision=Decision.FAILED,
        reason=Reason.SCORER_FAILED,
        detail=detail,
        retryable=True,
    )


def _set_limits(thresholds: LearnedThresholds) -> list[tuple[Threshold, float]]:
    """Return the thresholds that are set, with their limits, in the order of their reasons."""
    settings = FilterSettings(learned=thresholds)
    limits = ((row, row.limit(settings)) for row in LEARNED_THRESHOLDS)
    return [(row, limit) for row, limit in limits if limit is not None]


def _decide_clip(
    clip: CuratedClip, scores: ScoreTable, blanks: tuple[Score, ...], thresholds: LearnedThresholds
) -> CuratedClip:
    if clip.decision is not Decision.KEPT:
        return clip
    records, reason = decide_by_scorers(scores, thresholds)
    scored = replace(clip, scores=(*clip.scores, *records, *blanks))
    if reason is None:
        return scored
    return replace(scored, decision=Decision.DROPPED, reason=reason, file=None, high_quality=False)


def _to_record(
    scorer: str, name: str, value: float, threshold: tuple[Threshold, float] | None
) -> Score:
    if threshold is None:
        return Score(scorer, name, value, None, True)
    row, limit = threshold
    return Score(scorer, name, value, limit, row.passes(value, limit))
