"""One attempt to fetch a video: rate limit, sandboxed extraction and download, typed error.

Only http(s) URLs are fetched. Private addresses are refused when a connection is made
(`argus.curate.download.network_guard`). Every failure is a FetchError that is terminal or
retryable; after a retryable one, or a kill, the next attempt resumes the partial file.

A 403 for the media file, after an extraction that succeeded, often passes: the URL had expired or
was bound to another address. A new extraction names another URL, which resumes the partial file.
"""

import secrets
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from argus.curate.download.javascript import find_runtime_fault
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
from argus.dataset import FetchedFile, StageSeconds
from argus.errors import FetchError, VideoError
from argus.files import DISK_FULL_ERRNOS
from argus.media import run_sandboxed
from schemas.config import FetchSettings
from schemas.credentials import redact
from schemas.names import Reason

MAX_BACKOFF_S = 60.0
MAX_RATE_LIMIT_WAIT_S = 30.0  # then another site's video can use the slot
MAX_EXTRACTIONS = 3  # of one attempt: two more after a 403 for the media file
EXTRACTION_PAUSE_S = 2.0  # before the second extraction; doubles before the third, with jitter
MEMORY_BYTES = 2 << 30  # of the download, and of the JavaScript runtime that it starts
PRELOAD = "argus.curate.download.ytdlp"
_RESPONSES = {
    Reason.FORBIDDEN: SiteResponse.REFUSED,
    Reason.RATE_LIMITED: SiteResponse.REFUSED,
    Reason.CHALLENGE_UNSOLVED: SiteResponse.REFUSED,
    Reason.FORMATS_WITHHELD: SiteResponse.REFUSED,
    Reason.BOT_CHECK: SiteResponse.BOT_CHECK,
    Reason.NOT_FOUND: SiteResponse.SERVED,
    Reason.PRIVATE: SiteResponse.SERVED,
    Reason.MEMBERS_ONLY: SiteResponse.SERVED,
    Reason.REMOVED: SiteResponse.SERVED,
    Reason.LIVE: SiteResponse.SERVED,
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

    After a 403 for the media file the video is extracted again after seconds, up to twice, as far
    as the rate limiter allows. A 403 is terminal, except from YouTube, while the breaker is open,
    or if the extractions were not used up; then it means throttling.

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
    if get_site(source) == YOUTUBE and (fault := find_runtime_fault()):
        raise FetchError(Reason.NO_JS_RUNTIME, f"{source.source_id}: {fault}", retryable=True)
    start = time.monotonic()
    routes, cookies = read_secrets(settings)
    _prepare_folder(folder, settings)
    deadline = start + settings.timeout_s
    attempt = _Attempt(source, folder, settings, limiter, cookies, deadline)
    route = attempt.acquire_route(routes)
    key = RateKey(route.name, attempt.site)
    try:
        fetched = attempt.extract_and_download(route)
    except FetchError as error:
        response = _RESPONSES.get(error.reason, SiteResponse.INCONCLUSIVE)
        is_breaker_open = limiter.report(key, attempt.policy, response, error.retry_after_s)
        if error.reason is Reason.FORBIDDEN and (is_breaker_open or attempt.site == YOUTUBE):
            error.retryable = True
        if not error.retryable or error.reason is Reason.DISK_FULL:
            discard_files(source, folder)
        raise
    except BaseException:
        limiter.report(key, attempt.policy, SiteResponse.INCONCLUSIVE)
        raise
    limiter.report(key, attempt.policy, SiteResponse.SERVED)
    return attempt.add_seconds(fetched, time.monotonic() - start)


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
    # Before the guard: libraries of yt-dlp start a program (ldconfig) when they are imported.
    from argus.curate.download.errors import to_fetch_error
    from argus.curate.download.ytdlp import download

    guard = NetworkGuard(allow_private=settings.allow_private_hosts, proxy=route.proxy).install()
    try:
        return download(source, path, settings, route, cookies)
    except Exception as error:
        # yt-dlp may have replaced the guard's error by one of its own.
        failure = guard.violation or to_fetch_error(error, source.source_id)
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


@dataclass
class _Attempt:
    """One attempt at a video; `deadline` is in seconds of time.monotonic()."""

    source: VideoSource
    folder: Path
    settings: FetchSettings
    limiter: RateLimiter
    cookies: str
    deadline: float
    wait_s: float = 0.0  # for the rate limit, and before further extractions

    @property
    def site(self) -> str:
        return get_site(self.source)

    @property
    def policy(self) -> RatePolicy:
        return RatePolicy.for_site(self.site, self.settings)

    def acquire_route(self, routes: Sequence[Route]) -> Route:
        """Wait until the rate limiter admits a request on some route, and return that route.

        The route tried first depends on the source id, which spreads the sources over the routes.
        """
        wait_deadline = min(self.deadline, time.monotonic() + MAX_RATE_LIMIT_WAIT_S)
        first = zlib.crc32(self.source.source_id.encode()) % len(routes)
        while True:
            waits = []
            for route in (*routes[first:], *routes[:first]):
                waits.append(self.limiter.acquire(RateKey(route.name, self.site), self.policy))
                if waits[-1] <= 0:
                    return route
            wait = min(waits)
            if time.monotonic() + wait >= wait_deadline:
                raise FetchError(
                    Reason.RATE_LIMITED,
                    f"{self.source.source_id}: the rate limit allows the next request to "
                    f"{self.site} in {wait:.0f} s; see fetch.per_hour and fetch.breaker_s",
                    retryable=True,
                    retry_after_s=wait,
                    is_attempt=False,
                )
            self._wait(wait)

    def extract_and_download(self, route: Route) -> FetchedFile:
        """Download the video; extract it again after a 403 for its media file."""
        for number in range(1, MAX_EXTRACTIONS):
            try:
                return self._download_in_sandbox(route)
            except FetchError as error:
                if not error.is_media:
                    raise
                if not self._acquire_extraction(route, number):
                    error.retryable = True  # another extraction may still cure it
                    raise
        return self._download_in_sandbox(route)

    def add_seconds(self, fetched: FetchedFile, total_s: float) -> FetchedFile:
        """Return the record with the parts of the time that the attempt took."""
        spent = fetched.seconds or StageSeconds()
        startup_s = max(0.0, total_s - self.wait_s - (spent.transfer or 0.0))
        return replace(fetched, seconds=replace(spent, wait=self.wait_s, startup=startup_s))

    def _wait(self, seconds: float) -> None:
        time.sleep(seconds)
        self.wait_s += seconds

    def _acquire_extraction(self, route: Route, number: int) -> bool:
        """Wait before another extraction; return False if there is none to be had in time.

        It takes a place in the rate of the site, as a fetch does.
        """
        pause_s = retry_delay_s(number, EXTRACTION_PAUSE_S)
        is_in_time = time.monotonic() + pause_s < self.deadline
        key = RateKey(route.name, self.site)
        if not is_in_time or not self.limiter.allow_extraction(key, self.policy):
            return False
        self._wait(pause_s)
        try:
            self.acquire_route([route])
        except FetchError:  # the wait would be too long
            return False
        return True

    def _download_in_sandbox(self, route: Route) -> FetchedFile:
        path = self.folder / video_file_name(self.source.source_id)
        try:
            return run_sandboxed(
                download_guarded,
                self.source,
                path,
                self.settings,
                route,
                self.cookies,
                timeout_s=self.deadline - time.monotonic(),
                memory_bytes=MEMORY_BYTES,
                limits_reserved=False,
                preload=PRELOAD,
            )
        except VideoError as error:
            if error.reason is Reason.TIMED_OUT:
                message = (
                    f"{self.source.source_id}: not fetched within {self.settings.timeout_s:g} s; "
                    "raise fetch.timeout_s"
                )
                raise FetchError(Reason.TIMED_OUT, message, retryable=True) from error
            is_killed = error.reason is Reason.WORKER_DIED
            reason = Reason.WORKER_DIED if is_killed else Reason.FETCH_FAILED
            message = f"{self.source.source_id}: {error.message}"
            raise FetchError(reason, message, retryable=True) from error
