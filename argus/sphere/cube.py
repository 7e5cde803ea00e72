"""Cubemaps: plain 3x2 and 6x1, and the equi-angular cubemap (EAC) as YouTube lays it out.

Faces of the plain layouts stand in ffmpeg's default order (right, left, up, down, front, back), row by row; "6x1" is six side by side. The EAC's
upper row is left, front, right; its lower row is down, back, up, lying on their sides, so that each row is one continuous band. It has margins of 2
pixels left and right of the picture and above and below each row (as ffmpeg's v360 found in YouTube's files); the bands continue into them.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

import numpy as np

from argus.errors import InvalidInput
from argus.sphere.arrays import Array, Frames, Interpolation, channels_last, namespace_of, own_order, real_like
from argus.sphere.grid import Rays, checked_size, erp_grid, erp_pixels, turned
from argus.sphere.rotations import from_euler_deg
from argus.sphere.sampling import MINIFY, PAD, pad_erp, reduced, reduced_erp, sample


class CubeLayout(StrEnum):
    """How six faces lie in one picture."""

    C3X2 = "3x2"
    C6X1 = "6x1"
    EAC = "eac"


@dataclass(frozen=True)
class _Packing:
    rows: int
    columns: int
    tiles: np.ndarray  # [6, 3, 3] camera-to-world of each tile, row by row
    equiangular: bool = False
    margin: int = 0  # pixels


_RIGHT, _LEFT, _UP, _DOWN, _FRONT, _BACK = (90, 0), (-90, 0), (0, 90), (0, -90), (0, 0), (180, 0)
_PLAIN = ((_RIGHT, 0), (_LEFT, 0), (_UP, 0), (_DOWN, 0), (_FRONT, 0), (_BACK, 0))
_ROLLED = ((_LEFT, 0), (_FRONT, 0), (_RIGHT, 0), (_DOWN, 90), (_BACK, -90), (_UP, 90))


@cache
def _packings() -> dict[CubeLayout, _Packing]:
    plain, rolled = (np.stack([from_euler_deg(*face, roll) for face, roll in faces]) for faces in (_PLAIN, _ROLLED))
    return {
        CubeLayout.C3X2: _Packing(2, 3, plain),
        CubeLayout.C6X1: _Packing(1, 6, plain),
        CubeLayout.EAC: _Packing(2, 3, rolled, equiangular=True, margin=2),
    }


def erp_to_cube(erp: Frames, face: int, layout: CubeLayout | str = CubeLayout.C3X2, *, interpolation: Interpolation = "linear") -> Frames:
    """ERP frames (numpy `[T, H, W, C]`, torch `[T, C, H, W]`) as packed cubemaps with faces of `face` pixels. Raises InvalidInput."""
    packing = _packing(layout)
    if face <= 2 * packing.margin:
        raise InvalidInput(f"face is {face}, but must be more than {2 * packing.margin} pixels")
    frames = channels_last(erp)
    frames = reduced_erp(frames, frames.shape[2] / (4 * face))
    size = int(frames.shape[1]), int(frames.shape[2])
    x, y, z = (real_like(axis[None], frames) for axis in _packed_rays(packing, face))
    column, row = erp_pixels((x, y, z), size)
    cube: Frames = own_order(sample(pad_erp(frames), column + PAD, row + PAD, interpolation))
    return cube


def cube_to_erp(
    cube: Frames, erp_size: tuple[int, int], layout: CubeLayout | str = CubeLayout.C3X2, *, interpolation: Interpolation = "linear"
) -> Frames:
    """ERP frames `[T, H, W, C]` (torch `[T, C, H, W]`) of packed cubemaps, whose faces a codec may have stretched. Raises InvalidInput."""
    packing = _packing(layout)
    size = checked_size(erp_size)
    frames = channels_last(cube)
    height, width = int(frames.shape[1]), int(frames.shape[2])
    if height % packing.rows or width % packing.columns:
        raise InvalidInput(f"a {layout} picture is {packing.rows} rows of {packing.columns} faces; {width}x{height} does not divide so")
    margin = packing.margin / width, packing.margin / height
    frames = reduced(frames, _reduced_faces(packing, (height, width), size))
    rays = turned(erp_grid(size, frames), real_like(np.eye(3)[None], frames))
    column, row = _packed_pixels(packing, rays, tuple(frames.shape[1:3]), margin)
    erp: Frames = own_order(sample(frames, column, row, interpolation))
    return erp


def _packed_rays(packing: _Packing, face: int) -> tuple[np.ndarray, ...]:
    """Rays of a packed picture's pixels: x, y, z, each `[rows·face, columns·face]`."""
    across = (np.arange(packing.columns * face) + 0.5 - packing.margin) / (packing.columns * face - 2 * packing.margin) * packing.columns
    tile_column = np.clip(np.floor(across), 0, packing.columns - 1).astype(int)
    tile_row, line = np.divmod(np.arange(packing.rows * face), face)
    down = (line + 0.5 - packing.margin) / (face - 2 * packing.margin)
    s, t = 2 * (across - tile_column) - 1, 2 * down - 1
    if packing.equiangular:
        s, t = np.tan(s * np.pi / 4), np.tan(t * np.pi / 4)
    turns = packing.tiles[tile_row[:, None] * packing.columns + tile_column[None]]  # [h, w, 3, 3]
    return tuple(turns[..., k, 0] * s[None] + turns[..., k, 1] * t[:, None] + turns[..., k, 2] for k in range(3))


def _packed_pixels(packing: _Packing, rays: Rays, size: tuple[int, int], margin: tuple[float, float]) -> tuple[Array, Array]:
    """(column, row) of rays in a packed picture of `size` (height, width); `margin` (x, y) is in shares of it."""
    xp = namespace_of(rays[0])
    height, width = size
    ahead = [sum(float(R[k, 2]) * rays[k] for k in range(3)) for R in packing.tiles]
    nearest = xp.argmax(xp.stack(ahead, 0), 0)  # the face along which a ray is longest
    column, row = 0.0, 0.0
    for k, R in enumerate(packing.tiles):
        chosen = nearest == k
        depth = xp.where(chosen, ahead[k], 1.0)
        s, t = (sum(float(R[i, axis]) * rays[i] for i in range(3)) / depth for axis in (0, 1))
        tile_row, tile_column = divmod(k, packing.columns)
        if packing.equiangular:
            across, down = ((xp.arctan(tangent) * (4 / math.pi) + 1) / 2 for tangent in (s, t))
        else:  # neighbours in the picture are not neighbours on the sphere: stay within the face
            across, down = (
                xp.clip((tangent + 1) / 2, half, 1 - half) for tangent, half in ((s, 0.5 * packing.columns / width), (t, 0.5 * packing.rows / height))
            )
        p = margin[0] + (tile_column + across) * (1 - 2 * margin[0]) / packing.columns
        q = tile_row / packing.rows + margin[1] + down * (1 / packing.rows - 2 * margin[1])
        column = xp.where(chosen, p * width - 0.5, column)
        row = xp.where(chosen, q * height - 0.5, row)
    return column, row


def _reduced_faces(packing: _Packing, size: tuple[int, int], erp_size: tuple[int, int]) -> tuple[int, int]:
    """The size of a packed picture whose faces are about as dense as the ERP map, in whole faces; unchanged unless they are denser."""
    height, width = (
        round(n / r) * count if (r := n / wanted) > MINIFY else n * count
        for n, wanted, count in (
            (size[0] // packing.rows, erp_size[0] / 2, packing.rows),
            (size[1] // packing.columns, erp_size[1] / 4, packing.columns),
        )
    )
    return height, width


def _packing(layout: CubeLayout | str) -> _Packing:
    if layout not in set(CubeLayout):
        raise InvalidInput(f"cubemap layout is '{layout}', but must be one of: {', '.join(CubeLayout)}")
    return _packings()[CubeLayout(layout)]
