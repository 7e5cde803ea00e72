"""Is it sharp? How much grey bends against how steeply it climbs, on six views: what was enlarged, out of focus or shaken does not bend."""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.curate.frame_sampling import Samples
from argus.curate.records import Verdict
from argus.curate.views import view_weights
from schemas.config import FilterPolicy
from schemas.names import Reason

_SIDES = {
    "fine": 128,
    "coarse": 64,
}  # pixels of a view: 0.7° and 1.4° each; below that, eight bits per pixel hide the difference
_NOISE = 1.0  # grey levels squared of gradient that compression alone may give


class BlurFilter:
    """Drops what is blurred even in coarse pixels; a small but sharp video is kept."""

    name = "blur"
    version = 1

    def score(self, samples: Samples) -> dict[str, float]:
        """Sharpness in `fine` (0.7°) and `coarse` (1.4°) pixels: medians over moments of the Laplacian's root mean square over the gradient's.

        By solid angle, in 1/pixels: near 2 where sharp, about 1/σ where blurred by σ such pixels.
        """
        return {
            name: float(np.median([_sharpness(six, side) for six in samples.views]))
            for name, side in _SIDES.items()
        }

    def decide(self, scores: Mapping[str, float], policy: FilterPolicy) -> Verdict:
        """Kept from `sharpness` on, in coarse pixels."""
        sharpness = scores["coarse"]
        kept = sharpness >= policy.sharpness
        return Verdict(
            self.name, "coarse", kept, None if kept else Reason.BLURRED, sharpness, policy.sharpness
        )


def _sharpness(six: NDArray[np.uint8], side: int) -> float:
    """Of six views [6, h, w, 3], seen at side × side."""
    weights = view_weights(side).astype(np.float32).ravel()
    bends = climbs = 0.0
    for view in six:
        grey = cv2.resize(
            cv2.cvtColor(view, cv2.COLOR_RGB2GRAY).astype(np.float32),
            (side, side),
            interpolation=cv2.INTER_AREA,
        )
        across, down = (
            cv2.Sobel(grey, cv2.CV_32F, *order, ksize=1, scale=0.5) for order in ((1, 0), (0, 1))
        )
        bend = cv2.Laplacian(grey, cv2.CV_32F)
        bends += float((bend * bend).ravel() @ weights)
        climbs += float((across * across + down * down).ravel() @ weights)
    return float(np.sqrt(bends / (climbs + _NOISE)))
