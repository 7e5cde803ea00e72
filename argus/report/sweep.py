"""Yield of other thresholds: the decisions of one filter made again from stored scores.

All other filters keep their thresholds, and nothing is decoded. The clips of a video that the
current threshold dropped were never decided: where another threshold would keep the video, it is
counted as `unjudged`, with its whole length.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from pydantic import ValidationError

from argus.curate import (
    RateFilter,
    Threshold,
    Verdict,
    clip_filters,
    thresholds_of,
    video_filters,
)
from argus.curate.scorers import REGISTRY
from argus.dataset import CuratedClip, Score, SourceRow
from argus.errors import InvalidInput
from argus.runs import ProgressHook
from schemas.config import FilterSettings
from schemas.names import Decision, Reason


@dataclass(frozen=True)
class YieldPoint:
    """Yield at one threshold.

    Attributes:
        threshold: the threshold.
        videos: kept videos.
        clips: kept clips.
        hours: length of the kept clips.
        unjudged: videos that would be cut into clips, which were never decided.
        unjudged_hours: whole length of those videos.
    """

    threshold: float
    videos: int
    clips: int
    hours: float
    unjudged: int
    unjudged_hours: float


@dataclass(frozen=True)
class Sweep:
    """Yield as a function of one threshold.

    Attributes:
        filter: the filter or learned scorer.
        score: the score that the threshold limits.
        setting: path of the threshold in the filter settings.
        current: the threshold under which most videos were decided; None if the score is only
            recorded.
        yields: by ascending threshold, including the current one if it is set.
        values: the score of every video and clip that has it.
        left_out: videos whose settings are not stored or belong to another version.
    """

    filter: str
    score: str
    setting: str
    current: float | None
    yields: tuple[YieldPoint, ...]
    values: tuple[float, ...]
    left_out: int


class _Decider(Protocol):
    """Filter or learned scorer that decides from its scores; None if no threshold is set."""

    name: str

    def decide(self, scores: Mapping[str, float], settings: FilterSettings) -> Verdict | None: ...


class _ScorerDecider:
    """A learned scorer: decides by any of its scores for which a threshold is set."""

    def __init__(self, name: str) -> None:
        self.name = name

    def decide(self, scores: Mapping[str, float], settings: FilterSettings) -> Verdict | None:
        """Return the first verdict that drops, else the last one."""
        verdict = None
        for row in thresholds_of(self.name):
            if row.score in scores and (decided := row.decide(scores, settings)):
                verdict = decided
                if not verdict.kept:
                    break
        return verdict


@dataclass(frozen=True)
class _Item:
    """A video or clip with the scores of the swept filter.

    Attributes:
        decider: the swept filter.
        scores: its scores by name.
        is_open: True if the swept filter alone decides; otherwise no threshold keeps the item.
    """

    decider: _Decider
    scores: Mapping[str, float]
    is_open: bool

    def is_kept(self, settings: FilterSettings, *, current: bool) -> bool:
        """Decide again; without a verdict the current decision stands."""
        verdict = _try_decide(self.decider, self.scores, settings)
        return self.is_open and (current if verdict is None else verdict.kept)


@dataclass(frozen=True)
class _ClipCase:
    """A clip: its item if the swept filter scored it, its length and its current decision."""

    item: _Item | None
    hours: float
    is_kept: bool


@dataclass(frozen=True)
class _VideoCase:
    """A video that reached the filters.

    Attributes:
        recipe: digest of its recipe.
        item: its item; None if the swept filter did not score the whole video.
        clips: its clips.
        hours: whole length.
        is_cut: True if it was cut into clips.
    """

    recipe: str
    item: _Item | None
    clips: tuple[_ClipCase, ...]
    hours: float
    is_cut: bool


def compute_sweep(
    videos: Sequence[SourceRow],
    settings_by_recipe: Mapping[str, FilterSettings],
    name: str,
    *,
    steps: int = 24,
    on_progress: ProgressHook | None = None,
) -> Sweep:
    """Compute the yield of other thresholds of one score.

    Args:
        videos: the decisions of a dataset.
        settings_by_recipe: filter settings by digest of the recipe.
        name: FILTER, or FILTER.SCORE for a filter with several thresholds.
        steps: largest number of thresholds besides the current one.
        on_progress: called after each threshold.

    Raises:
        InvalidInput: there is no such filter or score, or the dataset holds no such score.
    """
    filter_name, _, score = name.partition(".")
    names = _decider_names()
    if filter_name not in names:
        raise InvalidInput(
            f"{filter_name!r} is not a filter with a threshold; choose from {', '.join(names)}"
        )
    usable = [video for video in videos if video.recipe in settings_by_recipe]
    cases = _collect_cases(usable, settings_by_recipe, filter_name)
    threshold = _find_row(filter_name, score, usable, has_settings=bool(settings_by_recipe))
    values = _values(usable, threshold)
    if not cases or not values:
        raise _nothing_scored(filter_name, has_settings=bool(settings_by_recipe))
    limits = Counter(threshold.limit(settings_by_recipe[case.recipe]) for case in cases)
    current = limits.most_common(1)[0][0]
    candidates = _candidates(values, current, threshold, steps)
    yields = []
    for done, limit in enumerate(candidates, start=1):
        changed = {
            recipe: _with_limit(settings, threshold, limit)
            for recipe, settings in settings_by_recipe.items()
        }
        yields.append(_compute_yield(cases, changed, limit))
        if on_progress:
            on_progress(done, len(candidates), "threshold", "")
    return Sweep(
        filter_name,
        threshold.score,
        threshold.setting,
        current,
        tuple(yields),
        tuple(values),
        len(videos) - len(usable),
    )


def _decider_names() -> dict[str, None]:
    """Return the names of all filters and learned scorers, in the order in which they decide."""
    filters = (*video_filters(FilterSettings()), *_clip_deciders())
    return dict.fromkeys(one.name for one in filters)


def _clip_deciders() -> tuple[_Decider, ...]:
    return RateFilter(), *clip_filters(), *map(_ScorerDecider, REGISTRY)


def _find_row(
    filter_name: str, score: str, videos: Sequence[SourceRow], *, has_settings: bool
) -> Threshold:
    """Return the threshold of a score; without a score, the first one with stored values."""
    rows = thresholds_of(filter_name)
    if score:
        for row in rows:
            if row.score == score:
                return row
        raise InvalidInput(
            f"{filter_name} does not decide by {score!r}; "
            f"choose from {', '.join(row.score for row in rows)}"
        )
    for row in rows:
        if _values(videos, row):
            return row
    raise _nothing_scored(filter_name, has_settings=has_settings)


def _nothing_scored(filter_name: str, *, has_settings: bool) -> InvalidInput:
    if has_settings:
        return InvalidInput(
            f"the dataset holds no decision of the filter {filter_name}; refresh it first"
        )
    return InvalidInput(
        "the dataset stores no recipe that this version can read, so its thresholds are unknown; "
        "refresh it once"
    )


def _with_limit(settings: FilterSettings, threshold: Threshold, limit: float) -> FilterSettings:
    """Return settings with another limit."""
    group, _, name = threshold.setting.rpartition(".")
    if not group:
        return settings.model_copy(update={name: limit})
    changed = getattr(settings, group).model_copy(update={name: limit})
    return settings.model_copy(update={group: changed})


def _is_allowed(threshold: Threshold, limit: float) -> bool:
    """Return True if the settings accept a limit."""
    group, _, name = threshold.setting.rpartition(".")
    try:
        FilterSettings.model_validate({group: {name: limit}} if group else {name: limit})
    except ValidationError:
        return False
    return True


def _candidates(
    values: Sequence[float], current: float | None, threshold: Threshold, steps: int
) -> list[float]:
    """Return the thresholds to try: the current one and the scores, or `steps` quantiles."""
    distinct = np.unique(values)
    if len(distinct) > steps:
        distinct = np.quantile(values, np.linspace(0, 1, steps), method="inverted_cdf")
    limits = {*distinct.tolist()} if current is None else {*distinct.tolist(), current}
    return sorted(limit for limit in limits if _is_allowed(threshold, limit))


def _try_decide(
    decider: _Decider, scores: Mapping[str, float], settings: FilterSettings
) -> Verdict | None:
    """Decide; return None without a threshold, or if an earlier version stored other scores."""
    try:
        return decider.decide(scores, settings)
    except KeyError:
        return None


def _group_scores(scores: Iterable[Score]) -> dict[str, dict[str, float]]:
    """Return values by filter and name."""
    groups: dict[str, dict[str, float]] = {}
    for score in scores:
        if score.value is not None:
            groups.setdefault(score.filter, {})[score.name] = score.value
    return groups


def _values(videos: Sequence[SourceRow], threshold: Threshold) -> list[float]:
    """Return a score's values over all videos and clips."""
    groups = (
        scores
        for video in videos
        for scores in (video.scores, *(clip.scores for clip in video.clips))
    )
    return [
        score.value
        for scores in groups
        for score in scores
        if (score.filter, score.name) == (threshold.filter, threshold.score)
        and score.value is not None
    ]


def _collect_cases(
    videos: Sequence[SourceRow], settings_by_recipe: Mapping[str, FilterSettings], filter_name: str
) -> list[_VideoCase]:
    cases = (_to_case(video, settings_by_recipe[video.recipe], filter_name) for video in videos)
    return [case for case in cases if case]


def _to_case(video: SourceRow, settings: FilterSettings, filter_name: str) -> _VideoCase | None:
    """Return the case of a video, or None if no threshold of a filter can bring it back."""
    is_dropped_by_filter = not all(score.kept for score in video.scores)
    reason = video.reason if is_dropped_by_filter or not video.clips else None
    item = _to_item(video.scores, settings, filter_name, video_filters(settings), reason)
    if not video.clips and (item is None or video.decision is not Decision.DROPPED):
        return None
    if video.clips and video.decision is not Decision.KEPT and not is_dropped_by_filter:
        reasons = {clip.reason for clip in video.clips if not _is_kept_by_filters(clip)}
        if video.reason not in reasons:
            return None  # dropped for another reason than its clips
    clips = tuple(_to_clip_case(clip, settings, filter_name) for clip in video.clips)
    return _VideoCase(video.recipe, item, clips, _length_hours(video), bool(video.clips))


def _to_clip_case(clip: CuratedClip, settings: FilterSettings, filter_name: str) -> _ClipCase:
    is_kept = _is_kept_by_filters(clip)
    reason = None if is_kept else clip.reason
    item = _to_item(clip.scores, settings, filter_name, _clip_deciders(), reason)
    return _ClipCase(item, (clip.end_ms - clip.start_ms) / 3.6e6, is_kept)


def _is_kept_by_filters(clip: CuratedClip) -> bool:
    """Return True for a clip that is kept, or was dropped only together with its whole video."""
    limited = [score for score in clip.scores if score.threshold is not None]
    return clip.decision is Decision.KEPT or (
        bool(limited) and all(score.kept for score in limited)
    )


def _length_hours(video: SourceRow) -> float:
    media = video.media
    return float(media.frames / media.fps) / 3600 if media and media.fps else 0.0


def _to_item(
    scores: Sequence[Score],
    settings: FilterSettings,
    filter_name: str,
    deciders: Sequence[_Decider],
    reason: Reason | None,
) -> _Item | None:
    """Return the item of a video or clip, or None if the swept filter did not score it.

    Args:
        scores: stored scores.
        settings: settings under which it was decided.
        filter_name: the swept filter.
        deciders: all filters at this stage.
        reason: why it was dropped; None if it was not.
    """
    groups = _group_scores(scores)
    present = {one.name: one for one in deciders if one.name in groups}
    if filter_name not in present:
        return None
    verdicts = {name: _try_decide(one, groups[name], settings) for name, one in present.items()}
    own = verdicts.pop(filter_name)
    others_keep = all(verdict is None or verdict.kept for verdict in verdicts.values())
    is_own_reason = others_keep and own is not None and reason == own.reason
    return _Item(present[filter_name], groups[filter_name], reason is None or is_own_reason)


def _compute_yield(
    cases: Sequence[_VideoCase], settings_by_recipe: Mapping[str, FilterSettings], limit: float
) -> YieldPoint:
    """Count what is kept under settings that hold the limit."""
    videos, clips, hours, unjudged, unjudged_hours = 0, 0, 0.0, 0, 0.0
    for case in cases:
        settings = settings_by_recipe[case.recipe]
        if not (case.item.is_kept(settings, current=case.is_cut) if case.item else case.is_cut):
            continue
        if not case.is_cut:
            unjudged, unjudged_hours = unjudged + 1, unjudged_hours + case.hours
            continue
        kept = [
            clip.hours
            for clip in case.clips
            if (clip.item.is_kept(settings, current=clip.is_kept) if clip.item else clip.is_kept)
        ]
        videos, clips, hours = videos + bool(kept), clips + len(kept), hours + sum(kept)
    return YieldPoint(limit, videos, clips, hours, unjudged, unjudged_hours)
