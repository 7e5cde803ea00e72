"""Reading through decord, which is exact only for what is let through here. PyAV reads the rest, and all of it faster: benchmarks/decode.py."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argus.media.probing import index_file
from argus.media.pyav_reader import PyAVReader
from argus.media.reader import BackendUnsuitable, VideoReader, resize

_CODECS = {"h264", "hevc", "vp8", "vp9", "mpeg4"}  # its FFmpeg is too old for AV1
_CONTAINERS = {"mp4", "matroska"}  # it fails at the end of MPEG-TS files
_CHUNK_BYTES = 64 << 20  # decoded frames held at once


class DecordReader(VideoReader):
    """A file read by decord: its colours are up to 3 levels off on flat patches, and whole frames are converted before they are resized."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        index = index_file(path)
        super().__init__(str(path), index)
        if index.info.codec not in _CODECS or index.info.container not in _CONTAINERS:
            raise BackendUnsuitable(f"{index.info.codec} in {index.info.container}")
        if index.is_open:
            raise BackendUnsuitable(
                "open groups of pictures: after a seek it gives other frames than those asked for"
            )
        self._path, self._threads = path, threads
        self._instead: PyAVReader | None = None
        self._video: Any = _open(path, threads)
        if len(self._video) != len(index.pts):
            # An edit list that hides frames, or hidden VP8 frames: its frame numbers would not be ours.
            raise BackendUnsuitable(f"it counts {len(self._video)} frames, not {len(index.pts)}")

    def _decode(self, numbers: NDArray[np.int64], pictures: Sequence[NDArray[np.uint8]]) -> None:
        from decord import DECORDError

        height, width = self.size
        step = max(1, _CHUNK_BYTES // (height * width * 3))
        for start in range(0, numbers.size, step):
            chunk = slice(start, start + step)
            if self._instead is None:
                try:
                    decoded = self._video.get_batch(numbers[chunk].tolist()).asnumpy()
                except (
                    DECORDError
                ):  # damage, or a limit of decord's own: PyAV decides, from here on
                    self._instead = PyAVReader(self._path, self._threads)
                else:
                    for frame, picture in zip(decoded, pictures[chunk], strict=True):
                        picture[...] = resize(frame, picture.shape[:2])
                    continue
            for number, picture in zip(numbers[chunk].tolist(), pictures[chunk], strict=True):
                picture[...] = self._instead.frames([number], picture.shape[:2])[0]

    def close(self) -> None:
        self._video = None
        if self._instead is not None:
            self._instead.close()


def _open(path: Path, threads: int) -> Any:
    try:
        import decord
    except ImportError as exc:  # no wheel for this machine
        raise BackendUnsuitable("decord is not installed") from exc
    decord.logging.set_level(decord.logging.QUIET)
    try:
        return decord.VideoReader(str(path.absolute()), ctx=decord.cpu(0), num_threads=threads)
    except (decord.DECORDError, RuntimeError) as exc:
        raise BackendUnsuitable("it does not open it") from exc
