"""ERP to perspective and back, visibility, and turning a map: per frame with its own rotation (and its own camera, if several are given)."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from argus.errors import InvalidInput
from argus.sphere.arrays import Array, Frames, Interpolation, channels_last, is_numpy, namespace_of, own_order, turns_of
from argus.sphere.camera import Camera
from argus.sphere.grid import checked_size, erp_grid, erp_pixels, inside, turned, turned_at, view_grid, view_pixels
from argus.sphere.sampling import PAD, pad_erp, reduced, reduced_erp, reduced_size, sample, sample_points

Cameras = Camera | Sequence[Camera]
"""One camera for all frames, or one per frame, all of one size."""


def erp_to_view(erp: Frames, rotations: Array, camera: Cameras, *, interpolation: Interpolation = "linear") -> Frames:
    """Perspective pictures of ERP frames.

    erp: numpy uint8 or float `[T, H, W, C]`, or torch float `[T, C, H, W]`; one frame serves many rotations.
    rotations: camera-to-world `[T, 3, 3]`, or one for all. Result: the same type, `[T, h, w, C]` or `[T, C, h, w]`.
    The map is area-averaged first where the view has fewer pixels per radian. Raises InvalidInput.
    """

    def look(frames: Array, turns: Array, one: Camera) -> Array:
        density = frames.shape[2] / (2 * math.pi)
        frames = reduced_erp(frames, density / math.sqrt(one.density[0] * one.density[1]))
        column, row = erp_pixels(turned(view_grid(one, turns), turns), tuple(frames.shape[1:3]))
        return sample(pad_erp(frames), column + PAD, row + PAD, interpolation)

    return _joined([look(*part) for part in _parts(erp, rotations, camera)])


def view_to_erp(
    view: Frames,
    rotations: Array,
    camera: Cameras,
    erp_size: tuple[int, int],
    fill: float | None = None,
    *,
    interpolation: Interpolation = "linear",
) -> tuple[Frames, Frames]:
    """ERP maps `[T, H, W, C]` (torch `[T, C, H, W]`) of perspective pictures, and what they cover: bool `[T, H, W]`.

    Pixels that no camera sees hold `fill` (default 0). The view is area-averaged first where it has more pixels per radian.
    """
    size = checked_size(erp_size)

    def place(frames: Array, turns: Array, one: Camera) -> tuple[Array, Array]:
        if tuple(frames.shape[1:3]) != (one.height, one.width):
            raise InvalidInput(f"the camera is {one.width}x{one.height}, but the view is {frames.shape[2]}x{frames.shape[1]}")
        ratio = one.density[1] * math.pi / size[0], one.density[0] * 2 * math.pi / size[1]
        small = reduced_size((one.height, one.width), ratio)
        one = one.resized(small[1], small[0])
        inverse = namespace_of(turns).swapaxes(turns, 1, 2)
        put = _place_numpy if is_numpy(frames) else _place_torch
        return put(reduced(frames, small), inverse, one, size, 0.0 if fill is None else fill, interpolation)

    placed = [place(*part) for part in _parts(view, rotations, camera)]
    masks = [mask for _, mask in placed]
    return _joined([erp for erp, _ in placed]), namespace_of(masks[0]).concat(masks, 0)


def _place_numpy(frames: np.ndarray, inverse: np.ndarray, camera: Camera, size: tuple[int, int], fill: float, interpolation: Interpolation) -> Any:
    """One frame; only what is seen is computed."""
    grid = erp_grid(size, inverse)
    mask = inside(grid, inverse, camera)
    rows, columns = np.divmod(np.flatnonzero(mask), size[1])
    column, row = view_pixels(turned_at(grid, inverse, rows, columns), camera)
    erp = np.full((1, *size, frames.shape[3]), fill, frames.dtype)
    erp[0, rows, columns] = sample_points(frames[0], column, row, interpolation)
    return erp, mask


def _place_torch(frames: Array, inverse: Array, camera: Camera, size: tuple[int, int], fill: float, interpolation: Interpolation) -> Any:
    torch = namespace_of(frames)
    grid = erp_grid(size, inverse)
    mask = inside(grid, inverse, camera)
    x, y, z = turned(grid, inverse)
    ahead = torch.where(mask, z, 1.0)  # keeps unseen rays, and their gradients, finite
    column, row = view_pixels((torch.where(mask, x, 0.0), torch.where(mask, y, 0.0), ahead), camera)
    erp = sample(frames, column, row, interpolation)
    mask = mask.expand(len(erp), -1, -1)
    return torch.where(mask[..., None], erp, fill), mask


def visible_mask(rotations: Frames, camera: Cameras, erp_size: tuple[int, int]) -> Frames:
    """Which ERP pixels the camera sees: bool `[T, H, W]`, numpy or torch as the rotations `[T, 3, 3]` are. Analytic, nothing is sampled."""
    turns = turns_of(rotations, rotations)
    grid = erp_grid(erp_size, turns)
    inverse = namespace_of(turns).swapaxes(turns, 1, 2)
    cameras = _cameras(camera, len(turns))
    runs = [inside(grid, inverse[start:stop], one) for start, stop, one in _runs(cameras, 1 if is_numpy(turns) else len(turns))]
    mask: Frames = namespace_of(turns).concat(runs, 0)
    return mask


def rotate_erp(erp: Frames, rotations: Array, *, interpolation: Interpolation = "linear") -> Frames:
    """ERP frames that show at direction d what `erp` shows at R·d; shapes and types as given, `rotations` `[T, 3, 3]` or one for all."""

    def turn(frames: Array, turns: Array, _: Camera) -> Array:
        size = tuple(frames.shape[1:3])
        column, row = erp_pixels(turned(erp_grid(size, turns), turns), size)
        return sample(pad_erp(frames), column + PAD, row + PAD, interpolation)

    return _joined([turn(*part) for part in _parts(erp, rotations, Camera(90, 1, 1))])


def _parts(frames: Array, rotations: Array, camera: Cameras) -> Iterator[tuple[Array, Array, Camera]]:
    """(frames, rotations, camera) to compute at once: single frames in numpy (small maps stay in the cache), runs of one camera in torch."""
    last = channels_last(frames)
    turns = turns_of(rotations, frames)
    counts = {len(last), len(turns), 1 if isinstance(camera, Camera) else len(camera)} - {1}
    if len(counts) > 1 or 0 in counts:
        raise InvalidInput(f"{len(last)} frames, {len(turns)} rotations and the cameras must be equally many, or one for all, and at least one")
    count = max(counts, default=1)
    for start, stop, one in _runs(_cameras(camera, count), 1 if is_numpy(last) else count):
        yield _slice(last, start, stop), _slice(turns, start, stop), one


def _slice(values: Array, start: int, stop: int) -> Array:
    return values if len(values) == 1 else values[start:stop]


def _cameras(camera: Cameras, count: int) -> Sequence[Camera]:
    cameras = [camera] * count if isinstance(camera, Camera) else list(camera) * (count if len(camera) == 1 else 1)
    if len(cameras) != count:
        raise InvalidInput(f"{len(cameras)} cameras for {count} frames; give one for all, or one each")
    if len({(one.width, one.height) for one in cameras}) > 1:
        raise InvalidInput("the cameras of one call must have one picture size")
    return cameras


def _runs(cameras: Sequence[Camera], longest: int) -> Iterator[tuple[int, int, Camera]]:
    """(start, stop, camera) of consecutive frames with the same camera, at most `longest` frames each."""
    start = 0
    for one, group in itertools.groupby(cameras):
        stop = start + len(list(group))
        for first in range(start, stop, longest):
            yield first, min(first + longest, stop), one
        start = stop


def _joined(parts: list[Any]) -> Any:
    frames = parts[0] if len(parts) == 1 else namespace_of(parts[0]).concat(parts, 0)
    return own_order(frames)
