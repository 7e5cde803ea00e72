"""Conversion between fisheye pictures and ERP: one lens, or several side by side.

Of two ideal lenses the right half looks forward and the left half backward, as in ffmpeg's
dfisheye. Real lenses are described by `FisheyeLens`.
"""

import math
from collections.abc import Sequence

import numpy as np

from argus.errors import InvalidInput
from argus.sphere.arrays import (
    Array,
    Frames,
    Interpolation,
    array_namespace,
    as_float_like,
    from_channels_last,
    is_numpy,
    to_channels_last,
)
from argus.sphere.grid import (
    Rays,
    check_erp_size,
    erp_grid,
    iterate_bands,
    rays_to_erp_pixels,
    rotate_rays,
)
from argus.sphere.lens import FisheyeLens
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
    lenses: float | Sequence[FisheyeLens],
    erp_size: tuple[int, int],
    *,
    interpolation: Interpolation = "linear",
) -> Frames:
    """Project fisheye frames to ERP frames.

    Where two lenses overlap they are blended, weighted by the angle to the edge of their field of
    view. Directions that no lens sees are 0.

    Args:
        frames: Pictures of the lenses side by side; numpy uint8 or float `[T, h, w, C]`, or torch
            float `[T, C, h, w]`.
        lenses: Lenses from left to right, with pictures of equal width; or the field of view in
            degrees, in (0, 360], of ideal equidistant lenses, one in n×n frames or two in n×2n.
        erp_size: (height, width) of the result.
        interpolation: "linear" or "cubic".

    Returns:
        Frames of the input's type, numpy `[T, H, W, C]` or torch `[T, C, H, W]`.

    Raises:
        InvalidInput: The frames do not divide into the pictures of the lenses, or an argument is
            out of range.
    """
    pictures = to_channels_last(frames)
    height, width = (int(n) for n in pictures.shape[1:3])
    if not isinstance(lenses, Sequence):
        lenses = ideal_lenses(lenses, _count_circles((height, width)))
    if not lenses or width % len(lenses):
        raise InvalidInput(
            f"a frame {width} pixels wide does not divide into the pictures of {len(lenses)} lenses"
        )
    step = width // len(lenses)
    project = FisheyeToErp(lenses, (height, step), erp_size, pictures)
    circles = [pictures[:, :, k * step : (k + 1) * step] for k in range(len(lenses))]
    erp: Frames = from_channels_last(project(circles, interpolation))
    return erp


def ideal_lenses(fov_deg: float, count: int = 2) -> tuple[FisheyeLens, ...]:
    """Return ideal equidistant lenses: one that looks forward, or backward and forward.

    Args:
        fov_deg: Field of view of each lens in degrees, in (0, 360].
        count: Number of lenses, 1 or 2.
    """
    return tuple(FisheyeLens(fov_deg, yaw_deg=180 * (count - 1 - k)) for k in range(count))


class FisheyeToErp:
    """Projection of the pictures of fisheye lenses to ERP maps; coordinates are computed once.

    Args:
        lenses: The lenses.
        picture_size: (height, width) of the picture of a lens.
        erp_size: (height, width) of the result.
        like: Array that gives library, device and precision.

    Raises:
        InvalidInput: A size is out of range.
    """

    def __init__(
        self,
        lenses: Sequence[FisheyeLens],
        picture_size: tuple[int, int],
        erp_size: tuple[int, int],
        like: Array,
    ) -> None:
        self._size = check_erp_size(erp_size)
        self._lenses = [_LensMap(lens, picture_size, self._size, like) for lens in lenses]
        self._total: Array = sum(lens.weight for lens in self._lenses)
        self._total = array_namespace(self._total).where(self._total > 0, self._total, 1.0)

    def __call__(self, pictures: Sequence[Array], interpolation: Interpolation = "linear") -> Array:
        """Project the pictures of each lens, `[T, h, w, C]` in their order, to `[T, H, W, C]`."""
        circles = [
            pad_edge(reduce_area(picture, lens.reduced_size))
            for picture, lens in zip(pictures, self._lenses, strict=True)
        ]
        if not is_numpy(circles[0]):
            return self._blend(circles, slice(0, self._size[0]), interpolation)
        circles = [np.ascontiguousarray(circle) for circle in circles]  # once, not in each band
        out = np.empty((len(circles[0]), *self._size, circles[0].shape[3]), circles[0].dtype)
        for rows, _ in iterate_bands(slice(0, self._size[0]), slice(0, self._size[1])):
            out[:, rows] = self._blend(circles, rows, interpolation)
        return out

    def _blend(self, circles: Sequence[Array], rows: slice, interpolation: Interpolation) -> Array:
        total = 0.0
        for circle, lens in zip(circles, self._lenses, strict=True):
            pixels = sample_pixels(circle, lens.column[:, rows], lens.row[:, rows], interpolation)
            total = total + pixels * lens.weight[:, rows]
        return _cast_like(total / self._total[:, rows], circles[0])


class _LensMap:
    """Pixel coordinates and blend weights of one lens: `[1, H, W]`, weights `[1, H, W, 1]`."""

    def __init__(
        self,
        lens: FisheyeLens,
        picture_size: tuple[int, int],
        erp_size: tuple[int, int],
        like: Array,
    ) -> None:
        height, width = picture_size
        ratio = lens.radius_share * height / lens.half_fov * math.pi / erp_size[0]
        self.reduced_size = compute_reduced_size(picture_size, (ratio, ratio))
        xp = array_namespace(like)
        world_to_lens = xp.swapaxes(as_float_like(lens.rotation, like)[None], 1, 2)
        rays = rotate_rays(erp_grid(erp_size, like), world_to_lens)
        angle, column, row = lens.project(rays, self.reduced_size, width / height)
        self.column, self.row = column + PAD, row + PAD
        self.weight = xp.clip(lens.half_fov - angle, 0.0, None)[..., None]


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


def _count_circles(size: tuple[int, int]) -> int:
    """Return the number of n×n pictures side by side in a frame of (height, width): 1 or 2."""
    height, width = size
    if width % height or width // height not in (1, 2):
        raise InvalidInput(
            f"a fisheye frame must be n x n, or two of them side by side, got {width}x{height}"
        )
    return width // height


def _cast_like(values: Array, like: Array) -> Array:
    """Convert to the type of `like`; values are rounded for integer types."""
    xp = array_namespace(values)
    if not hasattr(like, "detach"):
        return (xp.rint(values) if like.dtype.kind == "u" else values).astype(like.dtype)
    return values.to(like.dtype)
