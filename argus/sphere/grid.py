"""THE pixel grids and THE coordinates: which ray a pixel sees, and at which pixel a ray lies. One implementation for numpy and torch.

Rays are needed only up to a positive factor. Divided by cos(lat), an ERP pixel's ray is (sin lon, -tan lat, cos lon): x and z depend
on the column alone and y on the row alone, exactly as in a perspective view, (x, y, 1). Hence one `Grid` for all, and turned rays are a
column term plus a row term. Pixel coordinates are indices: 0 is the centre of the first pixel.

In numpy the terms are float64 and their sums, the turned rays, float32: that is at most 5e-5° from exact, anywhere, on maps up to 8K (tested),
and a quarter of the time. Masks compare the float64 terms.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from argus.errors import InvalidInput
from argus.sphere.arrays import Array, is_numpy, namespace_of, real_like
from argus.sphere.camera import Camera

Rays = tuple[Array, Array, Array]
"""x, y, z of directions, each `[T, H, W]`, of any positive length."""

BAND = 1 << 16
"""Pixels computed at once in numpy: few enough for their arrays to stay in the cache, enough for threads not to wait for each other's Python."""


@dataclass(frozen=True)
class Grid:
    """Rays of a picture's pixels: x and z by column `[W]`, y by row `[H]`."""

    x: Array
    y: Array
    z: Array


def checked_size(erp_size: tuple[int, int]) -> tuple[int, int]:
    """(H, W) of an ERP map, or InvalidInput."""
    height, width = erp_size
    if height < 2 or width < 4:
        raise InvalidInput(
            f"erp_size is (height, width) with at least 2 rows and 4 columns, got {erp_size}"
        )
    return int(height), int(width)


def erp_grid(erp_size: tuple[int, int], like: Array) -> Grid:
    """Rays over cos(lat) of ERP pixels: lon = ((j+½)/W - ½)·2π, lat = (½ - (i+½)/H)·π."""
    height, width = checked_size(erp_size)
    lon = ((np.arange(width) + 0.5) / width - 0.5) * 2 * np.pi
    lat = (0.5 - (np.arange(height) + 0.5) / height) * np.pi
    return Grid(
        real_like(np.sin(lon), like), real_like(-np.tan(lat), like), real_like(np.cos(lon), like)
    )


def view_grid(camera: Camera, like: Array) -> Grid:
    """Rays of a perspective picture's pixels, z = 1."""
    x = (np.arange(camera.width) + 0.5 - camera.width / 2) / camera.fx
    y = (np.arange(camera.height) + 0.5 - camera.height / 2) / camera.fy
    return Grid(real_like(x, like), real_like(y, like), real_like(np.ones(camera.width), like))


@dataclass(frozen=True)
class TurnedGrid:
    """A grid's rays after matrices `[T, 3, 3]`, as what they are sums of: x, y and z by column, three `[T, W]`, and by row, three `[T, H]`."""

    columns: tuple[Array, ...]
    rows: tuple[Array, ...]

    @classmethod
    def of(cls, grid: Grid, turns: Array) -> "TurnedGrid":
        """`turns @ ray` of every pixel."""
        columns = tuple(
            turns[:, axis, 0, None] * grid.x + turns[:, axis, 2, None] * grid.z for axis in range(3)
        )
        return cls(columns, tuple(turns[:, axis, 1, None] * grid.y for axis in range(3)))

    def part(self, rows: slice, columns: slice, fine: int = 1) -> "TurnedGrid":
        """The rays within a window of pixels, of a grid `fine` times as dense as they are."""
        rows, columns = (
            slice(fine * window.start, fine * window.stop) for window in (rows, columns)
        )
        return TurnedGrid(
            tuple(axis[:, columns] for axis in self.columns),
            tuple(axis[:, rows] for axis in self.rows),
        )

    def rays(self) -> Rays:
        """Three `[T, H, W]`, float32 in numpy."""
        x, y, z = (
            _short(column)[:, None, :] + _short(row)[:, :, None]
            for column, row in zip(self.columns, self.rows, strict=True)
        )
        return x, y, z

    def inside(self, camera: Camera) -> Array:
        """Whether a camera sees each ray, bool `[T, H, W]`; the matrices are world-to-camera rotations.

        Four half-spaces z·tan(fov/2) ± x ≥ 0 and the like for y. Each is a column term against a row term, so nothing is sampled and no ray is made.
        """
        tan_x, tan_y = camera.width / (2 * camera.fx), camera.height / (2 * camera.fy)
        seen: Array = None
        for axis, tangent in ((0, tan_x), (1, tan_y)):
            for sign in (1.0, -1.0):
                column, row = (
                    _short(terms[2] * tangent + terms[axis] * sign)
                    for terms in (self.columns, self.rows)
                )
                side = column[:, None, :] >= -row[:, :, None]
                if seen is None:
                    seen = side
                else:
                    seen &= side
        return seen


def turned(grid: Grid, turns: Array) -> Rays:
    """`turns @ ray` for every pixel: `[T, 3, 3]` gives three `[T, H, W]`, float32 in numpy."""
    return TurnedGrid.of(grid, turns).rays()


def inside(grid: Grid, turns: Array, camera: Camera) -> Array:
    """Whether a camera sees each pixel's ray, bool `[T, H, W]`; `turns` are world-to-camera `[T, 3, 3]`."""
    return TurnedGrid.of(grid, turns).inside(camera)


def _short(values: Array) -> Array:
    return values.astype(np.float32) if is_numpy(values) else values


def bands(rows: slice, columns: slice, fine: int = 1) -> Iterator[tuple[slice, slice]]:
    """A window in bands that are about BAND pixels on a grid `fine` times as dense."""
    step = max(1, BAND // max(1, (columns.stop - columns.start) * fine**2))
    for top in range(rows.start, rows.stop, step):
        yield slice(top, min(top + step, rows.stop)), columns


def windows(
    turn: np.ndarray, camera: Camera, erp_size: tuple[int, int]
) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of an ERP map that just hold all that a camera (camera-to-world `[3, 3]`) sees; two windows where it crosses the seam."""
    height, width = erp_size
    low, high, left, right = _extent(turn, camera)
    rows = slice(
        max(0, math.floor((0.5 - high / math.pi) * height) - 1),
        min(height, math.ceil((0.5 - low / math.pi) * height) + 1),
    )
    first = math.floor((left / (2 * math.pi) + 0.5) * width) - 1
    last = math.ceil((right / (2 * math.pi) + 0.5) * width) + 1
    if last - first >= width:
        yield rows, slice(0, width)
        return
    for shift in (-width, 0, width):
        start, stop = max(0, first + shift), min(width, last + shift)
        if start < stop:
            yield rows, slice(start, stop)


def _extent(turn: np.ndarray, camera: Camera) -> tuple[float, float, float, float]:
    """(lowest, highest latitude, first, last longitude) that a camera sees, radians; longitudes may exceed ±π.

    Its sides are great circles. So latitude is extreme at a corner, at a side's own highest or lowest point if that is seen, or at a pole that
    is seen; and longitude is extreme at a corner, if no pole is seen.
    """
    tan_x, tan_y = camera.width / (2 * camera.fx), camera.height / (2 * camera.fy)
    corners = np.array([(u * tan_x, v * tan_y, 1.0) for u in (-1, 1) for v in (-1, 1)]) @ turn.T
    normals = np.array(
        [(1.0, 0.0, tan_x), (-1.0, 0.0, tan_x), (0.0, 1.0, tan_y), (0.0, -1.0, tan_y)]
    )
    normals = (normals / np.linalg.norm(normals, axis=1, keepdims=True)) @ turn.T
    pole = np.array([0.0, 1.0, 0.0])
    tops = pole - normals[:, 1:2] * normals
    candidates = np.concatenate([tops, -tops, [pole, -pole]])
    seen = (candidates @ normals.T > -1e-6).all(1)
    x, y, z = np.concatenate([corners, candidates[seen]]).T
    lat = np.arctan2(-y, np.hypot(x, z))
    middle = math.atan2(turn[0, 2], turn[2, 2])
    if seen[-2:].any():
        return float(lat.min()), float(lat.max()), middle - math.pi, middle + math.pi
    lon = np.remainder(np.arctan2(x[:4], z[:4]) - middle + math.pi, 2 * math.pi) - math.pi
    return float(lat.min()), float(lat.max()), middle + float(lon.min()), middle + float(lon.max())


def erp_pixels(rays: Rays, erp_size: tuple[int, int]) -> tuple[Array, Array]:
    """(column, row) where rays lie in an ERP map; column in [-½, W-½], row in [-½, H-½]. Exact at the poles (no arcsine)."""
    x, y, z = rays
    xp = namespace_of(x)
    height, width = erp_size
    across = x * x + z * z
    if not is_numpy(x) and x.requires_grad:  # at a pole itself a longitude has no finite gradient
        at_pole = across < 1e-14 * y * y
        x, z, across = (
            xp.where(at_pole, 0.0, x),
            xp.where(at_pole, 1.0, z),
            xp.where(at_pole, 1e-30, across),
        )
    column = xp.arctan2(x, z)
    column *= width / (2 * math.pi)
    column += width / 2 - 0.5
    row = xp.arctan2(y, xp.sqrt(across))
    row *= height / math.pi
    row += height / 2 - 0.5
    return column, row


def view_matrix(camera: Camera, like: Array) -> Array:
    """K `[3, 3]`: of a ray in the camera's axes, K @ ray over its last number is (column, row, 1) in the picture."""
    return real_like(
        [
            [camera.fx, 0, camera.width / 2 - 0.5],
            [0, camera.fy, camera.height / 2 - 0.5],
            [0, 0, 1],
        ],
        like,
    )


def solid_angle(erp_size: tuple[int, int]) -> np.ndarray:
    """Exact solid angle of every ERP pixel in steradians, float64 `[H, W]`; sums to 4π."""
    height, width = checked_size(erp_size)
    edges = np.sin((0.5 - np.arange(height + 1) / height) * np.pi)
    return np.repeat(((edges[:-1] - edges[1:]) * (2 * np.pi / width))[:, None], width, axis=1)
