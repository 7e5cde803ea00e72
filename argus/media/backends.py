"""The choice of the backend that reads a video."""

from collections.abc import Callable
from pathlib import Path

from argus.media import errors
from argus.media.decord_reader import DecordReader
from argus.media.pyav_reader import PyAVReader
from argus.media.reader import BackendUnsuitable, VideoReader

BACKENDS: dict[str, Callable[[Path, int], VideoReader]] = {
    "pyav": PyAVReader,
    "decord": DecordReader,
}


def open_video(path: Path | str, backend: str = "pyav", *, threads: int = 1) -> VideoReader:
    """Opens a video file.

    Args:
        path: an mp4, mov, webm, mkv or ts file, and most others.
        backend: "pyav" reads whatever FFmpeg does; "decord" fewer codecs and containers, and no faster (benchmarks/decode.py).
        threads: decoder threads.

    Raises:
        VideoError: EMPTY_FILE, NOT_A_VIDEO, NO_VIDEO_STREAM, TRUNCATED, CORRUPT or UNSUPPORTED_CODEC.
        InvalidInput: there is no such file.
        ValueError: there is no such backend, or it cannot read this video exactly.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is unknown; choose one of {', '.join(BACKENDS)}")
    path = Path(path)
    errors.require_file(path)
    try:
        return BACKENDS[backend](path, threads)
    except BackendUnsuitable as exc:
        raise ValueError(
            f"{path}: {backend} cannot read it exactly ({exc}); leave the backend out"
        ) from exc
