"""Cubemaps: plain 3x2 and 6x1, and the equi-angular cubemap (EAC) in YouTube's layout.

The plain layouts hold the faces in ffmpeg's default order (right, left, up, down, front, back), row
by row; 6x1 is six side by side. "cbmp" is the 3x2 that Spherical Video V2 declares: its up and down
faces are rotated by half a turn, with the front at the top of up and the back at the top of down.

The upper row of an EAC is left, front, right; its lower row is down, back, up, rotated so that each
row is one continuous band. YouTube's files have margins of 2 pixels at the left and right of the
picture and above and below each row, as in ffmpeg's v360; the bands continue into them. YouTube's
pictures are 16:9, so faces are stretched and need not be whole pixels wide (1280×720).
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
    array_namespace,
    as_float_like,
    from_channels_last,
    to_channels_last,
)
from argus.sphere.grid import Rays, check_erp_size, erp_grid, rays_to_erp_pixels, rotate_rays
from argus.sphere.rotations import from_euler_deg
from argus.sphere.sampling import (
    MINIFY_RATIO,
    PAD,
    pad_erp,
    reduce_area,
    reduce_erp,
    sample_pixels,
)


class CubeLayout(StrEnum):
    """Arrangement of six cube faces in one picture."""

    C3X2 = "3x2"
    C6X1 = "6x1"
    CBMP = "cbmp"
    EAC = "eac"


@dataclass(frozen=True)
class _Packing:
    rows: int
    columns: int
    face_rotations: np.ndarray  # camera-to-world [6, 3, 3] of each face, row by row
    is_equiangular: bool = False
    margin: int = 0  # pixels

    @property
    def tile_columns(self) -> int:
        """Number of tiles in a row; the faces of a tile continue one another."""
        return 1 if self.is_equiangular else self.columns


_RIGHT, _LEFT, _UP, _DOWN, _FRONT, _BACK = (90, 0), (-90, 0), (0, 90), (0, -90), (0, 0), (180, 0)
_PLAIN_FACES = ((_RIGHT, 0), (_LEFT, 0), (_UP, 0), (_DOWN, 0), (_FRONT, 0), (_BACK, 0))
_EAC_FACES = ((_LEFT, 0), (_FRONT, 0), (_RIGHT, 0), (_DOWN, 90), (_BACK, -90), (_UP, 90))


@cache
def _make_packings() -> dict[CubeLayout, _Packing]:
    plain, eac = (
        np.stack([from_euler_deg(*face, roll) for face, roll in faces])
        for faces in (_PLAIN_FACES, _EAC_FACES)
    )
    cbmp = plain.copy()
    cbmp[2:4] *= -1, -1, 1  # half a turn about the axis of the face
    return {
        CubeLayout.C3X2: _Packing(2, 3, plain),
        CubeLayout.CBMP: _Packing(2, 3, cbmp),
        CubeLayout.C6X1: _Packing(1, 6, plain),
        CubeLayout.EAC: _Packing(2, 3, eac, is_equiangular=True, margin=2),
    }


def erp_to_cube(
    erp: Frames,
    face_size: int | tuple[int, int],
    layout: CubeLayout | str = CubeLayout.C3X2,
    *,
    interpolation: Interpolation = "linear",
) -> Frames:
    """Project ERP frames to packed cubemaps.

    A map that is denser than the faces is averaged first.

    Args:
        erp: numpy uint8 or float `[T, H, W, C]`, or torch float `[T, C, H, W]`.
        face_size: Side of a face in pixels, or (height, width) of a stretched one, such as
            (1080, 1280) for an EAC of 3840×2160.
        layout: Arrangement of the faces.
        interpolation: "linear" or "cubic".

    Returns:
        Frames of the input's type with (height, width) = face_size · (rows, columns).

    Raises:
        InvalidInput: The layout is unknown, or the faces leave no room beside the margins.
    """
    packing = _get_packing(layout)
    faces = (face_size, face_size) if isinstance(face_size, int) else face_size
    if min(faces) <= 2 * packing.margin:
        raise InvalidInput(
            f"face_size is {face_size}, but must be more than {2 * packing.margin} pixels"
        )
    frames = to_channels_last(erp)
    frames = reduce_erp(frames, frames.shape[2] / (4 * math.sqrt(faces[0] * faces[1])))
    erp_size = int(frames.shape[1]), int(frames.shape[2])
    axes = _make_tile_axes(packing, (packing.rows * faces[0], packing.columns * faces[1]))
    x, y, z = (as_float_like(axis[None], frames) for axis in _compute_cube_rays(packing, axes))
    column, row = rays_to_erp_pixels((x, y, z), erp_size)
    cube: Frames = from_channels_last(
        sample_pixels(pad_erp(frames), column + PAD, row + PAD, interpolation)
    )
    return cube


def cube_to_erp(
    cube: Frames,
    erp_size: tuple[int, int],
    layout: CubeLayout | str = CubeLayout.C3X2,
    *,
    interpolation: Interpolation = "linear",
) -> Frames:
    """Project packed cubemaps to ERP frames; faces may be stretched.

    Interpolation at the edge of a face uses the pixels of the neighboring face.

    Args:
        cube: numpy uint8 or float `[T, h, w, C]`, or torch float `[T, C, h, w]`.
        erp_size: (height, width) of the result.
        layout: Arrangement of the faces.
        interpolation: "linear" or "cubic".

    Returns:
        Frames of the input's type, numpy `[T, H, W, C]` or torch `[T, C, H, W]`.

    Raises:
        InvalidInput: The layout is unknown, or the picture does not divide into its faces.
    """
    packing = _get_packing(layout)
    size = check_erp_size(erp_size)
    frames = to_channels_last(cube)
    height, width = int(frames.shape[1]), int(frames.shape[2])
    _check_cube_size(packing, layout, (height, width))
    reduced_size = _compute_reduced_cube_size(packing, (height, width), size)
    scale = reduced_size[0] / height, reduced_size[1] / width
    axes = _make_tile_axes(packing, reduced_size, scale)
    frames, axes = _pad_tiles(packing, reduce_area(frames, reduced_size), axes)
    rays = rotate_rays(erp_grid(size, frames), as_float_like(np.eye(3)[None], frames))
    column, row = _rays_to_cube_pixels(packing, rays, axes)
    erp: Frames = from_channels_last(sample_pixels(frames, column, row, interpolation))
    return erp


def cube_coordinates(
    directions: np.ndarray, size: tuple[int, int], layout: CubeLayout | str = CubeLayout.C3X2
) -> np.ndarray:
    """Project directions to texture coordinates of a packed cubemap.

    Args:
        directions: float `[N, 3]` of any positive length.
        size: (height, width) of the packed picture in pixels.
        layout: Arrangement of the faces.

    Returns:
        (x, y) `[N, 2]` from the left and from the top, as fractions of width and height.

    Raises:
        InvalidInput: The layout is unknown, or the picture does not divide into its faces.
    """
    packing = _get_packing(layout)
    _check_cube_size(packing, layout, size)
    x, y, z = np.asarray(directions, np.float64).T[:, None, None]
    column, row = _rays_to_cube_pixels(packing, (x, y, z), _make_tile_axes(packing, size))
    return np.stack([(column[0, 0] + 0.5) / size[1], (row[0, 0] + 0.5) / size[0]], -1)


def cube_grid(
    size: tuple[int, int], layout: CubeLayout | str = CubeLayout.C3X2, steps: int = 8
) -> tuple[np.ndarray, np.ndarray]:
    """Return a grid of points on each face of a packed cubemap, edges included.

    Args:
        size: (height, width) of the packed picture in pixels.
        layout: Arrangement of the faces.
        steps: Grid cells along a side; n = steps + 1 points.

    Returns:
        (directions `[6, n, n, 3]`, texture coordinates `[6, n, n, 2]` as of `cube_coordinates`);
        rows run down the picture.

    Raises:
        InvalidInput: The layout is unknown, or the picture does not divide into its faces.
    """
    packing = _get_packing(layout)
    _check_cube_size(packing, layout, size)
    y_axis, x_axis = _make_tile_axes(packing, size)
    fraction = np.arange(steps + 1) / steps
    signed = 2 * fraction - 1
    tangent = np.tan(signed * np.pi / 4) if packing.is_equiangular else signed
    s, t = np.meshgrid(tangent, tangent)
    directions = np.einsum(
        "kij,abj->kabi", packing.face_rotations, np.stack([s, t, np.ones_like(s)], -1)
    )
    rows, columns = np.divmod(np.arange(6), packing.columns)
    x = np.array([x_axis.face_start(k) + fraction * x_axis.face_pixels for k in columns]) / size[1]
    y = np.array([y_axis.face_start(k) + fraction * y_axis.face_pixels for k in rows]) / size[0]
    n = steps + 1
    return directions, np.stack(
        [np.broadcast_to(x[:, None, :], (6, n, n)), np.broadcast_to(y[:, :, None], (6, n, n))], -1
    )


@dataclass(frozen=True)
class _TileAxis:
    """Tiles along one axis of a packed picture.

    A tile is one face, or a band of faces that continue one another, with margins at its ends.
    """

    tiles: int
    tile_pixels: int
    faces: int  # per tile
    margin: float  # pixels

    @property
    def face_pixels(self) -> float:
        """Size of a face in pixels."""
        return (self.tile_pixels - 2 * self.margin) / self.faces

    def face_start(self, index: int) -> float:
        """Return the pixel position at which a face starts."""
        tile, number = divmod(index, self.faces)
        return tile * self.tile_pixels + self.margin + number * self.face_pixels

    def face_coordinates(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (face index, coordinate on that face) of every pixel.

        The edges of the face are at 0 and 1; pixels of a margin lie beyond them.
        """
        tile, pixel = np.divmod(np.arange(self.tiles * self.tile_pixels), self.tile_pixels)
        position = (pixel + 0.5 - self.margin) / self.face_pixels
        number = np.clip(np.floor(position), 0, self.faces - 1).astype(int)
        return tile * self.faces + number, position - number

    def with_padding(self) -> "_TileAxis":
        """Return the axis with PAD pixels more around each tile."""
        return replace(self, tile_pixels=self.tile_pixels + 2 * PAD, margin=self.margin + PAD)


def _make_tile_axes(
    packing: _Packing, size: tuple[int, int], margin_scale: tuple[float, float] = (1.0, 1.0)
) -> tuple[_TileAxis, _TileAxis]:
    """Return the (vertical, horizontal) axes of a packed picture of (height, width)."""
    y_margin, x_margin = packing.margin * margin_scale[0], packing.margin * margin_scale[1]
    tile_columns = packing.tile_columns
    return (
        _TileAxis(packing.rows, size[0] // packing.rows, 1, y_margin),
        _TileAxis(tile_columns, size[1] // tile_columns, packing.columns // tile_columns, x_margin),
    )


def _pad_tiles(
    packing: _Packing, frames: Array, axes: tuple[_TileAxis, _TileAxis]
) -> tuple[Array, tuple[_TileAxis, _TileAxis]]:
    """Pad each tile by PAD pixels of what adjoins it on the sphere, not in the picture."""
    padded_axes = axes[0].with_padding(), axes[1].with_padding()
    x, y, z = (
        as_float_like(axis[None], frames) for axis in _compute_cube_rays(packing, padded_axes)
    )
    column, row = _rays_to_cube_pixels(packing, (x, y, z), axes)
    return sample_pixels(frames, column, row, "linear"), padded_axes


def _compute_cube_rays(
    packing: _Packing, axes: tuple[_TileAxis, _TileAxis]
) -> tuple[np.ndarray, ...]:
    """Return the rays of the pixels of a packed picture: x, y, z, each `[height, width]`."""
    (face_row, y), (face_column, x) = (axis.face_coordinates() for axis in axes)
    s, t = 2 * x - 1, 2 * y - 1
    if packing.is_equiangular:
        s, t = np.tan(s * np.pi / 4), np.tan(t * np.pi / 4)
    face = face_row[:, None] * packing.columns + face_column[None]
    rotations = packing.face_rotations[face]  # [h, w, 3, 3]
    return tuple(
        rotations[..., k, 0] * s[None] + rotations[..., k, 1] * t[:, None] + rotations[..., k, 2]
        for k in range(3)
    )


def _rays_to_cube_pixels(
    packing: _Packing, rays: Rays, axes: tuple[_TileAxis, _TileAxis]
) -> tuple[Array, Array]:
    """Return the (column, row) of rays in a packed picture.

    Coordinates are clamped to half a pixel inside their tile, so that interpolation needs no other.
    """
    xp = array_namespace(rays[0])
    depths = [sum(float(R[k, 2]) * rays[k] for k in range(3)) for R in packing.face_rotations]
    face = xp.argmax(xp.stack(depths, 0), 0)
    pixels = [0.0, 0.0]  # row, column
    for k, R in enumerate(packing.face_rotations):
        is_face = face == k
        depth = xp.where(is_face, depths[k], 1.0)
        for n, (axis, index) in enumerate(zip(axes, divmod(k, packing.columns), strict=True)):
            along = 1 - n  # rows follow the face's y, columns its x
            tangent = sum(float(R[i, along]) * rays[i] for i in range(3)) / depth
            signed = xp.arctan(tangent) * (4 / math.pi) if packing.is_equiangular else tangent
            first = index // axis.faces * axis.tile_pixels
            pixel = xp.clip(
                axis.face_start(index) + (signed + 1) / 2 * axis.face_pixels - 0.5,
                first,
                first + axis.tile_pixels - 1,
            )
            pixels[n] = xp.where(is_face, pixel, pixels[n])
    row, column = pixels
    return column, row


def _compute_reduced_cube_size(
    packing: _Packing, size: tuple[int, int], erp_size: tuple[int, int]
) -> tuple[int, int]:
    """Return the size of a packed picture about as dense as an ERP map, in whole tiles.

    An axis is unchanged unless its faces are denser than the map.
    """
    height, width = (
        round(n / ratio / tiles) * tiles
        if (ratio := n / (faces * face_pixels)) > MINIFY_RATIO
        else n
        for n, tiles, faces, face_pixels in (
            (size[0], packing.rows, packing.rows, erp_size[0] / 2),
            (size[1], packing.tile_columns, packing.columns, erp_size[1] / 4),
        )
    )
    return height, width


def _check_cube_size(packing: _Packing, layout: str, size: tuple[int, int]) -> None:
    height, width = size
    if height % packing.rows or width % packing.tile_columns:
        raise InvalidInput(
            f"a {layout} picture has {packing.rows} rows of {packing.columns} faces, but "
            f"{width}x{height} is not divisible by that"
        )
    if height <= 2 * packing.margin * packing.rows or width <= 2 * packing.margin:
        raise InvalidInput(
            f"a {layout} picture has margins of {packing.margin} pixels, which leave nothing of "
            f"{width}x{height}"
        )


def _get_packing(layout: CubeLayout | str) -> _Packing:
    if layout not in set(CubeLayout):
        raise InvalidInput(f"layout is '{layout}', but must be one of: {', '.join(CubeLayout)}")
    return _make_packings()[CubeLayout(layout)]
