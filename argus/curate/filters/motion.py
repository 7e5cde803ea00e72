"""Filters for videos in which nothing moves, or nothing but the camera's rotation.

Two frames of a sphere overlap completely, so that the camera's rotation can be estimated and
removed: yaw by correlating whole rows, the rest by dense optical flow (DIS, Kroeger et al. 2016)
and a robust fit. This is done on small maps first, then between maps that are rotated alike, so
that the flow has no rotation left to follow. The remaining flow is motion.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.curate.frame_sampling import SampledFrames
from argus.curate.records import Verdict
from argus.curate.thresholds import apply_threshold
from argus.curate.views import six_views, view_weights
from argus.sphere import rotate_erp, solid_angle
from schemas.config import FilterSettings

_VIEW_SIDE = 64  # pixels of the views in which frames are compared
_HEIGHT, _WIDTH = 128, 256  # pixels of the maps between which flow is computed
_REDUCTION = 2  # of the small maps that give the first estimate of the rotation
_PAD = 16  # columns repeated at both ends, so that the flow may cross the seam
_STRIDE = 3  # every third row and column is evaluated
_POLE_MARGIN = 1 / 7  # share of rows ignored at each pole, where a rotation distorts the flow most
_MIN_TEXTURE = 2e-5  # least eigenvalue of the structure tensor (5×5, gray in [0,1]) to be tracked
_BOX = (5, 5)  # pixels over which differences and gradients are averaged
_SMALL_SCALES_DEG = (8.0, 3.0, 1.0)  # of the robust fit between small maps
_FINE_SCALES_DEG = (1.0, 0.3)  # of the robust fit between maps that are rotated alike
_MIN_SPEED_DEG_S, _MIN_ANGLE_DEG = 2.0, 0.4  # below either, still: twice the error of the flow
_MIN_TEXTURED_SHARE = 0.01  # share of the sphere; with less, nothing can be tracked


class StaticFilter:
    """Difference of successive frames on six views, by solid angle.

    Scores:
        difference: mean absolute difference of successive sampled frames, in [0, 1]; 0 for a
            single frame.

    Drops if `difference` is below `static_difference`.
    """

    name = "static"
    version = 1

    def score(self, sampled: SampledFrames) -> dict[str, float]:
        """Return the scores that the class describes."""
        if len(sampled.frames) < 2:
            return {"difference": 0.0}
        views = six_views(sampled.small, _VIEW_SIDE)
        changes = cv2.absdiff(views[1:].reshape(-1), views[:-1].reshape(-1))
        changes = changes.reshape(views[1:].shape)
        # [6, side, side]
        means = changes.sum(axis=0, dtype=np.uint16).mean(axis=-1) / len(changes)
        return {"difference": float((means * view_weights(_VIEW_SIDE)).sum() / 255)}

    def decide(self, scores: Mapping[str, float], settings: FilterSettings) -> Verdict:
        """Keep from `static_difference` on."""
        return apply_threshold(self.name, "difference", scores, settings)


@dataclass(frozen=True)
class PairMotion:
    """Motion between two frames of a sphere.

    Attributes:
        share: share of the textured sphere that moves besides the camera's rotation, in [0, 1].
        speed_deg_s: median speed of that motion over the textured sphere.
        turn_deg_s: speed of the camera's rotation.
    """

    share: float
    speed_deg_s: float
    turn_deg_s: float


STILL = PairMotion(0.0, 0.0, 0.0)


class MotionFilter:
    """Motion that remains after the camera's rotation is removed.

    Scores:
        share: median over the frame pairs of the share of the textured sphere that moves by 2°
            per second or more, in [0, 1].
        largest_share: largest of these shares, in [0, 1].
        speed_deg_s: median speed of the motion in degrees per second.
        turn_deg_s: median speed of the camera's rotation in degrees per second.

    All scores are 0 if no frame has a next frame. Drops if the share named by `decide_by` is below
    `moving_share`: a spinning tripod is static, a walk is not.
    """

    name = "motion"
    version = 3

    def __init__(self, decide_by: str = "share") -> None:
        """Set the score that decides: `share` for clips, `largest_share` for videos."""
        self.decide_by = decide_by

    def score(self, sampled: SampledFrames) -> dict[str, float]:
        """Return the scores that the class describes."""
        motions = [
            pair_motion(
                _to_flow_input(sampled.small[k]),
                _to_flow_input(sampled.small_next[k]),
                float(sampled.intervals_s[k]),
            )
            for k in np.flatnonzero(sampled.intervals_s > 0)
        ] or [STILL]
        shares = [motion.share for motion in motions]
        return {
            "share": float(np.median(shares)),
            "largest_share": max(shares),
            "speed_deg_s": float(np.median([motion.speed_deg_s for motion in motions])),
            "turn_deg_s": float(np.median([motion.turn_deg_s for motion in motions])),
        }

    def decide(self, scores: Mapping[str, float], settings: FilterSettings) -> Verdict:
        """Keep from `moving_share` on."""
        return apply_threshold(self.name, self.decide_by, scores, settings)


def pair_motion(
    first: NDArray[np.uint8], second: NDArray[np.uint8], interval_s: float
) -> PairMotion:
    """Measure the motion between two gray ERP maps.

    Args:
        first: uint8 [128, 256].
        second: uint8 [128, 256], `interval_s` seconds later.
        interval_s: time between the maps, above 0.
    """
    weight = _texture_weight(first)
    if weight.sum() < _MIN_TEXTURED_SHARE:
        return STILL
    small = [
        cv2.resize(gray, None, fx=1 / _REDUCTION, fy=1 / _REDUCTION, interpolation=cv2.INTER_AREA)
        for gray in (first, second)
    ]
    coarse = _estimate_rotation(*small)
    aligned = rotate_erp(second[None, ..., None], coarse[None])[0, ..., 0]
    starts, ends = _track(first, aligned, refinements=5)
    fine = _fit_rotation(starts, ends, weight, _FINE_SCALES_DEG)
    speed = np.degrees(np.linalg.norm(starts @ fine.T - ends, axis=1)) / interval_s
    least_deg = max(_MIN_SPEED_DEG_S * interval_s, _MIN_ANGLE_DEG)
    is_moving = speed > least_deg / interval_s
    is_moving &= _differs(first, aligned, least_deg * _WIDTH / 360)
    order = np.argsort(speed)
    cumulative = np.cumsum(weight[order]) / weight.sum()
    median = min(int(np.searchsorted(cumulative, 0.5)), len(order) - 1)
    angle = np.degrees(np.arccos(np.clip((np.trace(coarse @ fine) - 1) / 2, -1, 1)))
    return PairMotion(
        share=float(weight[is_moving].sum() / weight.sum()),
        speed_deg_s=float(speed[order][median]),
        turn_deg_s=float(angle / interval_s),
    )


def yaw_shift(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> int:
    """Find by how many columns `second` is shifted to the right of `first`, modulo the width.

    The shift is the peak of the circular correlation of the rows of two gray maps [H, W].
    """
    spectra = [np.fft.rfft(_high_pass(gray), axis=1) for gray in (first, second)]
    correlation = np.fft.irfft((np.conj(spectra[0]) * spectra[1]).sum(axis=0), n=first.shape[1])
    return int(correlation.argmax())


def _estimate_rotation(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Estimate the camera's rotation R [3, 3] between small gray maps [h, w].

    The second map shows at direction R·d what the first one shows at d.
    """
    shift = yaw_shift(first, second)
    starts, ends = _track(first, np.roll(second, -shift, axis=1), refinements=0)
    yaw = 2 * np.pi * shift / first.shape[1]
    turn = np.array(
        [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]], np.float32
    )
    return turn @ _fit_rotation(starts, ends, _texture_weight(first), _SMALL_SCALES_DEG)


def _high_pass(gray: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Subtract the local mean; weight rows by the cosine of their latitude."""
    height, width = gray.shape
    values = gray.astype(np.float32)
    latitude = np.pi * ((np.arange(height, dtype=np.float32) + 0.5) / height - 0.5)
    local_mean = cv2.blur(values, (width // 8 + 1, height // 8 + 1))
    return np.asarray((values - local_mean) * np.cos(latitude)[:, None])


@dataclass(frozen=True, eq=False)
class _FlowGrid:
    """Pixels at which the flow is evaluated.

    Attributes:
        rows: row of each pixel [h, w].
        columns: column of each pixel [h, w].
        points: pixel coordinates (x, y) [h, w, 2].
        rays: unit rays [h·w, 3].
        area: share of the sphere of each pixel [h·w].
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    points: NDArray[np.float32]
    rays: NDArray[np.float32]
    area: NDArray[np.float32]


@cache
def _flow_grid(size: tuple[int, int]) -> _FlowGrid:
    height, width = size
    margin = round(_POLE_MARGIN * height)
    rows, columns = np.meshgrid(
        np.arange(margin, height - margin, _STRIDE), np.arange(0, width, _STRIDE), indexing="ij"
    )
    area = solid_angle(size)[rows, columns] * (_STRIDE**2 / (4 * np.pi))
    points = np.stack([columns, rows], axis=-1).astype(np.float32)
    return _FlowGrid(rows, columns, points, _to_rays(points, size), area.ravel().astype(np.float32))


@cache
def _flow_estimator(refinements: int) -> cv2.DISOpticalFlow:
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    estimator.setGradientDescentIterations(12)
    estimator.setVariationalRefinementIterations(refinements)
    return estimator


def _to_flow_input(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(gray, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


def _texture_weight(gray: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the share of the sphere of each grid pixel that can be tracked, else 0, as [N]."""
    grid = _flow_grid(gray.shape)
    texture = cv2.cornerMinEigenVal(gray, 5)
    return grid.area * (texture[grid.rows, grid.columns].ravel() > _MIN_TEXTURE)


def _differs(
    first: NDArray[np.uint8], aligned: NDArray[np.uint8], pixels: float
) -> NDArray[np.bool_]:
    """Return where two gray maps differ as much as detail that is shifted by `pixels`, as [N].

    Flow is smooth and spreads beyond what moves; equal pixels have not moved.
    """
    grid = _flow_grid(first.shape)
    dx, dy = (cv2.Sobel(first, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1)))
    difference, gradient = (
        cv2.boxFilter(values, cv2.CV_32F, _BOX)
        for values in (cv2.absdiff(first, aligned), cv2.magnitude(dx, dy))
    )
    return np.asarray((difference > pixels * gradient)[grid.rows, grid.columns].ravel())


def _track(
    first: NDArray[np.uint8], second: NDArray[np.uint8], refinements: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return unit rays [N, 3] of the grid pixels in two gray maps [h, w], by optical flow."""
    grid = _flow_grid(first.shape)
    padded = [
        np.concatenate([gray[:, -_PAD:], gray, gray[:, :_PAD]], axis=1) for gray in (first, second)
    ]
    flow = _flow_estimator(refinements).calc(padded[0], padded[1], None)
    return grid.rays, _to_rays(grid.points + flow[grid.rows, grid.columns + _PAD], first.shape)


def _to_rays(points: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return unit rays [N, 3] of pixel coordinates (x, y) in a map of `size` (height, width)."""
    column, row = points.reshape(-1, 2).T
    lat = np.pi * (0.5 - (row + 0.5) / size[0])
    lon = 2 * np.pi * ((column + 0.5) / size[1] - 0.5)
    level = np.cos(lat)
    return np.stack([level * np.sin(lon), -np.sin(lat), level * np.cos(lon)], axis=1).astype(
        np.float32, copy=False
    )


def _fit_rotation(
    starts: NDArray[np.float32],
    ends: NDArray[np.float32],
    weight: NDArray[np.float32],
    scales_deg: Sequence[float],
) -> NDArray[np.float32]:
    """Fit the rotation [3, 3] that takes most rays `starts` [N, 3] to `ends` [N, 3].

    Kabsch's algorithm with Geman-McClure weights, repeated with ever smaller scales; the first
    guess is the identity.
    """
    rotation = np.eye(3, dtype=np.float32)
    for scale in np.radians(scales_deg):
        errors = starts @ rotation.T - ends
        robust = weight / ((errors * errors).sum(axis=1) + np.float32(scale) ** 2) ** 2
        left, _, right = np.linalg.svd((starts * robust[:, None]).T @ ends)
        proper = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))]).astype(np.float32)
        rotation = (left @ proper @ right).T
    return rotation
