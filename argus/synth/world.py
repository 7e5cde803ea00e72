"""Renderer of the synthetic city: ERP frames from any position and orientation, at any time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from argus.errors import InvalidInput
from argus.sphere import check_erp_size, reduce_area
from argus.synth.city import ELLIPSOID_MATERIALS, Material, Solids, make_edges, make_solids
from argus.synth.materials import (
    ALBEDO_FUNCTIONS,
    SurfacePoints,
    apply_haze,
    apply_light,
    shade_ground,
    shade_sky,
)
from argus.synth.palette import make_palette
from argus.synth.ray_caster import RayCaster
from argus.synth.texture import NoiseTexture


class World:
    """An endless city: streets, buildings, moving cars and pedestrians, trees, and a sky.

    World axes are x east, y down, z north in meters; the ground is y = 0. The same seed gives the
    same pixels.
    """

    def __init__(self, seed: int) -> None:
        if seed < 0:
            raise InvalidInput(f"seed is {seed}, but must not be negative")
        self.seed = seed
        self.palette = make_palette(seed)
        self._noise = NoiseTexture(seed)

    def render(
        self,
        rotations: np.ndarray,
        positions: np.ndarray,
        times: np.ndarray,
        erp_size: tuple[int, int],
        *,
        supersample: int = 1,
        threads: int = 1,
    ) -> np.ndarray:
        """Render ERP frames.

        Args:
            rotations: Camera-to-world `[T, 3, 3]`.
            positions: Camera positions `[T, 3]` in meters, above the ground (y < 0).
            times: `[T]` in seconds.
            erp_size: (height, width) of the frames.
            supersample: Samples per pixel along each axis.
            threads: Number of threads that share the frames.

        Returns:
            uint8 `[T, H, W, 3]`.

        Raises:
            InvalidInput: Shapes do not match, or an argument is out of range.
        """
        frames = self.iterate_frames(
            rotations, positions, times, erp_size, supersample=supersample, threads=threads
        )
        return np.stack(list(frames))

    def iterate_frames(
        self,
        rotations: np.ndarray,
        positions: np.ndarray,
        times: np.ndarray,
        erp_size: tuple[int, int],
        *,
        supersample: int = 1,
        threads: int = 1,
    ) -> Iterator[np.ndarray]:
        """Render as `render` does, and yield one frame `[H, W, 3]` at a time."""
        size = check_erp_size(erp_size)
        rotations, positions, times = (
            np.asarray(values, dtype=np.float64) for values in (rotations, positions, times)
        )
        count = len(times)
        if rotations.shape != (count, 3, 3) or positions.shape != (count, 3):
            raise InvalidInput(
                f"rotations must be [{count}, 3, 3] and positions [{count}, 3] for {count} times, "
                f"got {rotations.shape} and {positions.shape}"
            )
        if not (positions[:, 1] < 0).all():
            raise InvalidInput("positions must be above the ground (y < 0, because y points down)")
        if supersample < 1:
            raise InvalidInput(f"supersample is {supersample}, but must be at least 1")

        def render(k: int) -> np.ndarray:
            return self._render_frame(
                rotations[k], positions[k], float(times[k]), size, supersample
            )

        if threads == 1:
            yield from map(render, range(count))
            return
        step = 4 * threads  # few at a time, so that long videos need little memory
        with ThreadPoolExecutor(threads) as pool:
            for first in range(0, count, step):
                yield from pool.map(render, range(first, min(first + step, count)))

    def find_edges(self, position: np.ndarray, reach: float = 60.0) -> np.ndarray:
        """Return exact straight edges within about `reach` meters of a position `[3]`.

        Returns:
            End points in world axes, float64 `[N, 2, 3]`.
        """
        return make_edges(self.seed, self.palette, np.asarray(position, dtype=np.float64), reach)

    def _render_frame(
        self,
        rotation: np.ndarray,
        eye: np.ndarray,
        time: float,
        size: tuple[int, int],
        supersample: int,
    ) -> np.ndarray:
        caster = RayCaster(rotation, -float(eye[1]), (size[0] * supersample, size[1] * supersample))
        pixel_rad = np.pi / caster.size[0]
        solids = make_solids(self.seed, self.palette, eye, time)
        caster.intersect(solids, eye)
        hit = caster.solid_index.reshape(-1)
        for material in Material:
            indices = np.flatnonzero((hit >= 0) & (solids.material[hit] == material))
            rays, depth = caster.gather(indices)
            caster.color[indices] = self._shade_solids(
                material, solids.select(hit[indices]), rays, depth, eye=eye, pixel_rad=pixel_rad
            )
        background = np.flatnonzero(hit < 0)
        rays, depth = caster.gather(background)
        is_ground = np.isfinite(depth)
        caster.color[background[is_ground]] = shade_ground(
            rays[is_ground],
            depth[is_ground],
            eye,
            pixel_rad,
            palette=self.palette,
            noise=self._noise,
            seed=self.seed,
        )
        caster.color[background[~is_ground]] = shade_sky(
            rays[~is_ground], time, pixel_rad, self.palette, self._noise
        )
        levels = np.clip(caster.color, 0, 1) * 255 + 0.5
        frame = levels.astype(np.uint8).reshape(*caster.size, 3)
        return frame if supersample == 1 else np.asarray(reduce_area(frame[None], size)[0])

    def _shade_solids(
        self,
        material: Material,
        solids: Solids,
        rays: np.ndarray,
        depth: np.ndarray,
        *,
        eye: np.ndarray,
        pixel_rad: float,
    ) -> np.ndarray:
        """Return the colors `[N, 3]` of pixels of one material; `solids` has one per pixel."""
        half_size = ((solids.high - solids.low) / 2).astype(np.float32)
        center = ((solids.high + solids.low) / 2 - eye).astype(np.float32)
        point = rays * depth[:, None] - center
        scaled = point / half_size
        if material in ELLIPSOID_MATERIALS:
            normal = scaled / half_size
            normal /= np.sqrt((normal * normal).sum(1, keepdims=True))
        else:
            axis = np.abs(scaled).argmax(1)
            rows = np.arange(len(axis))
            normal = np.zeros_like(point)
            normal[rows, axis] = np.sign(scaled[rows, axis])
        cosine = np.maximum(np.abs((rays * normal).sum(1)), 0.1)
        points = SurfacePoints(
            point,
            normal,
            half_size,
            depth * np.float32(pixel_rad) / np.sqrt(cosine),
            solids.color.astype(np.float32),
            solids.variation.astype(np.float32),
        )
        albedo = ALBEDO_FUNCTIONS[material](points, self._noise)
        return apply_haze(apply_light(albedo, normal, self.palette), depth, self.palette)
