"""Entry points for reading video: `open_video` for files and `decode_clip` for bytes in memory."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from argus.media import errors
from argus.media.decord_reader import DecordReader
from argus.media.pyav_reader import PyAVReader
from argus.media.reader import BackendUnsuitable, FrameIndices, VideoReader

BACKENDS: dict[str, Callable[[Path, int], VideoReader]] = {
    "pyav": PyAVReader,
    "decord": DecordReader,
}


def open_video(path: Path | str, backend: str = "pyav", *, threads: int = 1) -> VideoReader:
    """Open a video file.

    Args:
        path: an mp4, mov, webm, mkv or ts file, or most other videos.
        backend: "pyav" supports whatever FFmpeg does; "decord" supports fewer codecs and
            containers and is no faster (see benchmarks/decode.py).
        threads: number of decoder threads.

    Returns:
        A reader; use it as a context manager.

    Raises:
        VideoError: EMPTY_FILE, NOT_A_VIDEO, NO_VIDEO_STREAM, TRUNCATED, CORRUPT or
            UNSUPPORTED_CODEC.
        InvalidInput: there is no such file.
        ValueError: there is no such backend, or it cannot read this video exactly.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is unknown; choose one of {', '.join(BACKENDS)}")
    path = Path(path)
    errors.require_video_file(path)
    try:
        return BACKENDS[backend](path, threads)
    except BackendUnsuitable as exc:
        raise ValueError(
            f"{path}: {backend} cannot read it exactly ({exc}); omit the backend argument"
        ) from exc


def decode_clip(
    data: bytes | memoryview,
    indices: FrameIndices | None = None,
    size: tuple[int, int] | None = None,
    *,
    threads: int = 1,
) -> NDArray[np.uint8]:
    """Decode frames of a video file held in memory, as `VideoReader.frames` does.

    With short groups of pictures (see `encode_clip`) a range of frames costs little more than the
    frames themselves.

    Args:
        data: the bytes of the file.
        indices: frame numbers; None for all of them.
        size: (height, width) to resize to; None keeps the video's size.
        threads: number of decoder threads.

    Returns:
        uint8 [n, height, width, 3] RGB.

    Raises:
        VideoError: with the reasons of `open_video`.
    """
    with PyAVReader(io.BytesIO(data), threads) as reader:
        return reader.frames(range(len(reader)) if indices is None else indices, size)
