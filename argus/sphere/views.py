"""Perspective views of ERP maps and back, visibility masks, and rotation of maps.

Every frame may have its own rotation and its own camera.
"""

import math
from collections.abc import Callable
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
    array_namespace,
    as_rotations,
    from_channels_last,
    is_numpy,
)
from argus.sphere.batching import Cameras, FrameBatch, group_frames, repeat_camera, run_threads
from argus.sphere.camera import Camera
from argus.sphere.grid import (
    RayGrid,
    RotatedGrid,
    check_erp_size,
    erp_grid,
    intrinsic_matrix,
    is_in_view,
    iterate_bands,
    iterate_visible_windows,
    rays_to_erp_pixels,
    rotate_rays,
    view_grid,
)
from argus.sphere.sampling import (
    MINIFY_RATIO,
    PAD,
    SUPERSAMPLE,
    ErpPixelSampler,
    PixelSampler,
    count_halvings,
    pad_erp,
    reduce_area,
    sample_pixels,
)

MIN_DEPTH = 1e-9
"""Lower bound of the depth of rays, which keeps the pixels of unseen rays finite."""


def erp_to_view(
    erp: Frames,
    rotations: Array,
    camera: Cameras,
    *,
    interpolation: Interpolation = "linear",
    threads: int = 1,
) -> Frames:
    """Render perspective views of ERP frames.

    The pixel with the ray r in camera axes shows the map in direction R·r. Where a view has fewer
    pixels per radian than the map, each of its pixels is the mean over its area.

    Args:
        erp: numpy uint8 or float `[T, H, W, C]`, or torch float `[T, C, H, W]`, or one frame for
            all rotations.
        rotations: Camera-to-world R, `[T, 3, 3]`, or one for all frames.
        camera: One camera, or one per frame.
        interpolation: "linear" or "cubic".
        threads: Number of threads that share the frames (numpy only).

    Returns:
        Frames of the input's type, numpy `[T, h, w, C]` or torch `[T, C, h, w]`, of the cameras'
        picture size.

    Raises:
        InvalidInput: Shapes, types or counts do not match, or an argument is out of range.
    """
    batch = FrameBatch(erp, rotations, camera)

    def plan(one: Camera, like: Array) -> _SamplingPlan:
        x_density, y_density = one.pixels_per_radian
        ratio = batch.size[1] / (2 * math.pi) / math.sqrt(x_density * y_density)
        supersample = SUPERSAMPLE if ratio > MINIFY_RATIO else 1
        factor = 2 ** count_halvings(ratio)
        map_size = batch.size
        if factor > 1:
            map_size = (
                max(2, round(batch.size[0] / factor)),
                2 * max(2, round(batch.size[1] / factor / 2)),
            )
        dense = one.with_size(supersample * one.width, supersample * one.height)
        return _SamplingPlan(view_grid(dense, like), map_size, supersample)

    return _sample_erp(
        batch,
        (batch.cameras[0].height, batch.cameras[0].width),
        plan,
        interpolation=interpolation,
        threads=threads,
    )


def rotate_erp(
    erp: Frames, rotations: Array, *, interpolation: Interpolation = "linear", threads: int = 1
) -> Frames:
    """Rotate ERP frames: the result shows at direction d what `erp` shows at R·d.

    Args:
        erp: numpy uint8 or float `[T, H, W, C]`, or torch float `[T, C, H, W]`, or one frame for
            all rotations.
        rotations: R, `[T, 3, 3]`, or one for all frames.
        interpolation: "linear" or "cubic".
        threads: Number of threads that share the frames (numpy only).

    Returns:
        Frames of the input's type and size.

    Raises:
        InvalidInput: Shapes, types or counts do not match, or an argument is out of range.
    """
    batch = FrameBatch(erp, rotations, Camera(90, 1, 1))
    size = check_erp_size(batch.size)
    return _sample_erp(
        batch,
        size,
        lambda _, like: _SamplingPlan(erp_grid(size, like), size, 1),
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
    """Project perspective views to ERP frames: the inverse of `erp_to_view`.

    The direction d of the map shows the view at K·Rᵀ·d. Where a view has more pixels per radian
    than the map, each pixel of the map is the mean over its area.

    Args:
        view: numpy uint8 or float `[T, h, w, C]`, or torch float `[T, C, h, w]`, or one frame for
            all rotations.
        rotations: Camera-to-world R, `[T, 3, 3]`, or one for all frames.
        camera: One camera, or one per frame, of the view's picture size.
        erp_size: (H, W) of the result.
        fill: Value of pixels that the camera does not see; None for 0.
        interpolation: "linear" or "cubic".
        threads: Number of threads that share the frames (numpy only).

    Returns:
        (frames, mask): frames of the input's type, numpy `[T, H, W, C]` or torch `[T, C, H, W]`,
        and the visible pixels, bool `[T, H, W]`, as of `visible_mask`.

    Raises:
        InvalidInput: Shapes, types or counts do not match, or an argument is out of range.
    """
    size = check_erp_size(erp_size)
    batch = FrameBatch(view, rotations, camera)
    if batch.size != (batch.cameras[0].height, batch.cameras[0].width):
        one = batch.cameras[0]
        raise InvalidInput(
            f"the camera is {one.width}x{one.height}, but the view is "
            f"{batch.size[1]}x{batch.size[0]}"
        )
    value = 0.0 if fill is None else fill
    if is_numpy(batch.frames):
        return _project_to_erp_numpy(batch, size, value, interpolation, threads)
    xp = array_namespace(batch.frames)
    parts = [_project_to_erp_torch(part, size, value, interpolation) for part in batch.split()]
    erp: Frames = from_channels_last(xp.concat([erp for erp, _ in parts], 0))
    return erp, xp.concat([mask for _, mask in parts], 0)


def visible_mask(rotations: Frames, camera: Cameras, erp_size: tuple[int, int]) -> Frames:
    """Return which ERP pixels a camera sees.

    A pixel with the ray r = Rᵀ·d is visible if |r_x| ≤ r_z·tan(fov_x/2) and
    |r_y| ≤ r_z·tan(fov_y/2). The test is analytic; no picture is sampled.

    Args:
        rotations: Camera-to-world R, numpy or torch `[T, 3, 3]` or `[3, 3]`.
        camera: One camera, or one per frame.
        erp_size: (H, W) of the map.

    Returns:
        bool `[T, H, W]` in the rotations' library.

    Raises:
        InvalidInput: Shapes or counts do not match, or an argument is out of range.
    """
    size = check_erp_size(erp_size)
    camera_to_world = as_rotations(rotations, rotations)
    grid = erp_grid(size, camera_to_world)
    world_to_camera = array_namespace(camera_to_world).swapaxes(camera_to_world, 1, 2)
    cameras = repeat_camera(camera, len(camera_to_world))
    if not is_numpy(camera_to_world):
        mask: Frames = array_namespace(camera_to_world).concat(
            [
                is_in_view(grid, world_to_camera[start:stop], one)
                for start, stop, one in group_frames(cameras)
            ],
            0,
        )
        return mask
    visible = np.zeros((len(camera_to_world), *size), bool)
    # Most of the time goes into writing the result, so threads would not help.
    for k, one in enumerate(cameras):
        rays = RotatedGrid.from_grid(grid, world_to_camera[k : k + 1])
        for window in iterate_visible_windows(camera_to_world[k], one, size):
            visible[k][window] = rays.crop(*window).is_in_view(one)[0]
    return visible  # type: ignore[return-value]


@dataclass(frozen=True)
class _SamplingPlan:
    """Parameters for sampling pictures from an ERP map.

    Attributes:
        grid: Rays of the samples, before rotation.
        map_size: (height, width) to which the map is averaged first.
        supersample: Samples per pixel along each axis.
    """

    grid: RayGrid
    map_size: tuple[int, int]
    supersample: int


def _sample_erp(
    batch: FrameBatch,
    shape: tuple[int, int],
    make_plan: Callable[[Camera, Array], _SamplingPlan],
    *,
    interpolation: Interpolation,
    threads: int,
) -> Any:
    """Return pictures of (height, width) `shape` that show ERP frames along rotated rays."""
    if not is_numpy(batch.frames):
        parts = []
        for frames, rotations, one in batch.split():
            plan = make_plan(one, rotations)
            column, row = rays_to_erp_pixels(rotate_rays(plan.grid, rotations), plan.map_size)
            padded = pad_erp(reduce_area(frames, plan.map_size))
            dense = sample_pixels(padded, column + PAD, row + PAD, interpolation)
            parts.append(reduce_area(dense, shape))
        return from_channels_last(array_namespace(batch.frames).concat(parts, 0))
    out = np.empty((batch.count, *shape, batch.frames.shape[3]), batch.frames.dtype)

    def make_sampler(k: int, map_size: tuple[int, int]) -> ErpPixelSampler:
        return ErpPixelSampler(
            reduce_area(batch.frames[k : k + 1], map_size)[0], interpolation, shape[0] * shape[1]
        )

    if len(batch.frames) == 1:  # one map is prepared once for all rotations
        make_sampler = lru_cache(maxsize=2)(make_sampler)

    def render(k: int) -> None:
        _, rotations = batch.select(k, k + 1)
        plan = make_plan(batch.cameras[k], rotations)
        sampler = make_sampler(min(k, len(batch.frames) - 1), plan.map_size)
        grid = RotatedGrid.from_grid(plan.grid, rotations)
        for rows, columns in iterate_bands(
            slice(0, shape[0]), slice(0, shape[1]), plan.supersample
        ):
            rays = grid.crop(rows, columns, plan.supersample).to_rays()
            column, row = rays_to_erp_pixels(rays, plan.map_size)
            out[k, rows] = sampler(column[0], row[0], plan.supersample)

    run_threads(render, batch.count, threads)
    return out


def _plan_view_reduction(camera: Camera, size: tuple[int, int]) -> tuple[Camera, int]:
    """Return how a view is sampled for an ERP map of `size`.

    Returns:
        (camera of the view after averaging, samples per pixel of the map along each axis).
    """
    x_density, y_density = camera.pixels_per_radian
    ratio = y_density * math.pi / size[0], x_density * 2 * math.pi / size[1]
    height, width = (
        max(1, round(n / 2 ** count_halvings(r)))
        for n, r in zip((camera.height, camera.width), ratio, strict=True)
    )
    return camera.with_size(width, height), SUPERSAMPLE if max(ratio) > MINIFY_RATIO else 1


def _project_to_erp_numpy(
    batch: FrameBatch,
    size: tuple[int, int],
    fill: float,
    interpolation: Interpolation,
    threads: int,
) -> Any:
    """Project views; only the windows of the map that they may cover are computed."""
    shape = (batch.count, *size, batch.frames.shape[3])
    # np.zeros allocates lazily: pages that no view covers cost nothing.
    erp = np.full(shape, fill, batch.frames.dtype) if fill else np.zeros(shape, batch.frames.dtype)
    mask = np.zeros((batch.count, *size), bool)
    grids = {
        supersample: erp_grid((supersample * size[0], supersample * size[1]), batch.rotations)
        for supersample in (1, SUPERSAMPLE)
    }

    def project(k: int) -> None:
        frames, rotations = batch.select(k, k + 1)
        one, supersample = _plan_view_reduction(batch.cameras[k], size)
        sampler = PixelSampler(
            reduce_area(frames, (one.height, one.width))[0], interpolation, one.width * one.height
        )
        world_to_camera = rotations.swapaxes(1, 2)
        plane = erp[k] if erp.dtype == sampler.dtype else erp[k].astype(sampler.dtype)
        camera_rays = RotatedGrid.from_grid(grids[1], world_to_camera)
        pixel_rays = RotatedGrid.from_grid(
            grids[supersample], intrinsic_matrix(one, rotations) @ world_to_camera
        )
        for window in iterate_visible_windows(rotations[0], one, size):
            mask[k][window] = camera_rays.crop(*window).is_in_view(one)[0]
            for rows, columns in iterate_bands(*window, supersample):
                visible = np.flatnonzero(mask[k, rows, columns].any(0))
                if len(visible) == 0:
                    continue
                columns = slice(columns.start + visible[0], columns.start + visible[-1] + 1)
                column, row, depth = pixel_rays.crop(rows, columns, supersample).to_rays()
                np.maximum(depth, MIN_DEPTH, out=depth)
                column /= depth
                row /= depth
                cv2.copyTo(
                    sampler(column[0], row[0], supersample),
                    mask[k, rows, columns].view(np.uint8),
                    plane[rows, columns],
                )
        if plane.dtype != erp.dtype:
            erp[k] = plane

    run_threads(project, batch.count, threads)
    return erp, mask


def _project_to_erp_torch(
    part: tuple[Array, Array, Camera],
    size: tuple[int, int],
    fill: float,
    interpolation: Interpolation,
) -> tuple[Array, Array]:
    frames, rotations, one = part
    torch = array_namespace(frames)
    one, supersample = _plan_view_reduction(one, size)
    world_to_camera = torch.swapaxes(rotations, 1, 2)
    mask = is_in_view(erp_grid(size, world_to_camera), world_to_camera, one)
    x, y, z = rotate_rays(
        erp_grid((supersample * size[0], supersample * size[1]), world_to_camera),
        intrinsic_matrix(one, rotations) @ world_to_camera,
    )
    is_visible = mask.repeat_interleave(supersample, 1).repeat_interleave(supersample, 2)
    # The replaced values keep unseen rays and their gradients finite.
    depth = torch.where(is_visible, z.clamp(min=MIN_DEPTH), 1.0)
    column, row = (torch.where(is_visible, axis, 0.0) / depth for axis in (x, y))
    reduced_view = reduce_area(frames, (one.height, one.width))
    erp = reduce_area(sample_pixels(reduced_view, column, row, interpolation), size)
    mask = mask.expand(len(erp), -1, -1)
    return torch.where(mask[..., None], erp, fill), mask
