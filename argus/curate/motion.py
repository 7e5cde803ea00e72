"""Does the camera travel, or much around it? Its own turning does not count: a tripod that spins is static, a walk is not.

Between a moment and its successor the sphere overlaps itself wholly, so that the turn can be found and taken away: yaw by correlating whole rows,
the rest by dense optical flow (DIS, Kroeger et al. 2016) and a robust fit. What the flow still shows is motion.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.curate.records import Verdict
from argus.curate.samples import Samples
from argus.sphere import solid_angle
from schemas.config import FilterPolicy
from schemas.names import Reason

_HEIGHT, _WIDTH = 128, 256
_PAD = 48  # columns repeated at both ends, so that the flow may cross the seam
_STEP = 3  # every third row and column is measured
_CAP = 19  # rows left out at each pole, where one turn of the sphere is many kinds of flow
_TEXTURE = 2e-5  # least eigenvalue of the structure tensor (5×5, grey in [0,1]); below it nothing can be followed
_SCALES_DEG = (8.0, 4.0, 2.0, 1.0, 0.5, 0.25)  # of the robust fit, coarse to fine
_LEAST_DEG_S = 2.0  # slower than this counts as still: twice the error of the flow at five frames per second
_LEAST_TEXTURE = 0.01  # share of the sphere; with less there is nothing to follow, and nothing moves


@dataclass(frozen=True)
class PairMotion:
    """What happened between two frames of a sphere."""

    share: float  # of the textured sphere, what moves besides the camera's turn, in [0,1]
    speed_deg_s: float  # median of that motion over the textured sphere
    turn_deg_s: float  # the camera's own rotation


STILL = PairMotion(0.0, 0.0, 0.0)


class MotionFilter:
    """Drops when hardly anything but the camera's rotation moves: by the median moment, or by the second liveliest (`by="most_share"`)."""

    name = "motion"
    version = 1

    def __init__(self, by: str = "share") -> None:
        self.by = by

    def score(self, samples: Samples) -> dict[str, float]:
        """Medians over moments of the numbers of `PairMotion`, and `most_share`, its second largest share; 0 where nothing follows."""
        pairs = np.flatnonzero(samples.gaps_s > 0)
        found = [pair_motion(_grey(samples.small[k]), _grey(samples.small_following[k]), float(samples.gaps_s[k])) for k in pairs] or [STILL]
        shares = sorted(one.share for one in found)
        return {
            "share": float(np.median(shares)),
            "most_share": shares[-2:][0],
            "speed_deg_s": float(np.median([one.speed_deg_s for one in found])),
            "turn_deg_s": float(np.median([one.turn_deg_s for one in found])),
        }

    def decide(self, scores: Mapping[str, float], policy: FilterPolicy) -> Verdict:
        """Kept from `moving_share` on."""
        share = scores[self.by]
        kept = share >= policy.moving_share
        return Verdict(self.name, self.by, kept, None if kept else Reason.STATIC, share, policy.moving_share)


def pair_motion(one: NDArray[np.uint8], other: NDArray[np.uint8], gap_s: float) -> PairMotion:
    """Motion from one grey ERP map [128, 256] to another, `gap_s` seconds later."""
    grid = _grid()
    shift = yaw_shift(one, other)
    flow = _flow(one, np.roll(other, -shift, axis=1))[grid.rows, grid.columns]
    texture = cv2.cornerMinEigenVal(one.astype(np.float32) / 255, 5)[grid.rows, grid.columns].ravel()
    weight = grid.area * (texture > _TEXTURE)
    if weight.sum() < _LEAST_TEXTURE:
        return STILL
    ends = _rays(grid.rows + flow[..., 1], grid.columns + flow[..., 0] + np.float32(shift))
    turn = _turn(grid.rays, ends, weight, 2 * np.pi * shift / _WIDTH)
    speed = np.degrees(np.linalg.norm(grid.rays @ turn.T - ends, axis=1)) / gap_s
    order = np.argsort(speed)
    passed = np.cumsum(weight[order]) / weight.sum()
    angle = np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))
    return PairMotion(
        share=float(weight[speed > _LEAST_DEG_S].sum() / weight.sum()),
        speed_deg_s=float(speed[order][min(int(np.searchsorted(passed, 0.5)), len(order) - 1)]),
        turn_deg_s=float(angle / gap_s),
    )


def yaw_shift(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> int:
    """By how many columns `other` is shifted to the right of `one`, modulo the width: the peak of their rows' circular correlation; grey [H, W]."""
    spectra = [np.fft.rfft(_detail(picture), axis=1) for picture in (one, other)]
    correlation = np.fft.irfft((np.conj(spectra[0]) * spectra[1]).sum(axis=0), n=one.shape[1])
    return int(correlation.argmax())


def _detail(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What differs from the wide surroundings, less towards the poles."""
    height, width = picture.shape
    values = picture.astype(np.float32)
    latitude = np.pi * ((np.arange(height, dtype=np.float32) + 0.5) / height - 0.5)
    return np.asarray((values - cv2.blur(values, (width // 8 + 1, height // 8 + 1))) * np.cos(latitude)[:, None])


@dataclass(frozen=True, eq=False)
class _Grid:
    """The measured pixels: row and column [h, w], and per pixel its ray [h·w, 3] and share of the sphere [h·w]."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    rays: NDArray[np.float32]
    area: NDArray[np.float32]


@cache
def _grid() -> _Grid:
    rows, columns = np.meshgrid(np.arange(_CAP, _HEIGHT - _CAP, _STEP), np.arange(0, _WIDTH, _STEP), indexing="ij")
    area = (solid_angle((_HEIGHT, _WIDTH))[rows, columns] * (_STEP**2 / (4 * np.pi))).ravel().astype(np.float32)
    return _Grid(rows, columns, _rays(rows.astype(np.float32), columns.astype(np.float32)), area)


@cache
def _tracker() -> cv2.DISOpticalFlow:
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)


def _grey(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


def _flow(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Flow [H, W, 2] in pixels; the maps wrap."""
    padded = [np.concatenate([picture[:, -_PAD:], picture, picture[:, :_PAD]], axis=1) for picture in (one, other)]
    return np.asarray(_tracker().calc(padded[0], padded[1], None)[:, _PAD : _PAD + _WIDTH], np.float32)


def _rays(rows: NDArray[np.float32], columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit rays [N, 3] of positions in the map."""
    lat = np.pi * (0.5 - (rows.ravel() + 0.5) / _HEIGHT)
    lon = 2 * np.pi * ((columns.ravel() + 0.5) / _WIDTH - 0.5)
    level = np.cos(lat)
    return np.stack([level * np.sin(lon), -np.sin(lat), level * np.cos(lon)], axis=1).astype(np.float32)


def _turn(starts: NDArray[np.float32], ends: NDArray[np.float32], weight: NDArray[np.float32], yaw: float) -> NDArray[np.float32]:
    """The rotation [3, 3] that takes most starts to their ends, first guess a yaw: Geman-McClure weights around Kabsch's fit, ever narrower."""
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]], np.float32)
    for scale in np.radians(_SCALES_DEG):
        errors = starts @ turn.T - ends
        robust = weight / ((errors * errors).sum(axis=1) + np.float32(scale) ** 2) ** 2
        left, _, right = np.linalg.svd((starts * robust[:, None]).T @ ends)
        proper = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))]).astype(np.float32)
        turn = (left @ proper @ right).T
    return turn
