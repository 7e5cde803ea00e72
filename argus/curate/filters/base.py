"""Runs filters over samples: scores first, decisions from scores. Fails closed: a filter that errs decides nothing."""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from argus.curate.filters.black import BlackFilter
from argus.curate.filters.blur import BlurFilter
from argus.curate.filters.caps import CapsFilter
from argus.curate.filters.exposure import ExposureFilter
from argus.curate.filters.motion import MotionFilter
from argus.curate.filters.nadir import NadirFilter
from argus.curate.filters.seam import SeamFilter
from argus.curate.filters.static import StaticFilter
from argus.curate.filters.text import TextFilter
from argus.curate.filters.upright import UprightFilter
from argus.curate.filters.variance import VarianceFilter
from argus.curate.frame_sampling import Samples
from argus.curate.records import Score, Verdict
from argus.errors import ArgusError
from schemas.config import FilterPolicy


class Filter(Protocol):
    """Scores samples, and decides from the scores alone, so that a threshold changes without decoding."""

    name: str
    version: int  # grows when the same samples would give other scores

    def score(self, samples: Samples) -> dict[str, float]:
        """Named finite numbers."""
        ...

    def decide(self, scores: Mapping[str, float], policy: FilterPolicy) -> Verdict:
        """Keep or drop, with the reason and the number that decided."""
        ...


class ScorerFailed(ArgusError):
    """A filter raised, or gave a number that is none: the video was not judged."""


def video_filters(policy: FilterPolicy) -> tuple[Filter, ...]:
    """The filters of a whole video, in the order in which their reasons count."""
    black = BlackFilter(policy.black_level), CapsFilter(policy.black_level)
    return SeamFilter(), *black, VarianceFilter(), StaticFilter(), MotionFilter(by="most_share")


def clip_filters() -> tuple[Filter, ...]:
    """The filters of one clip, in the order in which their reasons count."""
    return (
        StaticFilter(),
        MotionFilter(),
        ExposureFilter(),
        BlurFilter(),
        TextFilter(),
        NadirFilter(),
        UprightFilter(),
    )


Numbers = dict[str, dict[str, float]]
"""Filter → score → value."""


def judge(
    samples: Samples, filters: Sequence[Filter], policy: FilterPolicy
) -> tuple[tuple[Score, ...], Verdict | None]:
    """All scores, and the first verdict that drops, or None when all keep. Raises ScorerFailed."""
    return decide(measure(samples, filters), filters, policy)


def measure(samples: Samples, filters: Sequence[Filter]) -> Numbers:
    """What each filter measures. Raises ScorerFailed where one raises, or gives a number that is none."""
    return {one.name: _measure(one, samples) for one in filters}


def decide(
    numbers: Mapping[str, Mapping[str, float]], filters: Sequence[Filter], policy: FilterPolicy
) -> tuple[tuple[Score, ...], Verdict | None]:
    """As `judge`, of numbers that were measured before. Raises ScorerFailed where one lacks that a filter decides by."""
    scores: list[Score] = []
    first: Verdict | None = None
    for one in filters:
        try:
            verdict = one.decide(numbers[one.name], policy)
        except Exception as error:
            raise _failed(one, f"{type(error).__name__}: {error}") from error
        scores += [
            _record(one.name, name, value, verdict) for name, value in numbers[one.name].items()
        ]
        if first is None and not verdict.kept:
            first = verdict
    return tuple(scores), first


def _measure(one: Filter, samples: Samples) -> dict[str, float]:
    try:
        numbers = one.score(samples)
    except Exception as error:
        raise _failed(one, f"{type(error).__name__}: {error}") from error
    odd = [name for name, value in numbers.items() if not math.isfinite(value)]
    if odd:
        raise _failed(one, f"{odd[0]} is {numbers[odd[0]]}")
    return numbers


def _failed(one: Filter, what: str) -> ScorerFailed:
    return ScorerFailed(f"the filter {one.name} failed, so the video is not judged: {what}")


def _record(name: str, score: str, value: float, verdict: Verdict) -> Score:
    decided = score == verdict.name
    return Score(
        name,
        score,
        value,
        verdict.threshold if decided else None,
        verdict.kept if decided else True,
    )
