"""ERP to perspective and back, visibility, and turning a map: per frame with its own rotation (and its own camera, if several are given)."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from argus.errors import InvalidInput
from argus.sphere.arrays import (
    Array,
    Frames,
    Interpolation,
    channels_last,
    is_numpy,
    namespace_of,
    own_order,
    turns_of,
)
from argus.sphere.camera import Camera
from argus.sphere.grid import (
    Grid,
    TurnedGrid,
    bands,
    checked_size,
    erp_grid,
    erp_pixels,
    inside,
    turned,
    view_grid,
    view_matrix,
    windows,
)
from argus.sphere.sampling import (
    FINE,
    MINIFY,
    PAD,
    ErpSampler,
    Sampler,
    halvings,
    pad_erp,
    reduced,
    sample,
)

Cameras = Camera | Sequence[Camera]
"""One camera for all frames, or one per frame, all of one size."""

LONGEST = 4
"""Frames computed at once in torch: bounds the memory of coordinates, about 100 bytes per sample."""

AHEAD = 1e-9
"""Rays less far ahead than this, which no camera sees, are set to it: pixels stay finite."""


def erp_to_view(
    erp: Frames,
    rotations: Array,
    camera: Cameras,
    *,
    interpolation: Interpolation = "linear",
    threads: int = 1,
) -> Frames:
    """Perspective pictures of ERP frames.

    erp: numpy uint8 or float `[T, H, W, C]`, or torch float `[T, C, H, W]`; one frame serves many rotations.
    rotations: camera-to-world `[T, 3, 3]`, or one for all. Result: the same type, `[T, h, w, C]` or `[T, C, h, w]`.
    Where the view has fewer pixels per radian than the map, each of its pixels is an area's mean. `threads` share the frames (numpy only).
    Raises InvalidInput.
    """
    task = _Task(erp, rotations, camera)

    def look(one: Camera, like: Array) -> _Look:
        ratio = task.size[1] / (2 * math.pi) / math.sqrt(one.density[0] * one.density[1])
        fine, part = (FINE if ratio > MINIFY else 1), 2 ** halvings(ratio)
        size = (
            task.size
            if part == 1
            else (max(2, round(task.size[0] / part)), 2 * max(2, round(task.size[1] / part / 2)))
        )
        return _Look(view_grid(one.resized(fine * one.width, fine * one.height), like), size, fine)

    return _looked(
        task,
        (task.cameras[0].height, task.cameras[0].width),
        look,
        interpolation=interpolation,
        threads=threads,
    )


def rotate_erp(
    erp: Frames, rotations: Array, *, interpolation: Interpolation = "linear", threads: int = 1
) -> Frames:
    """ERP frames that show at direction d what `erp` shows at R·d; shapes and types as given, `rotations` `[T, 3, 3]` or one for all."""
    task = _Task(erp, rotations, Camera(90, 1, 1))
    size = checked_size(task.size)
    return _looked(
        task,
        size,
        lambda _, like: _Look(erp_grid(size, like), size, 1),
        interpolation=interpolation,
        threads=threads,
    )


def view_to_erp(
    view: Frames,
    rotations: Array,
    camera: Cameras,
    erp_size: tuple[int, int],
    fill: float | None = None,
    *,
    interpolation: Interpolation = "linear",
    threads: int = 1,
) -> tuple[Frames, Frames]:
    """ERP maps `[T, H, W, C]` (torch `[T, C, H, W]`) of perspective pictures, and what they cover: bool `[T, H, W]`.

    Pixels that no camera sees hold `fill` (default 0). Where the view has more pixels per radian, each of the map's pixels is an area's mean.
    `threads` share the frames (numpy only). Raises InvalidInput.
    """
    size = checked_size(erp_size)
    task = _Task(view, rotations, camera)
    if task.size != (task.cameras[0].height, task.cameras[0].width):
        one = task.cameras[0]
        raise InvalidInput(
            f"the camera is {one.width}x{one.height}, but the view is {task.size[1]}x{task.size[0]}"
        )
    value = 0.0 if fill is None else fill
    if is_numpy(task.frames):
        return _placed_numpy(task, size, value, interpolation, threads)
    xp = namespace_of(task.frames)
    placed = [_placed_torch(part, size, value, interpolation) for part in task.runs()]
    erp: Frames = own_order(xp.concat([erp for erp, _ in placed], 0))
    return erp, xp.concat([mask for _, mask in placed], 0)


def visible_mask(rotations: Frames, camera: Cameras, erp_size: tuple[int, int]) -> Frames:
    """Which ERP pixels the camera sees: bool `[T, H, W]`, numpy or torch as the rotations `[T, 3, 3]` are. Analytic, nothing is sampled."""
    size = checked_size(erp_size)
    turns = turns_of(rotations, rotations)
    grid = erp_grid(size, turns)
    inverse = namespace_of(turns).swapaxes(turns, 1, 2)
    cameras = _cameras(camera, len(turns))
    mask: Frames
    if not is_numpy(turns):
        mask = namespace_of(turns).concat(
            [inside(grid, inverse[start:stop], one) for start, stop, one in _runs(cameras)], 0
        )
        return mask
    seen = np.zeros((len(turns), *size), bool)
    for k, one in enumerate(
        cameras
    ):  # writing the result takes most of the time, and threads would not shorten that
        rays = TurnedGrid.of(grid, inverse[k : k + 1])
        for window in windows(turns[k], one, size):
            seen[k][window] = rays.part(*window).inside(one)[0]
    return seen  # type: ignore[return-value]


class _Task:
    """Frames `[T, H, W, C]`, rotations `[T, 3, 3]` and cameras that belong together: as many of each, or one for all."""

    def __init__(self, frames: Array, rotations: Array, camera: Cameras) -> None:
        self.frames = channels_last(frames)
        self.turns = turns_of(rotations, frames)
        frames_and_turns = f"{len(self.frames)} frames, {len(self.turns)} rotations"
        counts = {
            len(self.frames),
            len(self.turns),
            1 if isinstance(camera, Camera) else len(camera),
        } - {1}
        if len(counts) > 1 or 0 in counts:
            raise InvalidInput(
                f"{frames_and_turns} and the cameras must be equally many, or one for all, and at least one"
            )
        self.count = max(counts, default=1)
        self.cameras = _cameras(camera, self.count)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frames."""
        return int(self.frames.shape[1]), int(self.frames.shape[2])

    def at(self, k: int) -> tuple[Array, Array, Camera]:
        """Frame `[1, H, W, C]`, rotation `[1, 3, 3]` and camera of one frame."""
        return _slice(self.frames, k, k + 1), _slice(self.turns, k, k + 1), self.cameras[k]

    def runs(self) -> Iterator[tuple[Array, Array, Camera]]:
        """The same for short runs of one camera."""
        for start, stop, one in _runs(self.cameras):
            yield _slice(self.frames, start, stop), _slice(self.turns, start, stop), one


@dataclass(frozen=True)
class _Look:
    """What rays look into a map, how large the map is made first, and how many of them, along each axis, make one pixel."""

    grid: Grid
    size: tuple[int, int]
    fine: int


def _looked(
    task: _Task,
    shape: tuple[int, int],
    look_of: Callable[[Camera, Array], _Look],
    *,
    interpolation: Interpolation,
    threads: int,
) -> Any:
    """Pictures of `shape` of what turned rays meet in ERP frames."""
    if not is_numpy(task.frames):
        parts = []
        for frames, turns, one in task.runs():
            look = look_of(one, turns)
            column, row = erp_pixels(turned(look.grid, turns), look.size)
            parts.append(
                reduced(
                    sample(
                        pad_erp(reduced(frames, look.size)), column + PAD, row + PAD, interpolation
                    ),
                    shape,
                )
            )
        return own_order(namespace_of(task.frames).concat(parts, 0))
    out = np.empty((task.count, *shape, task.frames.shape[3]), task.frames.dtype)

    def sampler(k: int, size: tuple[int, int]) -> ErpSampler:
        return ErpSampler(
            reduced(task.frames[k : k + 1], size)[0], interpolation, shape[0] * shape[1]
        )

    if len(task.frames) == 1:
        sampler = lru_cache(maxsize=2)(sampler)  # prepared once for all rotations

    def picture(k: int) -> None:
        _, turns, one = task.at(k)
        look = look_of(one, turns)
        pixels = sampler(min(k, len(task.frames) - 1), look.size)
        rays = TurnedGrid.of(look.grid, turns)
        for rows, columns in bands(slice(0, shape[0]), slice(0, shape[1]), look.fine):
            column, row = erp_pixels(rays.part(rows, columns, look.fine).rays(), look.size)
            out[k, rows] = pixels(column[0], row[0], look.fine)

    _each(picture, task.count, threads)
    return out


def _plan(camera: Camera, size: tuple[int, int]) -> tuple[Camera, int]:
    """The camera of a view that has been reduced for a map of `size`, and how many samples along each axis make one of the map's pixels."""
    ratio = camera.density[1] * math.pi / size[0], camera.density[0] * 2 * math.pi / size[1]
    height, width = (
        max(1, round(n / 2 ** halvings(r)))
        for n, r in zip((camera.height, camera.width), ratio, strict=True)
    )
    return camera.resized(width, height), FINE if max(ratio) > MINIFY else 1


def _placed_numpy(
    task: _Task, size: tuple[int, int], fill: float, interpolation: Interpolation, threads: int
) -> Any:
    """Only the windows that hold what is seen are computed."""
    shape = (task.count, *size, task.frames.shape[3])
    erp = (
        np.full(shape, fill, task.frames.dtype) if fill else np.zeros(shape, task.frames.dtype)
    )  # zeros cost nothing where they stay
    mask = np.zeros((task.count, *size), bool)
    grids = {fine: erp_grid((fine * size[0], fine * size[1]), task.turns) for fine in (1, FINE)}

    def place(k: int) -> None:
        frames, turns, one = task.at(k)
        one, fine = _plan(one, size)
        pixels = Sampler(
            reduced(frames, (one.height, one.width))[0], interpolation, one.width * one.height
        )
        inverse = turns.swapaxes(1, 2)
        plane = erp[k] if erp.dtype == pixels.dtype else erp[k].astype(pixels.dtype)
        rays, places = (
            TurnedGrid.of(grids[1], inverse),
            TurnedGrid.of(grids[fine], view_matrix(one, turns) @ inverse),
        )
        for window in windows(turns[0], one, size):
            mask[k][window] = rays.part(*window).inside(one)[0]
            for rows, columns in bands(*window, fine):
                some = np.flatnonzero(mask[k, rows, columns].any(0))
                if len(some) == 0:
                    continue
                columns = slice(columns.start + some[0], columns.start + some[-1] + 1)
                column, row, depth = places.part(rows, columns, fine).rays()
                np.maximum(depth, AHEAD, out=depth)
                column /= depth
                row /= depth
                cv2.copyTo(
                    pixels(column[0], row[0], fine),
                    mask[k, rows, columns].view(np.uint8),
                    plane[rows, columns],
                )
        if plane.dtype != erp.dtype:
            erp[k] = plane

    _each(place, task.count, threads)
    return erp, mask


def _placed_torch(
    part: tuple[Array, Array, Camera],
    size: tuple[int, int],
    fill: float,
    interpolation: Interpolation,
) -> tuple[Array, Array]:
    frames, turns, one = part
    torch = namespace_of(frames)
    one, fine = _plan(one, size)
    inverse = torch.swapaxes(turns, 1, 2)
    mask = inside(erp_grid(size, inverse), inverse, one)
    x, y, z = turned(
        erp_grid((fine * size[0], fine * size[1]), inverse), view_matrix(one, turns) @ inverse
    )
    near = mask.repeat_interleave(fine, 1).repeat_interleave(fine, 2)
    ahead = torch.where(
        near, z.clamp(min=AHEAD), 1.0
    )  # keeps unseen rays, and their gradients, finite
    column, row = torch.where(near, x, 0.0) / ahead, torch.where(near, y, 0.0) / ahead
    erp = reduced(
        sample(reduced(frames, (one.height, one.width)), column, row, interpolation), size
    )
    mask = mask.expand(len(erp), -1, -1)
    return torch.where(mask[..., None], erp, fill), mask


def _each(work: Callable[[int], None], count: int, threads: int) -> None:
    """Calls work(0), ..., work(count - 1) on so many threads."""
    if threads < 1:
        raise InvalidInput(f"threads is {threads}, but must be at least 1")
    if min(threads, count) == 1:
        for k in range(count):
            work(k)
        return

    def share(first: int) -> None:
        for k in range(first, count, threads):
            work(k)

    with ThreadPoolExecutor(min(threads, count)) as pool:
        list(pool.map(share, range(min(threads, count))))


def _slice(values: Array, start: int, stop: int) -> Array:
    return values if len(values) == 1 else values[start:stop]


def _cameras(camera: Cameras, count: int) -> Sequence[Camera]:
    cameras = (
        [camera] * count
        if isinstance(camera, Camera)
        else list(camera) * (count if len(camera) == 1 else 1)
    )
    if len(cameras) != count:
        raise InvalidInput(
            f"{len(cameras)} cameras for {count} frames; give one for all, or one each"
        )
    if len({(one.width, one.height) for one in cameras}) > 1:
        raise InvalidInput("the cameras of one call must have one picture size")
    return cameras


def _runs(cameras: Sequence[Camera]) -> Iterator[tuple[int, int, Camera]]:
    """(start, stop, camera) of consecutive frames with the same camera, at most LONGEST each."""
    start = 0
    for one, group in itertools.groupby(cameras):
        stop = start + len(list(group))
        for first in range(start, stop, LONGEST):
            yield first, min(first + LONGEST, stop), one
        start = stop
