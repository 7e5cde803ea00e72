"""Filter for maps that are not closed at the ±180° column, or that consist of two halves."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from argus.curate.frame_sampling import SampledFrames
from argus.curate.records import Verdict
from argus.curate.thresholds import Threshold, apply_threshold, thresholds_of
from schemas.config import FilterSettings

_NEAR, _FAR = 3, 8  # neighbors are steps at this distance in columns, on both sides
_MIN_STEP = 1 / 255  # smallest step of the neighbors that counts: one gray level


class SeamFilter:
    """Step of the gray level at the ±180° column and at the center column.

    An ERP map has no edge at either column. Scores are medians over the sampled frames.

    Scores:
        seam_value, center_value: mean absolute step, in [0, 1].
        seam_ratio, center_ratio: step over the mean step of nearby columns, at least 0.

    Drops if, at one of the columns, the ratio exceeds `seam_ratio` and the value exceeds
    `seam_value`.
    """

    name = "seam"
    version = 2

    def score(self, sampled: SampledFrames) -> dict[str, float]:
        """Return the scores that the class describes."""
        steps = np.stack([_column_steps(gray) for gray in sampled.gray])  # [n, W]
        scores = {}
        for line, column in (("seam", 0), ("center", steps.shape[1] // 2)):
            value = steps[:, column]
            nearby = [column + side * offset for offset in range(_NEAR, _FAR) for side in (-1, 1)]
            usual = np.take(steps, nearby, axis=1, mode="wrap").mean(axis=1)
            scores[f"{line}_value"] = float(np.median(value))
            scores[f"{line}_ratio"] = float(np.median(value / np.maximum(usual, _MIN_STEP)))
        return scores

    def decide(self, scores: Mapping[str, float], settings: FilterSettings) -> Verdict:
        """Keep unless ratio and value at one column exceed their limits."""

        def weight(row: Threshold) -> float:
            return scores[row.score] * row.is_active(scores, settings)

        row = max(thresholds_of(self.name), key=weight)
        return apply_threshold(self.name, row.score, scores, settings)


def _column_steps(gray: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute the mean absolute step from column j−2 to j+1, in [0, 1], as [W].

    Rows are smoothed by [1 2 1]/4 as in Sobel's operator; columns wrap. The step spans three
    columns because enlarging a small map spreads every step over several columns, except the one
    at the seam, beyond which it cannot look.
    """
    picture = gray.astype(np.float32) / 255
    smooth = (picture[:-2] + 2 * picture[1:-1] + picture[2:]) / 4
    return np.asarray(np.abs(np.roll(smooth, -1, axis=1) - np.roll(smooth, 2, axis=1)).mean(axis=0))
