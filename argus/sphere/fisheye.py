"""Equidistant fisheye circles to ERP and back: one lens, or two side by side.

Of two, the right half looks ahead and the left half back, as in ffmpeg's dfisheye. Cameras differ; the other order is a half-turn away.
"""

import math

import numpy as np

from argus.errors import InvalidInput
from argus.sphere.arrays import (
    Array,
    Frames,
    Interpolation,
    channels_last,
    namespace_of,
    own_order,
    real_like,
)
from argus.sphere.grid import Rays, checked_size, erp_grid, erp_pixels, turned
from argus.sphere.rotations import from_euler_deg
from argus.sphere.sampling import PAD, pad_edge, pad_erp, reduced, reduced_erp, reduced_size, sample


def fisheye_to_erp(
    frames: Frames,
    fov_deg: float,
    erp_size: tuple[int, int],
    *,
    interpolation: Interpolation = "linear",
) -> Frames:
    """ERP frames `[T, H, W, C]` (torch `[T, C, H, W]`) of fisheye frames n×n (one lens) or n×2n (two).

    Angle from the axis grows linearly with radius, to fov_deg/2 at the edge of the inscribed circle. Where two lenses overlap they are mixed
    linearly; what no lens sees is 0.
    """
    size = checked_size(erp_size)
    pictures = channels_last(frames)
    height, width = pictures.shape[1:3]
    lenses = width // height
    if lenses not in (1, 2) or width % height:
        raise InvalidInput(
            f"a fisheye frame is n x n or two of them side by side, got {width}x{height}"
        )
    xp = namespace_of(pictures)
    half = _half_angle(fov_deg)
    total, weights = 0.0, 0.0
    for k in range(lenses):
        circle = pictures[:, :, k * height : (k + 1) * height]
        ratio = height / (2 * half) * math.pi / size[0]
        circle = pad_edge(reduced(circle, reduced_size((height, height), (ratio, ratio))))
        turn = xp.swapaxes(
            real_like(from_euler_deg(180 * (lenses - 1 - k), 0, 0), pictures)[None], 1, 2
        )
        angle, column, row = _circle_pixels(
            turned(erp_grid(size, pictures), turn), half, circle.shape[1] - 2 * PAD
        )
        weight = xp.clip(half - angle, 0.0, None)[..., None]
        seen = sample(circle, column + PAD, row + PAD, interpolation)
        total = total + seen * weight
        weights = weights + weight
    mixed = total / xp.where(weights > 0, weights, 1.0)
    erp: Frames = own_order(_as_type(mixed, pictures))
    return erp


def erp_to_fisheye(
    erp: Frames,
    fov_deg: float,
    size: int,
    *,
    lenses: int = 2,
    interpolation: Interpolation = "linear",
) -> Frames:
    """Fisheye frames of ERP frames `[T, H, W, C]` (torch `[T, C, H, W]`): circles of `size` pixels, one or two side by side.

    The reverse of `fisheye_to_erp`. Outside the circles is 0, but for a rim of 2 pixels for interpolation at their edge. Raises InvalidInput.
    """
    half = _half_angle(fov_deg)
    if lenses not in (1, 2) or size < 2:
        raise InvalidInput(
            f"a fisheye frame has 1 or 2 lenses of at least 2 pixels, got {lenses} of {size}"
        )
    frames = channels_last(erp)
    frames = reduced_erp(frames, frames.shape[2] / (2 * math.pi) / (size / (2 * half)))
    column, row = erp_pixels(
        _circle_rays(half, size, lenses, frames), (int(frames.shape[1]), int(frames.shape[2]))
    )
    seen = sample(pad_erp(frames), column + PAD, row + PAD, interpolation)
    offset = np.arange(size) + 0.5 - size / 2
    inside = np.tile(np.hypot(offset[:, None], offset) <= size / 2 + PAD, lenses)
    circles: Frames = own_order(_as_type(seen * real_like(inside[None, ..., None], frames), frames))
    return circles


def _half_angle(fov_deg: float) -> float:
    """From the axis to the edge of the circle, radians."""
    if not 0 < fov_deg <= 360:
        raise InvalidInput(f"fov_deg is {fov_deg}, but must lie in (0, 360]")
    return math.radians(fov_deg) / 2


def _circle_rays(half: float, size: int, lenses: int, like: Array) -> Rays:
    """Rays of the pixels of circles side by side, each `[1, size, lenses·size]`; the last lens looks ahead."""
    offset = ((np.arange(size) + 0.5) / (size / 2) - 1) * half  # radians along an axis
    angle = np.hypot(offset[:, None], offset)
    scale = np.sinc(angle / np.pi)
    across, down, ahead = offset * scale, offset[:, None] * scale, np.cos(angle)
    signs = [1 - 2 * (lenses - 1 - k) for k in range(lenses)]  # half a turn about y
    x, y, z = (
        np.concatenate(planes, 1)[None]
        for planes in (
            [sign * across for sign in signs],
            [down] * lenses,
            [sign * ahead for sign in signs],
        )
    )
    return real_like(x, like), real_like(y, like), real_like(z, like)


def _circle_pixels(rays: Rays, half: float, size: int) -> tuple[Array, Array, Array]:
    """(angle from the axis, column, row) in one lens's picture of `size` pixels."""
    x, y, z = rays
    xp = namespace_of(x)
    across = xp.hypot(x, y)
    angle = xp.arctan2(across, z)
    scale = angle / half * (size / 2) / xp.where(across > 0, across, 1.0)
    return angle, x * scale + (size / 2 - 0.5), y * scale + (size / 2 - 0.5)


def _as_type(values: Array, like: Array) -> Array:
    xp = namespace_of(values)
    if not hasattr(like, "detach"):
        return (xp.rint(values) if like.dtype.kind == "u" else values).astype(like.dtype)
    return values.to(like.dtype)
