"""Parameters of one synthetic video, and the ERP frames that it is made from."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import numpy as np

from argus.synth.paths import CameraPath, Motion, make_path
from argus.synth.room_renderer import render_room
from argus.synth.rooms import Room
from argus.synth.world import World

STEREO_BASELINE_M = 0.065
"""Distance between the eyes of stereo videos."""

RotationEdit = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Function of a path's rotations `[T, 3, 3]` and elapsed seconds `[T]` that returns rotations."""


@dataclass(frozen=True)
class ClipSpec:
    """Parameters of one video.

    Attributes:
        seed: Seed of the world and the path.
        count: Number of frames.
        fps: Frames per second.
        height: Rows of the whole ERP map, from which other layouts are made; a multiple of 4.
        threads: Number of rendering threads.
        room: Room instead of the city.
    """

    seed: int
    count: int
    fps: Fraction
    height: int
    threads: int = 1
    room: Room | None = None

    def camera_path(
        self,
        motion: Motion,
        *,
        count: int = 0,
        seed_offset: int = 0,
        edit_rotations: RotationEdit | None = None,
    ) -> CameraPath:
        """Return the camera path.

        Args:
            motion: Kind of camera motion.
            count: Number of frames; 0 for all.
            seed_offset: Added to the seed, for another world.
            edit_rotations: Function that replaces the rotations.
        """
        seed, frames = self.seed + seed_offset, count or self.count
        path = (
            self.room.make_path(seed, frames, self.fps, motion)
            if self.room
            else make_path(seed, frames, self.fps, motion)
        )
        if edit_rotations is None:
            return path
        rotations = edit_rotations(path.rotations, path.times - path.times[0])
        return CameraPath(rotations, path.positions, path.times)

    def render_erp(
        self,
        motion: Motion,
        *,
        count: int = 0,
        seed_offset: int = 0,
        eye_offset_m: float = 0.0,
        edit_rotations: RotationEdit | None = None,
    ) -> Iterator[np.ndarray]:
        """Yield ERP frames uint8 `[H, 2H, 3]` along the path of `camera_path`.

        Args:
            motion: Kind of camera motion.
            count: Number of frames; 0 for all.
            seed_offset: Added to the seed, for another world.
            eye_offset_m: Displacement to the right of the camera's first orientation.
            edit_rotations: Function that replaces the rotations.
        """
        path = self.camera_path(
            motion, count=count, seed_offset=seed_offset, edit_rotations=edit_rotations
        )
        if self.room:
            seed = self.seed + seed_offset
            if edit_rotations is None:
                return iter(
                    _render_room(
                        replace(self, seed=seed, count=len(path.times)), motion, eye_offset_m
                    )
                )
            return render_room(self.room, seed, path, self.erp_size, eye_offset_m=eye_offset_m)
        positions = path.positions + eye_offset_m * path.rotations[:1, :, 0]
        return World(self.seed + seed_offset).iterate_frames(
            path.rotations, positions, path.times, self.erp_size, threads=self.threads
        )

    def render_stereo_erp(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the ERP frames of the left and the right eye of a walk."""
        baseline = self.room.baseline_m if self.room else STEREO_BASELINE_M
        left, right = (
            self.render_erp(Motion.WALK, eye_offset_m=side * baseline / 2) for side in (-1, 1)
        )
        return zip(left, right, strict=True)

    @property
    def erp_size(self) -> tuple[int, int]:
        """(height, width) of the whole ERP map."""
        return self.height, 2 * self.height

    def frame_size(self, aspect: float) -> tuple[int, int]:
        """Return (height, width) of frames as high as the map, with an aspect ratio."""
        return self.height, 2 * round(self.height * aspect / 2)


@lru_cache(maxsize=4)
def _render_room(spec: ClipSpec, motion: Motion, eye_offset_m: float) -> list[np.ndarray]:
    """Render the frames of a room once for all layouts that show them."""
    assert spec.room is not None
    path = spec.camera_path(motion)
    frames = render_room(spec.room, spec.seed, path, spec.erp_size, eye_offset_m=eye_offset_m)
    return list(frames)


FrameSource = Callable[[ClipSpec], Iterable[np.ndarray]]
"""Function that renders the frames of a video, uint8 `[h, w, 3]` each."""
