"""Filter for pictures that are enlarged, out of focus or shaken."""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.curate.frame_sampling import SampledFrames
from argus.curate.records import Verdict
from argus.curate.thresholds import apply_threshold
from argus.curate.views import view_weights
from schemas.config import FilterSettings

_SIDES = {"fine": 128, "coarse": 64}
"""Pixels per side of a view, 0.7° and 1.4° each; in finer ones 8 bits per pixel hide the blur."""

_NOISE = 1.0  # squared gray levels of gradient that compression alone may cause


class BlurFilter:
    """Sharpness on six views: RMS of the Laplacian over RMS of the gradient, by solid angle.

    Scores are medians over the sampled frames in 1/pixel: about 2 where the picture is sharp,
    about 1/σ where it is blurred by σ pixels.

    Scores:
        fine: sharpness at 0.7° per pixel, at least 0.
        coarse: sharpness at 1.4° per pixel, at least 0.

    Drops if `coarse` is below `sharpness`; a small but sharp video is kept.
    """

    name = "blur"
    version = 1

    def score(self, sampled: SampledFrames) -> dict[str, float]:
        """Return the scores that the class describes."""
        return {
            name: float(np.median([_sharpness(views, side) for views in sampled.views]))
            for name, side in _SIDES.items()
        }

    def decide(self, scores: Mapping[str, float], settings: FilterSettings) -> Verdict:
        """Keep from `sharpness` on, in coarse pixels."""
        return apply_threshold(self.name, "coarse", scores, settings)


def _sharpness(views: NDArray[np.uint8], side: int) -> float:
    """Compute the sharpness of six views [6, h, w, 3], resized to side × side."""
    weights = view_weights(side).astype(np.float32).ravel()
    curvature = slope = 0.0
    for view in views:
        gray = cv2.cvtColor(view, cv2.COLOR_RGB2GRAY).astype(np.float32)
        gray = cv2.resize(gray, (side, side), interpolation=cv2.INTER_AREA)
        dx, dy = (
            cv2.Sobel(gray, cv2.CV_32F, *order, ksize=1, scale=0.5) for order in ((1, 0), (0, 1))
        )
        laplacian = cv2.Laplacian(gray, cv2.CV_32F)
        curvature += float((laplacian * laplacian).ravel() @ weights)
        slope += float((dx * dx + dy * dy).ravel() @ weights)
    return float(np.sqrt(curvature / (slope + _NOISE)))
