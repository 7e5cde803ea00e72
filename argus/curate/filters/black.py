"""Filters for parts of the sphere that were never filmed, which are black in every frame."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from argus.curate.frame_sampling import SampledFrames
from argus.curate.records import Verdict
from argus.curate.thresholds import apply_threshold
from schemas.config import FilterSettings

_MIN_BLACK_SHARE = 0.95  # of a row that counts as black; compression lights a few pixels


class BlackFilter:
    """Share of black pixels in the ERP map.

    Scores:
        least_share: smallest share of black pixels of a sampled frame, in [0, 1].

    Drops if every sampled frame is blacker than `black_share`.
    """

    name = "black"
    version = 1

    def __init__(self, level: int) -> None:
        """Set the gray level, 0–255, up to which a pixel is black."""
        self.level = level

    def score(self, sampled: SampledFrames) -> dict[str, float]:
        """Return the scores that the class describes."""
        return {"least_share": float((sampled.gray <= self.level).mean(axis=(1, 2)).min())}

    def decide(self, scores: Mapping[str, float], settings: FilterSettings) -> Verdict:
        """Keep up to and including `black_share`."""
        return apply_threshold(self.name, "least_share", scores, settings)


class CapsFilter:
    """Size of the black caps at zenith and nadir, in solid angle.

    Cameras without a lens there, and editors that cover a tripod, leave black caps.

    Scores:
        share: share of the sphere that both caps cover, in [0, 1].
        zenith_deg, nadir_deg: radius of each cap that is black in every frame, in [0, 180]°.

    Drops if both caps together exceed `cap_share`.
    """

    name = "caps"
    version = 1

    def __init__(self, level: int) -> None:
        """Set the gray level, 0–255, up to which a pixel is black."""
        self.level = level

    def score(self, sampled: SampledFrames) -> dict[str, float]:
        """Return the scores that the class describes."""
        is_black = sampled.gray.max(axis=0) <= self.level  # [H, W], from zenith to nadir
        rows = is_black.mean(axis=1) >= _MIN_BLACK_SHARE
        zenith, nadir = (_count_leading(ends) * 180 / len(rows) for ends in (rows, rows[::-1]))
        share = sum(1 - np.cos(np.radians(radius)) for radius in (zenith, nadir)) / 2
        return {"share": min(1.0, float(share)), "zenith_deg": zenith, "nadir_deg": nadir}

    def decide(self, scores: Mapping[str, float], settings: FilterSettings) -> Verdict:
        """Keep up to and including `cap_share`."""
        return apply_threshold(self.name, "share", scores, settings)


def _count_leading(rows: NDArray[np.bool_]) -> int:
    """Return the number of True values before the first False."""
    return len(rows) if rows.all() else int(np.argmin(rows))
