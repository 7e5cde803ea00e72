"""Cubemaps: plain 3x2 and 6x1, and the equi-angular cubemap (EAC) as YouTube lays it out.

Faces of the plain layouts stand in ffmpeg's default order (right, left, up, down, front, back), row by row; "6x1" is six side by side. "cbmp" is the
3x2 that Spherical Video V2 declares: its up and down faces lie half a turn round, the front at the top of up and the back at the top of down.

The EAC's upper row is left, front, right; its lower row is down, back, up, lying on their sides, so that each row is one continuous band. It has
margins of 2 pixels left and right of the picture and above and below each row (as ffmpeg's v360 found in YouTube's files); the bands continue into
them. YouTube's pictures are 16:9, so faces are stretched, and need not be whole pixels wide (1280×720).
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache

import numpy as np

from argus.errors import InvalidInput
from argus.sphere.arrays import (
    Array,
    Frames,
    Interpolation,
    channels_last,
    namespace_of,
    own_order,
    real_like,
)
from argus.sphere.grid import Rays, checked_size, erp_grid, erp_pixels, turned
from argus.sphere.rotations import from_euler_deg
from argus.sphere.sampling import MINIFY, PAD, pad_erp, reduced, reduced_erp, sample


class CubeLayout(StrEnum):
    """How six faces lie in one picture."""

    C3X2 = "3x2"
    C6X1 = "6x1"
    CBMP = "cbmp"
    EAC = "eac"


@dataclass(frozen=True)
class _Packing:
    rows: int
    columns: int
    tiles: np.ndarray  # [6, 3, 3] camera-to-world of each tile, row by row
    equiangular: bool = False
    margin: int = 0  # pixels

    @property
    def bands(self) -> int:
        """Columns of faces that do not continue one another."""
        return 1 if self.equiangular else self.columns


_RIGHT, _LEFT, _UP, _DOWN, _FRONT, _BACK = (90, 0), (-90, 0), (0, 90), (0, -90), (0, 0), (180, 0)
_PLAIN = ((_RIGHT, 0), (_LEFT, 0), (_UP, 0), (_DOWN, 0), (_FRONT, 0), (_BACK, 0))
_ROLLED = ((_LEFT, 0), (_FRONT, 0), (_RIGHT, 0), (_DOWN, 90), (_BACK, -90), (_UP, 90))


@cache
def _packings() -> dict[CubeLayout, _Packing]:
    plain, rolled = (
        np.stack([from_euler_deg(*face, roll) for face, roll in faces])
        for faces in (_PLAIN, _ROLLED)
    )
    declared = plain.copy()
    declared[2:4] *= -1, -1, 1  # half a turn about the faces' own axis
    return {
        CubeLayout.C3X2: _Packing(2, 3, plain),
        CubeLayout.CBMP: _Packing(2, 3, declared),
        CubeLayout.C6X1: _Packing(1, 6, plain),
        CubeLayout.EAC: _Packing(2, 3, rolled, equiangular=True, margin=2),
    }


def erp_to_cube(
    erp: Frames,
    face: int | tuple[int, int],
    layout: CubeLayout | str = CubeLayout.C3X2,
    *,
    interpolation: Interpolation = "linear",
) -> Frames:
    """ERP frames (numpy `[T, H, W, C]`, torch `[T, C, H, W]`) as packed cubemaps.

    `face` is a face's side in pixels, or (height, width) where the picture is stretched: (1080, 1280) for an EAC of 3840×2160. Raises InvalidInput.
    """
    packing = _packing(layout)
    faces = (face, face) if isinstance(face, int) else face
    if min(faces) <= 2 * packing.margin:
        raise InvalidInput(f"face is {face}, but must be more than {2 * packing.margin} pixels")
    frames = channels_last(erp)
    frames = reduced_erp(frames, frames.shape[2] / (4 * math.sqrt(faces[0] * faces[1])))
    size = int(frames.shape[1]), int(frames.shape[2])
    x, y, z = (
        real_like(axis[None], frames)
        for axis in _packed_rays(
            packing, _tiling(packing, (packing.rows * faces[0], packing.columns * faces[1]))
        )
    )
    column, row = erp_pixels((x, y, z), size)
    cube: Frames = own_order(sample(pad_erp(frames), column + PAD, row + PAD, interpolation))
    return cube


def cube_to_erp(
    cube: Frames,
    erp_size: tuple[int, int],
    layout: CubeLayout | str = CubeLayout.C3X2,
    *,
    interpolation: Interpolation = "linear",
) -> Frames:
    """ERP frames `[T, H, W, C]` (torch `[T, C, H, W]`) of packed cubemaps, whose faces may be stretched.

    Across the edges of faces pixels are interpolated with those of the face beyond. Raises InvalidInput.
    """
    packing = _packing(layout)
    size = checked_size(erp_size)
    frames = channels_last(cube)
    height, width = int(frames.shape[1]), int(frames.shape[2])
    _require(packing, layout, (height, width))
    small = _reduced_faces(packing, (height, width), size)
    tiling = _tiling(packing, small, (small[0] / height, small[1] / width))
    frames, tiling = _padded(packing, reduced(frames, small), tiling)
    rays = turned(erp_grid(size, frames), real_like(np.eye(3)[None], frames))
    column, row = _packed_pixels(packing, rays, tiling)
    erp: Frames = own_order(sample(frames, column, row, interpolation))
    return erp


def cube_places(
    directions: np.ndarray, size: tuple[int, int], layout: CubeLayout | str = CubeLayout.C3X2
) -> np.ndarray:
    """Where directions `[N, 3]` lie in a packed picture of `size` (height, width): x and y `[N, 2]`, shares of its sides. Raises InvalidInput."""
    packing = _packing(layout)
    _require(packing, layout, size)
    x, y, z = np.asarray(directions, np.float64).T[:, None, None]
    column, row = _packed_pixels(packing, (x, y, z), _tiling(packing, size))
    return np.stack([(column[0, 0] + 0.5) / size[1], (row[0, 0] + 0.5) / size[0]], -1)


def cube_grid(
    size: tuple[int, int], layout: CubeLayout | str = CubeLayout.C3X2, steps: int = 8
) -> tuple[np.ndarray, np.ndarray]:
    """A grid from edge to edge over each face of a packed picture of `size` (height, width): directions `[6, n, n, 3]` and places `[6, n, n, 2]`.

    n is steps + 1; rows run down the picture, places are as in `cube_places`. Raises InvalidInput.
    """
    packing = _packing(layout)
    _require(packing, layout, size)
    down, across = _tiling(packing, size)
    share = np.arange(steps + 1) / steps
    tangent = np.tan((2 * share - 1) * np.pi / 4) if packing.equiangular else 2 * share - 1
    s, t = np.meshgrid(tangent, tangent)
    directions = np.einsum("kij,abj->kabi", packing.tiles, np.stack([s, t, np.ones_like(s)], -1))
    rows, columns = np.divmod(np.arange(6), packing.columns)
    x = np.array([across.start(k) + share * across.face for k in columns]) / size[1]
    y = np.array([down.start(k) + share * down.face for k in rows]) / size[0]
    n = steps + 1
    return directions, np.stack(
        [np.broadcast_to(x[:, None, :], (6, n, n)), np.broadcast_to(y[:, :, None], (6, n, n))], -1
    )


@dataclass(frozen=True)
class _Axis:
    """Tiles along one axis of a packed picture: each is a face, or a band of faces that continue one another. Margins are at its ends."""

    tiles: int
    pixels: int  # of a tile
    faces: int  # in a tile
    margin: float  # pixels

    @property
    def face(self) -> float:
        """Pixels of a face."""
        return (self.pixels - 2 * self.margin) / self.faces

    def start(self, index: int) -> float:
        """Where a face starts, pixels."""
        tile, nth = divmod(index, self.faces)
        return tile * self.pixels + self.margin + nth * self.face

    def shares(self) -> tuple[np.ndarray, np.ndarray]:
        """(face, place on it) of every pixel; 0 and 1 are the face's edges, and margins lie beyond them."""
        tile, pixel = np.divmod(np.arange(self.tiles * self.pixels), self.pixels)
        place = (pixel + 0.5 - self.margin) / self.face
        nth = np.clip(np.floor(place), 0, self.faces - 1).astype(int)
        return tile * self.faces + nth, place - nth

    def padded(self) -> "_Axis":
        """With PAD pixels more around each tile."""
        return replace(self, pixels=self.pixels + 2 * PAD, margin=self.margin + PAD)


def _tiling(
    packing: _Packing, size: tuple[int, int], scale: tuple[float, float] = (1.0, 1.0)
) -> tuple[_Axis, _Axis]:
    """(down, across) of a picture of `size` (height, width); `scale` is that of its margins."""
    down, across = packing.margin * scale[0], packing.margin * scale[1]
    return (
        _Axis(packing.rows, size[0] // packing.rows, 1, down),
        _Axis(packing.bands, size[1] // packing.bands, packing.columns // packing.bands, across),
    )


def _padded(
    packing: _Packing, frames: Array, tiling: tuple[_Axis, _Axis]
) -> tuple[Array, tuple[_Axis, _Axis]]:
    """Each tile with PAD pixels around it of what lies there on the sphere, which is not what lies there in the picture."""
    wide = tiling[0].padded(), tiling[1].padded()
    x, y, z = (real_like(axis[None], frames) for axis in _packed_rays(packing, wide))
    column, row = _packed_pixels(packing, (x, y, z), tiling)
    return sample(frames, column, row, "linear"), wide


def _packed_rays(packing: _Packing, tiling: tuple[_Axis, _Axis]) -> tuple[np.ndarray, ...]:
    """Rays of a packed picture's pixels: x, y, z, each `[height, width]`."""
    (tile_row, down), (tile_column, across) = (axis.shares() for axis in tiling)
    s, t = 2 * across - 1, 2 * down - 1
    if packing.equiangular:
        s, t = np.tan(s * np.pi / 4), np.tan(t * np.pi / 4)
    turns = packing.tiles[tile_row[:, None] * packing.columns + tile_column[None]]  # [h, w, 3, 3]
    return tuple(
        turns[..., k, 0] * s[None] + turns[..., k, 1] * t[:, None] + turns[..., k, 2]
        for k in range(3)
    )


def _packed_pixels(
    packing: _Packing, rays: Rays, tiling: tuple[_Axis, _Axis]
) -> tuple[Array, Array]:
    """(column, row) of rays in a packed picture, at least half a pixel inside their tile, so that no interpolation needs another."""
    xp = namespace_of(rays[0])
    ahead = [sum(float(R[k, 2]) * rays[k] for k in range(3)) for R in packing.tiles]
    nearest = xp.argmax(xp.stack(ahead, 0), 0)  # the face along which a ray is longest
    found = [0.0, 0.0]
    for k, R in enumerate(packing.tiles):
        chosen = nearest == k
        depth = xp.where(chosen, ahead[k], 1.0)
        for n, (axis, index) in enumerate(zip(tiling, divmod(k, packing.columns), strict=True)):
            along = 1 - n  # rows follow a face's y, columns its x
            tangent = sum(float(R[i, along]) * rays[i] for i in range(3)) / depth
            share = (
                (xp.arctan(tangent) * (4 / math.pi) if packing.equiangular else tangent) + 1
            ) / 2
            first = index // axis.faces * axis.pixels
            place = xp.clip(
                axis.start(index) + share * axis.face - 0.5, first, first + axis.pixels - 1
            )
            found[n] = xp.where(chosen, place, found[n])
    row, column = found
    return column, row


def _reduced_faces(
    packing: _Packing, size: tuple[int, int], erp_size: tuple[int, int]
) -> tuple[int, int]:
    """The size of a packed picture whose faces are about as dense as the ERP map, in whole tiles; unchanged unless they are denser."""
    height, width = (
        round(n / r / tiles) * tiles if (r := n / (faces * wanted)) > MINIFY else n
        for n, tiles, faces, wanted in (
            (size[0], packing.rows, packing.rows, erp_size[0] / 2),
            (size[1], packing.bands, packing.columns, erp_size[1] / 4),
        )
    )
    return height, width


def _require(packing: _Packing, layout: str, size: tuple[int, int]) -> None:
    height, width = size
    if height % packing.rows or width % packing.bands:
        raise InvalidInput(
            f"a {layout} picture is {packing.rows} rows of {packing.columns} faces; {width}x{height} does not divide so"
        )
    if height <= 2 * packing.margin * packing.rows or width <= 2 * packing.margin:
        raise InvalidInput(
            f"a {layout} picture has margins of {packing.margin} pixels; {width}x{height} has nothing beside them"
        )


def _packing(layout: CubeLayout | str) -> _Packing:
    if layout not in set(CubeLayout):
        raise InvalidInput(
            f"cubemap layout is '{layout}', but must be one of: {', '.join(CubeLayout)}"
        )
    return _packings()[CubeLayout(layout)]
