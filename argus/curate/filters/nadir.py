"""Measure of the operator, tripod or vehicle below the camera."""

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.curate.frame_sampling import SampledFrames
from argus.curate.records import Verdict
from argus.curate.thresholds import apply_threshold
from argus.curate.views import VIEW_NAMES, view_weights
from schemas.config import FilterSettings

_SIDE = 64  # pixels of the view straight down
_RADIUS_DEG = 40.0
_WINDOW = (5, 5)
_MIN_STD = 3.0  # gray levels; a window with less detail is not compared
_MIN_CORRELATION = 0.8  # of a window with itself in the next frame, over all frames


class NadirFilter:
    """Share of the nadir cap that stays in place while the ground moves.

    Scores:
        share: share of the cap within 40° of the nadir whose detail does not change between
            sampled frames, in [0, 1]; all of it if the scene is still, 0 for a single frame.

    Drops if `share` exceeds `nadir_share`, which is 1 by default: the score is only recorded.
    """

    name = "nadir"
    version = 2

    def score(self, sampled: SampledFrames) -> dict[str, float]:
        """Return the scores that the class describes."""
        down = sampled.views[:, VIEW_NAMES.index("down")]
        gray = [
            cv2.resize(
                cv2.cvtColor(view, cv2.COLOR_RGB2GRAY), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA
            ).astype(np.float32)
            for view in down
        ]
        if len(gray) < 2:
            return {"share": 0.0}
        is_fixed = (_temporal_correlation(gray) > _MIN_CORRELATION).astype(np.uint8)
        # at the rim of a fixed region half a window suffices to correlate: erode by half a window
        inner = cv2.erode(is_fixed, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, _WINDOW))
        return {"share": float((inner * _cap_weights()).sum())}

    def decide(self, scores: Mapping[str, float], settings: FilterSettings) -> Verdict:
        """Keep up to and including `nadir_share`."""
        return apply_threshold(self.name, "share", scores, settings)


@cache
def _cap_weights() -> NDArray[np.float64]:
    """Return the share of the cap that each pixel of the view down covers; 0 outside the cap."""
    edge = (np.arange(_SIDE) + 0.5) / _SIDE * 2 - 1
    is_inside = np.hypot(edge[:, None], edge[None]) <= np.tan(np.radians(_RADIUS_DEG))
    weights = view_weights(_SIDE) * is_inside
    return np.asarray(weights / weights.sum())


def _temporal_correlation(gray: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Correlate the window around each pixel with itself in the next frame, over all frames.

    Returns:
        Normalized correlation per pixel [h, w]; 0 where there is too little detail.
    """
    means = [cv2.blur(picture, _WINDOW) for picture in gray]
    deviations = [
        np.sqrt(np.maximum(cv2.blur(picture * picture, _WINDOW) - mean * mean, 0))
        for picture, mean in zip(gray, means, strict=True)
    ]
    covariance = sum(
        cv2.blur(a * b, _WINDOW) - mean_a * mean_b
        for (a, b), (mean_a, mean_b) in zip(pairwise(gray), pairwise(means), strict=True)
    )
    product = sum(a * b for a, b in pairwise(deviations))
    least = _MIN_STD**2 * (len(gray) - 1)
    return np.asarray(
        np.where(product >= least, covariance / np.maximum(product, least), np.float32(0))
    )
