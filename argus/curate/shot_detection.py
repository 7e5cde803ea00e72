"""Where one shot ends and another begins, whatever the camera's rotation: a whip-pan is no cut, and a cut in the middle of a pan is one.

Two frames of one shot show the same sphere, turned: after the best rotation they agree, and their colours agree without any. Frames of two shots
agree in neither. A cut is a pair that disagrees more than the pairs around it; a dissolve, frames whose middle is the mean of their ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from argus.sphere import from_euler_deg, solid_angle
from argus.sphere.grid import erp_grid, erp_pixels, turned

Map = NDArray[np.float32]

VERSION = 1
_SIZE = (32, 64)
_FINE = (64, 128)  # of the colours' histogram
_BINS = 16  # per channel of Lab
_MIDDLE, _MOST_GAIN = (
    110.0,
    3.0,
)  # the mean grey level to which every frame is brought, by at most this factor: a change of exposure is no cut
_NOISE = 9.0  # squared levels of Lab; a picture that varies no more than this agrees with nothing
_TILTS_DEG = (15, 30, 45, 60)
_DIRECTIONS_DEG = range(0, 360, 45)
_SUSPECT = 0.2  # from this dissimilarity on, tilts are tried as well as yaw
_AROUND = 2  # pairs on each side with which a pair is compared
_WORTH_A_LOOK = 0.05
_DISSOLVES = (4, 8)  # lengths in frames that are looked for


@dataclass(frozen=True)
class DetectedShot:
    """Frames `start` to `stop` (excluded) of one shot; `worst` is the largest boundary score within it, 0 where there is none.

    `began` is the score of the boundary at which it begins; 2, which is above all scores, where it begins with the frames.
    """

    start: int
    stop: int
    worst: float
    began: float = 2.0


@dataclass(frozen=True, eq=False)
class _Look:
    """What is compared: a small map in Lab [32, 64, 3] and the histogram of its colours, by solid angle."""

    picture: Map
    colours: Map


@dataclass(frozen=True)
class _Gap:
    """Perhaps a boundary: after frame `last` one shot is over, and with frame `first` the next begins."""

    last: int
    first: int
    score: float


def detect_shots(frames: NDArray[np.uint8], threshold: float) -> list[DetectedShot]:
    """The shots of mono ERP frames [T, H, W, 3] at the rate of clips, in order; the frames within a dissolve belong to none.

    A boundary is a gap whose score, in [0,1], is above `threshold`.
    """
    looks = [_look(frame) for frame in frames]
    gaps = _cuts(looks) + _dissolves(looks)
    taken: list[_Gap] = []
    for gap in sorted(gaps, key=lambda gap: -gap.score):
        if gap.score > threshold and all(
            gap.first <= other.last or gap.last >= other.first for other in taken
        ):
            taken.append(gap)
    taken.sort(key=lambda gap: gap.last)
    starts, stops = (
        [0, *(gap.first for gap in taken)],
        [*(gap.last + 1 for gap in taken), len(frames)],
    )
    began = [2.0, *(gap.score for gap in taken)]
    return [
        DetectedShot(start, stop, _worst(gaps, start, stop), score)
        for start, stop, score in zip(starts, stops, began, strict=True)
    ]


def dissimilarity(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """How much two ERP frames [H, W, 3] differ when one may be turned at will, in [0,1]: near 0 for one scene, from about 0.4 for two."""
    return _apart(_look(one), _look(other))


def _worst(gaps: Sequence[_Gap], start: int, stop: int) -> float:
    return max((gap.score for gap in gaps if start <= gap.last and gap.first < stop), default=0.0)


def _cuts(looks: Sequence[_Look]) -> list[_Gap]:
    """Each pair, by how much more it differs than the pairs around it (fast motion makes all of them differ), and no less across one frame more.

    What differs for one frame only is a flash.
    """
    near = np.array([_apart(one, other) for one, other in pairwise(looks)])
    found = []
    for k, value in enumerate(near):
        around = np.delete(near[max(0, k - _AROUND) : k + _AROUND + 1], min(k, _AROUND))
        usual = float(np.median(around)) if len(around) else 0.0
        if value - usual > _WORTH_A_LOOK:
            value = min(
                value,
                *(
                    _apart(looks[a], looks[b])
                    for a, b in ((k - 1, k + 1), (k, k + 2))
                    if a >= 0 and b < len(looks)
                ),
                1.0,
            )
        found.append(_Gap(k, k + 1, max(0.0, float(value) - usual)))
    return found


def _dissolves(looks: Sequence[_Look]) -> list[_Gap]:
    """Each stretch of some frames, by how much its ends differ and how near its middle is to their mean."""
    found = []
    for length in _DISSOLVES:
        for k in range(len(looks) - length):
            one, middle, other = (looks[k + part].picture for part in (0, length // 2, length))
            half = _weigh(one - other) / 4
            mixed = 1 - _weigh(2 * middle - one - other) / 4 / max(half, _NOISE)
            found.append(
                _Gap(
                    k,
                    k + length,
                    mixed * _apart(looks[k], looks[k + length]) if mixed > 0.5 else 0.0,
                )
            )
    return found


def _weigh(picture: Map) -> float:
    """Mean square over the sphere."""
    return float(((picture * picture).sum(axis=2) * _weights()).sum())


@cache
def _weights() -> Map:
    return np.asarray(solid_angle(_SIZE) / (4 * np.pi), np.float32)


def _look(frame: NDArray[np.uint8]) -> _Look:
    fine = cv2.resize(frame, _FINE[::-1], interpolation=cv2.INTER_AREA)
    gain = np.clip(
        _MIDDLE / max(1.0, float((fine.mean(axis=2) * _fine_weights()).sum())),
        1 / _MOST_GAIN,
        _MOST_GAIN,
    )
    lab = cv2.cvtColor(cv2.convertScaleAbs(fine, alpha=float(gain)), cv2.COLOR_RGB2Lab)
    bins = (lab // (256 // _BINS)).astype(np.int32)
    index = (bins[..., 0] * _BINS + bins[..., 1]) * _BINS + bins[..., 2]
    counts = np.bincount(
        index.ravel(), weights=_fine_weights().ravel(), minlength=_BINS**3
    ).reshape(_BINS, _BINS, _BINS)
    smooth = ndimage.gaussian_filter(counts.astype(np.float32), 0.8, mode="nearest", radius=2)
    small = cv2.resize(lab, _SIZE[::-1], interpolation=cv2.INTER_AREA)
    return _Look(small.astype(np.float32), smooth / smooth.sum())


@cache
def _fine_weights() -> NDArray[np.float64]:
    return np.asarray(solid_angle(_FINE) / (4 * np.pi))


def _apart(one: _Look, other: _Look) -> float:
    """The geometric mean of disagreement in structure, after the best rotation, and in colour (Hellinger's distance)."""
    colour = float(np.sqrt(max(0.0, 1 - float(np.sqrt(one.colours * other.colours).sum()))))
    apart = float(np.sqrt(_unlike(one.picture, other.picture[None]) * colour))
    if apart < _SUSPECT:
        return apart
    tilted = other.picture.reshape(-1, 3)[_tilts()].reshape(-1, *_SIZE, 3)
    return min(apart, float(np.sqrt(_unlike(one.picture, tilted) * colour)))


def _unlike(one: Map, others: Map) -> float:
    """1 − the best correlation of a map [H, W, 3], without its row means, with one of others [n, H, W, 3] at any yaw; in [0,1]."""
    first, second = (maps - maps.mean(axis=-2, keepdims=True) for maps in (one, others))
    weight = _weights()[..., None]
    spectra = np.fft.rfft(first * weight, axis=1), np.fft.rfft(second, axis=2)
    correlation = np.fft.irfft((np.conj(spectra[0]) * spectra[1]).sum(axis=(1, 3)), n=_SIZE[1]).max(
        axis=1
    )  # [n]
    powers = (first**2 * weight).sum(), (second**2 * weight).sum(axis=(1, 2, 3))
    return float(np.clip(1 - (correlation / (np.sqrt(powers[0] * powers[1]) + _NOISE)).max(), 0, 1))


@cache
def _tilts() -> NDArray[np.int64]:
    """For each tilt, where a map looks up its pixels: indices [n, H·W] into the flattened map."""
    grid = erp_grid(_SIZE, np.zeros(1))
    yaws, tilts = np.meshgrid(np.array(_DIRECTIONS_DEG), np.array(_TILTS_DEG))
    heading = from_euler_deg(yaws.ravel(), 0, 0)
    turns = heading @ from_euler_deg(0, tilts.ravel(), 0) @ heading.swapaxes(1, 2)
    column, row = (
        np.rint(values).astype(np.int64) for values in erp_pixels(turned(grid, turns), _SIZE)
    )
    return (np.clip(row, 0, _SIZE[0] - 1) * _SIZE[1] + column % _SIZE[1]).reshape(len(turns), -1)
