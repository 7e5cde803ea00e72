"""Continuity of a picture across the edges that a layout declares to be neighbors on the sphere.

A join is a pair of lines that should be neighbors, each with a second line a little deeper in the
picture. Detail continues across a true join as well as it does within the picture; unrelated lines
do not correlate. Evidence is in [-1, 1]: −1 no join, 1 a join, 0 unknown because the lines show no
detail.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.sphere import CubeLayout, erp_to_cube

PICTURE = (256, 512)
"""(H, W) of the pictures in which joins are measured, whatever the stored shape."""

EAC_MARGIN = 2
"""Pixels around each row of faces of an EAC as it is stored; see `argus.sphere`."""

_DEPTH = 1.25
"""Pixels from an edge to the first line; the second line is three times as deep.

This is clear of what encoders smear across an edge.
"""

_POINTS = 64  # along an edge of a face of the cube
_BLOCK = 32  # points correlated together, so that one strong feature, as a horizon, counts once
_DETAIL_SIGMA = 6.0  # points; wider structure is shared by unrelated lines: sky above, ground below
_MIN_STD = 2.0  # gray levels; a block with less detail is not counted
_MAX_SHARED = 0.5  # correlation with unrelated lines above which a block is not counted
_FULL_SHARE = 0.1  # share of blocks that count, from which on their evidence counts fully
_MIN_GAIN = 0.3  # by which lines within the picture must correlate more than unrelated ones
_MIN_DETAILED_SHARE = 0.25  # of blocks elsewhere that must show detail before its lack tells
_UNRELATED = (2.5 / 12, 3.5 / 12, 5.5 / 12, 6.5 / 12, 9.5 / 12)
"""Columns of a map, in shares of its width, that are compared with those at its seam.

None is a multiple of 30°, 45°, 60° or 90° away from the seam: in a symmetric room those look alike.
"""

_STEP_LEVELS = (6.0, 10.0)  # gray levels: a step that may occur, and the excess that is certain


@dataclass(frozen=True, eq=False)
class Joins:
    """Pairs of lines as pixel coordinates (x, y) in a picture of size `PICTURE`.

    Attributes:
        one: [joins, 2, points, 2], two lines from the edge inward.
        other: [joins, 2, points, 2], likewise on the other side of the join.
        unrelated: [joins, lines, points, 2], parallel lines that are neighbors of neither.
    """

    one: NDArray[np.float32]
    other: NDArray[np.float32]
    unrelated: NDArray[np.float32] | None = None


def evidence(pictures: NDArray[np.float32], joins: Joins) -> float:
    """Return the evidence in [-1, 1] for joins over gray pictures [n, 256, 512]."""
    one, other = lines_at(pictures, joins.one), lines_at(pictures, joins.other)  # [n, joins, 2, p]
    near, far = _to_blocks(_high_pass(one)), _to_blocks(_high_pass(other))  # [2, blocks, block]
    shared = np.zeros(near.shape[1], np.float32)
    if joins.unrelated is not None:
        elsewhere = _to_blocks(_high_pass(lines_at(pictures, joins.unrelated)))
        correlations = [_correlate(near[0], line) for line in elsewhere]
        shared = np.maximum(0, np.mean(correlations, axis=0))
    counts = (np.minimum(near[0].std(1), far[0].std(1)) > _MIN_STD) & (shared < _MAX_SHARED)
    certainty, score = 0.0, 0.0
    if counts.any():
        across, within, base = (
            float(values[counts].mean())
            for values in (
                _correlate(near[0], far[0]),
                (_correlate(*near) + _correlate(*far)) / 2,
                shared,
            )
        )
        coverage = min(1.0, float(counts.mean()) / _FULL_SHARE)
        certainty = coverage * float(np.clip((within - base) / _MIN_GAIN, 0, 1))
        score = (across - base) / max(within - base, _MIN_GAIN)
    by_detail = float(np.clip(4 * score - 2, -1, 1))
    return certainty * by_detail - (1 - certainty) * _step_evidence(one, other)


def weakest_evidence(pictures: NDArray[np.float32], joins: Joins, count: int) -> float:
    """Return the mean evidence of the `count` joins with the least, each by itself, in [-1, 1]."""
    single = (Joins(joins.one[k : k + 1], joins.other[k : k + 1]) for k in range(len(joins.one)))
    return float(np.mean(sorted(evidence(pictures, one) for one in single)[:count]))


def blank_sides(pictures: NDArray[np.float32]) -> float:
    """Return how much less detail the sides of pictures show than lines elsewhere, in [0, 1].

    In a map the sides are lines like any other.
    """
    width = PICTURE[1]
    columns = np.array([_DEPTH, width - _DEPTH, *(width * np.arange(2, 7) / 8)])
    detail = _high_pass(lines_at(pictures, _columns_of_map(PICTURE, (0, 0), columns)[None]))
    # structure shared by all lines, such as the bar of a title, is not the detail of any one line
    own = _to_blocks(detail - np.median(detail, axis=2, keepdims=True))
    shares = (own.std(-1) > _MIN_STD).mean(1)  # [lines]
    elsewhere = float(shares[2:].mean())
    if elsewhere <= _MIN_DETAILED_SHARE:
        return 0.0
    return max(0.0, 1 - float(shares[:2].max()) / elsewhere)


def _step_evidence(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the evidence in [0, 1] of a brightness step at the joins that the scene lacks."""
    first, second = _to_blocks(one).mean(-1), _to_blocks(other).mean(-1)  # [2, blocks]
    step = float(np.median(np.abs(first[0] - second[0])))
    inside = float(np.median(np.abs(np.stack([first[0] - first[1], second[0] - second[1]]))))
    return float(np.clip((step - 2 * inside - _STEP_LEVELS[0]) / _STEP_LEVELS[1], 0, 1))


def lines_at(
    pictures: NDArray[np.float32], coordinates: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Sample gray pictures along lines.

    Args:
        pictures: [n, 256, 512].
        coordinates: (x, y) in pixels, [..., points, 2].

    Returns:
        Gray levels [n, ..., points].
    """
    flat = coordinates.reshape(-1, coordinates.shape[-2], 2)
    lines = [
        cv2.remap(
            picture, flat[..., 0], flat[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        for picture in pictures
    ]
    return np.stack(lines).reshape(len(pictures), *coordinates.shape[:-1])


def _high_pass(lines: NDArray[np.float32]) -> NDArray[np.float32]:
    """Subtract structure wider than `_DETAIL_SIGMA` points from lines [..., points]."""
    flat = lines.reshape(-1, lines.shape[-1])
    wide = cv2.GaussianBlur(
        flat, (0, 0), sigmaX=_DETAIL_SIGMA, sigmaY=1e-3, borderType=cv2.BORDER_REFLECT
    )
    return (flat - wide).reshape(lines.shape)


def _to_blocks(lines: NDArray[np.float32]) -> NDArray[np.float32]:
    """Reshape [n, joins, lines, points] to [lines, blocks, block]."""
    return lines.transpose(2, 0, 1, 3).reshape(lines.shape[2], -1, _BLOCK)


def _correlate(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    energy = np.sqrt((one * one).sum(-1) * (other * other).sum(-1))
    return (one * other).sum(-1) / np.maximum(energy, 1e-6)


@cache
def seam_joins(rows: int, columns: int, lost: float = 0.0) -> Joins:
    """Return the joins of the left and right edges of all maps in a picture.

    Args:
        rows: maps above each other.
        columns: maps beside each other.
        lost: pixels missing at each seam.
    """
    size = PICTURE[0] / rows, PICTURE[1] / columns
    # the second line is as far from the first one as the first lines are from each other
    depths = np.array([_DEPTH, 3 * _DEPTH + lost])
    maps = [(row, column) for row in range(rows) for column in range(columns)]

    def lines(offsets: NDArray[np.float64]) -> NDArray[np.float32]:
        return np.stack([_columns_of_map(size, position, offsets) for position in maps])

    unrelated = lines(size[1] * np.array(_UNRELATED))
    return Joins(lines(depths), lines(size[1] - depths), unrelated)


def _columns_of_map(
    size: tuple[float, float], position: tuple[int, int], offsets: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return columns of one of several maps in a picture, without the poles, [lines, points, 2].

    Args:
        size: (height, width) of a map in pixels.
        position: (row, column) of the map.
        offsets: pixels from the left edge of the map [lines].
    """
    height, width = size
    points = int(height) // _BLOCK * _BLOCK
    # at the poles all columns are alike
    along = 0.04 + 0.92 * (np.arange(points) + 0.5) / points
    x = np.broadcast_to((position[1] * width + offsets - 0.5)[:, None], (len(offsets), points))
    y = np.broadcast_to((position[0] + along) * height - 0.5, x.shape)
    return np.stack([x, y], -1).astype(np.float32)


@cache
def face_joins(layout: CubeLayout, margin: tuple[float, float] = (0.0, 0.0)) -> Joins:
    """Return the joins of a cube's edges whose two faces are not neighbors in the packed picture.

    Args:
        layout: packing of the faces.
        margin: pixels (down, across) around each row of faces, as in an EAC.
    """
    rows, columns = (1, 6) if layout == CubeLayout.C6X1 else (2, 3)
    axes = _face_axes(layout, rows, columns)
    tile = np.array([(PICTURE[1] - 2 * margin[1]) / columns, PICTURE[0] / rows - 2 * margin[0]])
    # from face to face: margins are around each row, not between its faces
    pitch = np.array([tile[0], PICTURE[0] / rows])

    def lines_along(
        face: int, edge: NDArray[np.float64], outward: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return [2, points, 2] of cube points `edge` [points, 3], pushed inward in their face."""
        # in [-1, 1]; also right for equal angles, as points are evenly spaced in both
        in_face = edge @ axes[face, :2].T
        corner = np.array([face % columns, face // columns])
        inward = np.array([1.0, 3.0])[:, None, None] * _DEPTH * (axes[face, :2] @ outward)
        return np.asarray(margin[::-1] + corner * pitch + (in_face + 1) / 2 * tile - inward - 0.5)

    along = (np.arange(_POINTS) + 0.5) / _POINTS * 2 - 1
    one: list[NDArray[np.float64]] = []
    other: list[NDArray[np.float64]] = []
    for face in range(6):
        for axis, sign in ((0, 1), (0, -1), (1, 1), (1, -1)):
            outward, forward = sign * axes[face, axis], axes[face, 2]
            neighbor = int(np.argmax(axes[:, 2] @ outward))
            edge = along[:, None] * axes[face, 1 - axis] + outward + forward
            here = lines_along(face, edge, outward)
            there = lines_along(neighbor, edge, forward)
            if face < neighbor and np.abs(here[0] - there[0]).max() > 6 * _DEPTH:
                one.append(here)
                other.append(there)
    return Joins(np.stack(one).astype(np.float32), np.stack(other).astype(np.float32))


def _face_axes(layout: CubeLayout, rows: int, columns: int) -> NDArray[np.float64]:
    """Return unit vectors right, down and forward of each face, [6, 3, 3]."""
    side = 16
    packed = erp_to_cube(_erp_rays(4 * side)[None], side, layout)[0]
    faces = packed.reshape(rows, side, columns, side, 3).swapaxes(1, 2).reshape(6, side, side, 3)
    right = (faces[:, :, side // 2 :] - faces[:, :, : side // 2]).sum((1, 2))
    down = (faces[:, side // 2 :] - faces[:, : side // 2]).sum((1, 2))
    axes = np.stack([right, down, faces.sum((1, 2))], 1)
    return np.rint(axes / np.abs(axes).max(-1, keepdims=True))


def _erp_rays(height: int) -> NDArray[np.float32]:
    """Return unit rays [height, 2·height, 3] of an ERP map's pixels."""
    lon = ((np.arange(2 * height) + 0.5) / (2 * height) - 0.5) * 2 * np.pi
    lat = (0.5 - (np.arange(height) + 0.5) / height)[:, None] * np.pi
    return np.stack(
        np.broadcast_arrays(np.cos(lat) * np.sin(lon), -np.sin(lat), np.cos(lat) * np.cos(lon)), -1
    ).astype(np.float32)


@cache
def cube_edges_in_erp(columns: int = PICTURE[1]) -> Joins:
    """Return the twelve edges of a cube around an ERP map.

    They are invisible in a map, but a map that was mistaken for a cubemap and converted is torn
    along them.

    Args:
        columns: columns of the stored map; if there are fewer than in `PICTURE`, the lines are
            deep enough to be clear of what enlarging blends across a tear.
    """
    width = PICTURE[1]
    depth = _DEPTH * max(1.0, width / columns)
    along = (np.arange(_POINTS) + 0.5) / _POINTS * 2 - 1
    offsets = np.array([1.0, 3.0])[:, None, None] * depth * (2 * np.pi / width) * 2
    one: list[NDArray[np.float64]] = []
    other: list[NDArray[np.float64]] = []
    for first in range(3):
        for second in range(first + 1, 3):
            for signs in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                a, b = signs[0] * np.eye(3)[first], signs[1] * np.eye(3)[second]
                free = np.eye(3)[3 - first - second]
                for near_face, far_face, lines in ((a, b, one), (b, a, other)):
                    rays = near_face + (1 - offsets) * far_face + along[:, None] * free
                    lines.append(_rays_to_erp(rays))
    return Joins(np.stack(one).astype(np.float32), np.stack(other).astype(np.float32))


@cache
def eac_rows_in_erp() -> NDArray[np.float32]:
    """Return where rows of an EAC picture lie in an ERP map, [36, 128, 2].

    The first and the last two rows are at the edges of the EAC, the others evenly spaced. A map
    that was mistaken for an EAC shows its own poles along the first and the last row.
    """
    packed = erp_to_cube(_erp_rays(1024)[None], (128, 170), CubeLayout.EAC)[0]
    inside = packed[EAC_MARGIN + 1 : -EAC_MARGIN - 1, EAC_MARGIN + 1 : -EAC_MARGIN - 1]
    last = len(inside) - 1
    rows = np.concatenate([[0, 1], np.linspace(2, last - 2, 32).astype(int), [last - 1, last]])
    columns = np.linspace(0, inside.shape[1] - 1, 128).astype(int)
    return _rays_to_erp(inside[rows][:, columns]).astype(np.float32)


def _rays_to_erp(rays: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return pixel coordinates (x, y) in an ERP map of `PICTURE` of rays [..., 3]."""
    x, y, z = np.moveaxis(np.asarray(rays, np.float64), -1, 0)
    column = (np.arctan2(x, z) / (2 * np.pi) + 0.5) * PICTURE[1] - 0.5
    row = (np.arctan2(y, np.hypot(x, z)) / np.pi + 0.5) * PICTURE[0] - 0.5
    return np.stack([column, row], -1)
