"""Resampling: padding across seam and poles, area filters, and interpolation in numpy and torch.

All frames are channels-last, `[T, H, W, C]`. numpy frames are sampled by `cv2.remap`, torch frames
by `grid_sample`. Bilinear weights are exact from OpenCV 5 on (OpenCV 4 rounds them to 1/32 pixel),
for uint8 and float32 only; other types are sampled in float32. Bicubic weights in numpy are rounded
to 1/32 pixel.
"""

import math

import cv2
import numpy as np

from argus.errors import InvalidInput
from argus.sphere.arrays import Array, Interpolation, array_namespace, is_numpy

PAD = 2
"""Padding on each side in pixels: the reach of a bicubic kernel."""

MINIFY_RATIO = 1.25
"""Reductions by more than this ratio are filtered; a bilinear kernel covers smaller ones."""

SUPERSAMPLE = 2
"""Samples per pixel along each axis where a picture is minified."""


def pad_erp(frames: Array) -> Array:
    """Pad an ERP map by `PAD` pixels on each side, continuing it on the sphere.

    Columns wrap around. Beyond a pole the rows are mirrored and shifted by half a turn.
    """
    xp = array_namespace(frames)
    height, width = frames.shape[1:3]
    above = xp.roll(frames[:, list(range(PAD))[::-1]], width // 2, 2)
    below = xp.roll(frames[:, [height - 1 - k for k in range(PAD)]], width // 2, 2)
    if not is_numpy(frames):
        tall = xp.concat([above, frames, below], 1)
        return xp.concat([tall[:, :, -PAD:], tall, tall[:, :, :PAD]], 2)
    # Large maps are copied once, not twice.
    padded = np.empty(
        (len(frames), height + 2 * PAD, width + 2 * PAD, frames.shape[3]), frames.dtype
    )
    inner = padded[:, :, PAD:-PAD]
    inner[:, :PAD], inner[:, PAD:-PAD], inner[:, -PAD:] = above, frames, below
    padded[:, :, :PAD], padded[:, :, -PAD:] = inner[:, :, -PAD:], inner[:, :, :PAD]
    return padded


def pad_edge(frames: Array) -> Array:
    """Pad frames by `PAD` pixels on each side, repeating the outermost pixels."""
    height, width = frames.shape[1:3]
    rows = [min(max(i, 0), height - 1) for i in range(-PAD, height + PAD)]
    columns = [min(max(j, 0), width - 1) for j in range(-PAD, width + PAD)]
    return frames[:, rows][:, :, columns]


def compute_reduced_size(size: tuple[int, int], ratio: tuple[float, float]) -> tuple[int, int]:
    """Return the (height, width) after filtering by the ratios of source to target density.

    Args:
        size: (height, width) in pixels.
        ratio: Ratios along (y, x); an axis is unchanged unless its ratio exceeds `MINIFY_RATIO`.
    """
    height, width = (
        max(1, round(n / r)) if r > MINIFY_RATIO else n for n, r in zip(size, ratio, strict=True)
    )
    return height, width


def compute_reduced_erp_size(size: tuple[int, int], ratio: float) -> tuple[int, int]:
    """Return the (height, width) of an ERP map after filtering by a ratio of densities.

    A new width is even. The size is unchanged unless the ratio exceeds `MINIFY_RATIO`.
    """
    height, width = size
    if ratio <= MINIFY_RATIO:
        return size
    return max(2, round(height / ratio)), 2 * max(2, round(width / ratio / 2))


def reduce_erp(frames: Array, ratio: float) -> Array:
    """Average an ERP map down by a ratio of densities, see `compute_reduced_erp_size`."""
    return reduce_area(frames, compute_reduced_erp_size(frames.shape[1:3], ratio))


def count_halvings(ratio: float) -> int:
    """Return how often to halve a picture before taking `SUPERSAMPLE` samples per pixel of it.

    The picture keeps at least that density. Against a 64-fold supersampled picture this leaves 8 to
    17 dB less error than one area reduction to the mean density (fields of view of 30 to 120
    degrees, ratios of 1.4 to 11), because the density of a perspective picture, and of a map near
    its poles, varies.

    Args:
        ratio: Density of the picture divided by the density of the result.
    """
    return max(0, math.floor(math.log2(ratio / SUPERSAMPLE)))


def reduce_area(frames: Array, size: tuple[int, int]) -> Array:
    """Downscale frames by exact area averages.

    Args:
        frames: numpy or torch `[T, H, W, C]`.
        size: New (height, width), not larger than the old one.
    """
    height, width = frames.shape[1:3]
    if size == (height, width):
        return frames
    if is_numpy(frames):
        reduced = [
            _restore_channels(_reduce_frame(as_cv2_frame(frame), size), frame) for frame in frames
        ]
        return reduced[0][None] if len(reduced) == 1 else np.stack(reduced)
    if height % size[0] == 0 and width % size[1] == 0:
        return frames.reshape(
            len(frames), size[0], height // size[0], size[1], width // size[1], -1
        ).mean((2, 4))
    torch = array_namespace(frames)
    rows, columns = (
        torch.as_tensor(_compute_area_weights(n, m), dtype=frames.dtype, device=frames.device)
        for n, m in zip((height, width), size, strict=True)
    )
    # One axis at a time: in a single einsum torch would build the [i, h, j, w] product of weights.
    reduced_rows = torch.einsum("ih,thwc->tiwc", rows, frames)
    return torch.einsum("jw,tiwc->tijc", columns, reduced_rows)


def _reduce_frame(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    # OpenCV has a fast path for halving.
    while frame.shape[0] % (2 * size[0]) == 0 and frame.shape[1] % (2 * size[1]) == 0:
        frame = cv2.resize(
            frame, (frame.shape[1] // 2, frame.shape[0] // 2), interpolation=cv2.INTER_AREA
        )
    if frame.shape[:2] == size:
        return frame
    return cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA)


def _compute_area_weights(source: int, target: int) -> np.ndarray:
    """Return the share of each source pixel in each target pixel, `[target, source]`.

    Rows sum to 1.
    """
    edges = np.arange(target + 1) * (source / target)
    starts, ends = edges[:-1, None], edges[1:, None]
    pixel = np.arange(source)[None]
    return np.clip(np.minimum(ends, pixel + 1) - np.maximum(starts, pixel), 0, None) * (
        target / source
    )


def sample_pixels(frames: Array, column: Array, row: Array, interpolation: Interpolation) -> Array:
    """Interpolate frames at pixel coordinates; coordinates outside are clamped to the border.

    Bicubic interpolation uses Keys' kernel with a = -0.75 in both libraries.

    Args:
        frames: numpy or torch `[T, H, W, C]`, or `[1, H, W, C]` for all coordinates.
        column: Column coordinates `[T, h, w]`, or `[1, h, w]` for all frames.
        row: Row coordinates of the same shape.
        interpolation: "linear" or "cubic".

    Returns:
        `[T, h, w, C]` of the frames' type.
    """
    if not is_numpy(frames):
        return _sample_pixels_torch(frames, column, row, interpolation)
    count = max(len(frames), len(column))
    out = np.empty((count, *column.shape[1:], frames.shape[3]), frames.dtype)
    column, row = (
        axis.astype(np.float32, copy=False) if len(axis) == 1 else axis for axis in (column, row)
    )
    for k in range(count):
        x, y = (
            axis[min(k, len(axis) - 1)].astype(np.float32, copy=False) for axis in (column, row)
        )
        if k < len(frames):
            sampler = PixelSampler(frames[k], interpolation, x.size * (count // len(frames)))
        out[k] = sampler(x, y)
    return out


def remap_frame(
    frame: np.ndarray, column: np.ndarray, row: np.ndarray, interpolation: Interpolation
) -> np.ndarray:
    """Interpolate one frame with OpenCV.

    Args:
        frame: `[H, W, C]` from `as_cv2_frame`.
        column: Column coordinates, float32 `[h, w]`.
        row: Row coordinates, float32 `[h, w]`.
        interpolation: "linear" or "cubic".

    Returns:
        `[h, w, C]`.
    """
    is_linear = _check_interpolation(interpolation) == "linear"
    kernel = cv2.INTER_LINEAR if is_linear else cv2.INTER_CUBIC
    return _restore_channels(
        cv2.remap(frame, column, row, kernel, borderMode=cv2.BORDER_REPLICATE), frame
    )


def _check_interpolation(interpolation: Interpolation) -> Interpolation:
    if interpolation not in ("linear", "cubic"):
        raise InvalidInput(f"interpolation is '{interpolation}', but must be 'linear' or 'cubic'")
    return interpolation


class PixelSampler:
    """Interpolator of one numpy frame `[H, W, C]`; coordinates outside are clamped to the border.

    Three channels are sampled as four if enough samples are expected to pay for the conversion:
    OpenCV's remap is twice as fast with four channels and gives the same values.
    """

    def __init__(
        self, frame: np.ndarray, interpolation: Interpolation, expected_samples: int
    ) -> None:
        self._interpolation = interpolation
        self._has_fourth_channel = (
            frame.shape[2] == 3 and 8 * expected_samples > frame.shape[0] * frame.shape[1]
        )
        frame = as_cv2_frame(frame)
        self._frame = cv2.cvtColor(frame, cv2.COLOR_RGB2RGBA) if self._has_fourth_channel else frame

    @property
    def dtype(self) -> np.dtype:
        """Type of the returned pixels: uint8 or float32."""
        return self._frame.dtype

    def __call__(self, column: np.ndarray, row: np.ndarray, supersample: int = 1) -> np.ndarray:
        """Return the mean of supersample × supersample samples per pixel.

        Args:
            column: Column coordinates, float32 `[h, w]`; may be overwritten.
            row: Row coordinates, float32 `[h, w]`; may be overwritten.
            supersample: Samples per pixel along each axis.

        Returns:
            `[h / supersample, w / supersample, C]`.
        """
        return self._sample(self._frame, column, row, supersample)

    def _sample(
        self, frame: np.ndarray, column: np.ndarray, row: np.ndarray, supersample: int
    ) -> np.ndarray:
        dense = remap_frame(frame, column, row, self._interpolation)
        size = (len(dense) // supersample, dense.shape[1] // supersample)
        pixels = reduce_area(dense[None], size)[0]
        return cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB) if self._has_fourth_channel else pixels


class ErpPixelSampler(PixelSampler):
    """Interpolator of one ERP map, which continues across the seam and the poles."""

    _padded: np.ndarray | None = None

    def __call__(self, column: np.ndarray, row: np.ndarray, supersample: int = 1) -> np.ndarray:
        """Return samples as `PixelSampler` does; the map is padded only if they need it."""
        height, width = self._frame.shape[:2]
        if (
            min(column.min(), row.min()) >= PAD
            and column.max() <= width - 1 - PAD
            and row.max() <= height - 1 - PAD
        ):
            return self._sample(self._frame, column, row, supersample)
        if self._padded is None:
            self._padded = pad_erp(self._frame[None])[0]
        column += PAD
        row += PAD
        return self._sample(self._padded, column, row, supersample)


def _sample_pixels_torch(
    frames: Array, column: Array, row: Array, interpolation: Interpolation
) -> Array:
    torch = array_namespace(frames)
    height, width = frames.shape[1:3]
    count = max(len(frames), len(column))
    grid = torch.stack([(column + 0.5) * (2 / width) - 1, (row + 0.5) * (2 / height) - 1], -1)
    planes = frames.permute(0, 3, 1, 2).to(grid.dtype)  # half precision is sampled in float32
    out = torch.nn.functional.grid_sample(
        planes.expand(count, -1, -1, -1),
        grid.expand(count, -1, -1, -1),
        mode="bilinear" if _check_interpolation(interpolation) == "linear" else "bicubic",
        padding_mode="border",
        align_corners=False,
    )
    return out.to(frames.dtype).permute(0, 2, 3, 1)


def as_cv2_frame(frame: np.ndarray) -> np.ndarray:
    """Return a frame that OpenCV samples exactly: contiguous, uint8 or float32."""
    return np.ascontiguousarray(frame, dtype=None if frame.dtype == np.uint8 else np.float32)


def _restore_channels(picture: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Add the axis of a single channel, which OpenCV drops."""
    return picture.reshape(*picture.shape[:2], like.shape[2])
