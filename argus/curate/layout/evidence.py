"""What the pixels of a video say about its layout, as named numbers: where black bars end, whether halves repeat, edges join and poles are points.

Evidence lies in [-1, 1]: -1 is surely not, 1 surely, 0 not known. Decisions are `argus.curate.layout.detect`'s.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.curate.frame_sampling import StoredSamples, greys
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
from argus.curate.layout.halves import score_halves
from argus.sphere import CubeLayout

_BAR_LEVEL, _BAR_SPREAD = (
    28.0,
    16.0,
)  # grey levels: rows and columns as dark and as even as that, in all moments, are bars
_FRAMED = 0.2  # of height and width: with so much black on every side, it is not bars
_BAR_PARTS = 64  # that a row or column is averaged into, for a look at its evenness
_INSETS = (
    1,
    2,
)  # columns beside a bar into which encoders smear it, at best and at worst; above and below, where the poles may be, one row must do
_SPARSE = 4  # discs are so large that every fourth pixel tells
_TORN_EDGES = 6  # of a cube's twelve; a map that was taken for an EAC or a cubemap and converted is torn along at least so many
_LEAST_ROWS_STD = 5.0  # grey levels; rows with less show nothing by which a pole could be told


@dataclass(frozen=True)
class Box:
    """The part of a frame inside its black bars, as shares of height and width."""

    top: float = 0.0
    left: float = 0.0
    bottom: float = 1.0
    right: float = 1.0


def score_pixels(stored: StoredSamples, native: tuple[int, int]) -> dict[str, float]:
    """All evidence about the layout, of all moments together; `native` is the (height, width) in which the video is stored."""
    frames = greys(stored.frames)
    box = find_box(frames)
    whole = _pictures(frames)
    inner = _pictures(_cut(frames, box, _INSETS[-1])) if box != Box() else whole
    columns = (box.right - box.left) * frames.shape[2]
    lost = 2 * PICTURE[1] / columns if box.left else 0.0  # for each column beside a bar
    seam, halved = _seam_evidence(inner, _INSETS[-1] * lost)
    if box.left:
        seam, halved = max(
            (seam, halved),
            _seam_evidence(_pictures(_cut(frames, box, _INSETS[0])), _INSETS[0] * lost),
        )
    return {
        "box_top": box.top,
        "box_left": box.left,
        "box_bottom": box.bottom,
        "box_right": box.right,
        **score_halves(inner),
        "seam": seam,
        "seam_left_right": evidence(inner, seam_joins(1, 2)),
        "seam_top_bottom": halved,
        "blank_sides": blank_sides(inner, seam_joins(1, 1)),
        "poles": pole_evidence(inner),
        "poles_left_right": pole_evidence(inner[:, :, : PICTURE[1] // 2]),
        "poles_top_bottom": pole_evidence(inner[:, : PICTURE[0] // 2]),
        "poles_as_eac": pole_evidence(lines_at(inner, eac_rows_in_erp())),
        "cube_eac": max(
            evidence(inner, face_joins(CubeLayout.EAC, margin)) for margin in _margins(native)
        ),
        **{
            f"cube_{layout}": evidence(inner, face_joins(layout))
            for layout in (CubeLayout.C3X2, CubeLayout.CBMP, CubeLayout.C6X1)
        },
        "circles": circle_evidence(whole, 2),
        "circle": circle_evidence(whole, 1),
        "cube_edges": weakest_evidence(
            inner, cube_edges_in_erp(min(PICTURE[1], round(columns))), _TORN_EDGES
        ),
    }


def _seam_evidence(inner: NDArray[np.float32], lost: float = 0.0) -> tuple[float, float]:
    """The evidence for the seam of a whole map [n, 256, 512], and of its upper and lower half; `lost` as in `seam_joins`."""
    halved = evidence(
        inner, seam_joins(2, 1, lost)
    )  # the same edges as the whole map's, in other blocks
    return (evidence(inner, seam_joins(1, 1, lost)) + halved) / 2, halved


def find_box(frames: NDArray[np.uint8]) -> Box:
    """What lies between black bars that are there in every frame [n, h, w]; the whole where all is black.

    Bars are of one width on both sides: black that is wider on one side is a cap of the sphere that was never filmed, or a dark scene;
    and black all around is no pair of bars but a light in the dark.
    """
    bars = []
    for axis in (0, 1):
        outer = frames[:, [0, -1]] if axis == 0 else np.ascontiguousarray(frames[:, :, [0, -1]])
        if not np.stack([_profile(lines, axis)[0] for lines in outer]).all():
            bars.append(0.0)  # a side is lit at once, as almost always
            continue
        profiles = [_profile(frame, axis) for frame in frames]
        lit = np.flatnonzero(~np.stack([dark for dark, _ in profiles]).all(0))
        step = np.stack([step for _, step in profiles]).mean(0)
        size = frames.shape[1 + axis]
        ends = (
            (_border(step, lit[0]), _border(step[::-1], size - 1 - lit[-1])) if len(lit) else (0, 0)
        )
        bars.append(min(ends) / size)
    if min(bars) > _FRAMED:
        return Box()
    return Box(bars[0], bars[1], 1 - bars[0], 1 - bars[1])


def _profile(frame: NDArray[np.uint8], axis: int) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Which rows (axis 0) or columns (1) are dark and even, and the mean step across each border between them, outer borders too."""
    size = (_BAR_PARTS, frame.shape[0]) if axis == 0 else (frame.shape[1], _BAR_PARTS)
    parts = cv2.resize(frame, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    mean, most = parts.mean(1 - axis), parts.max(1 - axis)
    return (mean <= _BAR_LEVEL) & (most <= mean + _BAR_SPREAD), np.pad(np.abs(np.diff(mean)), 1)


def _border(step: NDArray[np.float32], guess: int) -> int:
    """Where a bar of about `guess` lines ends: at the largest step nearby, as encoders smear the picture into it."""
    if guess == 0:
        return 0
    start = max(1, guess - 2)
    return int(start + np.argmax(step[start : guess + 5]))


def _cut(frames: NDArray[np.uint8], box: Box, inset: int) -> NDArray[np.uint8]:
    """Inside the box, and a little further where there is a bar: `inset` columns, or one row."""
    height, width = frames.shape[1:]
    top = round(box.top * height) + (box.top > 0)
    left = round(box.left * width) + inset * (box.left > 0)
    return frames[:, top : height - top, left : width - left]


def _margins(native: tuple[int, int]) -> list[tuple[float, float]]:
    """Margins (down, across) that an EAC stored at `native` (height, width) may have, in pixels of `PICTURE`: whole, shrunk with it, or none."""
    return [
        (left * PICTURE[0] / native[0], left * PICTURE[1] / native[1])
        for left in (EAC_MARGIN, EAC_MARGIN / 2, 0)
    ]


def _pictures(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Grey levels [n, 256, 512], whatever the shape."""
    size = PICTURE[::-1]
    shrinks = frames.shape[1] >= PICTURE[0] and frames.shape[2] >= PICTURE[1]
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.stack([cv2.resize(frame, size, interpolation=way) for frame in frames]).astype(
        np.float32
    )


def pole_evidence(pictures: NDArray[np.float32]) -> float:
    """Whether the first and the last row are one colour each, as all of a pole's row shows one direction, while rows between are not."""
    spread = np.median(pictures.std(axis=2), axis=0)  # [rows]
    rest = float(np.percentile(spread, 65))
    if rest < _LEAST_ROWS_STD:
        return 0.0
    ends = np.array([spread[:2].mean(), spread[-2:].mean()]) / rest
    return float(np.clip(2 - 5 * ends, -1, 1).mean())


def circle_evidence(pictures: NDArray[np.float32], count: int) -> float:
    """Whether `count` bright discs side by side fill the picture, and all about them is dark."""
    sparse = pictures[:, ::_SPARSE, ::_SPARSE]
    outside, rim = (
        float(np.median((sparse[:, mask] <= _BAR_LEVEL).mean(1))) for mask in _circle_masks(count)
    )
    return float(np.clip((outside - 0.85) / 0.1, -1, np.clip((0.7 - rim) / 0.3, 0, 1)))


@cache
def _circle_masks(count: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Every `_SPARSE`-th pixel of `PICTURE`, both ways: those outside all of `count` discs side by side, and those near a rim within."""
    height, width = PICTURE
    x = ((np.arange(0, width, _SPARSE) + 0.5) % (width / count)) / (width / count) * 2 - 1
    y = (np.arange(0, height, _SPARSE) + 0.5) / height * 2 - 1
    radius = np.hypot(x, y[:, None])
    return radius > 1.06, (radius > 0.8) & (radius < 0.95)
