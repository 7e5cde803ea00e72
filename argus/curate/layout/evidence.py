"""Scores of a video's layout from its pixels: black bars, equal halves, joined edges, poles, discs.

Evidence is in [-1, 1]: −1 certainly not, 1 certainly, 0 unknown. Decisions are made in
`argus.curate.layout.detect`.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.curate.frame_sampling import NativeFrames, to_gray
from argus.curate.layout.continuity import (
    EAC_MARGIN,
    PICTURE,
    blank_sides,
    cube_edges_in_erp,
    eac_rows_in_erp,
    evidence,
    face_joins,
    lines_at,
    seam_joins,
    weakest_evidence,
)
from argus.sphere import CubeLayout

_MAX_BAR_LEVEL = 28.0  # gray levels: mean of a row or column of a bar
_MAX_BAR_SPREAD = 16.0  # gray levels: its brightest part above the mean
_MAX_BARS = 0.2  # of height and width; more black on every side is no pair of bars
_BAR_PARTS = 64  # into which a row or column is averaged to see whether it is even
_INSETS = (1, 2)
"""Columns beside a bar into which encoders smear it, at best and at worst; of rows, only one.

Rows must stay because the poles may be there.
"""

_DISC_STEP = 4  # every fourth pixel, down and across, is tested for discs
_TORN_EDGES = 6  # of a cube's twelve: a map that was converted as a cubemap is torn along as many
_MIN_ROW_STD = 5.0  # gray levels; rows with less cannot be told from a pole

_HALF_SIDE = 64  # pixels of a half when halves are compared
_HALF_BLUR = 8.0  # pixels; wider structure (sky, ground, light) is shared by halves of any panorama
_MAX_DISPARITY_X, _MAX_DISPARITY_Y = 4, 2  # pixels of 64
_MIN_HALF_STD = 0.5  # gray levels; with less there is no detail to compare
_NOISE_LEVELS = 3.0  # gray levels by which encoders change a picture in which nothing moves
_CHANGE_BLUR = 2.0  # pixels of 64; the eyes of a pair see a change at places that differ by less
_MIN_CHANGE_STD = 0.5  # gray levels above noise; with less nothing changes


@dataclass(frozen=True)
class Box:
    """Part of a frame that its black bars enclose, in shares of height and width."""

    top: float = 0.0
    left: float = 0.0
    bottom: float = 1.0
    right: float = 1.0


def compute_layout_scores(native: NativeFrames, native_size: tuple[int, int]) -> dict[str, float]:
    """Compute all scores of the layout over all sampled frames together.

    Args:
        native: sampled frames in the layout of the video.
        native_size: (height, width) in which the video is stored.

    Returns:
        Scores by name: `box_*` in [0, 1]; `left_right` and `top_bottom` (correlation of halves)
        and `changes_left_right` (correlation of what changes in them) in [-1, 1]; `blank_sides` in
        [0, 1]; evidence in [-1, 1] for a closed seam (`seam*`), poles (`poles*`), joined faces of
        each cube layout (`cube_*`), discs (`circles`, `circle`) and continuity along the edges of
        a cube (`cube_edges`).
    """
    frames = to_gray(native.frames)
    box = find_box(frames)
    whole = _to_pictures(frames)
    inner = _to_pictures(_crop(frames, box, _INSETS[-1])) if box != Box() else whole
    columns = (box.right - box.left) * frames.shape[2]
    lost = 2 * PICTURE[1] / columns if box.left else 0.0  # pixels per column of inset
    seam, halved = _seam_evidence(inner, _INSETS[-1] * lost)
    if box.left:
        narrow = _to_pictures(_crop(frames, box, _INSETS[0]))
        seam, halved = max((seam, halved), _seam_evidence(narrow, _INSETS[0] * lost))
    torn_edges = cube_edges_in_erp(min(PICTURE[1], round(columns)))
    return {
        "box_top": box.top,
        "box_left": box.left,
        "box_bottom": box.bottom,
        "box_right": box.right,
        **correlate_halves(inner),
        "changes_left_right": correlate_changes(inner),
        "seam": seam,
        "seam_left_right": evidence(inner, seam_joins(1, 2)),
        "seam_top_bottom": halved,
        "blank_sides": blank_sides(inner),
        "poles": pole_evidence(inner),
        "poles_left_right": pole_evidence(inner[:, :, : PICTURE[1] // 2]),
        "poles_top_bottom": pole_evidence(inner[:, : PICTURE[0] // 2]),
        "poles_as_eac": pole_evidence(lines_at(inner, eac_rows_in_erp())),
        "cube_eac": max(
            evidence(inner, face_joins(CubeLayout.EAC, margin))
            for margin in _eac_margins(native_size)
        ),
        **{
            f"cube_{layout}": evidence(inner, face_joins(layout))
            for layout in (CubeLayout.C3X2, CubeLayout.CBMP, CubeLayout.C6X1)
        },
        "circles": circle_evidence(whole, 2),
        "circle": circle_evidence(whole, 1),
        "cube_edges": weakest_evidence(inner, torn_edges, _TORN_EDGES),
    }


def _seam_evidence(inner: NDArray[np.float32], lost: float = 0.0) -> tuple[float, float]:
    """Return the evidence for the seam of a whole map [n, 256, 512] and for that of its halves.

    Both use the same edges, in other blocks. `lost` is as in `seam_joins`.
    """
    halved = evidence(inner, seam_joins(2, 1, lost))
    return (evidence(inner, seam_joins(1, 1, lost)) + halved) / 2, halved


def find_box(frames: NDArray[np.uint8]) -> Box:
    """Find the part of gray frames [n, h, w] between black bars that are in every frame.

    Bars have the same width on both sides: if black is wider on one side, that is a cap of the
    sphere that was never filmed, or a dark scene. Black on all four sides is a light in the dark.

    Returns:
        The box; the whole frame if there are no bars or all is black.
    """
    bars = []
    for axis in (0, 1):
        outer = frames[:, [0, -1]] if axis == 0 else np.ascontiguousarray(frames[:, :, [0, -1]])
        if not np.stack([_profile(lines, axis)[0] for lines in outer]).all():
            bars.append(0.0)  # one side is lit, as almost always
            continue
        profiles = [_profile(frame, axis) for frame in frames]
        lit = np.flatnonzero(~np.stack([is_dark for is_dark, _ in profiles]).all(0))
        step = np.stack([step for _, step in profiles]).mean(0)
        size = frames.shape[1 + axis]
        ends = (0, 0)
        if len(lit):
            ends = _find_border(step, lit[0]), _find_border(step[::-1], size - 1 - lit[-1])
        bars.append(min(ends) / size)
    if min(bars) > _MAX_BARS:
        return Box()
    return Box(bars[0], bars[1], 1 - bars[0], 1 - bars[1])


def _profile(frame: NDArray[np.uint8], axis: int) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return which rows (axis 0) or columns (axis 1) are dark and even, and the steps between.

    Steps are mean absolute differences across each border, including the outer borders.
    """
    size = (_BAR_PARTS, frame.shape[0]) if axis == 0 else (frame.shape[1], _BAR_PARTS)
    parts = cv2.resize(frame, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    mean, brightest = parts.mean(1 - axis), parts.max(1 - axis)
    is_dark = (mean <= _MAX_BAR_LEVEL) & (brightest <= mean + _MAX_BAR_SPREAD)
    return is_dark, np.pad(np.abs(np.diff(mean)), 1)


def _find_border(step: NDArray[np.float32], guess: int) -> int:
    """Return the end of a bar of about `guess` lines: the largest step nearby.

    Encoders smear the picture into the bar.
    """
    if guess == 0:
        return 0
    start = max(1, guess - 2)
    return int(start + np.argmax(step[start : guess + 5]))


def _crop(frames: NDArray[np.uint8], box: Box, inset: int) -> NDArray[np.uint8]:
    """Crop to the box and, beside a bar, by `inset` more columns or one more row."""
    height, width = frames.shape[1:]
    top = round(box.top * height) + (box.top > 0)
    left = round(box.left * width) + inset * (box.left > 0)
    return frames[:, top : height - top, left : width - left]


def _eac_margins(native_size: tuple[int, int]) -> list[tuple[float, float]]:
    """Return margins (down, across) that an EAC may have, in pixels of `PICTURE`.

    They are whole, shrunk with a picture of half the size, or absent.
    """
    return [
        (margin * PICTURE[0] / native_size[0], margin * PICTURE[1] / native_size[1])
        for margin in (EAC_MARGIN, EAC_MARGIN / 2, 0)
    ]


def _to_pictures(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Resize gray frames of any shape to [n, 256, 512]."""
    size = PICTURE[::-1]
    shrinks = frames.shape[1] >= PICTURE[0] and frames.shape[2] >= PICTURE[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    pictures = [cv2.resize(frame, size, interpolation=method) for frame in frames]
    return np.stack(pictures).astype(np.float32)


def pole_evidence(pictures: NDArray[np.float32]) -> float:
    """Return the evidence in [-1, 1] that the first and last rows of gray pictures are poles.

    All of a pole's row shows one direction, so it has one color; rows between have several.
    """
    spread = np.median(pictures.std(axis=2), axis=0)  # [rows]
    rest = float(np.percentile(spread, 65))
    if rest < _MIN_ROW_STD:
        return 0.0
    ends = np.array([spread[:2].mean(), spread[-2:].mean()]) / rest
    return float(np.clip(2 - 5 * ends, -1, 1).mean())


def circle_evidence(pictures: NDArray[np.float32], count: int) -> float:
    """Return the evidence in [-1, 1] that `count` bright discs side by side lie on black.

    Args:
        pictures: gray levels [n, 256, 512].
        count: number of discs.
    """
    sparse = pictures[:, ::_DISC_STEP, ::_DISC_STEP]
    outside, rim = (
        float(np.median((sparse[:, mask] <= _MAX_BAR_LEVEL).mean(1)))
        for mask in _circle_masks(count)
    )
    return float(np.clip((outside - 0.85) / 0.1, -1, np.clip((0.7 - rim) / 0.3, 0, 1)))


@cache
def _circle_masks(count: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return masks of every `_DISC_STEP`-th pixel: outside all discs, and inside near a rim."""
    height, width = PICTURE
    x = ((np.arange(0, width, _DISC_STEP) + 0.5) % (width / count)) / (width / count) * 2 - 1
    y = (np.arange(0, height, _DISC_STEP) + 0.5) / height * 2 - 1
    radius = np.hypot(x, y[:, None])
    return radius > 1.06, (radius > 0.8) & (radius < 0.95)


def correlate_halves(pictures: NDArray[np.float32]) -> dict[str, float]:
    """Correlate the halves of gray pictures [n, H, W]: two eyes show the same scene.

    Returns:
        `left_right` and `top_bottom` in [-1, 1]: medians over the pictures.
    """
    height, width = pictures.shape[1:]
    beside = [_correlation(gray[:, : width // 2], gray[:, width // 2 :], 1) for gray in pictures]
    above = [_correlation(gray[: height // 2], gray[height // 2 :], 0) for gray in pictures]
    return {"left_right": float(np.median(beside)), "top_bottom": float(np.median(above))}


def correlate_changes(pictures: NDArray[np.float32]) -> float:
    """Correlate what changes from picture to picture in the left and right halves.

    Two eyes see the same people move and the same camera motion. Halves of one map that look alike,
    because the scene is symmetric, do not: people are on one side, and what comes closer ahead
    recedes behind.

    Args:
        pictures: gray levels [n, H, W].

    Returns:
        The median over successive pictures, in [-1, 1]; 1 if nothing changes.
    """
    middle = pictures.shape[2] // 2
    one, other = (
        np.diff(np.stack([_shrink(half) for half in halves]), axis=0)
        for halves in (pictures[:, :, :middle], pictures[:, :, middle:])
    )
    found = [
        float((a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-6))
        for a, b in zip(map(_denoise, one), map(_denoise, other), strict=True)
        if max(a.std(), b.std()) >= _MIN_CHANGE_STD
    ]
    return float(np.median(found)) if found else 1.0


def _denoise(change: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the change of a half beyond that of its mean level and noise."""
    change = change - change.mean()
    strength = np.maximum(np.abs(change) - _NOISE_LEVELS, 0)
    return np.asarray(cv2.GaussianBlur(np.sign(change) * strength, (0, 0), _CHANGE_BLUR))


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32], axis: int) -> float:
    """Return the best normalized correlation of two halves' detail over small shifts.

    Structure that is the same all along `axis`, on which the halves lie, such as a horizon or a
    margin, is no sign of two eyes and is removed. The result is 0 without detail.
    """
    first, second = _half_detail(one), _half_detail(other)
    shared = (first + second).mean(axis, keepdims=True) / 2
    first, second = first - shared, second - shared
    inner = first[
        _MAX_DISPARITY_Y : _HALF_SIDE - _MAX_DISPARITY_Y,
        _MAX_DISPARITY_X : _HALF_SIDE - _MAX_DISPARITY_X,
    ]
    if inner.std() < _MIN_HALF_STD or second.std() < _MIN_HALF_STD:
        return 0.0
    return float(cv2.matchTemplate(second, inner, cv2.TM_CCOEFF_NORMED).max())


def _half_detail(half: NDArray[np.float32]) -> NDArray[np.float32]:
    small = _shrink(half)
    return np.asarray(small - cv2.GaussianBlur(small, (0, 0), _HALF_BLUR))


def _shrink(half: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(half, (_HALF_SIDE, _HALF_SIDE), interpolation=cv2.INTER_AREA))
