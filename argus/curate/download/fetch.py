"""Fetches one video into a folder: waits for the site's turn, then has it downloaded in a process of its own that may be killed.

Only http(s); private addresses are refused at the moment of connecting (`guard`). Every failure is a FetchError with its reason, terminal or
retryable. What a retryable one, or a kill, leaves half-written in the folder is continued by the next try.
"""

import secrets
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from argus.curate.download.disk_space import check_room
from argus.curate.download.network_guard import Guard
from argus.curate.download.proxies import Route, read_secrets, redacted, secrets_of
from argus.curate.download.rate_limit import (
    YOUTUBE,
    Key,
    RateLimiter,
    RatePolicy,
    SiteResponse,
    site_of,
)
from argus.curate.records import Fetched, VideoSource
from argus.errors import FetchError, VideoError
from argus.files import DISK_FULL_ERRNOS
from argus.media import isolated
from schemas.config import FetchSettings
from schemas.names import Reason

LONGEST_PAUSE_S = 60.0
PATIENCE_S = 30.0  # for a gate: whoever waits longer takes the place of a video of another site
MEMORY_BYTES = 4 << 30
_ANSWERS = {
    Reason.FORBIDDEN: SiteResponse.REFUSED,
    Reason.RATE_LIMITED: SiteResponse.REFUSED,
    Reason.BOT_CHECK: SiteResponse.BOT_CHECK,
    **dict.fromkeys(
        (Reason.NOT_FOUND, Reason.PRIVATE, Reason.REMOVED, Reason.GEO_BLOCKED, Reason.AGE_GATED),
        SiteResponse.SERVED,
    ),
    **dict.fromkeys(
        (
            Reason.NO_SPHERICAL_FORMAT,
            Reason.TRUNCATED,
            Reason.TOO_LARGE,
            Reason.TOO_LONG,
            Reason.EMPTY_FILE,
        ),
        SiteResponse.SERVED,
    ),
}
"""What a failed fetch tells of how the site takes us; the other reasons tell nothing."""


def fetch(source: VideoSource, folder: Path, settings: FetchSettings, gate: RateLimiter) -> Fetched:
    """Tries once to download a video to a file in `folder` that is named after the source id; all within `timeout_s`, the wait for the gate too.

    For one video and one folder there may be one try at a time; a process that is killed takes its try with it.
    A 403 is a site's last word on a video, but not YouTube's, which says it of private videos in words, nor that of a site whose breaker is open
    by then: such a 403 is meant for us, and the video may be tried again.

    Raises:
        FetchError: with its reason; `is_attempt` is False where the gate would not let it through soon (`PATIENCE_S`).
        InvalidInput: a file of proxies or cookies cannot be used.
    """
    if _scheme(source.url) not in ("http", "https"):
        raise FetchError(
            Reason.BAD_URL,
            f"{source.url[:200]!r} is not an http(s) url; correct it in the catalogue",
            retryable=False,
        )
    end = time.monotonic() + settings.timeout_s
    ways_out, cookies = read_secrets(settings)
    _prepare(folder, settings)
    site = site_of(source)
    pace = RatePolicy.of(site, settings)
    route = _admitted(source, ways_out, gate, pace, end)
    key = Key(route.name, site)
    try:
        fetched = _attempt(source, folder, settings, route, cookies, end - time.monotonic())
    except FetchError as error:
        is_open = gate.report(
            key, pace, _ANSWERS.get(error.reason, SiteResponse.SILENT), error.retry_after_s
        )
        error.retryable |= error.reason is Reason.FORBIDDEN and (is_open or site == YOUTUBE)
        if not error.retryable or error.reason is Reason.DISK_FULL:
            discard(source, folder)
        raise
    except BaseException:
        gate.report(key, pace, SiteResponse.SILENT)
        raise
    gate.report(key, pace, SiteResponse.SERVED)
    return fetched


def pause_s(attempt: int, base_s: float, retry_after_s: float = 0.0) -> float:
    """Seconds to wait after a failed attempt (1, 2, …): what the site asked for, and then some.

    The rest doubles each time, is bounded, and is spread by ±50% so that many callers do not return at once.
    """
    jitter = 0.5 + secrets.randbelow(1001) / 1000
    return retry_after_s + min(LONGEST_PAUSE_S, base_s * 2 ** (attempt - 1)) * jitter


def file_name(source_id: str) -> str:
    """`youtube:ID` → `youtube-ID.video`: a name of our own, never one that a site chose."""
    return f"{source_id.replace(':', '-', 1)}.video"


def discard(source: VideoSource, folder: Path) -> None:
    """Removes what tries at a video have left in a folder."""
    for path in folder.iterdir():
        if path.name.startswith(file_name(source.source_id)):
            path.unlink(missing_ok=True)


def download_guarded(
    source: VideoSource, path: Path, settings: FetchSettings, route: Route, cookies: str
) -> Fetched:
    """One try in this process, which is guarded from now on until it ends. Raises FetchError."""
    guard = Guard(allow_private=settings.allow_private_hosts, proxy=route.proxy).install()
    return download_with(guard, source, path, settings, route, cookies)


def download_with(
    guard: Guard,
    source: VideoSource,
    path: Path,
    settings: FetchSettings,
    route: Route,
    cookies: str,
) -> Fetched:
    """One try in this process; what the guard refused explains a failure first. Raises FetchError, which tells no secret."""
    from argus.curate.download.errors import fetch_error
    from argus.curate.download.ytdlp import download

    try:
        return download(source, path, settings, route, cookies)
    except Exception as error:
        failure = guard.refusal or fetch_error(
            error, source.source_id, spherical=source.source_id.startswith("youtube:")
        )
        failure.message = redacted(failure.message, secrets_of(route, cookies))
        raise failure from error


def _scheme(url: str) -> str:
    """The scheme of a url that has a host, in lower case; empty where it is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return parts.scheme if parts.hostname else ""


def _prepare(folder: Path, settings: FetchSettings) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in DISK_FULL_ERRNOS:
            raise FetchError(
                Reason.DISK_FULL, f"{folder}: {error.strerror}; make room", retryable=True
            ) from error
        raise
    check_room(folder, 0, settings.min_free_bytes)


def _admitted(
    source: VideoSource, ways_out: Sequence[Route], gate: RateLimiter, pace: RatePolicy, end: float
) -> Route:
    """Waits until the gate lets a fetch out, and says by which way. Each source prefers another one."""
    site = site_of(source)
    soon = min(end, time.monotonic() + PATIENCE_S)
    first = zlib.crc32(source.source_id.encode()) % len(ways_out)
    while True:
        waits = []
        for route in (*ways_out[first:], *ways_out[:first]):
            waits.append(gate.acquire(Key(route.name, site), pace))
            if waits[-1] <= 0:
                return route
        wait = min(waits)
        if time.monotonic() + wait >= soon:
            message = f"{source.source_id}: {site} is to be left alone for {wait:.0f} s more; see fetch.per_hour and fetch.breaker_s"
            raise FetchError(
                Reason.RATE_LIMITED, message, retryable=True, retry_after_s=wait, is_attempt=False
            )
        time.sleep(wait)


def _attempt(
    source: VideoSource,
    folder: Path,
    settings: FetchSettings,
    route: Route,
    cookies: str,
    remaining_s: float,
) -> Fetched:
    path = folder / file_name(source.source_id)
    try:
        return isolated(
            download_guarded,
            source,
            path,
            settings,
            route,
            cookies,
            timeout_s=remaining_s,
            memory_bytes=MEMORY_BYTES,
            warm="argus.curate.download.ytdlp",
        )
    except VideoError as error:
        if error.reason is Reason.TIMED_OUT:
            message = (
                f"{source.source_id}: not fetched within {settings.timeout_s:g} s (fetch.timeout_s)"
            )
            raise FetchError(Reason.TIMED_OUT, message, retryable=True) from error
        raise FetchError(
            Reason.FETCH_FAILED, f"{source.source_id}: {error.message}", retryable=True
        ) from error
