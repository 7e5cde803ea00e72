"""The one interface through which frames are read, whatever decodes them."""

import abc
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.media.probing import MediaInfo, VideoIndex

Indices = Sequence[int] | NDArray[np.integer]


class VideoReader(abc.ABC):
    """A video as a sequence of frames, uint8 RGB, turned upright; a context manager. Not for use by two threads at once.

    Implementations decode only what the frames asked for depend on. They raise `VideoError` with a reason, and nothing of their decoder's.
    """

    def __init__(self, name: str, index: VideoIndex) -> None:
        self._name = name
        self._index = index

    @property
    def info(self) -> MediaInfo:
        """What `probe` says of the file."""
        return self._index.info

    @property
    def fps(self) -> Fraction:
        """Frames per second, exact; of a variable rate, the mean."""
        return self.info.fps

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frames."""
        return self.info.height, self.info.width

    @property
    def timestamps(self) -> NDArray[np.float64]:
        """Seconds from the first frame, [len(self)]."""
        return self._index.timestamps

    def __len__(self) -> int:
        return self.info.frames

    def frames(self, indices: Indices, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """Decodes the frames of the given numbers, in the order given; repeats are allowed.

        Args:
            indices: frame numbers in 0 .. len - 1.
            size: (height, width) to resize to: by area where smaller, linearly where larger. None keeps the video's.

        Returns:
            uint8 [n, height, width, 3] RGB.

        Raises:
            VideoError: CORRUPT when a frame cannot be decoded.
            ValueError: an index is out of range.
        """
        numbers = np.asarray(indices, dtype=np.int64).reshape(-1)
        if numbers.size and (numbers.min() < 0 or numbers.max() >= len(self)):
            raise ValueError(f"{self._name}: frames {numbers.min()} .. {numbers.max()} were asked for, but it has frames 0 .. {len(self) - 1}")
        height, width = size or self.size
        out = np.empty((numbers.size, height, width, 3), np.uint8)
        for number, picture in self._decode(np.unique(numbers)):
            places = np.flatnonzero(numbers == number)
            out[places] = resize(picture, (height, width))
        return out

    @abc.abstractmethod
    def _decode(self, numbers: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Gives (number, uint8 [H, W, 3]) for each of the rising, distinct frame numbers, all of them."""

    @abc.abstractmethod
    def close(self) -> None:
        """Frees the decoder; may be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def resize(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] resized to (height, width): averaged over area where smaller, linearly where larger."""
    height, width = size
    if picture.shape[:2] == (height, width):
        return picture
    if height >= picture.shape[0] and width >= picture.shape[1]:
        return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


class BackendUnsuitable(Exception):
    """This backend cannot read this video exactly."""
