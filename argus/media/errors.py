"""The boundary where errors of decoders and files become `VideoError`; no other module of the project sees theirs."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

import av

from argus.errors import InvalidInput, VideoError
from argus.media.boxes import runs_past_end
from schemas.names import Reason

_MATROSKA_MAGIC = b"\x1a\x45\xdf\xa3"


@contextlib.contextmanager
def opening(name: str, path: Path | None = None) -> Iterator[None]:
    """Maps what goes wrong while a video is opened and its packets are listed. `path` is None for a video in memory."""
    try:
        yield
    except av.error.DecoderNotFoundError as exc:
        raise unsupported_codec(name, "its codec") from exc
    except av.error.MemoryError:  # says nothing of the file; `isolated` tells of it
        raise
    except (av.FFmpegError, EOFError) as exc:
        if path is not None and _begins_like_a_video(path):
            raise _broken(name, path, exc) from exc
        message = f"{name}: not a video ({_what(exc)}); give an mp4, mov, webm, mkv or ts file"
        raise VideoError(Reason.NOT_A_VIDEO, message) from exc


@contextlib.contextmanager
def decoding(name: str) -> Iterator[None]:
    """Maps what goes wrong while frames are decoded, in any backend."""
    try:
        yield
    except av.error.MemoryError:
        raise
    except (av.FFmpegError, EOFError) as exc:
        raise corrupt(name, _what(exc)) from exc


def require_file(path: Path) -> None:
    """Raises `InvalidInput` when there is no such file, `VideoError(EMPTY_FILE)` when it has no bytes."""
    if not path.is_file():
        raise InvalidInput(f"{path}: there is no such file; give the path of a video file")
    if path.stat().st_size == 0:
        raise VideoError(
            Reason.EMPTY_FILE, f"{path}: the file is empty (0 bytes); fetch or export it again"
        )


def corrupt(name: str, what: str) -> VideoError:
    """The error of a video whose frames cannot be decoded."""
    return VideoError(
        Reason.CORRUPT, f"{name}: the video is damaged ({what}); fetch or export it again"
    )


def truncated(name: str, what: str) -> VideoError:
    """The error of a video that ends before its own header says it does."""
    return VideoError(
        Reason.TRUNCATED, f"{name}: the file ends too early ({what}); fetch or copy it again"
    )


def unsupported_codec(name: str, codec: str) -> VideoError:
    """The error of a video for which there is no decoder."""
    return VideoError(
        Reason.UNSUPPORTED_CODEC,
        f"{name}: there is no decoder for {codec}; convert it to H.264, HEVC, VP8, VP9 or AV1",
    )


def _begins_like_a_video(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(12)
    return head[4:8] in {b"ftyp", b"moov", b"mdat"} or head[:4] == _MATROSKA_MAGIC


def _broken(name: str, path: Path, exc: Exception) -> VideoError:
    if runs_past_end(path):
        return truncated(name, "a part that its header announces is missing")
    return corrupt(name, _what(exc))


def _what(exc: Exception) -> str:
    number = getattr(exc, "errno", None)
    if number == errno.EIO:
        return "the data could not be read"
    return getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
