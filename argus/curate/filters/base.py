"""Running filters over sampled frames: compute scores first, then decide by thresholds.

Filters fail closed: if one raises, nothing is decided about the video.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from argus.curate.filters.black import BlackFilter, CapsFilter
from argus.curate.filters.blur import BlurFilter
from argus.curate.filters.exposure import ExposureFilter, VarianceFilter
from argus.curate.filters.motion import MotionFilter, StaticFilter
from argus.curate.filters.nadir import NadirFilter
from argus.curate.filters.rate import RateFilter
from argus.curate.filters.seam import SeamFilter
from argus.curate.filters.text import TextFilter
from argus.curate.filters.upright import UprightFilter
from argus.curate.frame_sampling import SampledFrames
from argus.curate.records import Verdict
from argus.dataset import Score
from argus.errors import ArgusError
from schemas.config import FilterSettings

ScoreTable = dict[str, dict[str, float]]
"""Values by filter and by name of the score."""


class Decider(Protocol):
    """Test that decides from stored scores alone, so its threshold can change without decoding.

    Attributes:
        name: name under which scores are stored.
    """

    name: str

    def decide(self, scores: Mapping[str, float], settings: FilterSettings) -> Verdict:
        """Return keep or drop, with the reason and the score that decided.

        Raises:
            KeyError: a score is missing.
        """
        ...


class Filter(Decider, Protocol):
    """Test of sampled frames.

    Attributes:
        version: increases when the same frames would get other scores.
    """

    version: int

    def score(self, sampled: SampledFrames) -> dict[str, float]:
        """Return finite scores by name."""
        ...


class ScorerFailed(ArgusError):
    """A filter or learned scorer raised or returned a non-finite score: nothing is decided."""


def video_filters(settings: FilterSettings) -> tuple[Filter, ...]:
    """Return the filters of a whole video in the order in which their reasons count.

    A filter that samples a video drops it only for what nearly all samples show. What is wrong for
    a while is decided clip by clip: which frames are sampled depends on the encoder's keyframes.
    """
    level = settings.black_level
    return (
        SeamFilter(),
        BlackFilter(level),
        CapsFilter(level),
        VarianceFilter(decide_by="second_largest_variance"),
        StaticFilter(),
        MotionFilter(decide_by="largest_share"),
    )


def clip_filters() -> tuple[Filter, ...]:
    """Return the filters of one clip in the order in which their reasons count."""
    return (
        VarianceFilter(),
        StaticFilter(),
        MotionFilter(),
        ExposureFilter(),
        BlurFilter(),
        TextFilter(),
        NadirFilter(),
        UprightFilter(),
    )


def clip_deciders(scores: ScoreTable) -> tuple[Decider, ...]:
    """Return the deciders of one clip, in the order in which reasons count.

    Args:
        scores: the scores of the clip; it has none of its rate if the rate is constant.
    """
    filters = clip_filters()
    return (RateFilter(), *filters) if RateFilter.name in scores else filters


def apply_filters(
    sampled: SampledFrames, filters: Sequence[Filter], settings: FilterSettings
) -> tuple[tuple[Score, ...], Verdict | None]:
    """Compute all scores and decide.

    Returns:
        The scores, and the first verdict that drops, or None if every filter keeps.

    Raises:
        ScorerFailed: a filter raised or returned a non-finite score.
    """
    return apply_thresholds(compute_scores(sampled, filters), filters, settings)


def compute_scores(sampled: SampledFrames, filters: Sequence[Filter]) -> ScoreTable:
    """Return the scores of each filter; filters of one name have the same scores.

    Raises:
        ScorerFailed: a filter raised or returned a non-finite score.
    """
    unique = {one.name: one for one in filters}
    return {name: _run_filter(one, sampled) for name, one in unique.items()}


def apply_thresholds(
    scores: Mapping[str, Mapping[str, float]], filters: Sequence[Decider], settings: FilterSettings
) -> tuple[tuple[Score, ...], Verdict | None]:
    """Decide from scores that were computed before.

    Args:
        scores: values by filter and score, at least those of `filters`.
        filters: in the order in which their reasons count.
        settings: the limits.

    Returns:
        As for `apply_filters`.

    Raises:
        ScorerFailed: a score that a filter decides by is missing.
    """
    records: list[Score] = []
    first: Verdict | None = None
    for one in filters:
        try:
            verdict = one.decide(scores[one.name], settings)
        except Exception as error:
            raise _filter_error(one, f"{type(error).__name__}: {error}") from error
        records += [
            _to_record(one.name, name, value, verdict) for name, value in scores[one.name].items()
        ]
        if first is None and not verdict.kept:
            first = verdict
    return tuple(records), first


def _run_filter(one: Filter, sampled: SampledFrames) -> dict[str, float]:
    try:
        scores = one.score(sampled)
    except Exception as error:
        raise _filter_error(one, f"{type(error).__name__}: {error}") from error
    for name, value in scores.items():
        if not math.isfinite(value):
            raise _filter_error(one, f"its score {name} is {value}, but must be finite")
    return scores


def _filter_error(one: Decider, cause: str) -> ScorerFailed:
    return ScorerFailed(f"the filter {one.name} failed, so nothing is decided: {cause}")


def _to_record(filter_name: str, name: str, value: float, verdict: Verdict) -> Score:
    """Attach threshold and decision to the score that decided; other scores are only recorded."""
    if name != verdict.name:
        return Score(filter_name, name, value, None, True)
    return Score(filter_name, name, value, verdict.threshold, verdict.kept)
