"""Entry points for reading video: `open_video` for files and `decode_clip` for bytes in memory."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from argus.media import errors
from argus.media.cameras.lens_file import Lenses, read_lenses
from argus.media.cameras.recordings import find_recording
from argus.media.cameras.stitched_reader import StitchedReader
from argus.media.decord_reader import DecordReader
from argus.media.pyav_reader import PyAVReader
from argus.media.reader import BackendUnsuitable, FrameIndices, VideoReader

BACKENDS: dict[str, Callable[[Path, int], VideoReader]] = {
    "pyav": PyAVReader,
    "decord": DecordReader,
}


def open_video(
    path: Path | str,
    backend: str = "pyav",
    *,
    threads: int = 1,
    lens: Path | str | Lenses | None = None,
    second: Path | str | None = None,
) -> VideoReader:
    """Open a video file.

    A recording of a two-lens camera is read as a video of ERP maps.

    Args:
        path: an mp4, mov, webm, mkv or ts file, most other videos, or a recording of a two-lens
            camera: a GoPro MAX (`.360`), or with its lenses an Insta360 (`.insv`) or any other.
        backend: "pyav" supports whatever FFmpeg does; "decord" supports fewer codecs and
            containers and is no faster (see benchmarks/decode.py).
        threads: number of decoder threads.
        lens: the lenses of a recording with fisheye pictures, as of `read_lenses`: a lens file,
            "nominal:FOV", or the lenses themselves.
        second: the recording's file of the second lens; by default it is found by its name.

    Returns:
        A reader; use it as a context manager.

    Raises:
        VideoError: EMPTY_FILE, NOT_A_VIDEO, NO_VIDEO_STREAM, TRUNCATED, CORRUPT or
            UNSUPPORTED_CODEC; UNSUPPORTED_LAYOUT for a recording whose lenses have to be given.
        InvalidInput: there is no such file, or the lenses are invalid.
        ValueError: there is no such backend, or it cannot read this video exactly.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is unknown; choose one of {', '.join(BACKENDS)}")
    path = Path(path)
    errors.require_video_file(path)
    lenses = read_lenses(lens) if isinstance(lens, Path | str) else lens
    try:
        reader = BACKENDS[backend](path, threads)
        return _join_lenses(reader, path, threads, lenses, Path(second) if second else None)
    except BackendUnsuitable as exc:
        raise ValueError(
            f"{path}: {backend} cannot read it exactly ({exc}); omit the backend argument"
        ) from exc


def _join_lenses(
    reader: VideoReader, path: Path, threads: int, lenses: Lenses | None, second: Path | None
) -> VideoReader:
    """Return the reader of a file, or that of the maps if it is a recording of two lenses."""
    try:
        recording = find_recording(path, reader.info, has_lenses=lenses is not None, second=second)
        if recording is None:
            return reader
        if not isinstance(reader, PyAVReader):
            raise BackendUnsuitable(f"a recording of a two-lens camera ({recording.camera})")
    except BaseException:
        reader.close()
        raise
    return StitchedReader(reader, path, recording, lenses, threads)


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
