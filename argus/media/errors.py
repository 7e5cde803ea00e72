"""Mapping of PyAV and file errors to `VideoError`; no other module handles decoder exceptions."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import av

from argus.errors import InvalidInput, VideoError
from argus.media.completeness import describe_missing_end
from schemas.names import Reason

_SIGNATURES = {
    "mp4": (4, {b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"styp", b"moof"}),
    "matroska": (0, {b"\x1a\x45\xdf\xa3"}),
    "avi": (0, {b"RIFF"}),
    "flv": (0, {b"FLV\x01"}),
    "ogg": (0, {b"OggS"}),
}  # position and bytes


@contextlib.contextmanager
def map_open_errors(name: str, source: Path | BinaryIO) -> Iterator[None]:
    """Map errors raised while a video is opened and demuxed.

    Args:
        name: names the video in messages.
        source: the file or buffer.

    Raises:
        VideoError: UNSUPPORTED_CODEC, TRUNCATED, CORRUPT or NOT_A_VIDEO.
    """
    try:
        yield
    except av.error.DecoderNotFoundError as exc:
        raise unsupported_codec_error(name, "its codec") from exc
    except av.error.MemoryError:  # not the file's fault; `run_sandboxed` reports it
        raise
    except (av.FFmpegError, EOFError) as exc:
        container = _recognize_container(source)
        if container:
            require_complete(source, name, container)
            raise corrupt_error(name, _describe(exc)) from exc
        raise VideoError(
            Reason.NOT_A_VIDEO,
            f"{name}: not a video ({_describe(exc)}); give an mp4, mov, webm, mkv or ts file",
        ) from exc


def require_complete(source: Path | BinaryIO, name: str, container: str) -> None:
    """Raise `VideoError(TRUNCATED)` if the end of a file is missing.

    Args:
        source: the file or buffer; the position of a buffer is kept.
        name: names the video in messages.
        container: as in `MediaInfo.container`.
    """
    with _open_bytes(source) as file:
        missing = describe_missing_end(file, container)
    if missing:
        raise truncated_error(name, missing)


@contextlib.contextmanager
def map_decode_errors(name: str) -> Iterator[None]:
    """Map errors raised while frames are decoded, in any backend, to `VideoError(CORRUPT)`."""
    try:
        yield
    except av.error.MemoryError:
        raise
    except (av.FFmpegError, EOFError) as exc:
        raise corrupt_error(name, _describe(exc)) from exc


def require_video_file(path: Path) -> None:
    """Raise `InvalidInput` if there is no such file, `VideoError(EMPTY_FILE)` if it is empty."""
    if not path.is_file():
        kind = "there is no such file"
        if path.exists():
            kind = "a folder" if path.is_dir() else "a device, a pipe or a socket"
        raise InvalidInput(f"{path}: {kind}; give the path of a video file")
    if path.stat().st_size == 0:
        raise VideoError(
            Reason.EMPTY_FILE, f"{path}: the file is empty (0 bytes); fetch or export it again"
        )


def corrupt_error(name: str, detail: str) -> VideoError:
    """Return the error for a video whose frames cannot be decoded."""
    return VideoError(
        Reason.CORRUPT, f"{name}: the video is damaged ({detail}); fetch or export it again"
    )


def truncated_error(name: str, detail: str) -> VideoError:
    """Return the error for a video that is shorter than its header declares."""
    return VideoError(
        Reason.TRUNCATED, f"{name}: the file is truncated ({detail}); fetch or copy it again"
    )


def unsupported_codec_error(name: str, codec: str) -> VideoError:
    """Return the error for a video that has no decoder."""
    return VideoError(
        Reason.UNSUPPORTED_CODEC,
        f"{name}: there is no decoder for {codec}; convert it to H.264, HEVC, VP8, VP9 or AV1",
    )


def _recognize_container(source: Path | BinaryIO) -> str:
    with _open_bytes(source) as file:
        file.seek(0)
        head = file.read(12)
    return next(
        (
            container
            for container, (start, magics) in _SIGNATURES.items()
            if head[start : start + 4] in magics
        ),
        "",
    )


@contextlib.contextmanager
def _open_bytes(source: Path | BinaryIO) -> Iterator[BinaryIO]:
    if isinstance(source, Path):
        with source.open("rb") as file:
            yield file
        return
    position = source.tell()
    yield source
    source.seek(position)


def _describe(exc: Exception) -> str:
    number = getattr(exc, "errno", None)
    if number == errno.EIO:
        return "the data could not be read"
    return getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
