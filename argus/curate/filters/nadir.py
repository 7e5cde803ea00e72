"""What stands under the camera: the operator, a tripod, a car. It stays where it is in the picture while the ground moves on."""

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.curate.frame_sampling import Samples
from argus.curate.records import Verdict
from argus.curate.views import VIEW_NAMES, view_weights
from schemas.config import FilterPolicy
from schemas.names import Reason

_SIDE = 64
_RADIUS_DEG = 40.0
_WINDOW = (5, 5)
_LEAST_STD = 3.0  # grey levels; below it there is nothing to compare
_ALIKE = 0.8  # correlation of a window with itself a moment later, over all moments; at the rim of what stays, half a window suffices


class NadirFilter:
    """Measures what stays at the nadir; drops only where the policy asks for it."""

    name = "nadir"
    version = 2

    def score(self, samples: Samples) -> dict[str, float]:
        """`share` of the sphere within 40° of the nadir whose detail stays from moment to moment; all of it where the scene is still."""
        down = samples.views[:, VIEW_NAMES.index("down")]
        grey = [
            cv2.resize(
                cv2.cvtColor(view, cv2.COLOR_RGB2GRAY), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA
            ).astype(np.float32)
            for view in down
        ]
        if len(grey) < 2:
            return {"share": 0.0}
        stays = (_correlation(grey) > _ALIKE).astype(np.uint8)
        inner = cv2.erode(stays, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, _WINDOW))
        return {"share": float((inner * _cap()).sum())}

    def decide(self, scores: Mapping[str, float], policy: FilterPolicy) -> Verdict:
        """Kept up to and including `nadir_share`."""
        share = scores["share"]
        kept = share <= policy.nadir_share
        return Verdict(
            self.name, "share", kept, None if kept else Reason.OPERATOR, share, policy.nadir_share
        )


@cache
def _cap() -> NDArray[np.float64]:
    """Share of the cap that each pixel of the downward view sees; 0 outside."""
    edge = (np.arange(_SIDE) + 0.5) / _SIDE * 2 - 1
    inside = np.hypot(edge[:, None], edge[None]) <= np.tan(np.radians(_RADIUS_DEG))
    weights = view_weights(_SIDE) * inside
    return np.asarray(weights / weights.sum())


def _correlation(grey: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Normalised correlation of windows around each pixel with themselves a moment later, over all moments together; 0 where there is no detail."""
    means = [cv2.blur(picture, _WINDOW) for picture in grey]
    spreads = [
        np.sqrt(np.maximum(cv2.blur(picture * picture, _WINDOW) - mean * mean, 0))
        for picture, mean in zip(grey, means, strict=True)
    ]
    joint = sum(
        cv2.blur(a * b, _WINDOW) - mean * later
        for (a, b), (mean, later) in zip(pairwise(grey), pairwise(means), strict=True)
    )
    both = sum(a * b for a, b in pairwise(spreads))
    least = _LEAST_STD**2 * (len(grey) - 1)
    return np.asarray(np.where(both >= least, joint / np.maximum(both, least), np.float32(0)))
