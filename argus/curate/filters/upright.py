"""Which way is up? Buildings, poles and trunks stand along gravity: the plane through such an edge and the camera holds the vertical.

Stored, so that a clip may be levelled; drops only where the policy asks for it.
"""

from collections.abc import Mapping
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.curate.frame_sampling import VIEW_SIDE, Samples
from argus.curate.records import Verdict
from argus.curate.views import VIEW_NAMES
from schemas.config import FilterPolicy
from schemas.names import Reason

Rays = NDArray[np.float32]

_HEADINGS = {
    "front": (0, 1),
    "right": (1, 0),
    "back": (0, -1),
    "left": (-1, 0),
}  # sine and cosine of a view's yaw
_MOST_DEG, _STEP_DEG = 30.0, 2.0  # tilts that are searched
_NEAR = np.sin(
    np.radians([2.0, 2.0, 1.5, 1.0, 1.0])
)  # how far off an edge's plane the vertical may be: while searching, then ever nearer
_CELL = 8  # pixels; each cell gives its strongest edge
_EDGE = 60.0  # least response of Sobel's operator
_LEAST = 50  # edges; with fewer nothing is said


class UprightFilter:
    """Measures how far the camera is from upright."""

    name = "upright"
    version = 1

    def score(self, samples: Samples) -> dict[str, float]:
        """`pitch_deg` and `roll_deg` of the camera against gravity, `tilt_deg` from both, and `support`: the share of upright edges that agree.

        The angles are those of `argus.sphere` (looking up and tilting right are positive); all are 0 where fewer than 50 edges are found.
        """
        normals = np.concatenate(
            [
                _normals(six[VIEW_NAMES.index(name)], *turn)
                for six in samples.views[::4]
                for name, turn in _HEADINGS.items()
            ]
        )
        if len(normals) < _LEAST:
            return {"tilt_deg": 0.0, "pitch_deg": 0.0, "roll_deg": 0.0, "support": 0.0}
        votes = (np.abs(normals @ _downs().T) < _NEAR[0]).sum(axis=0)
        down = _downs()[int(votes.argmax())]
        for near in _NEAR:
            agreeing = normals[np.abs(normals @ down) < near]
            down = np.linalg.eigh(agreeing.T @ agreeing)[1][:, 0]
            down = down if down[1] > 0 else -down
        x, y, z = (float(value) for value in down)
        return {
            "tilt_deg": float(np.degrees(np.arccos(min(1.0, y)))),
            "pitch_deg": float(np.degrees(np.arctan2(-z, np.hypot(x, y)))),
            "roll_deg": float(np.degrees(np.arctan2(x, y))),
            "support": float((np.abs(normals @ down) < _NEAR[0]).mean()),
        }

    def decide(self, scores: Mapping[str, float], policy: FilterPolicy) -> Verdict:
        """Kept up to and including `tilt_deg`, and wherever less than `tilt_support` of the edges agree on the vertical."""
        tilt = scores["tilt_deg"]
        kept = tilt <= policy.tilt_deg or scores["support"] < policy.tilt_support
        return Verdict(
            self.name, "tilt_deg", kept, None if kept else Reason.TILTED, tilt, policy.tilt_deg
        )


def _normals(view: NDArray[np.uint8], sine: int, cosine: int) -> Rays:
    """Unit normals [N, 3] of the planes through the camera and the strongest more or less upright edges of a level 90° view."""
    grey = cv2.GaussianBlur(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY), (0, 0), 1)
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    strength = np.where(np.abs(across) > np.abs(down), np.hypot(across, down), 0)
    cells = VIEW_SIDE // _CELL
    blocks = (
        strength.reshape(cells, _CELL, cells, _CELL)
        .swapaxes(1, 2)
        .reshape(cells * cells, _CELL * _CELL)
    )
    best = blocks.argmax(axis=1)
    row = np.arange(cells * cells) // cells * _CELL + best // _CELL
    column = np.arange(cells * cells) % cells * _CELL + best % _CELL
    strong = strength[row, column] >= _EDGE
    row, column = row[strong], column[strong]
    u, v = ((place + 0.5) / VIEW_SIDE * 2 - 1 for place in (column, row))
    a, b = across[row, column], down[row, column]
    c = -(a * u + b * v)
    normals = np.stack([a * cosine + c * sine, b, c * cosine - a * sine], axis=1)
    return np.asarray(normals / np.linalg.norm(normals, axis=1, keepdims=True), np.float32)


@cache
def _downs() -> Rays:
    """Unit rays [N, 3] about the direction of gravity of an upright camera, (0, 1, 0)."""
    tilts = np.tan(np.radians(np.arange(-_MOST_DEG, _MOST_DEG + _STEP_DEG / 2, _STEP_DEG)))
    x, z = np.meshgrid(tilts, tilts)
    rays = np.stack([x.ravel(), np.ones(x.size), z.ravel()], axis=1)
    return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True), np.float32)
