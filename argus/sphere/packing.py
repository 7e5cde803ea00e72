"""Packed cubemaps: which face a pixel belongs to, which pixel shows a ray, and the way to ERP.

A packed picture consists of tiles. A tile is one face, or the faces of a row that continue one
another, with margins at its ends.
"""

import math
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from argus.errors import InvalidInput
from argus.sphere.arrays import Array, Interpolation, array_namespace, as_float_like, is_numpy
from argus.sphere.grid import Rays, RotatedGrid, check_erp_size, erp_grid, iterate_bands
from argus.sphere.rotations import from_euler_deg
from argus.sphere.sampling import MINIFY_RATIO, PAD, reduce_area, sample_pixels

_RIGHT, _LEFT, _UP, _DOWN, _FRONT, _BACK = (90, 0), (-90, 0), (0, 90), (0, -90), (0, 0), (180, 0)
PLAIN_FACES = ((_RIGHT, 0), (_LEFT, 0), (_UP, 0), (_DOWN, 0), (_FRONT, 0), (_BACK, 0))
"""(yaw and pitch, roll) in degrees of the faces in ffmpeg's default order."""
EAC_FACES = ((_LEFT, 0), (_FRONT, 0), (_RIGHT, 0), (_DOWN, 90), (_BACK, -90), (_UP, 90))
"""(yaw and pitch, roll) in degrees of the faces of an equi-angular cubemap, row by row."""

_SAMPLE_COLUMNS = 1024  # OpenCV's pictures have fewer than 32,768 columns


@dataclass(frozen=True)
class Packing:
    """Arrangement of six faces in one picture.

    Attributes:
        rows: Rows of faces.
        widths: Relative widths of the faces of a row.
        face_rotations: Camera-to-world `[6, 3, 3]` of each face, row by row.
        is_equiangular: True if equal steps on a face are equal angles.
        margin: Pixels around each tile.
    """

    rows: int
    widths: tuple[int, ...]
    face_rotations: np.ndarray
    is_equiangular: bool = False
    margin: int = 0

    @property
    def columns(self) -> int:
        """Number of faces in a row."""
        return len(self.widths)

    @property
    def tile_columns(self) -> int:
        """Number of tiles in a row; the faces of a tile continue one another."""
        return 1 if self.is_equiangular else self.columns


@cache
def rotate_faces(faces: tuple[tuple[tuple[int, int], int], ...]) -> np.ndarray:
    """Return the camera-to-world matrices `[6, 3, 3]` of faces."""
    return np.stack([from_euler_deg(*face, roll) for face, roll in faces])


@dataclass(frozen=True)
class TileAxis:
    """Tiles along one axis of a packed picture.

    Attributes:
        tiles: Number of tiles.
        tile_pixels: Size of a tile with its margins.
        widths: Relative sizes of the faces of a tile.
        margin: Pixels at each end of a tile.
    """

    tiles: int
    tile_pixels: int
    widths: tuple[int, ...]
    margin: float

    def face_pixels(self, index: int) -> float:
        """Return the size of a face in pixels."""
        width = self.widths[index % len(self.widths)]
        return (self.tile_pixels - 2 * self.margin) * width / sum(self.widths)

    def face_start(self, index: int) -> float:
        """Return the pixel position at which a face starts."""
        before = range(index % len(self.widths))
        return self.tile_start(index) + self.margin + sum(map(self.face_pixels, before))

    def tile_start(self, index: int) -> int:
        """Return the first pixel of the tile of a face."""
        return index // len(self.widths) * self.tile_pixels

    def face_coordinates(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (face index, coordinate on that face) of every pixel.

        The edges of the face are at 0 and 1; pixels of a margin lie beyond them.
        """
        tile, pixel = np.divmod(np.arange(self.tiles * self.tile_pixels), self.tile_pixels)
        faces = range(len(self.widths))
        starts, sizes = (
            np.array([function(k) for k in faces])
            for function in (self.face_start, self.face_pixels)
        )
        number = np.maximum(np.searchsorted(starts, pixel + 0.5, side="right") - 1, 0)
        return tile * len(starts) + number, (pixel + 0.5 - starts[number]) / sizes[number]

    def with_padding(self) -> "TileAxis":
        """Return the axis with PAD pixels more around each tile."""
        return replace(self, tile_pixels=self.tile_pixels + 2 * PAD, margin=self.margin + PAD)


Axes = tuple[TileAxis, TileAxis]
"""(vertical, horizontal) axis of a packed picture."""


def make_tile_axes(
    packing: Packing, size: tuple[int, int], margin_scale: tuple[float, float] = (1.0, 1.0)
) -> Axes:
    """Return the axes of a packed picture of (height, width)."""
    y_margin, x_margin = packing.margin * margin_scale[0], packing.margin * margin_scale[1]
    tile_columns = packing.tile_columns
    widths = packing.widths if tile_columns == 1 else (1,)
    return (
        TileAxis(packing.rows, size[0] // packing.rows, (1,), y_margin),
        TileAxis(tile_columns, size[1] // tile_columns, widths, x_margin),
    )


def compute_cube_rays(
    packing: Packing, axes: Axes, rows: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Return the rays x, y, z of pixels of a packed picture.

    Args:
        packing: The arrangement.
        axes: The axes of the picture.
        rows: Row of each pixel, of a shape that broadcasts with `columns`.
        columns: Column of each pixel.
    """
    (face_row, y), (face_column, x) = (axis.face_coordinates() for axis in axes)
    s, t = 2 * x - 1, 2 * y - 1
    if packing.is_equiangular:
        s, t = np.tan(s * np.pi / 4), np.tan(t * np.pi / 4)
    rotations = packing.face_rotations[face_row[rows] * packing.columns + face_column[columns]]
    return tuple(
        rotations[..., k, 0] * s[columns] + rotations[..., k, 1] * t[rows] + rotations[..., k, 2]
        for k in range(3)
    )


def rays_to_cube_pixels(packing: Packing, rays: Rays, axes: Axes) -> tuple[Array, Array]:
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
            first = axis.tile_start(index)
            pixel = xp.clip(
                axis.face_start(index) + (signed + 1) / 2 * axis.face_pixels(index) - 0.5,
                first,
                first + axis.tile_pixels - 1,
            )
            pixels[n] = xp.where(is_face, pixel, pixels[n])
    row, column = pixels
    return column, row


def check_cube_size(packing: Packing, layout: str, size: tuple[int, int]) -> None:
    """Raise InvalidInput if a picture of (height, width) does not divide into its faces."""
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


class CubeToErp:
    """Projection of packed cubemaps of one size to ERP maps; coordinates are computed once.

    Args:
        packing: Arrangement of the faces.
        size: (height, width) of the packed picture.
        erp_size: (height, width) of the result.
        like: Array that gives library, device and precision.

    Raises:
        InvalidInput: `erp_size` is too small.
    """

    def __init__(
        self, packing: Packing, size: tuple[int, int], erp_size: tuple[int, int], like: Array
    ) -> None:
        erp_size = check_erp_size(erp_size)
        self._reduced_size = _compute_reduced_size(packing, size, erp_size)
        scale = self._reduced_size[0] / size[0], self._reduced_size[1] / size[1]
        axes = make_tile_axes(packing, self._reduced_size, scale)
        self._padding = _TilePadding(packing, axes, like)
        self._column, self._row = _project_map(packing, erp_size, self._padding.axes, like)

    def __call__(self, frames: Array, interpolation: Interpolation = "linear") -> Array:
        """Project `[T, h, w, C]` to `[T, H, W, C]`."""
        padded = self._padding.apply(reduce_area(frames, self._reduced_size))
        return sample_pixels(padded, self._column, self._row, interpolation)


class _TilePadding:
    """Padding of tiles by PAD pixels of what adjoins them on the sphere, not in the picture."""

    def __init__(self, packing: Packing, axes: Axes, like: Array) -> None:
        self.axes = axes[0].with_padding(), axes[1].with_padding()
        self._size = tuple(axis.tiles * axis.tile_pixels for axis in self.axes)
        self._spans = [_pair_spans(axis.tiles, axis.tile_pixels) for axis in axes]
        is_inside = [
            (coordinate >= 0) & (coordinate <= 1)  # margins are replaced too
            for _, coordinate in (axis.face_coordinates() for axis in self.axes)
        ]
        self._rows, self._columns = np.nonzero(~(is_inside[0][:, None] & is_inside[1]))
        x, y, z = compute_cube_rays(packing, self.axes, self._rows, self._columns)
        column, row = rays_to_cube_pixels(packing, (x, y, z), axes)
        self._column, self._row = (as_float_like(_fold(values), like) for values in (column, row))

    def apply(self, frames: Array) -> Array:
        """Return padded `[T, h, w, C]`."""
        shape = (len(frames), *self._size, frames.shape[3])
        padded = np.empty(shape, frames.dtype) if is_numpy(frames) else frames.new_empty(shape)
        for from_rows, to_rows in self._spans[0]:
            for from_columns, to_columns in self._spans[1]:
                padded[:, to_rows, to_columns] = frames[:, from_rows, from_columns]
        samples = sample_pixels(frames, self._column, self._row, "linear")
        flat = samples.reshape(len(frames), -1, frames.shape[3])
        padded[:, self._rows, self._columns] = flat[:, : len(self._rows)]
        return padded


def _pair_spans(tiles: int, pixels: int) -> list[tuple[slice, slice]]:
    """Return the (span without padding, span inside the padding) of each tile."""
    padded = pixels + 2 * PAD
    return [
        (slice(k * pixels, (k + 1) * pixels), slice(k * padded + PAD, (k + 1) * padded - PAD))
        for k in range(tiles)
    ]


def _fold(values: np.ndarray) -> np.ndarray:
    """Return a list of numbers as `[1, n, _SAMPLE_COLUMNS]`; the last one fills up."""
    rows = -(-len(values) // _SAMPLE_COLUMNS)
    missing = rows * _SAMPLE_COLUMNS - len(values)
    return np.pad(values, (0, missing), mode="edge").reshape(1, rows, _SAMPLE_COLUMNS)


def _project_map(
    packing: Packing, erp_size: tuple[int, int], axes: Axes, like: Array
) -> tuple[Array, Array]:
    """Return the (column, row) of an ERP map's pixels in a packed picture, `[1, H, W]` each."""
    grid = RotatedGrid.from_grid(erp_grid(erp_size, like), as_float_like(np.eye(3)[None], like))
    if not is_numpy(like):
        return rays_to_cube_pixels(packing, grid.to_rays(), axes)
    column, row = (np.empty((1, *erp_size), np.float32) for _ in range(2))
    for rows, columns in iterate_bands(slice(0, erp_size[0]), slice(0, erp_size[1])):
        rays = grid.crop(rows, columns).to_rays()
        column[:, rows], row[:, rows] = rays_to_cube_pixels(packing, rays, axes)
    return column, row


def _compute_reduced_size(
    packing: Packing, size: tuple[int, int], erp_size: tuple[int, int]
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
