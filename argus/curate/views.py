"""Six 90° views of the sphere, which see all directions about evenly; the map sees its poles too large."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from argus.sphere import CubeLayout, erp_to_cube

VIEW_NAMES = ("right", "left", "up", "down", "front", "back")


def six_views(frames: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Views [n, 6, side, side, 3], in the order of `VIEW_NAMES`, of ERP frames [n, H, W, 3]."""
    cubes = erp_to_cube(frames, side, CubeLayout.C6X1)
    return np.ascontiguousarray(cubes.reshape(len(frames), side, 6, side, 3).swapaxes(1, 2))


@cache
def view_weights(side: int) -> NDArray[np.float64]:
    """Share of the whole sphere that each pixel of a 90° view sees, [side, side]; six views sum to 1."""
    edge = (np.arange(side) + 0.5) / side * 2 - 1
    weights = (1 + edge[:, None] ** 2 + edge[None] ** 2) ** -1.5
    return np.asarray(weights / weights.sum() / 6)
