"""PyAV backend: reads files and in-memory videos of every codec that its FFmpeg supports."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from argus.media import errors
from argus.media.probing import FileOrBuffer, index_container, open_container
from argus.media.pyav_decoder import PyAVDecoder
from argus.media.reader import VideoReader


class PyAVReader(VideoReader):
    """A file or in-memory video read by PyAV.

    Frames of a file that lie in several groups of pictures are decoded in parallel, by one decoder
    per thread.

    Args:
        source: the file or buffer.
        threads: number of decoder threads.
        track: number of the video track to read; None for the one that FFmpeg would choose.
    """

    def __init__(self, source: FileOrBuffer, threads: int = 1, *, track: int | None = None) -> None:
        path = source if isinstance(source, Path) else None
        name = str(source) if path else "the clip in memory"
        with errors.map_open_errors(name, source):
            container = open_container(source)
            super().__init__(name, index_container(container, name, source, threads, track))
        self._path, self._threads = path, threads
        self._decoder = PyAVDecoder(source, name, self._index, threads=threads, container=container)
        self._extra_decoders: dict[int, PyAVDecoder] = {}  # by thread, of one thread each

    def _decode(self, numbers: NDArray[np.int64], outputs: Sequence[NDArray[np.uint8]]) -> None:
        groups = deque(self._split_at_seeks(numbers))
        is_parallel = self._path is not None and min(self._threads, len(groups)) > 1

        def decode_groups(decoder: PyAVDecoder) -> None:
            while groups:
                try:
                    group = groups.popleft()
                except IndexError:  # another thread took the last one
                    return
                is_last = not (is_parallel or groups)
                decoder.decode(numbers[group].tolist(), outputs[group], is_last=is_last)

        with errors.map_decode_errors(self._name):
            if is_parallel:
                self._run_in_parallel(decode_groups)
            else:
                decode_groups(self._decoder)

    def _split_at_seeks(self, numbers: NDArray[np.int64]) -> list[slice]:
        """Split increasing frame numbers where a seek is faster than decoding on."""
        cuts = [
            row
            for row in range(1, numbers.size)
            if not self._index.is_next_in_gop(int(numbers[row - 1]) + 1, int(numbers[row]))
        ]
        ranges = zip([0, *cuts], [*cuts, numbers.size], strict=True)
        return [slice(start, stop) for start, stop in ranges if start < stop]

    def _run_in_parallel(self, decode_groups: Callable[[PyAVDecoder], None]) -> None:
        with ThreadPoolExecutor(self._threads) as pool:
            list(
                pool.map(
                    lambda thread: decode_groups(self._get_extra_decoder(thread)),
                    range(self._threads),
                )
            )

    def _get_extra_decoder(self, thread: int) -> PyAVDecoder:
        assert self._path is not None, "only a file can be opened again"
        if thread not in self._extra_decoders:
            self._extra_decoders[thread] = PyAVDecoder(self._path, self._name, self._index)
        return self._extra_decoders[thread]

    def close(self) -> None:
        """Close all decoders. May be called more than once."""
        for decoder in (self._decoder, *self._extra_decoders.values()):
            decoder.close()
