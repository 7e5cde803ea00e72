"""The one interface through which frames are read, whatever decodes them."""

import abc
from collections.abc import Sequence
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

    @property
    def keyframes(self) -> NDArray[np.int64]:
        """Frame numbers where decoding can start, rising: the cheapest frames to read."""
        return self._index.keyframes

    def __len__(self) -> int:
        return self.info.frames

    def frames(self, indices: Indices, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """Decodes the frames of the given numbers, in the order given; repeats are allowed.

        Colours follow the matrix and range that the file states, as FFmpeg does; where it states none, BT.601 and limited range.

        Args:
            indices: frame numbers in 0 .. len - 1.
            size: (height, width) to resize to: averaged over area where smaller, linearly where larger. None keeps the video's.

        Returns:
            uint8 [n, height, width, 3] RGB. Besides it, memory holds the few frames that the decoder needs, whatever the video's length.

        Raises:
            VideoError: CORRUPT when a frame cannot be decoded.
            ValueError: an index is out of range.
        """
        numbers = np.asarray(indices, dtype=np.int64).reshape(-1)
        if numbers.size and (numbers.min() < 0 or numbers.max() >= len(self)):
            raise ValueError(
                f"{self._name}: frames {numbers.min()} .. {numbers.max()} were asked for, but it has frames 0 .. {len(self) - 1}"
            )
        out = np.empty((numbers.size, *(size or self.size), 3), np.uint8)
        distinct, first, which = np.unique(numbers, return_index=True, return_inverse=True)
        self._decode(distinct, [out[place] for place in first])
        for place in np.flatnonzero(first[which] != np.arange(numbers.size)):
            out[place] = out[first[which[place]]]
        return out

    @abc.abstractmethod
    def _decode(self, numbers: NDArray[np.int64], pictures: Sequence[NDArray[np.uint8]]) -> None:
        """Fills each picture, uint8 [height, width, 3], with the frame of its number, resized to it. The numbers rise."""

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
    grows = height >= picture.shape[0] and width >= picture.shape[1]
    return np.asarray(
        cv2.resize(
            picture, (width, height), interpolation=cv2.INTER_LINEAR if grows else cv2.INTER_AREA
        ),
        np.uint8,
    )


class BackendUnsuitable(Exception):
    """This backend cannot read this video exactly."""
