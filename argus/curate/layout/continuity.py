"""Is a picture continuous where a layout says that two of its lines are neighbours on the sphere? The evidence of pixels for or against a layout.

A join is a pair of lines, each with a second one a little deeper in the picture. Across a true join detail goes on as well as it does within the
picture; between lines that have nothing to do with each other it does not correlate. Where lines show no detail, nothing is known.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.sphere import CubeLayout, erp_to_cube

PICTURE = (256, 512)
"""(H, W) of the pictures in which joins are measured, whatever shape is stored."""

EAC_MARGIN = 2
"""Pixels around each row of an EAC as it is stored; see `argus.sphere`."""

_DEPTH = 1.25  # pixels from an edge to the first line; the second lies three times as deep. Clear of what encoders smear across an edge.
_POINTS = 64  # along an edge of a cube's face
_BLOCK = 32  # points that are correlated together, so that one strong feature, such as a horizon, is one voice of many
_DETAIL = 6.0  # points; along a line, what is wider is shared by unrelated lines too: sky above, ground below
_LEAST_STD = 2.0  # grey levels; a block with less detail has no voice
_MOST_SHARED = 0.5  # a block that correlates more than that with unrelated lines has none either
_ENOUGH = 0.1  # share of blocks with a voice from which on their evidence counts fully
_LEAST_GAIN = 0.3  # by which neighbours within the picture must correlate more than unrelated lines, for their correlation to tell
_LEAST_SHARE = 0.25  # of blocks elsewhere that must show detail before its lack at the sides tells
_STEP = (
    6.0,
    10.0,
)  # grey levels: a step that may be, and what it takes beyond to be sure that it is none of the picture's own


@dataclass(frozen=True, eq=False)
class Joins:
    """Pairs of lines as pixel coordinates (x, y) in a picture of `PICTURE`; two lines each, from the edge inwards."""

    one: NDArray[np.float32]  # [joins, 2, points, 2]
    other: NDArray[np.float32]  # [joins, 2, points, 2]
    unrelated: NDArray[np.float32] | None = (
        None  # [joins, lines, points, 2]: lines of the same direction that are neighbours of neither
    )


def evidence(pictures: NDArray[np.float32], joins: Joins) -> float:
    """How surely the joins are none (-1) or true (1), over all pictures `[n, 256, 512]` of grey levels; 0 where nothing is known."""
    one, other = (
        lines_at(pictures, joins.one),
        lines_at(pictures, joins.other),
    )  # [n, joins, 2, points]
    near, far = _blocks(_detail(one)), _blocks(_detail(other))  # [2, voices, block]
    shared = np.zeros(near.shape[1], np.float32)
    if joins.unrelated is not None:
        elsewhere = _blocks(_detail(lines_at(pictures, joins.unrelated)))
        shared = np.maximum(
            0, np.mean([_correlations(near[0], line) for line in elsewhere], axis=0)
        )
    has_voice = (np.minimum(near[0].std(1), far[0].std(1)) > _LEAST_STD) & (shared < _MOST_SHARED)
    known, score = 0.0, 0.0
    if has_voice.any():
        across, within, base = (
            float(values[has_voice].mean())
            for values in (
                _correlations(near[0], far[0]),
                (_correlations(*near) + _correlations(*far)) / 2,
                shared,
            )
        )
        known = min(1.0, float(has_voice.mean()) / _ENOUGH) * float(
            np.clip((within - base) / _LEAST_GAIN, 0, 1)
        )
        score = (across - base) / max(within - base, _LEAST_GAIN)
    return known * float(np.clip(4 * score - 2, -1, 1)) - (1 - known) * _jump(one, other)


def weakest_evidence(pictures: NDArray[np.float32], joins: Joins, count: int) -> float:
    """The mean evidence of the `count` joins with the least, each by itself, in [-1, 1]."""
    single = (Joins(joins.one[k : k + 1], joins.other[k : k + 1]) for k in range(len(joins.one)))
    return float(np.mean(sorted(evidence(pictures, one) for one in single)[:count]))


def blank_sides(pictures: NDArray[np.float32], seam: Joins) -> float:
    """How much less detail the sides of pictures show than lines elsewhere, in [0, 1]: those of a map are lines like any other."""
    assert seam.unrelated is not None, "a seam has lines elsewhere"
    places = np.concatenate([seam.one[:, :1], seam.other[:, :1], seam.unrelated], axis=1)
    detail = _detail(lines_at(pictures, places))
    own = _blocks(
        detail - np.median(detail, axis=2, keepdims=True)
    )  # what all lines share, such as a title's bar, is no line's own
    shares = (own.std(-1) > _LEAST_STD).mean(1)  # [lines]
    elsewhere = float(shares[2:].mean())
    return max(0.0, 1 - float(shares[:2].max()) / elsewhere) if elsewhere > _LEAST_SHARE else 0.0


def _jump(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """How surely there is a step of brightness at the joins that is none of the picture's own, in [0, 1]."""
    first, second = _blocks(one).mean(-1), _blocks(other).mean(-1)  # [2, voices]
    step = float(np.median(np.abs(first[0] - second[0])))
    inside = float(np.median(np.abs(np.stack([first[0] - first[1], second[0] - second[1]]))))
    return float(np.clip((step - 2 * inside - _STEP[0]) / _STEP[1], 0, 1))


def lines_at(pictures: NDArray[np.float32], places: NDArray[np.float32]) -> NDArray[np.float32]:
    """Grey levels [n, ..., points] of pictures [n, 256, 512] at places [..., points, 2], (x, y)."""
    flat = places.reshape(-1, places.shape[-2], 2)
    lines = [
        cv2.remap(
            picture, flat[..., 0], flat[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        for picture in pictures
    ]
    return np.stack(lines).reshape(len(pictures), *places.shape[:-1])


def _detail(lines: NDArray[np.float32]) -> NDArray[np.float32]:
    flat = lines.reshape(-1, lines.shape[-1])
    wide = cv2.GaussianBlur(
        flat, (0, 0), sigmaX=_DETAIL, sigmaY=1e-3, borderType=cv2.BORDER_REFLECT
    )
    return (flat - wide).reshape(lines.shape)


def _blocks(lines: NDArray[np.float32]) -> NDArray[np.float32]:
    """[lines, voices, block] of [n, joins, lines, points]."""
    return lines.transpose(2, 0, 1, 3).reshape(lines.shape[2], -1, _BLOCK)


def _correlations(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    energy = np.sqrt((one * one).sum(-1) * (other * other).sum(-1))
    return (one * other).sum(-1) / np.maximum(energy, 1e-6)


@cache
def seam_joins(rows: int, columns: int, lost: float = 0.0) -> Joins:
    """Left and right edge of every map, where a picture holds `rows` × `columns` of them; `lost` pixels are missing at each seam."""
    height, width = PICTURE[0] / rows, PICTURE[1] / columns
    points = int(height) // _BLOCK * _BLOCK
    along = (
        0.04 + 0.92 * (np.arange(points) + 0.5) / points
    )  # beside the poles, where all columns are alike
    depths = np.array(
        [_DEPTH, 3 * _DEPTH + lost]
    )  # the second as far from the first as the lines are from each other

    def columns_at(row: int, column: int, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """[lines, points, 2] of columns `places` pixels into a map."""
        x = np.broadcast_to((column * width + places - 0.5)[:, None], (len(places), points))
        return np.stack([x, np.broadcast_to((row + along) * height - 0.5, x.shape)], -1)

    maps = [(row, column) for row in range(rows) for column in range(columns)]

    def lines(places: NDArray[np.float64]) -> NDArray[np.float32]:
        return np.stack([columns_at(*place, places) for place in maps]).astype(np.float32)

    return Joins(lines(depths), lines(width - depths), lines(width * np.arange(2, 7) / 8))


@cache
def face_joins(layout: CubeLayout, margin: tuple[float, float] = (0.0, 0.0)) -> Joins:
    """The edges of a cube whose two faces do not already lie side by side in the packed picture.

    `margin` (down, across) in pixels lies about each row of faces, as in an EAC.
    """
    rows, columns = (1, 6) if layout == CubeLayout.C6X1 else (2, 3)
    axes = _face_axes(layout, rows, columns)
    tile = np.array([(PICTURE[1] - 2 * margin[1]) / columns, PICTURE[0] / rows - 2 * margin[0]])
    start = np.array(
        [tile[0], PICTURE[0] / rows]
    )  # from face to face: margins lie about each row, not between its faces

    def places(
        face: int, edge: NDArray[np.float64], outward: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """[2, points, 2] of points `edge` [points, 3] of a face of the cube, pushed inwards from the edge that lies `outward`."""
        in_face = (
            edge @ axes[face, :2].T
        )  # in [-1, 1]; angles share them, as the points lie evenly either way
        corner = np.array([face % columns, face // columns])
        inward = np.array([1.0, 3.0])[:, None, None] * _DEPTH * (axes[face, :2] @ outward)
        return np.asarray(margin[::-1] + corner * start + (in_face + 1) / 2 * tile - inward - 0.5)

    along = (np.arange(_POINTS) + 0.5) / _POINTS * 2 - 1
    one: list[NDArray[np.float64]] = []
    other: list[NDArray[np.float64]] = []
    for face in range(6):
        for axis, sign in ((0, 1), (0, -1), (1, 1), (1, -1)):
            outward, forward = sign * axes[face, axis], axes[face, 2]
            beyond = int(np.argmax(axes[:, 2] @ outward))
            edge = along[:, None] * axes[face, 1 - axis] + outward + forward
            here, there = places(face, edge, outward), places(beyond, edge, forward)
            if face < beyond and np.abs(here[0] - there[0]).max() > 6 * _DEPTH:
                one.append(here)
                other.append(there)
    return Joins(np.stack(one).astype(np.float32), np.stack(other).astype(np.float32))


def _face_axes(layout: CubeLayout, rows: int, columns: int) -> NDArray[np.float64]:
    """[6, 3, 3] unit vectors right, down and forward of each face, as `argus.sphere` packs them."""
    side = 16
    packed = erp_to_cube(_erp_rays(4 * side)[None], side, layout)[0]
    faces = packed.reshape(rows, side, columns, side, 3).swapaxes(1, 2).reshape(6, side, side, 3)
    right = (faces[:, :, side // 2 :] - faces[:, :, : side // 2]).sum((1, 2))
    down = (faces[:, side // 2 :] - faces[:, : side // 2]).sum((1, 2))
    axes = np.stack([right, down, faces.sum((1, 2))], 1)
    return np.rint(axes / np.abs(axes).max(-1, keepdims=True))


def _erp_rays(height: int) -> NDArray[np.float32]:
    """Unit rays [height, 2·height, 3] of an ERP map's pixels."""
    lon = ((np.arange(2 * height) + 0.5) / (2 * height) - 0.5) * 2 * np.pi
    lat = (0.5 - (np.arange(height) + 0.5) / height)[:, None] * np.pi
    return np.stack(
        np.broadcast_arrays(np.cos(lat) * np.sin(lon), -np.sin(lat), np.cos(lat) * np.cos(lon)), -1
    ).astype(np.float32)


@cache
def cube_edges_in_erp(columns: int = PICTURE[1]) -> Joins:
    """The twelve edges of a cube about an ERP map: no lines to the eye, but where a map that was taken for a cubemap is torn.

    In a map that is stored with fewer `columns` than `PICTURE` has, its lines lie clear of what enlarging blends across a tear.
    """
    width = PICTURE[1]
    depth = _DEPTH * max(1.0, width / columns)
    along = (np.arange(_POINTS) + 0.5) / _POINTS * 2 - 1
    one: list[NDArray[np.float64]] = []
    other: list[NDArray[np.float64]] = []
    for first in range(3):
        for second in range(first + 1, 3):
            for signs in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                a, b, free = (
                    signs[0] * np.eye(3)[first],
                    signs[1] * np.eye(3)[second],
                    np.eye(3)[3 - first - second],
                )
                near = np.array([1.0, 3.0])[:, None, None] * depth * (2 * np.pi / width) * 2
                for near_face, far_face, into in ((a, b, one), (b, a, other)):
                    into.append(_in_erp(near_face + (1 - near) * far_face + along[:, None] * free))
    return Joins(np.stack(one).astype(np.float32), np.stack(other).astype(np.float32))


@cache
def eac_rows_in_erp() -> NDArray[np.float32]:
    """Where rows of an EAC's picture lie in an ERP map, [36, 128, 2]: the first and the last two at its edges, those between evenly spread.

    A map that was taken for an EAC shows its own poles along the first and the last.
    """
    packed = erp_to_cube(_erp_rays(1024)[None], (128, 170), CubeLayout.EAC)[0]
    inside = packed[EAC_MARGIN + 1 : -EAC_MARGIN - 1, EAC_MARGIN + 1 : -EAC_MARGIN - 1]
    last = len(inside) - 1
    rows = np.concatenate([[0, 1], np.linspace(2, last - 2, 32).astype(int), [last - 1, last]])
    return _in_erp(inside[rows][:, np.linspace(0, inside.shape[1] - 1, 128).astype(int)]).astype(
        np.float32
    )


def _in_erp(rays: NDArray[np.floating]) -> NDArray[np.float64]:
    """Pixel coordinates (x, y) in an ERP map of `PICTURE` of rays [..., 3] of any length."""
    x, y, z = np.moveaxis(np.asarray(rays, np.float64), -1, 0)
    column = (np.arctan2(x, z) / (2 * np.pi) + 0.5) * PICTURE[1] - 0.5
    row = (np.arctan2(y, np.hypot(x, z)) / np.pi + 0.5) * PICTURE[0] - 0.5
    return np.stack([column, row], -1)
