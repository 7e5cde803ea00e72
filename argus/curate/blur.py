"""Is it sharp? Detail of about one pixel against detail of a few, on six views: what was enlarged, out of focus or shaken has little of the first."""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.curate.records import Verdict
from argus.curate.samples import VIEW_SIDE, Samples
from argus.curate.views import view_weights
from schemas.config import FilterPolicy
from schemas.names import Reason

_FINE, _COARSE = 1.0, 4.0  # pixels of a view, 0.35° each
_NOISE = 1.0  # grey levels squared that are no detail


class BlurFilter:
    """Drops what is blurred at the resolution of the samples, whatever its contrast."""

    name = "blur"
    version = 1

    def score(self, samples: Samples) -> dict[str, float]:
        """`sharpness`: the median over moments of the ratio of fine to coarse detail over the sphere; about 0.5 where sharp, near 0 where blurred."""
        return {"sharpness": float(np.median([_sharpness(six) for six in samples.views]))}

    def decide(self, scores: Mapping[str, float], policy: FilterPolicy) -> Verdict:
        """Kept from `sharpness` on."""
        sharpness = scores["sharpness"]
        kept = sharpness >= policy.sharpness
        return Verdict(self.name, "sharpness", kept, None if kept else Reason.BLURRED, sharpness, policy.sharpness)


def _sharpness(six: NDArray[np.uint8]) -> float:
    """Of six views [6, side, side, 3]: the root of the energy below one pixel over that between one and four, by solid angle."""
    weights = view_weights(VIEW_SIDE).astype(np.float32)
    fine = coarse = 0.0
    for view in six:
        grey = cv2.cvtColor(view, cv2.COLOR_RGB2GRAY).astype(np.float32)
        once, widely = (cv2.GaussianBlur(grey, (0, 0), sigma) for sigma in (_FINE, _COARSE))
        fine += float(cv2.multiply(grey - once, grey - once).ravel() @ weights.ravel())
        coarse += float(cv2.multiply(once - widely, once - widely).ravel() @ weights.ravel())
    return float(np.sqrt(fine / (coarse + _NOISE)))
