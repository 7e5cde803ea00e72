"""Reading through PyAV: files and bytes in memory, every codec that its FFmpeg has."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from argus.media import faults
from argus.media.probing import VideoIndex, index_container, open_container, video_stream
from argus.media.reader import Indices, VideoReader


class PyAVReader(VideoReader):
    """A file, or bytes in memory, read by PyAV."""

    def __init__(self, source: Path | BinaryIO, index: VideoIndex | None = None, threads: int = 1) -> None:
        path = source if isinstance(source, Path) else None
        name = str(source) if path else "the clip in memory"
        self._source = source
        self._threads = threads
        with faults.opening(name, path):
            self._container = open_container(source)
            if index is None:
                index = index_container(self._container, name)
        super().__init__(name, index)
        self._frames: Iterator[Any] = iter(())
        self._next: int | None = None  # the number of the frame that _frames gives next, where known

    def _decode(self, numbers: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        with faults.decoding(self._name):
            for number in numbers.tolist():
                yield number, self._frame(number)

    def _frame(self, number: int) -> NDArray[np.uint8]:
        """Decodes on when the frame lies ahead in this group of pictures, else from the last keyframe before it, else from ever earlier."""
        keys = self._index.keyframes
        nearest = int(np.searchsorted(keys, number, side="right")) - 1
        if self._next is not None and (nearest < 0 or keys[nearest] <= self._next) and self._next <= number:
            picture = self._scan(number)
            if picture is not None:
                return picture
        for back in (0, 1, 4):
            if nearest - back >= 0:
                self._seek(int(self._index.pts[keys[nearest - back]]))
                picture = self._scan(number)
                if picture is not None:
                    return picture
        self._restart()
        picture = self._scan(number)
        if picture is None:
            raise faults.corrupt(self._name, f"frame {number} of {len(self)} cannot be decoded")
        return picture

    def _scan(self, number: int) -> NDArray[np.uint8] | None:
        """Decodes forward to a frame; None when decoding goes past it or ends."""
        pts = self._index.pts
        for frame in self._frames:
            time = frame.pts if frame.pts is not None else frame.dts
            if time is None or time < pts[number]:
                continue
            if time > pts[number]:
                break
            self._next = number + 1
            picture = frame.to_ndarray(format="rgb24", threads=self._threads)
            return np.ascontiguousarray(np.rot90(picture, self.info.rotation // 90)) if self.info.rotation else picture
        self._next = None
        return None

    def _seek(self, time: int) -> None:
        stream = video_stream(self._container, self._name)
        self._container.seek(time, stream=stream, backward=True, any_frame=False)
        self._frames = self._decoded(stream)

    def _restart(self) -> None:
        """Reads from the first byte, for containers where seeking misses."""
        self._container.close()
        if not isinstance(self._source, Path):
            self._source.seek(0)
        self._container = open_container(self._source)
        self._frames = self._decoded(video_stream(self._container, self._name))

    def _decoded(self, stream: Any) -> Iterator[Any]:
        import av

        if not stream.codec_context.is_open:
            stream.thread_count = self._threads
            stream.thread_type = "AUTO"
        for packet in self._container.demux(stream):
            try:
                yield from packet.decode()
            except av.error.InvalidDataError:
                continue  # damage elsewhere does not matter; the frame asked for is missed if it is hit

    def close(self) -> None:
        self._frames = iter(())
        self._container.close()


def decode_clip(
    data: bytes | memoryview, indices: Indices | None = None, size: tuple[int, int] | None = None, *, threads: int = 1
) -> NDArray[np.uint8]:
    """Decodes frames of a whole video file held in memory, as `VideoReader.frames` does.

    With short groups of pictures (`encode_clip`) any range costs little more than its own frames.

    Args:
        data: the bytes of the file.
        indices: frame numbers; None is all of them.
        size: (height, width) to resize to.
        threads: decoder threads.

    Returns:
        uint8 [n, height, width, 3] RGB.

    Raises:
        VideoError: as `open_video`.
    """
    with PyAVReader(io.BytesIO(data), threads=threads) as reader:
        return reader.frames(range(len(reader)) if indices is None else indices, size)
