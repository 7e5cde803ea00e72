"""The rays of one ERP frame, and which solid each of them meets first: analytic intersections within each solid's own window of the map."""

import math
from collections.abc import Iterator

import numpy as np

from argus.sphere import erp_grid, rotate_rays
from argus.synth.city import Solids

FAINT = np.float32(1e-9)


class Canvas:
    """Unit rays `[H, W]` in world axes, the solid that each meets (-1: none), depth in metres (at first the ground's), colours `[H·W, 3]`."""

    def __init__(self, rotation: np.ndarray, eye: float, erp_size: tuple[int, int]) -> None:
        self.size = erp_size
        self._to_camera = rotation.T
        rays = [
            axis[0].astype(np.float32)
            for axis in rotate_rays(erp_grid(erp_size, rotation), rotation[None])
        ]
        length = np.sqrt(rays[0] ** 2 + rays[1] ** 2 + rays[2] ** 2)
        self.rays = [axis / length for axis in rays]
        self._inverse = [1 / np.where(np.abs(axis) < FAINT, FAINT, axis) for axis in self.rays]
        self.depth = np.where(
            self.rays[1] > 1e-6, np.float32(eye) * np.abs(self._inverse[1]), np.float32(np.inf)
        )
        self.thing = np.full(erp_size, -1, np.int32)
        self.colour = np.zeros((erp_size[0] * erp_size[1], 3), np.float32)

    def flat(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(rays `[N, 3]`, depth `[N]`) at flat indices."""
        return np.stack([axis.reshape(-1)[indices] for axis in self.rays], -1), self.depth.reshape(
            -1
        )[indices]

    def meet(self, solids: Solids, eye: np.ndarray) -> None:
        """Intersects all solids; `thing` and `depth` hold the nearest of each pixel. Those given first should be the near ones."""
        low, high = solids.low - eye, solids.high - eye
        centre, radius = (low + high) / 2, np.linalg.norm(high - low, axis=-1) / 2
        nearest = np.linalg.norm(np.maximum(np.maximum(low, -high), 0), axis=-1)
        lat, lon, spread, wide = self._extents(centre, radius)
        meets = [self._ellipsoid if is_round else self._box for is_round in solids.round]
        for k, meet in enumerate(meets):
            if spread[k] < math.pi / self.size[0] / 2:  # less than a pixel across
                continue
            for rows, columns in self._windows(lat[k], lon[k], spread[k], wide[k]):
                depth = self.depth[rows, columns]
                if depth.max() <= nearest[k]:
                    continue
                t, hit = meet(rows, columns, low[k], high[k])
                hit &= t < depth
                np.copyto(depth, t, where=hit)
                np.copyto(self.thing[rows, columns], k, where=hit)

    def _box(
        self, rows: slice, columns: slice, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Slab test: (distance, hit)."""
        entry = leave = None
        for axis in range(3):
            inverse = self._inverse[axis][rows, columns]
            a, b = inverse * np.float32(low[axis]), inverse * np.float32(high[axis])
            first, last = np.minimum(a, b), np.maximum(a, b)
            entry = first if entry is None else np.maximum(entry, first, out=entry)
            leave = last if leave is None else np.minimum(leave, last, out=leave)
        assert entry is not None
        hit = entry <= leave
        hit &= entry > 0
        return entry, hit

    def _ellipsoid(
        self, rows: slice, columns: slice, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The unit sphere in scaled axes: (distance, hit)."""
        scale = (2 / (high - low)).astype(np.float32)
        middle = ((low + high) / 2 * scale).astype(np.float32)
        x, y, z = (self.rays[axis][rows, columns] * scale[axis] for axis in range(3))
        square = x * x + y * y + z * z
        along = x * middle[0] + y * middle[1] + z * middle[2]
        discriminant = along * along - square * np.float32(middle @ middle - 1)
        t = (along - np.sqrt(np.maximum(discriminant, 0))) / square
        return t, (discriminant > 0) & (t > 0)

    def _extents(self, centre: np.ndarray, radius: np.ndarray) -> tuple[list[float], ...]:
        """(latitude, longitude, half-height, half-width) in radians of spheres as the map shows them; half-width π means all columns."""
        distance = np.linalg.norm(centre, axis=-1)
        x, y, z = ((centre / distance[:, None]) @ self._to_camera.T).T
        lat, lon = np.arcsin(np.clip(-y, -1, 1)), np.arctan2(x, z)
        spread = np.where(
            distance > radius * 1.01, np.arcsin(np.minimum(radius / distance, 1)), np.pi
        )
        ratio = np.sin(np.minimum(spread, np.pi / 2)) / np.maximum(np.cos(lat), 1e-9)
        wide = np.where(
            (np.abs(lat) + spread < np.pi / 2) & (ratio < 1), np.arcsin(np.minimum(ratio, 1)), np.pi
        )
        return lat.tolist(), lon.tolist(), spread.tolist(), wide.tolist()

    def _windows(
        self, lat: float, lon: float, spread: float, wide: float
    ) -> Iterator[tuple[slice, slice]]:
        """Rows and columns that hold an extent; two windows where it crosses the seam."""
        height, width = self.size
        top = max(0, math.floor((0.5 - (lat + spread) / math.pi) * height - 0.5))
        bottom = min(height, math.ceil((0.5 - (lat - spread) / math.pi) * height + 0.5))
        left = math.floor(((lon - wide) / (2 * math.pi) + 0.5) * width - 0.5)
        right = math.ceil(((lon + wide) / (2 * math.pi) + 0.5) * width + 0.5)
        if right - left >= width:
            yield slice(top, bottom), slice(0, width)
            return
        for shift in (-width, 0, width):
            start, stop = max(0, left + shift), min(width, right + shift)
            if start < stop and top < bottom:
                yield slice(top, bottom), slice(start, stop)
