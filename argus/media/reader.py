"""The interface through which frames are read, independent of the decoding library."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.media.frame_index import VideoIndex
from argus.media.info import STEP_TOLERANCE, MediaInfo, frame_stride

FrameIndices = Sequence[int] | NDArray[np.integer]
_FLOAT_TOLERANCE_S = 1e-6
_MAX_RATE_DENOMINATOR = 1001  # of a rate that is measured


@dataclass(frozen=True, eq=False)
class FrameSampling:
    """Frames of a video at a lower, constant rate.

    Attributes:
        fps: exact frames per second of the selection.
        indices: int64 `[n]`, number of the frame of the video for each selected one; never
            decreasing. A number repeats where the video shows one frame for longer.
        times: float64 `[n]`, seconds since the first frame at which each one is shown.
    """

    fps: Fraction
    indices: NDArray[np.int64]
    times: NDArray[np.float64]


class VideoReader(abc.ABC):
    """A video as a sequence of upright RGB frames; a context manager, not thread-safe.

    Implementations decode only what the requested frames depend on, and raise `VideoError` with a
    reason instead of the errors of their decoder.
    """

    def __init__(self, name: str, index: VideoIndex) -> None:
        self._name = name
        self._index = index

    @property
    def info(self) -> MediaInfo:
        """Properties of the video, equal to those that `probe` returns."""
        return self._index.info

    @property
    def index(self) -> VideoIndex:
        """Times and keyframes of the video, with its properties."""
        return self._index

    @property
    def fps(self) -> Fraction:
        """Exact frames per second; the mean of a variable rate."""
        return self.info.fps

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frames."""
        return self.info.height, self.info.width

    @property
    def timestamps(self) -> NDArray[np.float64]:
        """`[len(self)]` seconds since the first frame."""
        return self._index.timestamps

    @property
    def keyframes(self) -> NDArray[np.int64]:
        """Increasing numbers of the frames at which decoding can start, the cheapest to read."""
        return self._index.keyframes

    def __len__(self) -> int:
        return self.info.frames

    def frames(
        self, indices: FrameIndices, size: tuple[int, int] | None = None
    ) -> NDArray[np.uint8]:
        """Decode frames, in the order given.

        Colors are SDR in BT.709, converted from what the file declares. Apart from the result,
        memory holds only the few frames that the decoder needs, whatever the length of the video.
        Where times do not identify the frames (see `FrameTimes.is_sequential`), a frame before the
        last one read costs decoding the file from its start.

        Args:
            indices: frame numbers in 0 .. len - 1; repeats are allowed.
            size: (height, width) to resize to, by area averaging if smaller and linear
                interpolation if larger; None keeps the video's size.

        Returns:
            uint8 [n, height, width, 3] RGB.

        Raises:
            VideoError: CORRUPT if a frame cannot be decoded.
            ValueError: an index is out of range.
        """
        numbers = np.asarray(indices, dtype=np.int64).reshape(-1)
        if numbers.size and (numbers.min() < 0 or numbers.max() >= len(self)):
            raise ValueError(
                f"{self._name}: indices are in {numbers.min()} .. {numbers.max()}, "
                f"but must be in 0 .. {len(self) - 1}"
            )
        out = np.empty((numbers.size, *(size or self.size), 3), np.uint8)
        unique, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
        self._decode(unique, [out[row] for row in first])
        for row in np.flatnonzero(first[inverse] != np.arange(numbers.size)):
            out[row] = out[first[inverse[row]]]
        return out

    def frames_at(
        self, times: Sequence[float] | NDArray[np.floating], size: tuple[int, int] | None = None
    ) -> NDArray[np.uint8]:
        """Decode the frames that are shown at some times, in the order given.

        Args:
            times: seconds since the first frame, in 0 .. duration.
            size: as in `frames`.

        Returns:
            uint8 [n, height, width, 3] RGB.

        Raises:
            VideoError: CORRUPT if a frame cannot be decoded.
            ValueError: a time is out of range.
        """
        return self.frames(self.indices_at(times), size)

    def indices_at(self, times: Sequence[float] | NDArray[np.floating]) -> NDArray[np.int64]:
        """Return the number of the frame that is shown at each time, as `frames_at` reads it."""
        wanted = np.asarray(times, np.float64).reshape(-1)
        if wanted.size and not (wanted.min() >= 0 and wanted.max() <= self.info.duration_s):
            raise ValueError(
                f"{self._name}: times are in {wanted.min():g} .. {wanted.max():g} s, "
                f"but must be in 0 .. {self.info.duration_s:g} s"
            )
        after = np.searchsorted(self.timestamps, wanted + self._time_tolerance_s, side="right")
        return np.maximum(after - 1, 0).astype(np.int64)

    @property
    def _time_tolerance_s(self) -> float:
        """Seconds by which a frame may be stored later than its exact time.

        Containers round times to their time base, to milliseconds in Matroska. Times of a constant
        rate that need no rounding are exact.
        """
        tick, step = self._index.time_base, 1 / self.fps
        is_exact = step % tick == 0 and not self.info.is_variable_rate
        return _FLOAT_TOLERANCE_S if is_exact else float(min(tick, step / 4)) * 1.001

    def resample(self, target_fps: float) -> FrameSampling:
        """Select frames at a constant rate close to `target_fps`, never above the video's own.

        At a constant rate every n-th frame is selected, with n of `frame_stride`. At a variable
        rate n is that of the usual rate, and the frames that are shown at multiples of n usual
        durations are selected, so that the selection plays at the speed of the video.

        Args:
            target_fps: frames per second.
        """
        if not self.info.is_variable_rate:
            stride = frame_stride(self.fps, target_fps)
            indices = np.arange(0, len(self), stride)
            return FrameSampling(self.fps / stride, indices, self.timestamps[indices])
        usual = self._usual_rate()
        fps = usual / frame_stride(usual, target_fps)
        count = max(1, int(np.ceil(self.info.duration_s * float(fps) - 1e-6)))
        times = np.minimum(np.arange(count) / float(fps), self.info.duration_s)
        return FrameSampling(fps, self.indices_at(times), times)

    def _usual_rate(self) -> Fraction:
        """Return the rate of the frames that are shown for about the median duration.

        The mean of the whole video would lie between the rates of its parts, where it is no
        multiple of any of them.
        """
        steps = np.diff(self._index.pts)
        steps = steps[steps > 0]
        median = np.median(steps)
        usual = steps[np.abs(steps - median) <= STEP_TOLERANCE * median]
        mean_s = Fraction(int(usual.sum()), usual.size) * self._index.time_base
        return (1 / mean_s).limit_denominator(_MAX_RATE_DENOMINATOR)

    @abc.abstractmethod
    def _decode(self, numbers: NDArray[np.int64], outputs: Sequence[NDArray[np.uint8]]) -> None:
        """Decode frames into outputs, uint8 [height, width, 3], resizing to each; numbers rise."""

    @abc.abstractmethod
    def close(self) -> None:
        """Free the decoder. May be called more than once."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def resize_frame(frame: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize a frame by area averaging if smaller, by linear interpolation if larger.

    Args:
        frame: uint8 [H, W, 3].
        size: (height, width) of the result.

    Returns:
        uint8 [height, width, 3]; `frame` itself if it has that size.
    """
    height, width = size
    if frame.shape[:2] == (height, width):
        return frame
    is_larger = height >= frame.shape[0] and width >= frame.shape[1]
    interpolation = cv2.INTER_LINEAR if is_larger else cv2.INTER_AREA
    return np.asarray(cv2.resize(frame, (width, height), interpolation=interpolation), np.uint8)


class BackendUnsuitable(Exception):
    """Raised by a backend that cannot read a video exactly."""
