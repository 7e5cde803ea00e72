"""Conversion between equidistant fisheye circles and ERP: one lens, or two side by side.

Of two lenses the right half looks forward and the left half backward, as in ffmpeg's dfisheye.
Cameras with the other order differ by half a turn.
"""

import math

import numpy as np

from argus.errors import InvalidInput
from argus.sphere.arrays import (
    Array,
    Frames,
    Interpolation,
    array_namespace,
    as_float_like,
    from_channels_last,
    to_channels_last,
)
from argus.sphere.grid import Rays, check_erp_size, erp_grid, rays_to_erp_pixels, rotate_rays
from argus.sphere.rotations import from_euler_deg
from argus.sphere.sampling import (
    PAD,
    compute_reduced_size,
    pad_edge,
    pad_erp,
    reduce_area,
    reduce_erp,
    sample_pixels,
)


def fisheye_to_erp(
    frames: Frames,
    fov_deg: float,
    erp_size: tuple[int, int],
    *,
    interpolation: Interpolation = "linear",
) -> Frames:
    """Project equidistant fisheye frames to ERP frames.

    The angle from the optical axis grows linearly with the radius, up to fov_deg/2 at the edge of
    the inscribed circle. Where two lenses overlap they are blended, weighted by the angle to the
    edge of their field of view. Directions that no lens sees are 0.

    Args:
        frames: n×n frames of one lens or n×2n frames of two; numpy uint8 or float `[T, h, w, C]`,
            or torch float `[T, C, h, w]`.
        fov_deg: Field of view of a lens in degrees, in (0, 360].
        erp_size: (height, width) of the result.
        interpolation: "linear" or "cubic".

    Returns:
        Frames of the input's type, numpy `[T, H, W, C]` or torch `[T, C, H, W]`.

    Raises:
        InvalidInput: The frames are neither 1:1 nor 2:1, or an argument is out of range.
    """
    size = check_erp_size(erp_size)
    pictures = to_channels_last(frames)
    height, width = pictures.shape[1:3]
    lenses = width // height
    if lenses not in (1, 2) or width % height:
        raise InvalidInput(
            f"a fisheye frame must be n x n, or two of them side by side, got {width}x{height}"
        )
    xp = array_namespace(pictures)
    half_fov = _half_fov(fov_deg)
    total, weights = 0.0, 0.0
    for k in range(lenses):
        circle = pictures[:, :, k * height : (k + 1) * height]
        ratio = height / (2 * half_fov) * math.pi / size[0]
        reduced_size = compute_reduced_size((height, height), (ratio, ratio))
        circle = pad_edge(reduce_area(circle, reduced_size))
        world_to_lens = xp.swapaxes(
            as_float_like(from_euler_deg(180 * (lenses - 1 - k), 0, 0), pictures)[None], 1, 2
        )
        angle, column, row = _rays_to_circle_pixels(
            rotate_rays(erp_grid(size, pictures), world_to_lens),
            half_fov,
            circle.shape[1] - 2 * PAD,
        )
        weight = xp.clip(half_fov - angle, 0.0, None)[..., None]
        total = total + sample_pixels(circle, column + PAD, row + PAD, interpolation) * weight
        weights = weights + weight
    blended = total / xp.where(weights > 0, weights, 1.0)
    erp: Frames = from_channels_last(_cast_like(blended, pictures))
    return erp


def erp_to_fisheye(
    erp: Frames,
    fov_deg: float,
    size: int,
    *,
    lenses: int = 2,
    interpolation: Interpolation = "linear",
) -> Frames:
    """Project ERP frames to equidistant fisheye frames: the inverse of `fisheye_to_erp`.

    Pixels outside the circles are 0, except for a rim of 2 pixels that interpolation at the edge
    needs. A map that is denser than the circles is averaged first.

    Args:
        erp: numpy uint8 or float `[T, H, W, C]`, or torch float `[T, C, H, W]`.
        fov_deg: Field of view of a lens in degrees, in (0, 360].
        size: Diameter n of a circle in pixels, at least 2.
        lenses: Number of lenses, 1 or 2.
        interpolation: "linear" or "cubic".

    Returns:
        Frames of the input's type, n×n or n×2n.

    Raises:
        InvalidInput: An argument is out of range.
    """
    half_fov = _half_fov(fov_deg)
    if lenses not in (1, 2) or size < 2:
        raise InvalidInput(
            "a fisheye frame has 1 or 2 lenses of at least 2 pixels, "
            f"got lenses={lenses}, size={size}"
        )
    frames = to_channels_last(erp)
    frames = reduce_erp(frames, frames.shape[2] / (2 * math.pi) / (size / (2 * half_fov)))
    column, row = rays_to_erp_pixels(
        _compute_circle_rays(half_fov, size, lenses, frames),
        (int(frames.shape[1]), int(frames.shape[2])),
    )
    pixels = sample_pixels(pad_erp(frames), column + PAD, row + PAD, interpolation)
    offset = np.arange(size) + 0.5 - size / 2
    is_inside = np.tile(np.hypot(offset[:, None], offset) <= size / 2 + PAD, lenses)
    mask = as_float_like(is_inside[None, ..., None], frames)
    circles: Frames = from_channels_last(_cast_like(pixels * mask, frames))
    return circles


def _half_fov(fov_deg: float) -> float:
    """Return the angle between the axis and the edge of the circle, in radians."""
    if not 0 < fov_deg <= 360:
        raise InvalidInput(f"fov_deg is {fov_deg}, but must be in (0, 360]")
    return math.radians(fov_deg) / 2


def _compute_circle_rays(half_fov: float, size: int, lenses: int, like: Array) -> Rays:
    """Return the rays of circles side by side, each `[1, size, lenses·size]`.

    The last lens looks forward.
    """
    offset = ((np.arange(size) + 0.5) / (size / 2) - 1) * half_fov  # radians along an axis
    angle = np.hypot(offset[:, None], offset)
    scale = np.sinc(angle / np.pi)
    right, down, forward = offset * scale, offset[:, None] * scale, np.cos(angle)
    signs = [1 - 2 * (lenses - 1 - k) for k in range(lenses)]  # -1: half a turn about y
    x, y, z = (
        np.concatenate(planes, 1)[None]
        for planes in (
            [sign * right for sign in signs],
            [down] * lenses,
            [sign * forward for sign in signs],
        )
    )
    return as_float_like(x, like), as_float_like(y, like), as_float_like(z, like)


def _rays_to_circle_pixels(rays: Rays, half_fov: float, size: int) -> tuple[Array, Array, Array]:
    """Return (angle from the axis, column, row) of rays in the circle of one lens."""
    x, y, z = rays
    xp = array_namespace(x)
    radius = xp.hypot(x, y)
    angle = xp.arctan2(radius, z)
    scale = angle / half_fov * (size / 2) / xp.where(radius > 0, radius, 1.0)
    return angle, x * scale + (size / 2 - 0.5), y * scale + (size / 2 - 0.5)


def _cast_like(values: Array, like: Array) -> Array:
    """Convert to the type of `like`; values are rounded for integer types."""
    xp = array_namespace(values)
    if not hasattr(like, "detach"):
        return (xp.rint(values) if like.dtype.kind == "u" else values).astype(like.dtype)
    return values.to(like.dtype)
