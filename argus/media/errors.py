"""Mapping of PyAV and file errors to `VideoError`; no other module handles decoder exceptions."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

import av

from argus.errors import InvalidInput, VideoError
from argus.media.boxes import is_truncated
from schemas.names import Reason

_EBML_MAGIC = b"\x1a\x45\xdf\xa3"


@contextlib.contextmanager
def map_open_errors(name: str, path: Path | None = None) -> Iterator[None]:
    """Map errors raised while a video is opened and demuxed.

    Args:
        name: names the video in messages.
        path: the file; None for a video in memory.

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
        if path is not None and _has_video_signature(path):
            raise _damage_error(name, path, exc) from exc
        raise VideoError(
            Reason.NOT_A_VIDEO,
            f"{name}: not a video ({_describe(exc)}); give an mp4, mov, webm, mkv or ts file",
        ) from exc


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
        raise InvalidInput(f"{path}: there is no such file; give the path of a video file")
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


def _has_video_signature(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(12)
    return head[4:8] in {b"ftyp", b"moov", b"mdat"} or head[:4] == _EBML_MAGIC


def _damage_error(name: str, path: Path, exc: Exception) -> VideoError:
    if is_truncated(path):
        return truncated_error(name, "data declared by its header is missing")
    return corrupt_error(name, _describe(exc))


def _describe(exc: Exception) -> str:
    number = getattr(exc, "errno", None)
    if number == errno.EIO:
        return "the data could not be read"
    return getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
