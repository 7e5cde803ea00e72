"""Regularity of a clip's frames in time.

The frames of a variable rate are chosen by time (`VideoReader.resample`), so a frame that the video
shows for long repeats. Where few frames repeat, a clip is kept as it was resampled; where many do,
it stutters.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from argus.curate.records import Verdict
from argus.curate.thresholds import apply_threshold
from schemas.config import FilterSettings


class RateFilter:
    """Share of the frames of a clip that repeat the one before.

    It is about times, not pixels: a still picture at a constant rate repeats no frame. Clips of a
    constant rate have no such score.

    Scores:
        repeated: share of the frames that are the same frame of the video as the one before, in
            [0, 1).

    Drops if `repeated` exceeds the setting `repeated_share`.
    """

    name = "rate"

    def score_indices(self, indices: NDArray[np.int64]) -> dict[str, float]:
        """Return the scores of a clip.

        Args:
            indices: number of the frame of the video for each frame of the clip `[T]`.
        """
        return {"repeated": float((np.diff(indices) == 0).sum() / len(indices))}

    def decide(self, scores: Mapping[str, float], settings: FilterSettings) -> Verdict:
        """Keep up to `repeated_share`."""
        return apply_threshold(self.name, "repeated", scores, settings)
