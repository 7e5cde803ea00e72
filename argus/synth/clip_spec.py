"""What one video is made with, and the maps that it is made from."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from argus.synth.paths import CameraPath, Motion, make_path
from argus.synth.world import World

EYES_M = 0.065
"""Between the eyes of stereo videos."""

Steer = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Other rotations `[T, 3, 3]` from a path's own ones and the seconds `[T]` since it began."""


@dataclass(frozen=True)
class ClipSpec:
    """What a video is made with."""

    seed: int
    count: int  # frames
    fps: Fraction
    height: int  # of the whole ERP map, which other layouts are made from; a multiple of 4
    threads: int = 1

    def path(
        self, motion: Motion, *, count: int = 0, world: int = 0, steer: Steer | None = None
    ) -> CameraPath:
        """Where the camera is; `world` counts on from the seed."""
        path = make_path(self.seed + world, count or self.count, self.fps, motion)
        return (
            path
            if steer is None
            else CameraPath(
                steer(path.rotations, path.times - path.times[0]), path.positions, path.times
            )
        )

    def equirect(
        self,
        motion: Motion,
        *,
        count: int = 0,
        world: int = 0,
        sideways: float = 0.0,
        steer: Steer | None = None,
    ) -> Iterator[np.ndarray]:
        """ERP frames `[H, 2H, 3]`; `sideways` moves the eye to its right, metres; the rest as `path`."""
        path = self.path(motion, count=count, world=world, steer=steer)
        positions = path.positions + sideways * path.rotations[:1, :, 0]
        return World(self.seed + world).frames(
            path.rotations, positions, path.times, self.map_size, threads=self.threads
        )

    def eyes(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """ERP frames of a left and a right eye."""
        return zip(
            *(self.equirect(Motion.WALK, sideways=side * EYES_M / 2) for side in (-1, 1)),
            strict=True,
        )

    @property
    def map_size(self) -> tuple[int, int]:
        """(height, width) of the whole ERP map."""
        return self.height, 2 * self.height

    def size(self, aspect: float) -> tuple[int, int]:
        """(height, width) of frames with the map's height."""
        return self.height, 2 * round(self.height * aspect / 2)


Frames = Callable[[ClipSpec], Iterable[np.ndarray]]
