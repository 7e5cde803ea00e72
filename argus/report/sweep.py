"""Yield of other thresholds: the decisions of filters made again from stored scores.

All other filters keep their thresholds, and nothing is decoded. The clips of a video that the
current threshold dropped were never decided: where another threshold would keep the video, it is
counted as `unjudged`, with its whole length.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from pydantic import ValidationError

from argus.curate import THRESHOLDS, Threshold
from argus.dataset import SourceRow
from argus.errors import InvalidInput
from argus.report.sweep_cases import SweptItem, VideoCase, collect_cases, decider_names, list_values
from argus.runs import ProgressHook
from schemas.config import FilterSettings
from schemas.names import Reason


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
        score: the score that the threshold limits; several are joined by a slash.
        setting: path of the threshold in the filter settings.
        current: the threshold under which most videos were decided; None if the score is only
            recorded.
        yields: by ascending threshold, including the current one if it is set.
        values: the score of every video and clip that has it.
        dropped: videos and clips that the current threshold drops, alone or with others.
        alone: those of them that no other threshold drops, so that this one may bring them back.
        left_out: videos whose settings are not stored or belong to another version.
    """

    filter: str
    score: str
    setting: str
    current: float | None
    yields: tuple[YieldPoint, ...]
    values: tuple[float, ...]
    dropped: int
    alone: int
    left_out: int


def compute_sweeps(
    videos: Sequence[SourceRow],
    settings_by_recipe: Mapping[str, FilterSettings],
    name: str,
    *,
    steps: int = 24,
    on_progress: ProgressHook | None = None,
) -> tuple[Sweep, ...]:
    """Compute the yield of other values of every threshold that a name stands for.

    Args:
        videos: the decisions of a dataset.
        settings_by_recipe: filter settings by digest of the recipe.
        name: FILTER.SCORE for one threshold; FILTER or REASON for all thresholds of a filter, and
            all that drop for a reason, whichever filter they belong to.
        steps: largest number of values of each threshold besides the current one.
        on_progress: called after each value.

    Returns:
        A sweep for each setting whose scores the dataset holds, in the order of `THRESHOLDS`.

    Raises:
        InvalidInput: there is no such filter, score or reason, or the dataset holds no such score.
    """
    usable = [video for video in videos if video.recipe in settings_by_recipe]
    groups: dict[tuple[str, str], list[Threshold]] = {}
    for row in _find_rows(name):
        groups.setdefault((row.filter, row.setting), []).append(row)
    found = []
    for rows in groups.values():
        values = list_values(usable, rows)
        cases = collect_cases(usable, settings_by_recipe, rows[0].filter)
        if values and cases:
            left_out = len(videos) - len(usable)
            sweeper = _Sweeper(rows, cases, settings_by_recipe, values, left_out)
            found.append(sweeper.run(steps, on_progress))
    if not found:
        raise _nothing_scored(name, has_settings=bool(settings_by_recipe))
    return tuple(found)


@dataclass(frozen=True)
class _Sweeper:
    """One setting, the scores that it limits, and the videos and clips that have them."""

    rows: Sequence[Threshold]
    cases: Sequence[VideoCase]
    settings_by_recipe: Mapping[str, FilterSettings]
    values: Sequence[float]
    left_out: int

    def run(self, steps: int, on_progress: ProgressHook | None) -> Sweep:
        """Compute the yields of other values of the threshold."""
        row = self.rows[0]
        limits = Counter(row.limit(self.settings_by_recipe[case.recipe]) for case in self.cases)
        current = limits.most_common(1)[0][0]
        candidates = _candidates(self.values, current, row, steps)
        yields = []
        for done, limit in enumerate(candidates, start=1):
            changed = {
                recipe: _with_limit(settings, row, limit)
                for recipe, settings in self.settings_by_recipe.items()
            }
            yields.append(_compute_yield(self.cases, changed, limit))
            if on_progress:
                on_progress(done, len(candidates), "threshold", row.key)
        dropped = [item for item in _list_items(self.cases) if item.dropped_by == row.setting]
        return Sweep(
            row.filter,
            "/".join(row.score for row in self.rows),
            row.setting,
            current,
            tuple(yields),
            tuple(self.values),
            len(dropped),
            sum(item.is_open for item in dropped),
            self.left_out,
        )


def _find_rows(name: str) -> list[Threshold]:
    """Return the thresholds that a name stands for."""
    filter_name, _, score = name.partition(".")
    names = decider_names()
    rows = [row for row in THRESHOLDS if row.filter in names]
    chosen = [row for row in rows if filter_name == row.filter or (name == row.reason)]
    if score:
        chosen = [row for row in rows if row.key == name]
    if chosen:
        return chosen
    if score and filter_name in names:
        own = ", ".join(row.score for row in rows if row.filter == filter_name)
        raise InvalidInput(f"{filter_name} does not decide by {score!r}; choose from {own}")
    if name in set(Reason):
        raise InvalidInput(
            f"no single threshold drops for the reason {name}; `argus dataset why ID` shows what "
            "decided about a video"
        )
    reasons = dict.fromkeys(str(row.reason) for row in rows if row.reason)
    raise InvalidInput(
        f"{filter_name!r} is neither a filter with a threshold nor a reason of one; choose from "
        f"{', '.join(dict.fromkeys([*names, *reasons]))}"
    )


def _nothing_scored(name: str, *, has_settings: bool) -> InvalidInput:
    if has_settings:
        return InvalidInput(f"the dataset holds no decision by {name}; refresh it first")
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


def _list_items(cases: Sequence[VideoCase]) -> list[SweptItem]:
    """Return the items of videos and clips."""
    items = chain.from_iterable((case.item, *(clip.item for clip in case.clips)) for case in cases)
    return [item for item in items if item]


def _compute_yield(
    cases: Sequence[VideoCase], settings_by_recipe: Mapping[str, FilterSettings], limit: float
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
