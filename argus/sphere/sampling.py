"""Pixels: padding a map across its seam and poles, filters, and the two samplers (cv2.remap, torch's grid_sample).

All frames here are channels-last `[T, H, W, C]`. Bilinear weights are exact from OpenCV 5 on (4 rounds them to 1/32), and only for uint8 and float32,
so other types are sampled in float32. Bicubic ones are still rounded to 1/32 pixel in numpy.
"""

import math

import cv2
import numpy as np

from argus.errors import InvalidInput
from argus.sphere.arrays import Array, Interpolation, is_numpy, namespace_of

PAD = 2
"""Pixels added on each side: what a bicubic kernel reaches."""

MINIFY = 1.25
"""Reductions stronger than this are filtered; a bilinear kernel covers the rest."""

FINE = 2
"""A minified pixel is the mean of so many samples along each axis."""


def pad_erp(frames: Array) -> Array:
    """Continues a map by PAD pixels: columns wrap; beyond a pole rows are mirrored and turned half-way round."""
    xp = namespace_of(frames)
    height, width = frames.shape[1:3]
    above = xp.roll(frames[:, list(range(PAD))[::-1]], width // 2, 2)
    below = xp.roll(frames[:, [height - 1 - k for k in range(PAD)]], width // 2, 2)
    if not is_numpy(frames):
        tall = xp.concat([above, frames, below], 1)
        return xp.concat([tall[:, :, -PAD:], tall, tall[:, :, :PAD]], 2)
    padded = np.empty(
        (len(frames), height + 2 * PAD, width + 2 * PAD, frames.shape[3]), frames.dtype
    )  # one pass over large maps
    inner = padded[:, :, PAD:-PAD]
    inner[:, :PAD], inner[:, PAD:-PAD], inner[:, -PAD:] = above, frames, below
    padded[:, :, :PAD], padded[:, :, -PAD:] = inner[:, :, -PAD:], inner[:, :, :PAD]
    return padded


def pad_edge(frames: Array) -> Array:
    """Repeats the outermost pixels PAD times."""
    height, width = frames.shape[1:3]
    rows = [min(max(i, 0), height - 1) for i in range(-PAD, height + PAD)]
    columns = [min(max(j, 0), width - 1) for j in range(-PAD, width + PAD)]
    return frames[:, rows][:, :, columns]


def reduced_size(size: tuple[int, int], ratio: tuple[float, float]) -> tuple[int, int]:
    """(height, width) after filtering by ratios (y, x) of source to target density; unchanged where the ratio is at most MINIFY."""
    height, width = (
        max(1, round(n / r)) if r > MINIFY else n for n, r in zip(size, ratio, strict=True)
    )
    return height, width


def reduced_erp(frames: Array, ratio: float) -> Array:
    """An ERP map area-averaged to the density that is asked for; the width stays even."""
    height, width = frames.shape[1:3]
    if ratio <= MINIFY:
        return frames
    return reduced(frames, (max(2, round(height / ratio)), 2 * max(2, round(width / ratio / 2))))


def halvings(ratio: float) -> int:
    """How often a picture, `ratio` times as dense as wanted, is halved before FINE samples per pixel are taken of it: never to fewer than those.

    Beside one area reduction to the mean density this leaves 8 to 17 dB less error against a 64-fold supersampled picture (fields of view of 30 to
    120 degrees, ratios of 1.4 to 11), for the density of a perspective picture, and of a map towards its poles, varies within it.
    """
    return max(0, math.floor(math.log2(ratio / FINE)))


def reduced(frames: Array, size: tuple[int, int]) -> Array:
    """The exact area average over each new pixel; `size` is (height, width), not larger than the frames'."""
    height, width = frames.shape[1:3]
    if size == (height, width):
        return frames
    if is_numpy(frames):
        small = [_with_channels(_reduced_frame(readable(frame), size), frame) for frame in frames]
        return small[0][None] if len(small) == 1 else np.stack(small)
    if height % size[0] == 0 and width % size[1] == 0:
        return frames.reshape(
            len(frames), size[0], height // size[0], size[1], width // size[1], -1
        ).mean((2, 4))
    torch = namespace_of(frames)
    rows, columns = (
        torch.as_tensor(_overlaps(n, m), dtype=frames.dtype, device=frames.device)
        for n, m in zip((height, width), size, strict=True)
    )
    down = torch.einsum(
        "ih,thwc->tiwc", rows, frames
    )  # one axis after the other: torch would make their product first, [i, h, j, w]
    return torch.einsum("jw,tiwc->tijc", columns, down)


def _reduced_frame(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    while (
        frame.shape[0] % (2 * size[0]) == 0 and frame.shape[1] % (2 * size[1]) == 0
    ):  # halving is by far the quickest in OpenCV
        frame = cv2.resize(
            frame, (frame.shape[1] // 2, frame.shape[0] // 2), interpolation=cv2.INTER_AREA
        )
    return (
        frame
        if frame.shape[:2] == size
        else cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA)
    )


def _overlaps(source: int, target: int) -> np.ndarray:
    """`[target, source]`: the share of each source pixel in each target pixel; rows sum to 1."""
    edges = np.arange(target + 1) * (source / target)
    starts, ends = edges[:-1, None], edges[1:, None]
    pixel = np.arange(source)[None]
    return np.clip(np.minimum(ends, pixel + 1) - np.maximum(starts, pixel), 0, None) * (
        target / source
    )


def sample(frames: Array, column: Array, row: Array, interpolation: Interpolation) -> Array:
    """Pixels at (column, row), each `[T, h, w]`, as `[T, h, w, C]` of the frames' type; the border repeats.

    T is the frames' or 1 in either. Bicubic is Keys' kernel with a = -0.75 in both libraries.
    """
    if not is_numpy(frames):
        return _sample_torch(frames, column, row, interpolation)
    count = max(len(frames), len(column))
    out = np.empty((count, *column.shape[1:], frames.shape[3]), frames.dtype)
    for k in range(count):
        x, y = (
            axis[min(k, len(axis) - 1)].astype(np.float32, copy=False) for axis in (column, row)
        )
        out[k] = remapped(readable(frames[min(k, len(frames) - 1)]), x, y, interpolation)
    return out


def remapped(
    frame: np.ndarray, column: np.ndarray, row: np.ndarray, interpolation: Interpolation
) -> np.ndarray:
    """Pixels of a `readable` frame `[H, W, C]` at float32 (column, row) `[h, w]`, as `[h, w, C]`."""
    kernel = cv2.INTER_LINEAR if _checked(interpolation) == "linear" else cv2.INTER_CUBIC
    return _with_channels(
        cv2.remap(frame, column, row, kernel, borderMode=cv2.BORDER_REPLICATE), frame
    )


def _checked(interpolation: Interpolation) -> Interpolation:
    if interpolation not in ("linear", "cubic"):
        raise InvalidInput(f"interpolation is '{interpolation}', but must be 'linear' or 'cubic'")
    return interpolation


class Sampler:
    """Samples one numpy frame `[H, W, C]` about `samples` times; the border repeats.

    Three channels are sampled as four where that pays: OpenCV's remap is twice as fast with them, to the same values.
    """

    def __init__(self, frame: np.ndarray, interpolation: Interpolation, samples: int) -> None:
        self._interpolation = interpolation
        self._widened = frame.shape[2] == 3 and 8 * samples > frame.shape[0] * frame.shape[1]
        frame = readable(frame)
        self._frame = cv2.cvtColor(frame, cv2.COLOR_RGB2RGBA) if self._widened else frame

    @property
    def dtype(self) -> np.dtype:
        """Of what is returned: uint8 or float32."""
        return self._frame.dtype

    def __call__(self, column: np.ndarray, row: np.ndarray, fine: int = 1) -> np.ndarray:
        """`[h / fine, w / fine, C]`, means of fine x fine samples at float32 coordinates `[h, w]`, which may be changed."""
        return self._sampled(self._frame, column, row, fine)

    def _sampled(
        self, frame: np.ndarray, column: np.ndarray, row: np.ndarray, fine: int
    ) -> np.ndarray:
        dense = remapped(frame, column, row, self._interpolation)
        pixels = reduced(dense[None], (len(dense) // fine, dense.shape[1] // fine))[0]
        return cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB) if self._widened else pixels


class ErpSampler(Sampler):
    """The same of an ERP map, continued across seam and poles where the coordinates reach there."""

    _padded: np.ndarray | None = None

    def __call__(self, column: np.ndarray, row: np.ndarray, fine: int = 1) -> np.ndarray:
        height, width = self._frame.shape[:2]
        if (
            min(column.min(), row.min()) >= PAD
            and column.max() <= width - 1 - PAD
            and row.max() <= height - 1 - PAD
        ):
            return self._sampled(self._frame, column, row, fine)
        if self._padded is None:
            self._padded = pad_erp(self._frame[None])[0]
        column += PAD
        row += PAD
        return self._sampled(self._padded, column, row, fine)


def _sample_torch(frames: Array, column: Array, row: Array, interpolation: Interpolation) -> Array:
    torch = namespace_of(frames)
    height, width = frames.shape[1:3]
    count = max(len(frames), len(column))
    where = torch.stack([(column + 0.5) * (2 / width) - 1, (row + 0.5) * (2 / height) - 1], -1)
    planes = frames.permute(0, 3, 1, 2).to(where.dtype)  # half precision is sampled in float32
    out = torch.nn.functional.grid_sample(
        planes.expand(count, -1, -1, -1),
        where.expand(count, -1, -1, -1),
        mode="bilinear" if _checked(interpolation) == "linear" else "bicubic",
        padding_mode="border",
        align_corners=False,
    )
    return out.to(frames.dtype).permute(0, 2, 3, 1)


def readable(frame: np.ndarray) -> np.ndarray:
    """A frame that cv2 samples exactly: contiguous, uint8 or float32."""
    return np.ascontiguousarray(frame, dtype=None if frame.dtype == np.uint8 else np.float32)


def _with_channels(picture: np.ndarray, like: np.ndarray) -> np.ndarray:
    """cv2 drops the axis of a single channel."""
    return picture.reshape(*picture.shape[:2], like.shape[2])
