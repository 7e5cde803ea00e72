"""The choice of the backend that reads a video."""

from collections.abc import Callable
from pathlib import Path

from argus.media import faults
from argus.media.decord_reader import DecordReader
from argus.media.probing import VideoIndex, index_file
from argus.media.pyav_reader import PyAVReader
from argus.media.reader import BackendUnsuitable, VideoReader

BACKENDS: dict[str, Callable[[Path, VideoIndex, int], VideoReader]] = {"decord": DecordReader, "pyav": PyAVReader}
"""By name, in the order in which they are tried."""


def open_video(path: Path | str, backend: str | None = None, *, threads: int = 1) -> VideoReader:
    """Opens a video file with decord, or with PyAV where decord cannot read it exactly.

    Args:
        path: an mp4, mov, webm, mkv or ts file, and most others.
        backend: "decord" or "pyav" to insist on one; None lets the video decide.
        threads: decoder threads.

    Raises:
        VideoError: EMPTY_FILE, NOT_A_VIDEO, NO_VIDEO_STREAM, TRUNCATED, CORRUPT or UNSUPPORTED_CODEC.
        InvalidInput: there is no such file.
        ValueError: there is no such backend, or it cannot read this video.
    """
    if backend is not None and backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is unknown; choose one of {', '.join(BACKENDS)}")
    path = Path(path)
    index = index_file(path)
    for name, reader in BACKENDS.items():
        if backend not in (None, name):
            continue
        try:
            return reader(path, index, threads)
        except BackendUnsuitable as exc:
            if backend is not None:
                raise ValueError(f"{path}: {name} cannot read it exactly ({exc}); leave the backend open") from exc
    raise faults.unsupported_codec(str(path), index.info.codec)
