"""Is the picture closed? In an ERP the ±180° column is no edge, and the centre line is none either (two halves side by side)."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from argus.curate.frame_sampling import Samples
from argus.curate.records import Verdict
from schemas.config import FilterPolicy
from schemas.names import Reason

_NEAR, _FAR = 3, 8  # neighbours: steps this many columns away, on both sides
_FLOOR = 1 / 255  # a step below one grey level is no edge to compare with


class SeamFilter:
    """Drops when the step at the seam, or at the centre line, is both large and many times its neighbours'."""

    name = "seam"
    version = 2

    def score(self, samples: Samples) -> dict[str, float]:
        """Median over frames of the step's mean size in [0,1] and of its ratio to its neighbours', at both lines."""
        steps = np.stack([_steps(grey) for grey in samples.grey])  # [n, W]
        width = steps.shape[1]
        outcome = {}
        for line, column in (("seam", 0), ("centre", width // 2)):
            value = steps[:, column]
            sides = [column + side * offset for offset in range(_NEAR, _FAR) for side in (-1, 1)]
            neighbours = np.take(steps, sides, axis=1, mode="wrap").mean(axis=1)
            outcome[f"{line}_value"] = float(np.median(value))
            outcome[f"{line}_ratio"] = float(np.median(value / np.maximum(neighbours, _FLOOR)))
        return outcome

    def decide(self, scores: Mapping[str, float], policy: FilterPolicy) -> Verdict:
        """Kept unless ratio and value of one line are above the policy's."""
        line = max(
            ("seam", "centre"),
            key=lambda line: (
                scores[f"{line}_ratio"] * (scores[f"{line}_value"] > policy.seam_value)
            ),
        )
        ratio = scores[f"{line}_ratio"]
        kept = not (ratio > policy.seam_ratio and scores[f"{line}_value"] > policy.seam_value)
        return Verdict(
            self.name,
            f"{line}_ratio",
            kept,
            None if kept else Reason.SEAM,
            ratio,
            policy.seam_ratio,
        )


def _steps(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean size in [0,1] of the step from column j−2 to j+1, wrapping, over rows smoothed [1 2 1]/4 as Sobel does; [W].

    Across three columns: enlarging a map of few columns spreads every step over several but the one at the seam, where it cannot look beyond.
    """
    picture = grey.astype(np.float32) / 255
    smooth = (picture[:-2] + 2 * picture[1:-1] + picture[2:]) / 4
    return np.asarray(np.abs(np.roll(smooth, -1, axis=1) - np.roll(smooth, 2, axis=1)).mean(axis=0))
