"""Reading through PyAV: files and bytes in memory, every codec that its FFmpeg has."""

import io
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from argus.media import errors
from argus.media.probing import Source, index_container, open_container
from argus.media.pyav_decoder import Decoder
from argus.media.reader import Indices, VideoReader


class PyAVReader(VideoReader):
    """A file, or bytes in memory, read by PyAV. Frames of a file that lie far apart are decoded by as many decoders as there are threads."""

    def __init__(self, source: Source, threads: int = 1) -> None:
        path = source if isinstance(source, Path) else None
        name = str(source) if path else "the clip in memory"
        with errors.opening(name, path):
            container = open_container(source)
            super().__init__(name, index_container(container, name, path, threads))
        self._path, self._threads = path, threads
        self._decoder = Decoder(source, name, self._index, threads=threads, container=container)
        self._others: dict[int, Decoder] = {}  # of one thread each

    def _decode(self, numbers: NDArray[np.int64], pictures: Sequence[NDArray[np.uint8]]) -> None:
        cuts = [
            place
            for place in range(1, numbers.size)
            if not self._index.lies_ahead(int(numbers[place - 1]) + 1, int(numbers[place]))
        ]
        runs = deque(
            slice(start, stop)
            for start, stop in zip([0, *cuts], [*cuts, numbers.size], strict=True)
            if start < stop
        )
        is_shared = self._path is not None and min(self._threads, len(runs)) > 1

        def decode(decoder: Decoder) -> None:
            while runs:
                try:
                    run = runs.popleft()
                except IndexError:  # another took the last one
                    return
                decoder.decode(
                    numbers[run].tolist(), pictures[run], is_last=not (is_shared or runs)
                )

        with errors.decoding(self._name):
            if is_shared:
                self._decode_apart(decode)
            else:
                decode(self._decoder)

    def _decode_apart(self, decode: Callable[[Decoder], None]) -> None:
        """Calls it with one decoder for each thread, all at once."""
        with ThreadPoolExecutor(self._threads) as pool:
            list(pool.map(lambda place: decode(self._other(place)), range(self._threads)))

    def _other(self, place: int) -> Decoder:
        assert self._path is not None, "only a file can be opened again"
        if place not in self._others:
            self._others[place] = Decoder(self._path, self._name, self._index)
        return self._others[place]

    def close(self) -> None:
        for decoder in (self._decoder, *self._others.values()):
            decoder.close()


def decode_clip(
    data: bytes | memoryview,
    indices: Indices | None = None,
    size: tuple[int, int] | None = None,
    *,
    threads: int = 1,
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
    with PyAVReader(io.BytesIO(data), threads) as reader:
        return reader.frames(range(len(reader)) if indices is None else indices, size)
