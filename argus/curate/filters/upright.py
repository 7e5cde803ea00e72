"""Measure of the camera's tilt against gravity.

Edges of buildings, poles and trunks are vertical: the plane through such an edge and the camera
contains the direction of gravity.
"""

from collections.abc import Mapping
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.curate.frame_sampling import VIEW_SIDE, SampledFrames
from argus.curate.records import Verdict
from argus.curate.thresholds import apply_threshold
from argus.curate.views import VIEW_NAMES
from schemas.config import FilterSettings

Rays = NDArray[np.float32]

_HEADINGS = {"front": (0, 1), "right": (1, 0), "back": (0, -1), "left": (-1, 0)}
"""Sine and cosine of a view's yaw."""

_FRAME_STEP = 4  # every fourth sampled frame is measured
_MAX_TILT_DEG, _TILT_STEP_DEG = 30.0, 2.0  # grid that is searched
_TOLERANCES = np.sin(np.radians([2.0, 2.0, 1.5, 1.0, 1.0]))
"""Largest sine between gravity and an edge's plane: in the search, then in each refinement."""

_CELL = 8  # pixels; each cell contributes its strongest edge
_MIN_GRADIENT = 60.0  # response of Sobel's operator
_MIN_EDGES = 50


class UprightFilter:
    """Tilt of the camera against gravity.

    Scores:
        tilt_deg: angle between the camera's down axis and gravity, in [0, about 45]°.
        pitch_deg, roll_deg: as in `argus.sphere`; positive is looking up, tilting right.
        support: share of near-vertical edges that agree with the estimate, in [0, 1].

    All scores are 0 if fewer than 50 edges are found. Drops if `tilt_deg` exceeds the setting
    `tilt_deg`, which is 90 by default, and `support` reaches `tilt_support`.
    """

    name = "upright"
    version = 1

    def score(self, sampled: SampledFrames) -> dict[str, float]:
        """Return the scores that the class describes."""
        normals = np.concatenate(
            [
                _edge_normals(views[VIEW_NAMES.index(name)], *heading)
                for views in sampled.views[::_FRAME_STEP]
                for name, heading in _HEADINGS.items()
            ]
        )
        if len(normals) < _MIN_EDGES:
            return {"tilt_deg": 0.0, "pitch_deg": 0.0, "roll_deg": 0.0, "support": 0.0}
        down = _estimate_down(normals)
        x, y, z = (float(value) for value in down)
        return {
            "tilt_deg": float(np.degrees(np.arccos(min(1.0, y)))),
            "pitch_deg": float(np.degrees(np.arctan2(-z, np.hypot(x, y)))),
            "roll_deg": float(np.degrees(np.arctan2(x, y))),
            "support": float((np.abs(normals @ down) < _TOLERANCES[0]).mean()),
        }

    def decide(self, scores: Mapping[str, float], settings: FilterSettings) -> Verdict:
        """Keep up to and including `tilt_deg`, and if the edges support the estimate too little."""
        return apply_threshold(self.name, "tilt_deg", scores, settings)


def _estimate_down(normals: Rays) -> Rays:
    """Estimate the unit direction of gravity: best candidate of a grid, then refined fits."""
    candidates = _down_candidates()
    votes = (np.abs(normals @ candidates.T) < _TOLERANCES[0]).sum(axis=0)
    down = candidates[int(votes.argmax())]
    for tolerance in _TOLERANCES:
        inliers = normals[np.abs(normals @ down) < tolerance]
        down = np.linalg.eigh(inliers.T @ inliers)[1][:, 0]
        down = down if down[1] > 0 else -down
    return down


def _edge_normals(view: NDArray[np.uint8], sine: int, cosine: int) -> Rays:
    """Compute normals of the planes through the camera and near-vertical edges of a 90° view.

    Args:
        view: level view, uint8 [side, side, 3].
        sine: sine of the view's yaw.
        cosine: cosine of the view's yaw.

    Returns:
        Unit normals [N, 3], at most one per cell.
    """
    gray = cv2.GaussianBlur(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY), (0, 0), 1)
    dx, dy = (cv2.Sobel(gray, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    strength = np.where(np.abs(dx) > np.abs(dy), np.hypot(dx, dy), 0)
    cells = VIEW_SIDE // _CELL
    blocks = (
        strength.reshape(cells, _CELL, cells, _CELL)
        .swapaxes(1, 2)
        .reshape(cells * cells, _CELL * _CELL)
    )
    best = blocks.argmax(axis=1)
    row = np.arange(cells * cells) // cells * _CELL + best // _CELL
    column = np.arange(cells * cells) % cells * _CELL + best % _CELL
    is_strong = strength[row, column] >= _MIN_GRADIENT
    row, column = row[is_strong], column[is_strong]
    u, v = ((index + 0.5) / VIEW_SIDE * 2 - 1 for index in (column, row))
    a, b = dx[row, column], dy[row, column]
    c = -(a * u + b * v)
    normals = np.stack([a * cosine + c * sine, b, c * cosine - a * sine], axis=1)
    return np.asarray(normals / np.linalg.norm(normals, axis=1, keepdims=True), np.float32)


@cache
def _down_candidates() -> Rays:
    """Return unit rays [N, 3] around gravity for an upright camera, which is (0, 1, 0)."""
    tilts_deg = np.arange(-_MAX_TILT_DEG, _MAX_TILT_DEG + _TILT_STEP_DEG / 2, _TILT_STEP_DEG)
    x, z = np.meshgrid(*[np.tan(np.radians(tilts_deg))] * 2)
    rays = np.stack([x.ravel(), np.ones(x.size), z.ravel()], axis=1)
    return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True), np.float32)
