"""Frames, rotations and cameras that belong together, and how calls divide them into work."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from argus.errors import InvalidInput
from argus.sphere.arrays import Array, as_rotations, to_channels_last
from argus.sphere.camera import Camera

Cameras = Camera | Sequence[Camera]
"""One camera for all frames, or one per frame, all of one picture size."""

MAX_TORCH_FRAMES = 4
"""Maximum number of frames that torch computes at once. It bounds the memory of coordinates, about
100 bytes per sample."""


class FrameBatch:
    """Frames `[T, H, W, C]`, rotations `[T, 3, 3]` and cameras; each T of them, or one for all."""

    def __init__(self, frames: Array, rotations: Array, camera: Cameras) -> None:
        self.frames = to_channels_last(frames)
        self.rotations = as_rotations(rotations, frames)
        camera_count = 1 if isinstance(camera, Camera) else len(camera)
        counts = {len(self.frames), len(self.rotations), camera_count} - {1}
        if len(counts) > 1 or 0 in counts:
            raise InvalidInput(
                f"got {len(self.frames)} frames, {len(self.rotations)} rotations and "
                f"{camera_count} cameras; give the same number of each, or one for all"
            )
        self.count = max(counts, default=1)
        self.cameras = repeat_camera(camera, self.count)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frames."""
        return int(self.frames.shape[1]), int(self.frames.shape[2])

    def select(self, start: int, stop: int) -> tuple[Array, Array]:
        """Return frames `[n, H, W, C]` and rotations `[n, 3, 3]`; n is 1 for one for all."""
        frames, rotations = (
            values if len(values) == 1 else values[start:stop]
            for values in (self.frames, self.rotations)
        )
        return frames, rotations

    def split(self) -> Iterator[tuple[Array, Array, Camera]]:
        """Yield frames, rotations and camera of short runs of frames with one camera."""
        for start, stop, one in group_frames(self.cameras):
            yield *self.select(start, stop), one


def run_threads(work: Callable[[int], None], count: int, threads: int) -> None:
    """Call work(0), ..., work(count - 1) on a number of threads."""
    if threads < 1:
        raise InvalidInput(f"threads is {threads}, but must be at least 1")
    if min(threads, count) == 1:
        for k in range(count):
            work(k)
        return

    def run_every_nth(first: int) -> None:
        for k in range(first, count, threads):
            work(k)

    with ThreadPoolExecutor(min(threads, count)) as pool:
        list(pool.map(run_every_nth, range(min(threads, count))))


def repeat_camera(camera: Cameras, count: int) -> Sequence[Camera]:
    """Return one camera per frame."""
    cameras = [camera] if isinstance(camera, Camera) else list(camera)
    if len(cameras) == 1:
        cameras *= count
    if len(cameras) != count:
        raise InvalidInput(
            f"got {len(cameras)} cameras for {count} frames; give one for all, or one per frame"
        )
    if len({(one.width, one.height) for one in cameras}) > 1:
        raise InvalidInput("the cameras of one call must have the same picture size")
    return cameras


def group_frames(cameras: Sequence[Camera]) -> Iterator[tuple[int, int, Camera]]:
    """Yield (start, stop, camera) of runs of at most MAX_TORCH_FRAMES frames with one camera."""
    start = 0
    for one, group in itertools.groupby(cameras):
        stop = start + len(list(group))
        for first in range(start, stop, MAX_TORCH_FRAMES):
            yield first, min(first + MAX_TORCH_FRAMES, stop), one
        start = stop
