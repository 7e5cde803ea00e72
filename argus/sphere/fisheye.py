"""Equidistant fisheye circles to ERP: one lens, or two side by side.

Of two, the right half looks ahead and the left half back, as in ffmpeg's dfisheye. Cameras differ; the other order is a half-turn away.
"""

import math

from argus.errors import InvalidInput
from argus.sphere.arrays import Array, Frames, Interpolation, channels_last, namespace_of, own_order, real_like
from argus.sphere.grid import Rays, checked_size, erp_grid, turned
from argus.sphere.rotations import from_euler_deg
from argus.sphere.sampling import PAD, pad_edge, reduced, reduced_size, sample


def fisheye_to_erp(frames: Frames, fov_deg: float, erp_size: tuple[int, int], *, interpolation: Interpolation = "linear") -> Frames:
    """ERP frames `[T, H, W, C]` (torch `[T, C, H, W]`) of fisheye frames n×n (one lens) or n×2n (two).

    Angle from the axis grows linearly with radius, to fov_deg/2 at the edge of the inscribed circle. Where two lenses overlap they are mixed
    linearly; what no lens sees is 0.
    """
    size = checked_size(erp_size)
    pictures = channels_last(frames)
    height, width = pictures.shape[1:3]
    lenses = width // height
    if lenses not in (1, 2) or width % height:
        raise InvalidInput(f"a fisheye frame is n x n or two of them side by side, got {width}x{height}")
    if not 0 < fov_deg <= 360:
        raise InvalidInput(f"fov_deg is {fov_deg}, but must lie in (0, 360]")
    xp = namespace_of(pictures)
    half = math.radians(fov_deg) / 2
    total, weights = 0.0, 0.0
    for k in range(lenses):
        circle = pictures[:, :, k * height : (k + 1) * height]
        ratio = height / (2 * half) * math.pi / size[0]
        circle = pad_edge(reduced(circle, reduced_size((height, height), (ratio, ratio))))
        turn = xp.swapaxes(real_like(from_euler_deg(180 * (lenses - 1 - k), 0, 0), pictures)[None], 1, 2)
        angle, column, row = _circle_pixels(turned(erp_grid(size, pictures), turn), half, circle.shape[1] - 2 * PAD)
        weight = xp.clip(half - angle, 0.0, None)[..., None]
        seen = sample(circle, column + PAD, row + PAD, interpolation)
        total = total + seen * weight
        weights = weights + weight
    mixed = total / xp.where(weights > 0, weights, 1.0)
    erp: Frames = own_order(_as_type(mixed, pictures))
    return erp


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
