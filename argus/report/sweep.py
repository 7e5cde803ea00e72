"""What another threshold of one filter would have kept: its decision made again from stored scores, all others as they are. Decodes nothing.

A video that the present threshold dropped has no judged clips; at a laxer one it is counted as `unjudged`, with its whole length.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from pydantic import ValidationError

from argus.curate import Verdict, clip_filters, video_filters
from argus.curate.scorers import BOUNDS
from argus.dataset import ClipRow, ScoreRow, SourceRow
from argus.errors import InvalidInput
from argus.runs import ProgressHook
from schemas.config import FilterPolicy
from schemas.names import Decision, Reason


@dataclass(frozen=True)
class Yield:
    """What is kept at one threshold."""

    threshold: float
    videos: int
    clips: int
    hours: float  # of kept clips
    unjudged: int  # videos that would go on to be cut, but whose clips were never judged
    unjudged_hours: float  # the whole length of those


@dataclass(frozen=True)
class Sweep:
    """Yield against the threshold of one score, `setting` being its field in FilterPolicy."""

    filter: str
    score: str
    setting: str
    present: (
        float | None
    )  # the threshold of most videos' recipe; None where the score is only recorded
    yields: tuple[Yield, ...]  # by ascending threshold, the present one, if any, among them
    values: tuple[float, ...]  # the score of every video and clip that has it
    left_out: int  # videos whose recipe is not stored, or cannot be read any more


class _Judge(Protocol):
    name: str

    def decide(self, scores: Mapping[str, float], policy: FilterPolicy) -> Verdict | None:
        """None where the policy sets no threshold."""
        ...


class _Network:
    """A learned scorer decides by any of its numbers for which there is a threshold."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.bounds = [bound for bound in BOUNDS if bound.scorer == name]

    def decide(self, scores: Mapping[str, float], policy: FilterPolicy) -> Verdict | None:
        verdict = None
        for bound in self.bounds:
            threshold = getattr(policy.learned, bound.field)
            if threshold is not None and bound.score in scores:
                kept = bound.allows(scores[bound.score], threshold)
                verdict = Verdict(
                    self.name,
                    bound.score,
                    kept,
                    None if kept else bound.reason,
                    scores[bound.score],
                    threshold,
                )
                if not kept:
                    break
        return verdict


_NETWORKS = {bound.scorer: _Network(bound.scorer) for bound in BOUNDS}


@dataclass(frozen=True)
class _Item:
    """A judged video or clip. The filter in question alone decides it where `open`; else it is lost at any threshold."""

    judge: _Judge
    numbers: Mapping[str, float]
    open: bool


@dataclass(frozen=True)
class _Case:
    """A video that reached the filters."""

    recipe: str
    video: _Item | None  # None where the filter does not judge whole videos
    clips: tuple[tuple[_Item | None, float, bool], ...]  # item, hours, whether it is kept now
    hours: float
    judged: bool  # whether it was cut into clips


def sweep(
    videos: Sequence[SourceRow],
    policies: Mapping[str, FilterPolicy],
    name: str,
    *,
    steps: int = 24,
    told: ProgressHook | None = None,
) -> Sweep:
    """`name` is FILTER, or FILTER.SCORE where it has several thresholds; `policies` are by recipe; `told` hears of each threshold done.

    Raises InvalidInput when there is no such filter or score, or nothing that it has judged.
    """
    filter_name, _, score = name.partition(".")
    known = dict.fromkeys(one.name for one in (*video_filters(FilterPolicy()), *_clip_judges()))
    if filter_name not in known:
        raise InvalidInput(f"there is no filter {filter_name!r}; there are: {', '.join(known)}")
    usable = [video for video in videos if video.recipe in policies]
    cases = [
        case for video in usable if (case := _case(video, policies[video.recipe], filter_name))
    ]
    settings = {
        bound.score: f"learned.{bound.field}" for bound in BOUNDS if bound.scorer == filter_name
    } or _settings(cases, policies)
    score = score or next(iter(settings), "")
    if score not in settings:
        raise _nothing(filter_name, score, settings, recipes=bool(policies))
    setting, values = settings[score], _values(usable, filter_name, score)
    if not values:
        raise _nothing(filter_name, score, {}, recipes=bool(policies))
    present = Counter(_threshold(policies[case.recipe], setting) for case in cases).most_common(1)[
        0
    ][0]
    yields = []
    thresholds = _thresholds(values, present, setting, steps)
    for done, threshold in enumerate(thresholds, start=1):
        moved = {recipe: _moved(policy, setting, threshold) for recipe, policy in policies.items()}
        yields.append(_yield(cases, moved, threshold))
        if told:
            told(done, len(thresholds), "threshold", "")
    return Sweep(
        filter_name,
        score,
        setting,
        present,
        tuple(yields),
        tuple(values),
        len(videos) - len(usable),
    )


def _nothing(name: str, score: str, settings: Mapping[str, str], *, recipes: bool) -> InvalidInput:
    if not recipes:
        return InvalidInput(
            "the dataset stores no recipe that this version reads, so its thresholds are not known; refresh it once"
        )
    if not settings:
        return InvalidInput(f"the filter {name} has judged nothing in this dataset yet")
    return InvalidInput(
        f"{name} does not decide by {score!r}; it decides by: {', '.join(settings)}"
    )


def _threshold(policy: FilterPolicy, setting: str) -> float | None:
    group, _, field = setting.rpartition(".")
    return getattr(getattr(policy, group) if group else policy, field)


def _moved(policy: FilterPolicy, setting: str, threshold: float) -> FilterPolicy:
    group, _, field = setting.rpartition(".")
    news = (
        {group: getattr(policy, group).model_copy(update={field: threshold})}
        if group
        else {field: threshold}
    )
    return policy.model_copy(update=news)


def _clip_judges() -> tuple[_Judge, ...]:
    return *clip_filters(), *_NETWORKS.values()


def _settings(cases: Sequence[_Case], policies: Mapping[str, FilterPolicy]) -> dict[str, str]:
    """Which field of the policy is the threshold of which score: the one that moves it."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    for case in cases:
        policy = policies[case.recipe]
        for item in filter(None, (case.video, *(item for item, _, _ in case.clips))):
            verdict = _decide(item.judge, item.numbers, policy)
            if verdict and verdict.name not in seen:
                seen.add(verdict.name)
                if field := next(_moving(item, verdict, policy), None):
                    found[verdict.name] = field
    return found


def _moving(item: _Item, verdict: Verdict, policy: FilterPolicy) -> Iterator[str]:
    """The fields that the verdict's threshold follows."""
    for field, value in policy:
        if isinstance(value, float):
            moved = _decide(
                item.judge,
                item.numbers,
                policy.model_copy(update={field: value + 0.001 * max(1.0, abs(value))}),
            )
            if moved and moved.name == verdict.name and moved.threshold != verdict.threshold:
                yield field


def _decide(one: _Judge, numbers: Mapping[str, float], policy: FilterPolicy) -> Verdict | None:
    """None where an earlier version stored other scores, or where there is no threshold."""
    try:
        return one.decide(numbers, policy)
    except KeyError:
        return None


def _numbers(scores: Iterable[ScoreRow]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for score in scores:
        if score.value is not None:
            found.setdefault(score.filter, {})[score.name] = score.value
    return found


def _values(videos: Sequence[SourceRow], name: str, score: str) -> list[float]:
    """Of the videos and of their clips."""
    every = (
        scores
        for video in videos
        for scores in (video.scores, *(clip.scores for clip in video.clips))
    )
    return [
        one.value
        for scores in every
        for one in scores
        if (one.filter, one.name) == (name, score) and one.value is not None
    ]


def _thresholds(
    values: Sequence[float], present: float | None, setting: str, steps: int
) -> list[float]:
    """The present one and every score; of more than `steps` so many of them, with about as many between; only such as the setting allows."""
    distinct = np.unique(values)
    spread = (
        distinct
        if len(distinct) <= steps
        else np.quantile(values, np.linspace(0, 1, steps), method="inverted_cdf")
    )
    every = {*spread.tolist()} if present is None else {*spread.tolist(), present}
    return sorted(value for value in every if _allowed(setting, value))


def _allowed(setting: str, value: float) -> bool:
    try:
        group, _, field = setting.rpartition(".")
        FilterPolicy.model_validate({group: {field: value}} if group else {field: value})
    except ValidationError:
        return False
    return True


def _case(video: SourceRow, policy: FilterPolicy, name: str) -> _Case | None:
    """None where it was dropped before any filter saw it."""
    by_filter = not all(score.kept for score in video.scores)
    own = _item(
        video.scores,
        policy,
        name,
        video_filters(policy),
        video.reason if by_filter or not video.clips else None,
    )
    if not video.clips and (own is None or video.decision is not Decision.DROPPED):
        return None
    reasons = {clip.reason for clip in video.clips if not _is_good(clip)}
    if (
        video.clips
        and video.decision is not Decision.KEPT
        and not by_filter
        and video.reason not in reasons
    ):
        return None  # lost for something else than its clips
    items = (
        _item(clip.scores, policy, name, _clip_judges(), None if _is_good(clip) else clip.reason)
        for clip in video.clips
    )
    clips = tuple(
        (item, (clip.end_ms - clip.start_ms) / 3.6e6, _is_good(clip))
        for item, clip in zip(items, video.clips, strict=True)
    )
    media = video.media
    hours = media.frames * media.fps_den / media.fps_num / 3600 if media and media.fps_num else 0.0
    return _Case(video.recipe, own, clips, hours, bool(video.clips))


def _is_good(clip: ClipRow) -> bool:
    """Whether it is kept, or was dropped only with its whole video when that was decided again."""
    decided = [score for score in clip.scores if score.threshold is not None]
    return clip.decision is Decision.KEPT or (
        bool(decided) and all(score.kept for score in decided)
    )


def _item(
    scores: Sequence[ScoreRow],
    policy: FilterPolicy,
    name: str,
    filters: Sequence[_Judge],
    reason: Reason | None,
) -> _Item | None:
    """`reason` is why it was dropped, None when it was not."""
    numbers = _numbers(scores)
    judges = {one.name: one for one in filters if one.name in numbers}
    verdicts = {one.name: _decide(one, numbers[one.name], policy) for one in judges.values()}
    if name not in judges:
        return None
    own = verdicts.pop(name)
    others_keep = all(verdict is None or verdict.kept for verdict in verdicts.values())
    return _Item(
        judges[name],
        numbers[name],
        reason is None or (others_keep and own is not None and reason == own.reason),
    )


def _kept(item: _Item | None, policy: FilterPolicy, *, now: bool) -> bool:
    """As now where the filter does not judge it."""
    if item is None:
        return now
    verdict = _decide(item.judge, item.numbers, policy)
    return item.open and (now if verdict is None else verdict.kept)


def _yield(cases: Sequence[_Case], policies: Mapping[str, FilterPolicy], threshold: float) -> Yield:
    """`policies` have the threshold."""
    videos, clips, hours, unjudged, unjudged_hours = 0, 0, 0.0, 0, 0.0
    for case in cases:
        policy = policies[case.recipe]
        if not _kept(case.video, policy, now=case.judged):
            continue
        if not case.judged:
            unjudged, unjudged_hours = unjudged + 1, unjudged_hours + case.hours
            continue
        kept = [length for item, length, now in case.clips if _kept(item, policy, now=now)]
        videos, clips, hours = videos + bool(kept), clips + len(kept), hours + sum(kept)
    return Yield(threshold, videos, clips, hours, unjudged, unjudged_hours)
