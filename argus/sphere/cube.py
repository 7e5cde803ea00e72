"""Cubemaps: plain 3x2 and 6x1, and the equi-angular cubemap (EAC) as YouTube lays it out.

Faces of the plain layouts stand in ffmpeg's default order (right, left, up, down, front, back), row by row. The EAC's top row is left, front,
right; its bottom row is down, back, up, lying on their sides.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from argus.errors import InvalidInput
from argus.sphere.arrays import Array, Frames, Interpolation, channels_last, namespace_of, own_order, real_like
from argus.sphere.grid import Rays, checked_size, erp_grid, erp_pixels, face_grid, turned
from argus.sphere.rotations import from_euler_deg
from argus.sphere.sampling import PAD, pad_edge, pad_erp, reduced, reduced_erp, reduced_size, sample


class CubeLayout(StrEnum):
    """How six faces lie in one picture."""

    C3X2 = "3x2"
    C6X1 = "6x1"
    EAC = "eac"


FACES = {
    "front": from_euler_deg(0, 0, 0),
    "right": from_euler_deg(90, 0, 0),
    "back": from_euler_deg(180, 0, 0),
    "left": from_euler_deg(-90, 0, 0),
    "up": from_euler_deg(0, 90, 0),
    "down": from_euler_deg(0, -90, 0),
}
"""Camera-to-world rotation of each face, seen upright from inside."""


@dataclass(frozen=True)
class _Packing:
    rows: int
    columns: int
    faces: tuple[str, ...]  # row by row
    quarter_turns: tuple[int, ...]  # counter-clockwise, of the upright face when packed


_PLAIN = ("right", "left", "up", "down", "front", "back")
_PACKINGS = {
    CubeLayout.C3X2: _Packing(2, 3, _PLAIN, (0,) * 6),
    CubeLayout.C6X1: _Packing(1, 6, _PLAIN, (0,) * 6),
    CubeLayout.EAC: _Packing(2, 3, ("left", "front", "right", "down", "back", "up"), (0, 0, 0, 3, 1, 3)),
}


def erp_to_cube(erp: Frames, face: int, layout: CubeLayout | str = CubeLayout.C3X2, *, interpolation: Interpolation = "linear") -> Frames:
    """ERP frames (numpy `[T, H, W, C]`, torch `[T, C, H, W]`) as a packed cubemap of faces of `face` pixels; "6x1" is six faces side by side."""
    layout = _layout(layout)
    packing = _PACKINGS[layout]
    if face < 1:
        raise InvalidInput(f"face is {face}, but must be at least 1 pixel")
    frames = channels_last(erp)
    frames = reduced_erp(frames, frames.shape[2] / (4 * face))
    size, padded = (int(frames.shape[1]), int(frames.shape[2])), pad_erp(frames)
    xp = namespace_of(frames)
    tiles = []
    for name, quarters in zip(packing.faces, packing.quarter_turns, strict=True):
        turn = real_like(FACES[name], frames)[None]
        column, row = erp_pixels(turned(face_grid(face, _to_tangent(layout), frames), turn), size)
        tiles.append(xp.rot90(sample(padded, column + PAD, row + PAD, interpolation), quarters, (1, 2)))
    rows = [xp.concat(tiles[k : k + packing.columns], 2) for k in range(0, 6, packing.columns)]
    cube: Frames = own_order(xp.concat(rows, 1))
    return cube


def cube_to_erp(
    cube: Frames, erp_size: tuple[int, int], layout: CubeLayout | str = CubeLayout.C3X2, *, interpolation: Interpolation = "linear"
) -> Frames:
    """ERP frames `[T, H, W, C]` (torch `[T, C, H, W]`) of packed cubemaps. Faces that a codec squeezed may be of any size, even not square."""
    layout = _layout(layout)
    packing = _PACKINGS[layout]
    size = checked_size(erp_size)
    frames = channels_last(cube)
    if frames.shape[1] % packing.rows or frames.shape[2] % packing.columns:
        raise InvalidInput(
            f"a {layout} picture divides into {packing.rows} rows and {packing.columns} columns; {frames.shape[2]}x{frames.shape[1]} does not"
        )
    xp = namespace_of(frames)
    tall, wide = frames.shape[1] // packing.rows, frames.shape[2] // packing.columns
    tiles = [
        xp.rot90(frames[:, r * tall : (r + 1) * tall, c * wide : (c + 1) * wide], -packing.quarter_turns[r * packing.columns + c], (1, 2))
        for r in range(packing.rows)
        for c in range(packing.columns)
    ]
    tiles = [pad_edge(reduced(tile, reduced_size(tile.shape[1:3], (2 * tile.shape[1] / size[0], 4 * tile.shape[2] / size[1])))) for tile in tiles]
    rays = turned(erp_grid(size, frames), real_like(np.eye(3)[None], frames))
    faces = [FACES[name] for name in packing.faces]
    erp: Frames = own_order(_gathered(tiles, faces, rays, _from_tangent(layout), interpolation))
    return erp


def _gathered(tiles: list[Array], faces: list[np.ndarray], rays: Rays, warp: Callable[[Array], Array], interpolation: Interpolation) -> Array:
    """Each ray's pixel from the face that it falls on: the one along which it is longest."""
    xp = namespace_of(rays[0])
    locals_ = [tuple(sum(float(R[k, axis]) * rays[k] for k in range(3)) for axis in range(3)) for R in faces]
    nearest = xp.argmax(xp.stack([local[2] for local in locals_], 0), 0)  # [1, H, W]
    out = None
    for k, (tile, (x, y, z)) in enumerate(zip(tiles, locals_, strict=True)):
        height, width = tile.shape[1] - 2 * PAD, tile.shape[2] - 2 * PAD
        chosen = nearest == k
        ahead = xp.where(chosen, z, 1.0)
        column = (warp(xp.where(chosen, x, 0.0) / ahead) + 1) / 2 * width - 0.5 + PAD
        row = (warp(xp.where(chosen, y, 0.0) / ahead) + 1) / 2 * height - 0.5 + PAD
        picked = sample(tile, column, row, interpolation)
        out = picked if out is None else xp.where(chosen[..., None], picked, out)
    return out


def _layout(layout: CubeLayout | str) -> CubeLayout:
    if layout not in set(CubeLayout):
        raise InvalidInput(f"cubemap layout is '{layout}', but must be one of: {', '.join(CubeLayout)}")
    return CubeLayout(layout)


def _to_tangent(layout: CubeLayout) -> Callable[[np.ndarray], np.ndarray]:
    return (lambda s: np.tan(s * np.pi / 4)) if layout is CubeLayout.EAC else lambda s: s


def _from_tangent(layout: CubeLayout) -> Callable[[Array], Array]:
    return (lambda t: namespace_of(t).arctan(t) * (4 / np.pi)) if layout is CubeLayout.EAC else lambda t: t
