"""One attempt to fetch a video: rate limit, sandboxed download, typed error.

Only http(s) URLs are fetched. Private addresses are refused when a connection is made
(`argus.curate.download.network_guard`). Every failure is a FetchError that is terminal or
retryable; after a retryable one, or a kill, the next attempt resumes the partial file.
"""

import secrets
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from argus.curate.download.network_guard import NetworkGuard
from argus.curate.download.proxies import Route, collect_secrets, read_secrets, redact_secrets
from argus.curate.download.rate_limit import (
    YOUTUBE,
    RateKey,
    RateLimiter,
    RatePolicy,
    SiteResponse,
    get_site,
)
from argus.curate.download.resume import check_free_space
from argus.curate.records import VideoSource
from argus.dataset import FetchedFile
from argus.errors import FetchError, VideoError
from argus.files import DISK_FULL_ERRNOS
from argus.media import run_sandboxed
from schemas.config import FetchSettings
from schemas.credentials import redact
from schemas.names import Reason

MAX_BACKOFF_S = 60.0
MAX_RATE_LIMIT_WAIT_S = 30.0  # then another site's video can use the slot
MEMORY_BYTES = 4 << 30
_RESPONSES = {
    Reason.FORBIDDEN: SiteResponse.REFUSED,
    Reason.RATE_LIMITED: SiteResponse.REFUSED,
    Reason.BOT_CHECK: SiteResponse.BOT_CHECK,
    Reason.NOT_FOUND: SiteResponse.SERVED,
    Reason.PRIVATE: SiteResponse.SERVED,
    Reason.REMOVED: SiteResponse.SERVED,
    Reason.GEO_BLOCKED: SiteResponse.SERVED,
    Reason.AGE_GATED: SiteResponse.SERVED,
    Reason.NO_SPHERICAL_FORMAT: SiteResponse.SERVED,
    Reason.TRUNCATED: SiteResponse.SERVED,
    Reason.TOO_LARGE: SiteResponse.SERVED,
    Reason.TOO_LONG: SiteResponse.SERVED,
    Reason.EMPTY_FILE: SiteResponse.SERVED,
}
"""Response of the site, by the reason of a failed fetch; INCONCLUSIVE for other reasons."""


def fetch(
    source: VideoSource, folder: Path, settings: FetchSettings, limiter: RateLimiter
) -> FetchedFile:
    """Try once to download a video.

    The deadline `settings.timeout_s` includes the wait for the rate limiter. At most one attempt at
    a video may run in a folder at a time; it ends when this process is killed.

    403 is terminal, except from YouTube or while the breaker is open; then it means throttling.

    Args:
        source: the video.
        folder: where the file is written, under a name made of the source id (`video_file_name`).
        settings: limits, proxies and cookies.
        limiter: the rate limiter shared by all fetches.

    Returns:
        The file and how it was obtained.

    Raises:
        FetchError: with a reason; `is_attempt` is False if the rate limiter did not admit the
            fetch within `MAX_RATE_LIMIT_WAIT_S`.
        InvalidInput: a file of proxies or cookies cannot be used.
    """
    if _get_scheme(source.url) not in ("http", "https"):
        raise FetchError(
            Reason.BAD_URL,
            f"{redact(source.url)[:200]!r} is not an http(s) URL; correct it in the catalogue",
            retryable=False,
        )
    deadline = time.monotonic() + settings.timeout_s
    routes, cookies = read_secrets(settings)
    _prepare_folder(folder, settings)
    site = get_site(source)
    policy = RatePolicy.for_site(site, settings)
    route = _acquire_route(source, routes, limiter, policy, deadline)
    key = RateKey(route.name, site)
    try:
        fetched = _download_in_sandbox(
            source, folder, settings, route, cookies, timeout_s=deadline - time.monotonic()
        )
    except FetchError as error:
        response = _RESPONSES.get(error.reason, SiteResponse.INCONCLUSIVE)
        is_breaker_open = limiter.report(key, policy, response, error.retry_after_s)
        if error.reason is Reason.FORBIDDEN and (is_breaker_open or site == YOUTUBE):
            error.retryable = True
        if not error.retryable or error.reason is Reason.DISK_FULL:
            discard_files(source, folder)
        raise
    except BaseException:
        limiter.report(key, policy, SiteResponse.INCONCLUSIVE)
        raise
    limiter.report(key, policy, SiteResponse.SERVED)
    return fetched


def retry_delay_s(attempt: int, base_s: float, retry_after_s: float = 0.0) -> float:
    """Return the seconds to wait after a failed attempt.

    The delay doubles with each attempt up to `MAX_BACKOFF_S`, with a jitter of ±50% so that many
    callers do not retry at once.

    Args:
        attempt: number of the failed attempt, from 1.
        base_s: delay after the first attempt.
        retry_after_s: delay that the site asked for, added to the backoff.
    """
    jitter = 0.5 + secrets.randbelow(1001) / 1000
    return retry_after_s + min(MAX_BACKOFF_S, base_s * 2 ** (attempt - 1)) * jitter


def video_file_name(source_id: str) -> str:
    """Return `youtube-ID.video` for `youtube:ID`: a name that no site can choose."""
    return f"{source_id.replace(':', '-', 1)}.video"


def discard_files(source: VideoSource, folder: Path) -> None:
    """Remove a video's complete and partial files from a folder."""
    for path in folder.iterdir():
        if path.name.startswith(video_file_name(source.source_id)):
            path.unlink(missing_ok=True)


def download_guarded(
    source: VideoSource, path: Path, settings: FetchSettings, route: Route, cookies: str
) -> FetchedFile:
    """Download a video in this process, whose network access stays restricted until it ends.

    Args:
        source: the video.
        path: the file to write.
        settings: limits of the download.
        route: the network route to use.
        cookies: the text of a cookies file; empty for none.

    Raises:
        FetchError: with a reason, and a message without secrets.
    """
    guard = NetworkGuard(allow_private=settings.allow_private_hosts, proxy=route.proxy).install()

    from argus.curate.download.errors import to_fetch_error
    from argus.curate.download.ytdlp import download

    try:
        return download(source, path, settings, route, cookies)
    except Exception as error:
        is_youtube = source.source_id.startswith("youtube:")
        # yt-dlp may have replaced the guard's error by one of its own.
        failure = guard.violation or to_fetch_error(error, source.source_id, spherical=is_youtube)
        failure.message = redact_secrets(failure.message, collect_secrets(route, cookies))
        raise failure from error


def _get_scheme(url: str) -> str:
    """Return the lower-case scheme of a URL with a host; empty for other text."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return parts.scheme if parts.hostname else ""


def _prepare_folder(folder: Path, settings: FetchSettings) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in DISK_FULL_ERRNOS:
            message = f"{folder} cannot be created: {error.strerror}; free disk space"
            raise FetchError(Reason.DISK_FULL, message, retryable=True) from error
        raise
    check_free_space(folder, 0, settings.min_free_bytes)


def _acquire_route(
    source: VideoSource,
    routes: Sequence[Route],
    limiter: RateLimiter,
    policy: RatePolicy,
    deadline: float,
) -> Route:
    """Wait until the rate limiter admits the fetch on some route, and return that route.

    The route tried first depends on the source id, which spreads the sources over the routes.
    """
    site = get_site(source)
    wait_deadline = min(deadline, time.monotonic() + MAX_RATE_LIMIT_WAIT_S)
    first = zlib.crc32(source.source_id.encode()) % len(routes)
    while True:
        waits = []
        for route in (*routes[first:], *routes[:first]):
            waits.append(limiter.acquire(RateKey(route.name, site), policy))
            if waits[-1] <= 0:
                return route
        wait = min(waits)
        if time.monotonic() + wait >= wait_deadline:
            raise FetchError(
                Reason.RATE_LIMITED,
                f"{source.source_id}: the rate limit allows the next request to {site} in "
                f"{wait:.0f} s; see fetch.per_hour and fetch.breaker_s",
                retryable=True,
                retry_after_s=wait,
                is_attempt=False,
            )
        time.sleep(wait)


def _download_in_sandbox(
    source: VideoSource,
    folder: Path,
    settings: FetchSettings,
    route: Route,
    cookies: str,
    *,
    timeout_s: float,
) -> FetchedFile:
    path = folder / video_file_name(source.source_id)
    try:
        return run_sandboxed(
            download_guarded,
            source,
            path,
            settings,
            route,
            cookies,
            timeout_s=timeout_s,
            memory_bytes=MEMORY_BYTES,
            preload="argus.curate.download.ytdlp",
        )
    except VideoError as error:
        if error.reason is Reason.TIMED_OUT:
            message = (
                f"{source.source_id}: not fetched within {settings.timeout_s:g} s; "
                "raise fetch.timeout_s"
            )
            raise FetchError(Reason.TIMED_OUT, message, retryable=True) from error
        is_killed = error.reason is Reason.WORKER_DIED
        reason = Reason.WORKER_DIED if is_killed else Reason.FETCH_FAILED
        raise FetchError(reason, f"{source.source_id}: {error.message}", retryable=True) from error
