"""`World`: renders the city of a seed to ERP frames from any position and orientation, at any time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from argus.errors import InvalidInput
from argus.sphere import check_erp_size, reduce_area
from argus.synth import city
from argus.synth.canvas import Canvas
from argus.synth.city import Material
from argus.synth.materials import LOOKS, Spot, ground, hazed, lit, sky
from argus.synth.palette import make_palette
from argus.synth.texture import Noise


class World:
    """An endless city: textured streets, buildings, moving cars and people, trees, sky. The same seed gives the same pixels."""

    def __init__(self, seed: int) -> None:
        if seed < 0:
            raise InvalidInput(f"seed is {seed}, but must not be negative")
        self.seed = seed
        self.palette = make_palette(seed)
        self._noise = Noise(seed)

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
        """uint8 `[T, H, W, 3]` from camera-to-world rotations `[T, 3, 3]`, positions `[T, 3]` and times `[T]`, in metres and seconds; y points down.

        `supersample` renders so many times as many rows and columns and averages. Raises InvalidInput.
        """
        return np.stack(
            list(
                self.frames(
                    rotations, positions, times, erp_size, supersample=supersample, threads=threads
                )
            )
        )

    def frames(
        self,
        rotations: np.ndarray,
        positions: np.ndarray,
        times: np.ndarray,
        erp_size: tuple[int, int],
        *,
        supersample: int = 1,
        threads: int = 1,
    ) -> Iterator[np.ndarray]:
        """As `render`, one frame `[H, W, 3]` at a time."""
        size = check_erp_size(erp_size)
        rotations, positions, times = (
            np.asarray(values, dtype=np.float64) for values in (rotations, positions, times)
        )
        count = len(times)
        if rotations.shape != (count, 3, 3) or positions.shape != (count, 3):
            raise InvalidInput(
                f"rotations {rotations.shape} and positions {positions.shape} do not fit {count} times"
            )
        if not (positions[:, 1] < 0).all():
            raise InvalidInput("every position must lie above the ground (y < 0, as y points down)")
        if supersample < 1:
            raise InvalidInput(f"supersample is {supersample}, but must be at least 1")

        def one(k: int) -> np.ndarray:
            return self._frame(rotations[k], positions[k], float(times[k]), size, supersample)

        if threads == 1:
            yield from map(one, range(count))
            return
        with ThreadPoolExecutor(threads) as pool:
            for first in range(
                0, count, 4 * threads
            ):  # few at a time, so that long videos need little memory
                yield from pool.map(one, range(first, min(first + 4 * threads, count)))

    def lines(self, position: np.ndarray, reach: float = 60.0) -> np.ndarray:
        """Exact straight edges within about `reach` metres: end points float64 `[N, 2, 3]` in world axes."""
        return city.lines(self.seed, self.palette, np.asarray(position, dtype=np.float64), reach)

    def _frame(
        self,
        rotation: np.ndarray,
        eye: np.ndarray,
        time: float,
        size: tuple[int, int],
        supersample: int,
    ) -> np.ndarray:
        canvas = Canvas(rotation, -float(eye[1]), (size[0] * supersample, size[1] * supersample))
        pixel = np.pi / canvas.size[0]
        solids = city.solids(self.seed, self.palette, eye, time)
        canvas.meet(solids, eye)
        thing = canvas.thing.reshape(-1)
        for material in Material:
            indices = np.flatnonzero((thing >= 0) & (solids.material[thing] == material))
            rays, depth = canvas.flat(indices)
            canvas.colour[indices] = self._solid(
                material, solids.select(thing[indices]), rays, depth, eye, pixel
            )
        free = np.flatnonzero(thing < 0)
        rays, depth = canvas.flat(free)
        down = np.isfinite(depth)
        canvas.colour[free[down]] = ground(
            rays[down],
            depth[down],
            eye,
            pixel,
            palette=self.palette,
            noise=self._noise,
            seed=self.seed,
        )
        canvas.colour[free[~down]] = sky(rays[~down], time, pixel, self.palette, self._noise)
        levels = np.clip(canvas.colour, 0, 1) * 255 + 0.5
        frame = levels.astype(np.uint8).reshape(*canvas.size, 3)
        return frame if supersample == 1 else np.asarray(reduce_area(frame[None], size)[0])

    def _solid(
        self,
        material: Material,
        of: city.Solids,
        rays: np.ndarray,
        depth: np.ndarray,
        eye: np.ndarray,
        pixel: float,
    ) -> np.ndarray:
        """Colours `[N, 3]` of pixels that all show one material; `of` has the solid of each pixel."""
        half = ((of.high - of.low) / 2).astype(np.float32)
        point = rays * depth[:, None] - ((of.high + of.low) / 2 - eye).astype(np.float32)
        scaled = point / half
        if material in city.ROUND:
            normal = scaled / half
            normal /= np.sqrt((normal * normal).sum(1, keepdims=True))
        else:
            axis = np.abs(scaled).argmax(1)
            normal = np.zeros_like(point)
            normal[np.arange(len(axis)), axis] = np.sign(scaled[np.arange(len(axis)), axis])
        facing = np.maximum(np.abs((rays * normal).sum(1)), 0.1)
        footprint = depth * np.float32(pixel) / np.sqrt(facing)
        spot = Spot(
            point, normal, half, footprint, of.colour.astype(np.float32), of.key.astype(np.float32)
        )
        return hazed(
            lit(LOOKS[material](spot, self._noise), normal, self.palette), depth, self.palette
        )
