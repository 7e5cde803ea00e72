"""Videos and clips as a sweep sees them: the scores of one filter, and whether it alone decides.

The clips of a video that was dropped as a whole were never decided, unless it was cut before.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from argus.curate import (
    RateFilter,
    Threshold,
    Verdict,
    clip_filters,
    find_threshold,
    thresholds_of,
    video_filters,
)
from argus.curate.scorers import REGISTRY
from argus.dataset import CuratedClip, Score, SourceRow
from schemas.config import FilterSettings
from schemas.names import Decision, Reason


class SweptDecider(Protocol):
    """Filter or learned scorer that decides from its scores; None if no threshold is set."""

    name: str

    def decide(self, scores: Mapping[str, float], settings: FilterSettings) -> Verdict | None:
        """Return the verdict of `Threshold.decide`."""
        ...


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
class SweptItem:
    """A video or clip with the scores of the swept filter.

    Attributes:
        decider: the swept filter.
        scores: its scores by name.
        is_open: True if the swept filter alone decides; otherwise no threshold keeps the item.
        dropped_by: setting whose threshold drops it, whether alone or not; None if none does.
    """

    decider: SweptDecider
    scores: Mapping[str, float]
    is_open: bool
    dropped_by: str | None

    def is_kept(self, settings: FilterSettings, *, current: bool) -> bool:
        """Decide again; without a verdict the current decision stands."""
        verdict = _try_decide(self.decider, self.scores, settings)
        return self.is_open and (current if verdict is None else verdict.kept)


@dataclass(frozen=True)
class ClipCase:
    """A clip: its item if the swept filter scored it, its length and its current decision."""

    item: SweptItem | None
    hours: float
    is_kept: bool


@dataclass(frozen=True)
class VideoCase:
    """A video that reached the filters.

    Attributes:
        recipe: digest of its recipe.
        item: its item; None if the swept filter did not score the whole video.
        clips: its clips.
        hours: whole length.
        is_cut: True if it was cut into clips.
    """

    recipe: str
    item: SweptItem | None
    clips: tuple[ClipCase, ...]
    hours: float
    is_cut: bool


def decider_names() -> dict[str, None]:
    """Return the names of all filters and learned scorers, in the order in which they decide."""
    filters = (*video_filters(FilterSettings()), *_clip_deciders())
    return dict.fromkeys(one.name for one in filters)


def list_values(videos: Sequence[SourceRow], rows: Sequence[Threshold]) -> list[float]:
    """Return the scores of all videos and clips that thresholds decide by, none twice."""
    keys = {row.key for row in rows}
    whole, clip = (
        keys & _deciding_keys(deciders)
        for deciders in (video_filters(FilterSettings()), _clip_deciders())
    )
    groups = (
        group
        for video in videos
        for group in ((whole, video.scores), *((clip, one.scores) for one in video.clips))
    )
    return [
        score.value
        for names, scores in groups
        for score in scores
        if score.value is not None and f"{score.filter}.{score.name}" in names
    ]


def _deciding_keys(deciders: Sequence[SweptDecider]) -> set[str]:
    """Return the `filter.score` by which deciders decide; some measure more than that."""
    return {
        row.key
        for one in deciders
        for row in thresholds_of(one.name)
        if getattr(one, "decide_by", row.score) == row.score
    }


def _clip_deciders() -> tuple[SweptDecider, ...]:
    return RateFilter(), *clip_filters(), *map(_ScorerDecider, REGISTRY)


def _try_decide(
    decider: SweptDecider, scores: Mapping[str, float], settings: FilterSettings
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


def collect_cases(
    videos: Sequence[SourceRow], settings_by_recipe: Mapping[str, FilterSettings], filter_name: str
) -> list[VideoCase]:
    """Return the videos that a threshold of one filter may keep or drop.

    Args:
        videos: decisions whose settings are known.
        settings_by_recipe: filter settings by digest of the recipe.
        filter_name: the swept filter.
    """
    cases = (_to_case(video, settings_by_recipe[video.recipe], filter_name) for video in videos)
    return [case for case in cases if case]


def _to_case(video: SourceRow, settings: FilterSettings, filter_name: str) -> VideoCase | None:
    """Return the case of a video, or None if no threshold of a filter can bring it back."""
    is_dropped_by_filter = not all(score.kept for score in video.scores)
    reason = video.reason if is_dropped_by_filter or not video.clips else None
    item = _to_item(video.scores, settings, filter_name, video_filters(settings), reason)
    if item is None and is_dropped_by_filter:
        return None
    if not video.clips and (item is None or video.decision is not Decision.DROPPED):
        return None
    if video.clips and video.decision is not Decision.KEPT and not is_dropped_by_filter:
        reasons = {clip.reason for clip in video.clips if not _is_kept_by_filters(clip)}
        if video.reason not in reasons:
            return None  # dropped for another reason than its clips
    clips = tuple(_to_clip_case(clip, settings, filter_name) for clip in video.clips)
    return VideoCase(video.recipe, item, clips, _length_hours(video), bool(video.clips))


def _to_clip_case(clip: CuratedClip, settings: FilterSettings, filter_name: str) -> ClipCase:
    is_kept = _is_kept_by_filters(clip)
    reason = None if is_kept else clip.reason
    item = _to_item(clip.scores, settings, filter_name, _clip_deciders(), reason)
    return ClipCase(item, (clip.end_ms - clip.start_ms) / 3.6e6, is_kept)


def _is_kept_by_filters(clip: CuratedClip) -> bool:
    """Return True for a clip that is kept, or was dropped only together with its whole video."""
    limited = [score for score in clip.scores if score.threshold is not None]
    return clip.decision is Decision.KEPT or (
        bool(limited) and all(score.kept for score in limited)
    )


def _length_hours(video: SourceRow) -> float:
    media = video.media
    return media.duration_s / 3600 if media else 0.0


def _to_item(
    scores: Sequence[Score],
    settings: FilterSettings,
    filter_name: str,
    deciders: Sequence[SweptDecider],
    reason: Reason | None,
) -> SweptItem | None:
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
    row = find_threshold(own.filter, own.name) if own and not own.kept else None
    return SweptItem(
        present[filter_name],
        groups[filter_name],
        reason is None or is_own_reason,
        row.setting if row else None,
    )
