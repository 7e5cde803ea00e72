"""Six 90° views of the sphere: they sample all directions almost evenly, unlike the ERP map."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from argus.sphere import CubeLayout, ErpToCube

VIEW_NAMES = ("right", "left", "up", "down", "front", "back")
"""Order of the views."""


def six_views(frames: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Project ERP frames to six 90° views.

    Args:
        frames: uint8 [n, H, W, 3].
        side: pixels per side of a view.

    Returns:
        uint8 [n, 6, side, side, 3] in the order of `VIEW_NAMES`.
    """
    cubes = _projection(frames.shape[1:3], side)(frames)
    return np.ascontiguousarray(cubes.reshape(len(frames), side, 6, side, 3).swapaxes(1, 2))


@cache
def view_weights(side: int) -> NDArray[np.float64]:
    """Return each pixel's solid angle in a 90° view as a share of the sphere, [side, side].

    The weights of six views sum to 1.
    """
    edge = (np.arange(side) + 0.5) / side * 2 - 1
    weights = (1 + edge[:, None] ** 2 + edge[None] ** 2) ** -1.5
    return np.asarray(weights / weights.sum() / 6)


@cache
def _projection(size: tuple[int, int], side: int) -> ErpToCube:
    return ErpToCube(CubeLayout.C6X1, side, size, np.empty(0))
