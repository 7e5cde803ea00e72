"""Do two halves show the same? Then they are the two eyes of a stereo video. Used by the layout, at any aspect."""

import cv2
import numpy as np
from numpy.typing import NDArray

_SIDE = 64
_BLUR = 8.0  # what is wider than this is shared by the halves of any panorama: sky, ground, light
_SHIFT_X, _SHIFT_Y = 4, 2  # disparity that is searched, in pixels of 64
_LEAST_STD = 0.5  # grey levels; below it there is no detail to compare


def score_halves(pictures: NDArray[np.float32]) -> dict[str, float]:
    """`left_right` and `top_bottom` in [-1,1]: the median over grey pictures [n, H, W] of the halves' best correlation in detail."""
    height, width = pictures.shape[1:]
    beside = [_similarity(grey[:, : width // 2], grey[:, width // 2 :], 1) for grey in pictures]
    below = [_similarity(grey[: height // 2], grey[height // 2 :], 0) for grey in pictures]
    return {"left_right": float(np.median(beside)), "top_bottom": float(np.median(below))}


def _similarity(one: NDArray[np.float32], other: NDArray[np.float32], axis: int) -> float:
    """The best normalised correlation of two halves' detail over small shifts; 0 where there is none.

    What all along the axis that they lie on is alike, such as a horizon or a margin, is no sign of two eyes.
    """
    first, second = _detail(one), _detail(other)
    shared = (first + second).mean(axis, keepdims=True) / 2
    first, second = first - shared, second - shared
    inner = first[_SHIFT_Y : _SIDE - _SHIFT_Y, _SHIFT_X : _SIDE - _SHIFT_X]
    if inner.std() < _LEAST_STD or second.std() < _LEAST_STD:
        return 0.0
    return float(cv2.matchTemplate(second, inner, cv2.TM_CCOEFF_NORMED).max())


def _detail(half: NDArray[np.float32]) -> NDArray[np.float32]:
    small = cv2.resize(half, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small - cv2.GaussianBlur(small, (0, 0), _BLUR))
