"""Does the camera travel, or much around it? Its own turning does not count: a tripod that spins is static, a walk is not.

Between a moment and its successor the sphere overlaps itself wholly, so that the turn can be found and taken away: yaw by correlating whole rows,
the rest by dense optical flow (DIS, Kroeger et al. 2016) and a robust fit, in small pictures first, then between those that are turned alike, so
that the flow itself has no turn to follow. What it still shows is motion.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.curate.frame_sampling import Samples
from argus.curate.records import Verdict
from argus.sphere import rotate_erp, solid_angle
from schemas.config import FilterPolicy
from schemas.names import Reason

_HEIGHT, _WIDTH = 128, 256
_COARSE = 2  # rows and columns that are one in the small pictures
_PAD = 16  # columns repeated at both ends, so that the flow may cross the seam
_STEP = 3  # every third row and column is measured
_CAP = (
    1 / 7
)  # share of the rows left out at each pole, where one turn of the sphere is many kinds of flow
_TEXTURE = 2e-5  # least eigenvalue of the structure tensor (5×5, grey in [0,1]); below it nothing can be followed
_AROUND = (5, 5)  # pixels, over which differences and detail are averaged
_COARSE_DEG, _FINE_DEG = (
    (8.0, 3.0, 1.0),
    (1.0, 0.3),
)  # scales of the robust fit, in small pictures and between those turned alike
_LEAST_DEG_S, _LEAST_DEG = (
    2.0,
    0.4,
)  # slower than the first, or less than the second in all, counts as still: twice the error of the flow
_LEAST_TEXTURE = (
    0.01  # share of the sphere; with less there is nothing to follow, and nothing moves
)


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
    version = 2

    def __init__(self, by: str = "share") -> None:
        self.by = by

    def score(self, samples: Samples) -> dict[str, float]:
        """Medians over moments of the numbers of `PairMotion`, and `most_share`, its second largest share; 0 where nothing follows."""
        pairs = np.flatnonzero(samples.gaps_s > 0)
        found = [
            pair_motion(
                _grey(samples.small[k]), _grey(samples.small_following[k]), float(samples.gaps_s[k])
            )
            for k in pairs
        ] or [STILL]
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
        return Verdict(
            self.name, self.by, kept, None if kept else Reason.STATIC, share, policy.moving_share
        )


def pair_motion(one: NDArray[np.uint8], other: NDArray[np.uint8], gap_s: float) -> PairMotion:
    """Motion from one grey ERP map [128, 256] to another, `gap_s` seconds later."""
    texture = cv2.cornerMinEigenVal(one, 5)
    weight = _weight(texture)
    if weight.sum() < _LEAST_TEXTURE:
        return STILL
    coarse = _coarse_turn(
        *(
            cv2.resize(picture, None, fx=1 / _COARSE, fy=1 / _COARSE, interpolation=cv2.INTER_AREA)
            for picture in (one, other)
        )
    )
    alike = rotate_erp(other[None, ..., None], coarse[None])[0, ..., 0]
    starts, ends = _followed(one, alike, refinements=5)
    fine = _turn(starts, ends, weight, _FINE_DEG)
    speed = np.degrees(np.linalg.norm(starts @ fine.T - ends, axis=1)) / gap_s
    least = max(_LEAST_DEG_S * gap_s, _LEAST_DEG)
    moves = (speed > least / gap_s) & _is_other(one, alike, least * _WIDTH / 360)
    order = np.argsort(speed)
    passed = np.cumsum(weight[order]) / weight.sum()
    angle = np.degrees(np.arccos(np.clip((np.trace(coarse @ fine) - 1) / 2, -1, 1)))
    return PairMotion(
        share=float(weight[moves].sum() / weight.sum()),
        speed_deg_s=float(speed[order][min(int(np.searchsorted(passed, 0.5)), len(order) - 1)]),
        turn_deg_s=float(angle / gap_s),
    )


def _coarse_turn(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The camera's turn [3, 3] between small grey maps [h, w]: at direction R·d the other shows what the one shows at d."""
    shift = yaw_shift(one, other)
    starts, ends = _followed(one, np.roll(other, -shift, axis=1), refinements=0)
    yaw = 2 * np.pi * shift / one.shape[1]
    ahead = np.array(
        [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]], np.float32
    )
    weight = _weight(cv2.cornerMinEigenVal(one, 5))
    return ahead @ _turn(starts, ends, weight, _COARSE_DEG)


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
    return np.asarray(
        (values - cv2.blur(values, (width // 8 + 1, height // 8 + 1))) * np.cos(latitude)[:, None]
    )


@dataclass(frozen=True, eq=False)
class _Grid:
    """The measured pixels: row and column [h, w], as places (x, y) [h, w, 2] too, and per pixel its ray [h·w, 3] and share of the sphere [h·w]."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    places: NDArray[np.float32]
    rays: NDArray[np.float32]
    area: NDArray[np.float32]


@cache
def _grid(size: tuple[int, int]) -> _Grid:
    height, width = size
    cap = round(_CAP * height)
    rows, columns = np.meshgrid(
        np.arange(cap, height - cap, _STEP), np.arange(0, width, _STEP), indexing="ij"
    )
    area = (solid_angle(size)[rows, columns] * (_STEP**2 / (4 * np.pi))).ravel().astype(np.float32)
    places = np.stack([columns, rows], axis=-1).astype(np.float32)
    return _Grid(rows, columns, places, _rays(places, size), area)


@cache
def _tracker(refinements: int) -> cv2.DISOpticalFlow:
    tracker = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    tracker.setGradientDescentIterations(12)
    tracker.setVariationalRefinementIterations(refinements)
    return tracker


def _grey(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


def _weight(texture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Share of the sphere of each measured pixel that can be followed, [N], by the structure tensor's least eigenvalue [h, w]."""
    grid = _grid(texture.shape)
    return grid.area * (texture[grid.rows, grid.columns].ravel() > _TEXTURE)


def _is_other(one: NDArray[np.uint8], alike: NDArray[np.uint8], pixels: float) -> NDArray[np.bool_]:
    """Where, of the measured pixels [N], two grey maps differ as detail does that is shifted by so many pixels: flow spreads beyond what moves."""
    grid = _grid(one.shape)
    across, down = (cv2.Sobel(one, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1)))
    difference, detail = (
        cv2.boxFilter(values, cv2.CV_32F, _AROUND)
        for values in (cv2.absdiff(one, alike), cv2.magnitude(across, down))
    )
    return np.asarray((difference > pixels * detail)[grid.rows, grid.columns].ravel())


def _followed(
    one: NDArray[np.uint8], other: NDArray[np.uint8], refinements: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Unit rays [N, 3] of the measured pixels of a grey map [h, w], and where the other shows them; the maps wrap."""
    grid = _grid(one.shape)
    padded = [
        np.concatenate([picture[:, -_PAD:], picture, picture[:, :_PAD]], axis=1)
        for picture in (one, other)
    ]
    flow = _tracker(refinements).calc(padded[0], padded[1], None)[grid.rows, grid.columns + _PAD]
    return grid.rays, _rays(grid.places + flow, one.shape)


def _rays(places: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Unit rays [N, 3] of places (x, y) in a map of `size` (height, width)."""
    column, row = places.reshape(-1, 2).T
    lat = np.pi * (0.5 - (row + 0.5) / size[0])
    lon = 2 * np.pi * ((column + 0.5) / size[1] - 0.5)
    level = np.cos(lat)
    return np.stack([level * np.sin(lon), -np.sin(lat), level * np.cos(lon)], axis=1).astype(
        np.float32, copy=False
    )


def _turn(
    starts: NDArray[np.float32],
    ends: NDArray[np.float32],
    weight: NDArray[np.float32],
    scales_deg: Sequence[float],
) -> NDArray[np.float32]:
    """The rotation [3, 3] that takes most starts to their ends, first guess none: Geman-McClure weights around Kabsch's fit, ever narrower."""
    turn = np.eye(3, dtype=np.float32)
    for scale in np.radians(scales_deg):
        errors = starts @ turn.T - ends
        robust = weight / ((errors * errors).sum(axis=1) + np.float32(scale) ** 2) ** 2
        left, _, right = np.linalg.svd((starts * robust[:, None]).T @ ends)
        proper = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))]).astype(np.float32)
        turn = (left @ proper @ right).T
    return turn
