"""Shot detection that ignores the camera's rotation: a whip pan is no cut, a cut in a pan is one.

Two frames of one shot show the same sphere, rotated: after the best rotation they agree, and their
color histograms agree without any. Frames of two shots agree in neither. A cut is a pair of frames
that differs more than the pairs around it; a dissolve is a sequence of frames whose middle is the
mean of its ends. Blank frames, as in a fade, are divided from the frames that show something.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.sphere import (
    erp_grid,
    from_euler_deg,
    rays_to_erp_pixels,
    rotate_rays,
    solid_angle,
)

FloatMap = NDArray[np.float32]

VERSION = 2
"""Increases when the same frames would get other boundary scores or other shots."""

NO_BOUNDARY = 2.0
"""Boundary score of the first and last frame of the input; above every real score."""

BLANK_VARIANCE = 500.0
"""Variance of gray levels up to which a frame is blank: black, white, fogged or amid a fade.

It is the published limit. The setting `variance` decides about clips and does not move their ends.
"""

_SIZE = (32, 64)  # (height, width) of the maps that are correlated
_HISTOGRAM_SIZE = (64, 128)  # (height, width) of the maps whose colors are counted
_BLANK_HEIGHT = 128  # rows of the frame of which the variance is taken
_BINS = 16  # per channel of Lab
_MEAN_LEVEL, _MAX_GAIN = 110.0, 3.0
"""Mean gray level to which each frame is scaled, by at most this factor: exposure may change."""

_NOISE = 9.0  # squared levels of Lab; a picture with less variance agrees with nothing
_TILTS_DEG = (15, 30, 45, 60)
_DIRECTIONS_DEG = range(0, 360, 45)
_MIN_SUSPECT = 0.2  # dissimilarity from which tilts are tried as well as yaw
_NEIGHBORS = 2  # pairs on each side with which a pair is compared
_MIN_EXCESS = 0.05  # over its neighbors, from which a pair is compared across one more frame
_DISSOLVE_LENGTHS = (4, 8)  # frames


@dataclass(frozen=True)
class DetectedShot:
    """Frames `start` to `stop` (excluded) of one shot.

    Attributes:
        start: first frame.
        stop: frame after the last one.
        max_score: largest boundary score within the shot, in [0, 1]; 0 if it has none.
        start_score: score of the boundary at `start`; `NO_BOUNDARY` for the first frame, and where
            blank frames begin or end.
    """

    start: int
    stop: int
    max_score: float
    start_score: float = NO_BOUNDARY


@dataclass(frozen=True, eq=False)
class _FrameFeatures:
    """Small map in Lab [32, 64, 3] and color histogram by solid angle [16, 16, 16] of a frame."""

    picture: FloatMap
    histogram: FloatMap


@dataclass(frozen=True)
class _Boundary:
    """Candidate: one shot ends with frame `last`, the next one starts with frame `first`."""

    last: int
    first: int
    score: float


def detect_shots(frames: NDArray[np.uint8], threshold: float) -> list[DetectedShot]:
    """Detect the shots of a video.

    Args:
        frames: mono ERP at the rate of clips, uint8 [T, H, W, 3].
        threshold: score in [0, 1] above which a candidate is a boundary.

    Returns:
        Shots in order, each of blank frames only or of others only. The frames within a dissolve
        belong to none.
    """
    features = [_extract_features(frame) for frame in frames]
    candidates = _find_cuts(features) + _find_dissolves(features)
    accepted: list[_Boundary] = []
    for boundary in sorted(candidates, key=lambda one: -one.score):
        is_free = all(
            boundary.first <= other.last or boundary.last >= other.first for other in accepted
        )
        if boundary.score > threshold and is_free:
            accepted.append(boundary)
    accepted.sort(key=lambda one: one.last)
    starts = [0, *(boundary.first for boundary in accepted)]
    stops = [*(boundary.last + 1 for boundary in accepted), len(frames)]
    scores = {boundary.first: boundary.score for boundary in accepted}
    return [
        DetectedShot(part, end, _max_score(candidates, part, end), scores.get(part, NO_BOUNDARY))
        for start, stop in zip(starts, stops, strict=True)
        for part, end in _divide_at_blanks(frames, start, stop)
    ]


def dissimilarity(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Compare two ERP frames [H, W, 3] up to a rotation.

    Returns:
        A value in [0, 1]: near 0 for one scene, from about 0.4 on for two.
    """
    return _feature_distance(_extract_features(first), _extract_features(second))


def _divide_at_blanks(
    frames: NDArray[np.uint8], start: int, stop: int
) -> Iterable[tuple[int, int]]:
    """Divide frames `start` to `stop` (excluded) where blank ones begin and end."""
    is_blank = [_variance(frame) <= BLANK_VARIANCE for frame in frames[start:stop]]
    changes = start + 1 + np.flatnonzero(np.diff(is_blank))
    return pairwise([start, *changes.tolist(), stop])


def _variance(frame: NDArray[np.uint8]) -> float:
    """Return the variance of the gray level of a frame [H, W, 3], of some of its pixels."""
    step = max(1, len(frame) // _BLANK_HEIGHT)
    gray = cv2.cvtColor(np.ascontiguousarray(frame[::step, ::step]), cv2.COLOR_RGB2GRAY)
    return float(cv2.meanStdDev(gray)[1].item()) ** 2


def _max_score(candidates: Sequence[_Boundary], start: int, stop: int) -> float:
    return max(
        (one.score for one in candidates if start <= one.last and one.first < stop), default=0.0
    )


def _find_cuts(features: Sequence[_FrameFeatures]) -> list[_Boundary]:
    """Score each pair of successive frames by how much more it differs than its neighbors.

    Fast motion makes all pairs differ. A pair must also differ across one more frame: a difference
    of a single frame is a flash.
    """
    distances = np.array([_feature_distance(a, b) for a, b in pairwise(features)])
    cuts = []
    for k, distance in enumerate(distances):
        nearby = np.delete(
            distances[max(0, k - _NEIGHBORS) : k + _NEIGHBORS + 1], min(k, _NEIGHBORS)
        )
        usual = float(np.median(nearby)) if len(nearby) else 0.0
        if distance - usual > _MIN_EXCESS:
            across = [
                _feature_distance(features[a], features[b])
                for a, b in ((k - 1, k + 1), (k, k + 2))
                if a >= 0 and b < len(features)
            ]
            distance = min(distance, *across, 1.0)
        cuts.append(_Boundary(k, k + 1, max(0.0, float(distance) - usual)))
    return cuts


def _find_dissolves(features: Sequence[_FrameFeatures]) -> list[_Boundary]:
    """Score sequences by how much their ends differ and how close the middle is to their mean."""
    dissolves = []
    for length in _DISSOLVE_LENGTHS:
        for k in range(len(features) - length):
            start, middle, end = (
                features[k + offset].picture for offset in (0, length // 2, length)
            )
            quarter = _mean_square(start - end) / 4
            mixed = 1 - _mean_square(2 * middle - start - end) / 4 / max(quarter, _NOISE)
            score = 0.0
            if mixed > 0.5:
                score = mixed * _feature_distance(features[k], features[k + length])
            dissolves.append(_Boundary(k, k + length, score))
    return dissolves


def _mean_square(picture: FloatMap) -> float:
    """Return the mean square of a map [32, 64, 3] over the sphere."""
    return float(((picture * picture).sum(axis=2) * _weights()).sum())


@cache
def _weights() -> FloatMap:
    return np.asarray(solid_angle(_SIZE) / (4 * np.pi), np.float32)


@cache
def _histogram_weights() -> NDArray[np.float64]:
    return np.asarray(solid_angle(_HISTOGRAM_SIZE) / (4 * np.pi))


def _extract_features(frame: NDArray[np.uint8]) -> _FrameFeatures:
    from scipy import ndimage  # takes long to import

    fine = cv2.resize(frame, _HISTOGRAM_SIZE[::-1], interpolation=cv2.INTER_AREA)
    mean_level = max(1.0, float((fine.mean(axis=2) * _histogram_weights()).sum()))
    gain = np.clip(_MEAN_LEVEL / mean_level, 1 / _MAX_GAIN, _MAX_GAIN)
    lab = cv2.cvtColor(cv2.convertScaleAbs(fine, alpha=float(gain)), cv2.COLOR_RGB2Lab)
    bins = (lab // (256 // _BINS)).astype(np.int32)
    index = (bins[..., 0] * _BINS + bins[..., 1]) * _BINS + bins[..., 2]
    counts = np.bincount(
        index.ravel(), weights=_histogram_weights().ravel(), minlength=_BINS**3
    ).reshape(_BINS, _BINS, _BINS)
    smooth = ndimage.gaussian_filter(counts.astype(np.float32), 0.8, mode="nearest", radius=2)
    small = cv2.resize(lab, _SIZE[::-1], interpolation=cv2.INTER_AREA)
    return _FrameFeatures(small.astype(np.float32), smooth / smooth.sum())


def _feature_distance(first: _FrameFeatures, second: _FrameFeatures) -> float:
    """Return the geometric mean of the distances of structure and of color.

    Structure is compared after the best rotation, color by Hellinger's distance.
    """
    affinity = float(np.sqrt(first.histogram * second.histogram).sum())
    color = float(np.sqrt(max(0.0, 1 - affinity)))
    distance = float(np.sqrt(_structure_distance(first.picture, second.picture[None]) * color))
    if distance < _MIN_SUSPECT:
        return distance
    tilted = second.picture.reshape(-1, 3)[_tilt_indices()].reshape(-1, *_SIZE, 3)
    return min(distance, float(np.sqrt(_structure_distance(first.picture, tilted) * color)))


def _structure_distance(first: FloatMap, others: FloatMap) -> float:
    """Return 1 − the best correlation of a map with any of several maps at any yaw, in [0, 1].

    Args:
        first: [H, W, 3]; row means are removed.
        others: [n, H, W, 3].
    """
    first, others = (maps - maps.mean(axis=-2, keepdims=True) for maps in (first, others))
    weight = _weights()[..., None]
    spectra = np.fft.rfft(first * weight, axis=1), np.fft.rfft(others, axis=2)
    cross = np.fft.irfft((np.conj(spectra[0]) * spectra[1]).sum(axis=(1, 3)), n=_SIZE[1])
    best = cross.max(axis=1)  # [n]
    powers = (first**2 * weight).sum(), (others**2 * weight).sum(axis=(1, 2, 3))
    return float(np.clip(1 - (best / (np.sqrt(powers[0] * powers[1]) + _NOISE)).max(), 0, 1))


@cache
def _tilt_indices() -> NDArray[np.int64]:
    """Return for each tilt the source pixels of a map, as indices [n, H·W] into the flat map."""
    grid = erp_grid(_SIZE, np.zeros(1))
    yaws, tilts = np.meshgrid(np.array(_DIRECTIONS_DEG), np.array(_TILTS_DEG))
    heading = from_euler_deg(yaws.ravel(), 0, 0)
    rotations = heading @ from_euler_deg(0, tilts.ravel(), 0) @ heading.swapaxes(1, 2)
    column, row = (
        np.rint(values).astype(np.int64)
        for values in rays_to_erp_pixels(rotate_rays(grid, rotations), _SIZE)
    )
    indices = np.clip(row, 0, _SIZE[0] - 1) * _SIZE[1] + column % _SIZE[1]
    return indices.reshape(len(rotations), -1)
