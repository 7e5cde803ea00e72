"""Does anything move? Measured on six 90° views, which see the sphere evenly, not on the map, which sees its poles too large."""

from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from argus.curate.records import Verdict
from argus.curate.samples import Samples
from argus.sphere import Camera, erp_to_view, from_euler_deg
from schemas.config import FilterPolicy
from schemas.names import Reason

_DIRECTIONS_DEG = ((0, 0), (90, 0), (180, 0), (270, 0), (0, 90), (0, -90))  # (yaw, pitch)
_SIDE = 64


class StaticFilter:
    """Drops when the sampled frames hardly differ. A single frame does not move."""

    name = "static"

    def score(self, samples: Samples) -> dict[str, float]:
        """Mean absolute difference of successive sampled frames over six views, in [0,1]."""
        return {"difference": mean_difference(samples.frames)}

    def decide(self, scores: Mapping[str, float], policy: FilterPolicy) -> Verdict:
        """Kept from `static_difference` on."""
        difference = scores["difference"]
        kept = difference >= policy.static_difference
        return Verdict(self.name, "difference", kept, None if kept else Reason.STATIC, difference, policy.static_difference)


def mean_difference(frames: NDArray[np.uint8]) -> float:
    """Mean absolute difference of successive ERP frames [n, H, W, 3] over six 90° views, in [0,1]."""
    if len(frames) < 2:
        return 0.0
    total = 0.0
    for rotation in _rotations():
        views = erp_to_view(frames, rotation, _camera()).astype(np.float32)
        total += float(np.abs(np.diff(views, axis=0)).mean()) / 255
    return total / len(_DIRECTIONS_DEG)


@cache
def _camera() -> Camera:
    return Camera(90.0, _SIDE, _SIDE)


@cache
def _rotations() -> tuple[NDArray[np.float64], ...]:
    return tuple(from_euler_deg(yaw, pitch, 0) for yaw, pitch in _DIRECTIONS_DEG)
