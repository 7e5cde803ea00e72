"""Ray casting of one ERP frame: analytic intersections with boxes and ellipsoids.

Each solid is tested only against the window of the map that may show it.
"""

import math
from collections.abc import Iterator

import numpy as np

from argus.sphere import erp_grid, rotate_rays
from argus.synth.city import Solids

_MIN_COMPONENT = np.float32(1e-9)  # of a ray, so that its inverse is finite


class RayCaster:
    """Rays of an ERP frame and what they hit.

    Attributes:
        size: (height, width) of the frame.
        rays: Unit rays in world axes: x, y, z, float32 `[H, W]` each.
        depth: Distance to the hit in meters `[H, W]`; at first that of the ground, or infinity.
        solid_index: Index of the solid that each ray hits `[H, W]`, -1 for none.
        color: Output colors `[H·W, 3]`, filled by the caller.
    """

    def __init__(self, rotation: np.ndarray, eye_height: float, erp_size: tuple[int, int]) -> None:
        self.size = erp_size
        self._world_to_camera = rotation.T
        rays = [
            axis[0].astype(np.float32)
            for axis in rotate_rays(erp_grid(erp_size, rotation), rotation[None])
        ]
        length = np.sqrt(rays[0] ** 2 + rays[1] ** 2 + rays[2] ** 2)
        self.rays = [axis / length for axis in rays]
        self._inverse_rays = [
            1 / np.where(np.abs(axis) < _MIN_COMPONENT, _MIN_COMPONENT, axis) for axis in self.rays
        ]
        self.depth = np.where(
            self.rays[1] > 1e-6,
            np.float32(eye_height) * np.abs(self._inverse_rays[1]),
            np.float32(np.inf),
        )
        self.solid_index = np.full(erp_size, -1, np.int32)
        self.color = np.zeros((erp_size[0] * erp_size[1], 3), np.float32)

    def gather(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (rays `[N, 3]`, depth `[N]`) at flat pixel indices."""
        rays = np.stack([axis.reshape(-1)[indices] for axis in self.rays], -1)
        return rays, self.depth.reshape(-1)[indices]

    def intersect(self, solids: Solids, eye: np.ndarray) -> None:
        """Intersect all solids and keep the nearest hit of each ray.

        Args:
            solids: Solids in world coordinates; it is faster with the nearest ones first.
            eye: Camera position `[3]`.
        """
        low, high = solids.low - eye, solids.high - eye
        center, radius = (low + high) / 2, np.linalg.norm(high - low, axis=-1) / 2
        nearest = np.linalg.norm(np.maximum(np.maximum(low, -high), 0), axis=-1)
        lat, lon, half_height, half_width = self._bound_spheres(center, radius)
        for k, is_ellipsoid in enumerate(solids.is_ellipsoid):
            if half_height[k] < math.pi / self.size[0] / 2:  # smaller than a pixel
                continue
            intersect = self._intersect_ellipsoid if is_ellipsoid else self._intersect_box
            for rows, columns in self._iterate_windows(
                lat[k], lon[k], half_height[k], half_width[k]
            ):
                depth = self.depth[rows, columns]
                if depth.max() <= nearest[k]:
                    continue
                distance, is_hit = intersect(rows, columns, low[k], high[k])
                is_hit &= distance < depth
                np.copyto(depth, distance, where=is_hit)
                np.copyto(self.solid_index[rows, columns], k, where=is_hit)

    def _intersect_box(
        self, rows: slice, columns: slice, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (distance, is_hit) by the slab method."""
        enter = leave = None
        for axis in range(3):
            inverse = self._inverse_rays[axis][rows, columns]
            a, b = inverse * np.float32(low[axis]), inverse * np.float32(high[axis])
            near, far = np.minimum(a, b), np.maximum(a, b)
            enter = near if enter is None else np.maximum(enter, near, out=enter)
            leave = far if leave is None else np.minimum(leave, far, out=leave)
        assert enter is not None
        is_hit = enter <= leave
        is_hit &= enter > 0
        return enter, is_hit

    def _intersect_ellipsoid(
        self, rows: slice, columns: slice, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (distance, is_hit): the quadratic for the unit sphere in scaled axes."""
        scale = (2 / (high - low)).astype(np.float32)
        center = ((low + high) / 2 * scale).astype(np.float32)
        x, y, z = (self.rays[axis][rows, columns] * scale[axis] for axis in range(3))
        a = x * x + y * y + z * z
        b = x * center[0] + y * center[1] + z * center[2]
        discriminant = b * b - a * np.float32(center @ center - 1)
        distance = (b - np.sqrt(np.maximum(discriminant, 0))) / a
        return distance, (discriminant > 0) & (distance > 0)

    def _bound_spheres(self, center: np.ndarray, radius: np.ndarray) -> tuple[list[float], ...]:
        """Return the bounds of spheres in the map, in radians.

        Args:
            center: Centers relative to the camera, in world axes, `[N, 3]`.
            radius: `[N]`.

        Returns:
            (latitude, longitude, half-height, half-width); a half-width of π means all columns.
        """
        distance = np.linalg.norm(center, axis=-1)
        x, y, z = ((center / distance[:, None]) @ self._world_to_camera.T).T
        lat, lon = np.arcsin(np.clip(-y, -1, 1)), np.arctan2(x, z)
        half_height = np.where(
            distance > radius * 1.01, np.arcsin(np.minimum(radius / distance, 1)), np.pi
        )
        ratio = np.sin(np.minimum(half_height, np.pi / 2)) / np.maximum(np.cos(lat), 1e-9)
        half_width = np.where(
            (np.abs(lat) + half_height < np.pi / 2) & (ratio < 1),
            np.arcsin(np.minimum(ratio, 1)),
            np.pi,
        )
        return lat.tolist(), lon.tolist(), half_height.tolist(), half_width.tolist()

    def _iterate_windows(
        self, lat: float, lon: float, half_height: float, half_width: float
    ) -> Iterator[tuple[slice, slice]]:
        """Yield the rows and columns of a bound; two windows where it crosses the seam."""
        height, width = self.size
        top = max(0, math.floor((0.5 - (lat + half_height) / math.pi) * height - 0.5))
        bottom = min(height, math.ceil((0.5 - (lat - half_height) / math.pi) * height + 0.5))
        left = math.floor(((lon - half_width) / (2 * math.pi) + 0.5) * width - 0.5)
        right = math.ceil(((lon + half_width) / (2 * math.pi) + 0.5) * width + 0.5)
        if right - left >= width:
            yield slice(top, bottom), slice(0, width)
            return
        for shift in (-width, 0, width):
            start, stop = max(0, left + shift), min(width, right + shift)
            if start < stop and top < bottom:
                yield slice(top, bottom), slice(start, stop)
