"""Fetches one video with yt-dlp into a folder, in a process of its own that may be killed.

Only http(s); private addresses are refused at the moment of connecting (`argus.curate.guard`). No configuration file, cache, plugin, cookie,
program or proxy of the environment is used. Every failure is a FetchError with its reason, terminal or retryable; nothing half-written stays.
"""

import os
import secrets
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from argus.curate.guard import Guard
from argus.curate.records import Fetched, VideoSource
from argus.errors import FetchError, VideoError
from argus.files import sha256_file
from argus.media import isolated
from schemas.config import FetchSettings
from schemas.names import Reason

SPHERICAL_FORMAT = "bv[format_note*=equi]/bv[format_note*=mesh]"
PLAIN_FORMAT = "bv*/b"
PROTOCOLS = frozenset({"http", "https", "http_dash_segments", "http_dash_segments_generator", "m3u8_native"})
STALL_S = 20.0
LONGEST_PAUSE_S = 60.0
MEMORY_BYTES = 4 << 30


def fetch(source: VideoSource, folder: Path, settings: FetchSettings) -> Fetched:
    """Downloads a video to a file in `folder` that is named after the source id.

    Errors that may pass are tried again, up to `attempts` in all, within `timeout_s` for everything. Raises FetchError.
    """
    if _scheme(source.url) not in ("http", "https"):
        raise FetchError(Reason.BAD_URL, f"{source.url[:200]!r} is not an http(s) url; correct it in the catalogue", retryable=False)
    folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + settings.timeout_s
    for attempt in range(1, settings.attempts + 1):
        try:
            return _attempt(source, folder, settings, deadline - time.monotonic())
        except FetchError as error:
            wait = pause_s(attempt, settings.backoff_s)
            if not error.retryable or attempt == settings.attempts or time.monotonic() + wait >= deadline:
                raise
            time.sleep(wait)
    raise AssertionError("unreachable: the last attempt returns or raises")


def pause_s(attempt: int, base_s: float) -> float:
    """Seconds to wait after a failed attempt (1, 2, …): doubles each time, bounded, and spread by ±50% so that many callers do not return at once."""
    jitter = 0.5 + secrets.randbelow(1001) / 1000
    return min(LONGEST_PAUSE_S, base_s * 2 ** (attempt - 1)) * jitter


def _scheme(url: str) -> str:
    """The scheme of a url that has a host, in lower case; empty where it is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return parts.scheme if parts.hostname else ""


def file_name(source_id: str) -> str:
    """`youtube:ID` → `youtube-ID.video`: a name of our own, never one that a site chose."""
    return f"{source_id.replace(':', '-', 1)}.video"


def _attempt(source: VideoSource, folder: Path, settings: FetchSettings, remaining_s: float) -> Fetched:
    try:
        return isolated(download, source, folder, settings, timeout_s=remaining_s, memory_bytes=MEMORY_BYTES)
    except BaseException as error:
        _remove(folder, source)
        if isinstance(error, VideoError):
            raise _killed(error, source, settings) from error
        raise


def _killed(error: VideoError, source: VideoSource, settings: FetchSettings) -> FetchError:
    if error.reason == Reason.TIMED_OUT:
        message = f"{source.source_id}: not fetched within {settings.timeout_s:g} s (fetch.timeout_s)"
        return FetchError(Reason.TIMED_OUT, message, retryable=True)
    return FetchError(Reason.FETCH_FAILED, f"{source.source_id}: {error.message}", retryable=True)


def _remove(folder: Path, source: VideoSource) -> None:
    for path in folder.iterdir():
        if path.name.startswith(file_name(source.source_id)):
            path.unlink(missing_ok=True)


def download(source: VideoSource, folder: Path, settings: FetchSettings) -> Fetched:
    """One attempt in this process, which is guarded from now on until it ends. Raises FetchError."""
    return download_with(Guard(allow_private=settings.allow_private_hosts).install(), source, folder, settings)


def download_with(guard: Guard, source: VideoSource, folder: Path, settings: FetchSettings) -> Fetched:
    """One attempt in this process; what the guard refused explains a failure first. Raises FetchError."""
    os.environ["YTDLP_NO_PLUGINS"] = "1"
    import yt_dlp

    from argus.curate.faults import fetch_error

    youtube = source.source_id.startswith("youtube:")
    try:
        with yt_dlp.YoutubeDL(_options(source, folder, settings, youtube=youtube)) as client:
            info = client.extract_info(source.url, download=False)
            _check_choice(source, info)
            client.process_ie_result(info, download=True)
    except Exception as error:
        raise guard.refusal or fetch_error(error, source.source_id, spherical=youtube) from error
    return _fetched(source, folder / file_name(source.source_id), info, yt_dlp.version.__version__)


def _check_choice(source: VideoSource, info: dict[str, Any] | None) -> None:
    if not info or "entries" in info:
        raise FetchError(
            Reason.UNSUPPORTED_URL, f"{source.source_id}: the url leads to a list or to no video; give the url of one video", retryable=False
        )
    if info.get("is_live"):
        raise FetchError(Reason.UNSUPPORTED_URL, f"{source.source_id}: a live stream; try again when it has ended", retryable=True)
    if info.get("protocol") not in PROTOCOLS:
        raise FetchError(Reason.UNSUPPORTED_URL, f"{source.source_id}: protocol {info.get('protocol')} is not supported", retryable=False)


def _fetched(source: VideoSource, path: Path, info: dict[str, Any], version: str) -> Fetched:
    if not path.is_file():
        raise FetchError(Reason.FETCH_FAILED, f"{source.source_id}: yt-dlp ended without a file", retryable=True)
    if path.stat().st_size == 0:
        raise FetchError(Reason.EMPTY_FILE, f"{source.source_id}: the file is empty", retryable=False)
    client = parse_qs(urlsplit(str(info.get("url", ""))).query).get("c") if source.source_id.startswith("youtube:") else None
    return Fetched(
        path=path,
        tool="yt-dlp",
        version=version,
        client=client[0] if client else str(info.get("extractor") or ""),
        format_id=str(info.get("format_id") or ""),
        format_note=str(info.get("format_note") or ""),
        bytes=path.stat().st_size,
        sha256=sha256_file(path),
    )


def _options(source: VideoSource, folder: Path, settings: FetchSettings, *, youtube: bool) -> dict[str, Any]:
    """What yt-dlp is told. Its own retries are off: an attempt is ours to count."""

    def watch(progress: dict[str, Any]) -> None:
        size = max(progress.get("total_bytes") or 0, progress.get("downloaded_bytes") or 0)
        if size > settings.max_bytes:
            message = f"{source.source_id}: {size} bytes, but at most {settings.max_bytes} are allowed (fetch.max_bytes)"
            raise FetchError(Reason.TOO_LARGE, message, retryable=False)

    return {
        "format": SPHERICAL_FORMAT if youtube else PLAIN_FORMAT,
        "paths": {"home": str(folder.absolute())},
        "outtmpl": {"default": file_name(source.source_id).replace("%", "%%")},
        "progress_hooks": [watch],
        "logger": _Silence(),
        "socket_timeout": min(STALL_S, settings.timeout_s),
        "retries": 0,
        "extractor_retries": 0,
        "fragment_retries": 2,
        "skip_unavailable_fragments": False,
        "concurrent_fragment_downloads": 1,
        "continuedl": False,
        "overwrites": True,
        "updatetime": False,
        "cachedir": False,
        "usenetrc": False,
        "proxy": "",
        "noplaylist": True,
        "playlist_items": "1",
        "extract_flat": "in_playlist",
        "allowed_extractors": ["default"],
        "fixup": "never",
        "external_downloader": {"default": "native"},
        "enable_file_urls": False,
        "quiet": True,
        "noprogress": True,
        "color": "no_color",
    }


class _Silence:
    """yt-dlp's messages go nowhere: what matters is raised."""

    def debug(self, message: str) -> None:
        """Nothing."""

    warning = error = info = debug
