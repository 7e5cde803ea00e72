"""Pixels: padding a map across its seam and poles, exact area reduction, and the two samplers (cv2.remap, torch's grid_sample).

All frames here are channels-last `[T, H, W, C]`.
"""

import math

import cv2
import numpy as np

from argus.errors import InvalidInput
from argus.sphere.arrays import Array, Interpolation, is_numpy, namespace_of

PAD = 2
"""Pixels added on each side: what a bicubic kernel reaches."""

MINIFY = 1.25
"""Reductions stronger than this are filtered first; a bilinear kernel covers the rest."""


def pad_erp(frames: Array) -> Array:
    """Continues a map by PAD pixels: columns wrap; beyond a pole rows are mirrored and turned half-way round."""
    xp = namespace_of(frames)
    height, width = frames.shape[1:3]
    above = xp.roll(frames[:, list(range(PAD))[::-1]], width // 2, 2)
    below = xp.roll(frames[:, [height - 1 - k for k in range(PAD)]], width // 2, 2)
    tall = xp.concat([above, frames, below], 1)
    return xp.concat([tall[:, :, -PAD:], tall, tall[:, :, :PAD]], 2)


def pad_edge(frames: Array) -> Array:
    """Repeats the outermost pixels PAD times."""
    height, width = frames.shape[1:3]
    rows = [min(max(i, 0), height - 1) for i in range(-PAD, height + PAD)]
    columns = [min(max(j, 0), width - 1) for j in range(-PAD, width + PAD)]
    return frames[:, rows][:, :, columns]


def reduced_size(size: tuple[int, int], ratio: tuple[float, float]) -> tuple[int, int]:
    """(height, width) after filtering by ratios (y, x) of source to target density; unchanged where the ratio is at most MINIFY."""
    height, width = (max(1, round(n / r)) if r > MINIFY else n for n, r in zip(size, ratio, strict=True))
    return height, width


def reduced_erp(frames: Array, ratio: float) -> Array:
    """An ERP map area-averaged to the density that is asked for; the width stays even."""
    height, width = frames.shape[1:3]
    if ratio <= MINIFY:
        return frames
    return reduced(frames, (max(2, round(height / ratio)), 2 * max(2, round(width / ratio / 2))))


def reduced(frames: Array, size: tuple[int, int]) -> Array:
    """The exact area average over each new pixel; `size` is (height, width), not larger than the frames'."""
    height, width = frames.shape[1:3]
    if size == (height, width):
        return frames
    if is_numpy(frames):
        return np.stack([_with_channels(cv2.resize(_readable(frame), size[::-1], interpolation=cv2.INTER_AREA), frame) for frame in frames])
    torch = namespace_of(frames)
    rows, columns = (torch.as_tensor(_overlaps(n, m), dtype=frames.dtype, device=frames.device) for n, m in zip((height, width), size, strict=True))
    return torch.einsum("ih,jw,thwc->tijc", rows, columns, frames)


def _overlaps(source: int, target: int) -> np.ndarray:
    """`[target, source]`: the share of each source pixel in each target pixel; rows sum to 1."""
    edges = np.arange(target + 1) * (source / target)
    starts, ends = edges[:-1, None], edges[1:, None]
    pixel = np.arange(source)[None]
    return np.clip(np.minimum(ends, pixel + 1) - np.maximum(starts, pixel), 0, None) * (target / source)


def sample(frames: Array, column: Array, row: Array, interpolation: Interpolation) -> Array:
    """Pixels at (column, row), each `[T, h, w]`, as `[T, h, w, C]` of the frames' type; the border repeats.

    T is the frames' or 1 in either. Bicubic is Keys' kernel with a = -0.75 in both libraries; OpenCV places it to 1/32 pixel.
    """
    if interpolation not in ("linear", "cubic"):
        raise InvalidInput(f"interpolation is '{interpolation}', but must be 'linear' or 'cubic'")
    return _sample_numpy(frames, column, row, interpolation) if is_numpy(frames) else _sample_torch(frames, column, row, interpolation)


def _sample_numpy(frames: np.ndarray, column: np.ndarray, row: np.ndarray, interpolation: Interpolation) -> np.ndarray:
    kernel = cv2.INTER_LINEAR if interpolation == "linear" else cv2.INTER_CUBIC
    count = max(len(frames), len(column))
    out = np.empty((count, *column.shape[1:], frames.shape[3]), frames.dtype)
    for k in range(count):
        frame = _readable(frames[min(k, len(frames) - 1)])
        x, y = (axis[min(k, len(axis) - 1)].astype(np.float32) for axis in (column, row))
        out[k] = _with_channels(cv2.remap(frame, x, y, kernel, borderMode=cv2.BORDER_REPLICATE), frame)
    return out


def sample_points(frame: np.ndarray, column: np.ndarray, row: np.ndarray, interpolation: Interpolation) -> np.ndarray:
    """Pixels of one numpy frame `[H, W, C]` at N scattered points, as `[N, C]`."""
    width = 1024  # cv2 refuses pictures of 32768 pixels and more on a side, so the points are folded
    height = max(1, math.ceil(len(column) / width))
    folded = [np.zeros((1, height, width), np.float32) for _ in range(2)]
    for plane, values in zip(folded, (column, row), strict=True):
        plane.reshape(-1)[: len(values)] = values
    return sample(frame[None], folded[0], folded[1], interpolation).reshape(height * width, -1)[: len(column)]


def _sample_torch(frames: Array, column: Array, row: Array, interpolation: Interpolation) -> Array:
    torch = namespace_of(frames)
    height, width = frames.shape[1:3]
    count = max(len(frames), len(column))
    where = torch.stack([(column + 0.5) * (2 / width) - 1, (row + 0.5) * (2 / height) - 1], -1)
    planes = frames.permute(0, 3, 1, 2).to(where.dtype)  # half precision is sampled in float32
    out = torch.nn.functional.grid_sample(
        planes.expand(count, -1, -1, -1),
        where.expand(count, -1, -1, -1),
        mode="bilinear" if interpolation == "linear" else "bicubic",
        padding_mode="border",
        align_corners=False,
    )
    return out.to(frames.dtype).permute(0, 2, 3, 1)


def _readable(frame: np.ndarray) -> np.ndarray:
    """A frame that cv2 takes: contiguous, and not half precision."""
    return np.ascontiguousarray(frame, dtype=np.float32 if frame.dtype == np.float16 else None)


def _with_channels(picture: np.ndarray, like: np.ndarray) -> np.ndarray:
    """cv2 drops the axis of a single channel."""
    return picture.reshape(*picture.shape[:2], like.shape[2])
