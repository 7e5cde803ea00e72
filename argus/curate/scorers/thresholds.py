"""From what networks measured to decisions, by the policy's thresholds alone: a changed threshold needs no network."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from argus.curate.records import CuratedClip, CuratedVideo, Score
from argus.curate.scorers.base import Measured, scorer_class
from argus.errors import InvalidInput
from schemas.config import LearnedThresholds
from schemas.names import Decision, Reason


class Bound(NamedTuple):
    """Which number a field of `LearnedThresholds` bounds: dropped below it, or above where `above`."""

    field: str
    scorer: str
    score: str
    above: bool
    reason: Reason

    def allows(self, value: float, threshold: float) -> bool:
        return value <= threshold if self.above else value >= threshold


BOUNDS = (
    Bound("lpips_left_right", "lpips", "left_right", False, Reason.STEREO),
    Bound("lpips_top_bottom", "lpips", "top_bottom", False, Reason.STEREO),
    Bound("lpips_between", "lpips", "between", False, Reason.STATIC),
    Bound("raft_speed_deg_s", "raft", "speed_deg_s", False, Reason.STATIC),
    Bound("transnetv2_boundary", "transnetv2", "boundary", True, Reason.SHOT_BOUNDARY),
    Bound("text_db_share", "text_db", "share", True, Reason.TEXT),
    Bound("aesthetic_mean", "aesthetic", "mean", False, Reason.LOW_AESTHETIC),
)
"""In the order in which their reasons count."""


def demanded(thresholds: LearnedThresholds) -> tuple[str, ...]:
    """The scorers that a threshold is set for: with the thresholds they are part of a recipe."""
    return tuple(
        dict.fromkeys(
            bound.scorer for bound in BOUNDS if getattr(thresholds, bound.field) is not None
        )
    )


def require(
    thresholds: LearnedThresholds, named: Iterable[str], missing: Mapping[str, str]
) -> None:
    """Raises InvalidInput where a threshold is set whose scorer is not named, or is missing: it could never decide."""
    chosen = set(named)
    for bound in BOUNDS:
        if (threshold := getattr(thresholds, bound.field)) is None or (
            bound.scorer in chosen and bound.scorer not in missing
        ):
            continue
        why = missing.get(
            bound.scorer,
            f"learned.scorers does not name it: {', '.join(sorted(chosen)) or 'it is empty'}",
        )
        raise InvalidInput(
            f"policy.learned.{bound.field} is {threshold:g}, but the scorer {bound.scorer} cannot run: {why}"
        )


def decide(
    measured: Measured, thresholds: LearnedThresholds
) -> tuple[tuple[Score, ...], Reason | None]:
    """All numbers as scores, and the first reason to drop, or None."""
    bounds = {
        (bound.scorer, bound.score): bound
        for bound in BOUNDS
        if getattr(thresholds, bound.field) is not None
    }
    scores = [
        _score(scorer, name, value, bounds, thresholds)
        for scorer, numbers in measured.items()
        for name, value in numbers.items()
    ]
    against = {(score.filter, score.name) for score in scores if not score.kept}
    return tuple(scores), next(
        (bound.reason for key, bound in bounds.items() if key in against), None
    )


def not_measured(absent: Iterable[str]) -> tuple[Score, ...]:
    """Scores without a value, for each number of scorers that were asked for and are not at hand."""
    return tuple(
        Score(name, score, None, None, True)
        for name in absent
        for score in scorer_class(name).scores
    )


def judged(
    video: CuratedVideo,
    measured: Mapping[str, Measured],
    absent: Iterable[str],
    thresholds: LearnedThresholds,
) -> CuratedVideo:
    """The video after its kept clips were measured, `measured` by clip id; dropped where no clip is left."""
    blanks = not_measured(absent)
    clips = tuple(
        _judged(clip, measured.get(clip.clip_id, {}), blanks, thresholds) for clip in video.clips
    )
    kept = sum(clip.decision is Decision.KEPT for clip in clips)
    if video.decision is not Decision.KEPT or kept:
        detail = f"{kept} of {len(clips)} clips kept" if kept else video.detail
        return replace(video, clips=clips, detail=detail)
    reason = next(
        new.reason
        for old, new in zip(video.clips, clips, strict=True)
        if old.decision is Decision.KEPT
    )
    return replace(
        video,
        clips=clips,
        decision=Decision.DROPPED,
        reason=reason,
        detail=f"none of its {len(clips)} clips is kept",
    )


def unjudged(video: CuratedVideo, detail: str) -> CuratedVideo:
    """The video when a scorer failed: neither kept nor dropped, and tried again by a later refresh."""
    return replace(
        video,
        clips=(),
        decision=Decision.FAILED,
        reason=Reason.SCORER_FAILED,
        detail=detail,
        retryable=True,
    )


def _judged(
    clip: CuratedClip, measured: Measured, blanks: tuple[Score, ...], thresholds: LearnedThresholds
) -> CuratedClip:
    if clip.decision is not Decision.KEPT:
        return clip
    scores, reason = decide(measured, thresholds)
    judged = replace(clip, scores=(*clip.scores, *scores, *blanks))
    return (
        judged
        if reason is None
        else replace(
            judged, decision=Decision.DROPPED, reason=reason, video=None, high_quality=False
        )
    )


def _score(
    scorer: str,
    name: str,
    value: float,
    bounds: Mapping[tuple[str, str], Bound],
    thresholds: LearnedThresholds,
) -> Score:
    bound = bounds.get((scorer, name))
    if bound is None:
        return Score(scorer, name, value, None, True)
    threshold = float(getattr(thresholds, bound.field))
    return Score(scorer, name, value, threshold, bound.allows(value, threshold))
