"""The rays of one ERP frame, and which solid each of them meets first: analytic intersections within each solid's own window of the map."""

import math
from collections.abc import Iterator

import numpy as np

from argus.sphere.grid import erp_grid, turned

FAINT = np.float32(1e-9)


class Canvas:
    """Unit rays `[H, W]` in world axes, the depth in metres of what they met (the ground to begin with), and the frame's colours `[H·W, 3]`."""

    def __init__(self, rotation: np.ndarray, eye: float, erp_size: tuple[int, int]) -> None:
        self.size = erp_size
        self._to_camera = rotation.T
        rays = [axis[0].astype(np.float32) for axis in turned(erp_grid(erp_size, rotation), rotation[None])]
        length = np.sqrt(rays[0] ** 2 + rays[1] ** 2 + rays[2] ** 2)
        self.rays = [axis / length for axis in rays]
        self._inverse = [1 / np.where(np.abs(axis) < FAINT, FAINT, axis) for axis in self.rays]
        self.depth = np.where(self.rays[1] > 1e-6, np.float32(eye) * np.abs(self._inverse[1]), np.float32(np.inf))
        self.free = np.ones(erp_size, bool)  # no solid met yet
        self.colour = np.zeros((erp_size[0] * erp_size[1], 3), np.float32)

    def flat(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(rays `[N, 3]`, depth `[N]`) at flat indices."""
        return np.stack([axis.reshape(-1)[indices] for axis in self.rays], -1), self.depth.reshape(-1)[indices]

    def meet(self, low: np.ndarray, high: np.ndarray, *, ellipsoid: bool) -> np.ndarray:
        """Flat indices of the pixels where this solid (corners relative to the eye) is nearer than all before; their depth is updated."""
        centre, half = (low + high) / 2, (high - low) / 2
        nearest = float(np.linalg.norm(np.maximum(np.maximum(low, -high), 0)))
        found = []
        for rows, columns in self._windows(centre, float(np.linalg.norm(half))):
            depth = self.depth[rows, columns]
            if depth.max() <= nearest:
                continue
            t, hit = (self._ellipsoid if ellipsoid else self._box)(rows, columns, low, high)
            hit &= t < depth
            inside = np.flatnonzero(hit)
            if not len(inside):
                continue
            i, j = np.divmod(inside, hit.shape[1])
            indices = (i + rows.start) * self.size[1] + (j + columns.start)
            self.depth.reshape(-1)[indices] = t.reshape(-1)[inside]
            self.free.reshape(-1)[indices] = False
            found.append(indices)
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def _box(self, rows: slice, columns: slice, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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

    def _ellipsoid(self, rows: slice, columns: slice, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The unit sphere in scaled axes: (distance, hit)."""
        scale = (2 / (high - low)).astype(np.float32)
        middle = ((low + high) / 2 * scale).astype(np.float32)
        x, y, z = (self.rays[axis][rows, columns] * scale[axis] for axis in range(3))
        square = x * x + y * y + z * z
        along = x * middle[0] + y * middle[1] + z * middle[2]
        discriminant = along * along - square * np.float32(middle @ middle - 1)
        t = (along - np.sqrt(np.maximum(discriminant, 0))) / square
        return t, (discriminant > 0) & (t > 0)

    def _windows(self, centre: np.ndarray, radius: float) -> Iterator[tuple[slice, slice]]:
        """Rows and columns that hold a sphere (middle relative to the eye); two windows where it crosses the seam."""
        height, width = self.size
        distance = float(np.linalg.norm(centre))
        if distance <= radius * 1.01:
            yield slice(0, height), slice(0, width)
            return
        x, y, z = self._to_camera @ (centre / distance)
        spread, lat, lon = math.asin(radius / distance), math.asin(max(-1.0, min(1.0, -y))), math.atan2(x, z)
        top = max(0, math.floor((0.5 - (lat + spread) / math.pi) * height - 0.5))
        bottom = min(height, math.ceil((0.5 - (lat - spread) / math.pi) * height + 0.5))
        if abs(lat) + spread >= math.pi / 2:
            yield slice(top, bottom), slice(0, width)
            return
        wide = math.asin(min(1.0, math.sin(spread) / math.cos(lat)))
        left = math.floor(((lon - wide) / (2 * math.pi) + 0.5) * width - 0.5)
        right = math.ceil(((lon + wide) / (2 * math.pi) + 0.5) * width + 0.5)
        if right - left >= width:
            yield slice(top, bottom), slice(0, width)
            return
        for shift in (-width, 0, width):
            start, stop = max(0, left + shift), min(width, right + shift)
            if start < stop and top < bottom:
                yield slice(top, bottom), slice(start, stop)
