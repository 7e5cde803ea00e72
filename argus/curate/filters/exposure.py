"""Filters for pictures that are too dark, too bright or uniform."""

from collections.abc import Mapping

import cv2
import numpy as np

from argus.curate.frame_sampling import SampledFrames
from argus.curate.records import Verdict
from argus.curate.thresholds import Threshold, apply_threshold, thresholds_of
from argus.sphere import solid_angle
from schemas.config import FilterSettings

_DARK_LEVEL, _BRIGHT_LEVEL = 16, 245
"""Gray levels. A pixel clipped at 255 may be decoded 10 levels lower (34 dB is an error of 5)."""


class ExposureFilter:
    """Brightness by solid angle, so that poles, which are wide in the map, do not dominate.

    Scores are medians over the sampled frames.

    Scores:
        mean: mean gray level, in [0, 1].
        contrast: standard deviation of the gray level, in [0, 0.5].
        dark: share of the sphere at or below gray level 16, in [0, 1].
        bright: share of the sphere at or above gray level 245, in [0, 1].

    Drops if `dark` exceeds `dark_share` or `bright` exceeds `bright_share`.
    """

    name = "exposure"
    version = 2

    def score(self, sampled: SampledFrames) -> dict[str, float]:
        """Return the scores that the class describes."""
        gray = sampled.gray
        rows = solid_angle(gray.shape[1:3]).sum(axis=1) / (4 * np.pi)
        unit = gray.astype(np.float32) / 255
        mean, square = (values.mean(axis=2) @ rows for values in (unit, unit * unit))  # [n]
        series = {
            "mean": mean,
            "contrast": np.sqrt(np.maximum(square - mean**2, 0)),
            "dark": (gray <= _DARK_LEVEL).mean(axis=2) @ rows,
            "bright": (gray >= _BRIGHT_LEVEL).mean(axis=2) @ rows,
        }
        return {name: float(np.median(values)) for name, values in series.items()}

    def decide(self, scores: Mapping[str, float], settings: FilterSettings) -> Verdict:
        """Keep up to and including both limits; report the score that exceeds its limit by more."""

        def excess(row: Threshold) -> float:
            return scores[row.score] - (row.limit(settings) or 0.0)

        row = max(thresholds_of(self.name), key=excess)
        return apply_threshold(self.name, row.score, scores, settings)


class VarianceFilter:
    """Variance of the gray level: blank, faded and fogged frames have almost none.

    Scores, in squared gray levels, in [0, 16256]:
        median_variance: median over the sampled frames.
        second_largest_variance: second largest variance of a sampled frame.

    Drops unless the score named by `decide_by` is above `variance`. The published rule compares the
    least of five frames. Here a whole video is dropped only if all of its frames but one are blank,
    since a single black frame or a fade says nothing about the rest; clips end where blank frames
    begin, and a blank clip is dropped by its median.
    """

    name = "variance"
    version = 2

    def __init__(self, decide_by: str = "median_variance") -> None:
        """Set the score that decides: by default that of clips."""
        self.decide_by = decide_by

    def score(self, sampled: SampledFrames) -> dict[str, float]:
        """Return the scores that the class describes."""
        variances = sorted(cv2.meanStdDev(gray)[1].item() ** 2 for gray in sampled.gray)
        return {
            "median_variance": float(np.median(variances)),
            "second_largest_variance": variances[-2:][0],
        }

    def decide(self, scores: Mapping[str, float], settings: FilterSettings) -> Verdict:
        """Keep above `variance`."""
        return apply_threshold(self.name, self.decide_by, scores, settings)
