"""Rate limits and circuit breakers per site and route; all times come from a clock argument.

Each site has, per route, a rate (the generic cell rate algorithm, ITU-T I.371), a pause that the
site asked for, and a circuit breaker. A bot check or a run of refusals opens the breaker. When its
time is over, one fetch at a time is admitted as a probe, until one is served.

A fetch whose media file was refused may extract again: any number of times once the site has
served, `UNSERVED_EXTRACTIONS` times before, and never while the breaker is open.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from argus.curate.records import VideoSource
from schemas.config import FetchSettings

YOUTUBE = "youtube.com"
HOUR_S = 3600.0
REFUSAL_WINDOW_S = 600.0  # older refusals are forgotten
MAX_PAUSE_S = 24 * HOUR_S
PROBE_TIMEOUT_S = 1800.0  # a probe not reported by then counts as lost
PROBE_POLL_S = 5.0  # wait of other fetches during a probe
MAX_TRACKED_SITES = 10_000  # idle ones are forgotten beyond this number
UNSERVED_EXTRACTIONS = 2  # further extractions, of all fetches, until the site has served one


class RateKey(NamedTuple):
    """A site as seen from one route: the unit to which a rate limit applies.

    Attributes:
        route: "direct", or the name of a proxy.
        site: the site's host, as `get_site` returns it.
    """

    route: str
    site: str


@dataclass(frozen=True)
class RatePolicy:
    """Rate limit and breaker settings of a site.

    Attributes:
        per_hour: maximum number of fetches in any hour; 0 means no limit.
        burst: number of those fetches that may start at once.
        breaker_after: consecutive refusals that open the breaker.
        breaker_s: seconds for which it opens first; doubles with each probe that is refused.
    """

    per_hour: int
    burst: int
    breaker_after: int
    breaker_s: float

    @classmethod
    def for_site(cls, site: str, settings: FetchSettings) -> "RatePolicy":
        """Return the policy that the settings give for a site."""
        per_hour = settings.youtube_per_hour if site == YOUTUBE else settings.per_hour
        return cls(
            per_hour,
            min(settings.burst, per_hour or settings.burst),
            settings.breaker_after,
            settings.breaker_s,
        )

    @property
    def interval_s(self) -> float:
        """Seconds between fetches once a burst is spent.

        An hour that starts with a burst holds at most `per_hour` fetches.
        """
        return HOUR_S / (self.per_hour - self.burst + 1) if self.per_hour else 0.0


class SiteResponse(StrEnum):
    """Outcome of a fetch as far as it concerns the rate limit."""

    SERVED = "served"  # with the video, or by stating that it is gone
    REFUSED = "refused"  # 403 or 429
    BOT_CHECK = "bot_check"
    INCONCLUSIVE = "inconclusive"  # no response, or an error that is not about this client


class RateLimiter(Protocol):
    """Interface of a rate limiter: acquire before each fetch, report after it."""

    def acquire(self, key: RateKey, policy: RatePolicy) -> float:
        """Return the seconds to wait before asking again; 0 admits and counts the fetch."""

    def report(
        self,
        key: RateKey,
        policy: RatePolicy,
        response: SiteResponse,
        retry_after_s: float = 0.0,
    ) -> bool:
        """Report the result of an admitted fetch, once; return whether the breaker is open."""

    def allow_extraction(self, key: RateKey, policy: RatePolicy) -> bool:
        """Return whether a fetch whose media file was refused may extract again, and count it.

        The extraction is another request to the site: acquire it like a fetch.
        """


def get_site(source: VideoSource) -> str:
    """Return the host (with any port) of a source's URL; all YouTube hosts count as one."""
    if source.source_id.startswith("youtube:"):
        return YOUTUBE
    host = urlsplit(source.url).netloc.rpartition("@")[2].lower()
    return host.removeprefix("www.")


@dataclass
class _SiteState:
    """State of the rate limit and breaker of one key; times are those of the limiter's clock."""

    full_at: float = 0.0  # when the bucket is full again (the theoretical arrival time)
    paused_until: float = 0.0
    refusals: deque[float] = field(default_factory=deque)  # consecutive, within the window
    is_open: bool = False
    openings: int = 0  # consecutive
    probe_until: float = 0.0
    extractions_left: float = UNSERVED_EXTRACTIONS  # unlimited once the site has served

    def is_idle(self, now: float) -> bool:
        has_no_wait = max(self.full_at, self.paused_until) <= now
        return has_no_wait and not self.is_open and not self.refusals


class LocalRateLimiter:
    """Rate limiter of one process; thread-safe.

    Args:
        clock: monotonic seconds.
        cautious: start without the state of an earlier limiter that was lost. For an hour, each
            new key starts with an empty bucket and an open breaker, so that a single fetch probes
            the site first.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, cautious: bool = False
    ) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sites: dict[RateKey, _SiteState] = {}
        self._started = clock()
        self._cautious_until = self._started + HOUR_S if cautious else self._started

    @property
    def tracked_sites(self) -> int:
        """Number of keys with state."""
        return len(self._sites)

    def acquire(self, key: RateKey, policy: RatePolicy) -> float:
        """Return the seconds to wait before asking again; 0 admits and counts the fetch."""
        with self._lock:
            now = self._clock()
            site = self._get_state(key, policy, now)
            ready_at = site.full_at - (policy.burst - 1) * policy.interval_s
            wait = max(site.paused_until, ready_at) - now
            if wait <= 0 and site.is_open:
                wait = min(site.probe_until - now, PROBE_POLL_S)
            if wait > 0:
                return wait
            site.full_at = max(now, site.full_at) + policy.interval_s
            site.probe_until = now + PROBE_TIMEOUT_S
            return 0.0

    def report(
        self,
        key: RateKey,
        policy: RatePolicy,
        response: SiteResponse,
        retry_after_s: float = 0.0,
    ) -> bool:
        """Report the result of an admitted fetch, once; return whether the breaker is open."""
        with self._lock:
            now = self._clock()
            site = self._get_state(key, policy, now)
            was_admitted_before_opening = site.is_open and now < site.paused_until
            if not was_admitted_before_opening:
                _update_breaker(site, policy, response, now)
            if retry_after_s > 0:
                pause_end = now + min(retry_after_s, MAX_PAUSE_S)
                site.paused_until = max(site.paused_until, pause_end)
            return site.is_open

    def allow_extraction(self, key: RateKey, policy: RatePolicy) -> bool:
        """Return whether a fetch whose media file was refused may extract again, and count it.

        Until the site has served, the refusal counts for the breaker as that of a fetch does.
        """
        with self._lock:
            now = self._clock()
            site = self._get_state(key, policy, now)
            if site.is_open or site.extractions_left < 1:
                return False
            if site.extractions_left < math.inf:
                _update_breaker(site, policy, SiteResponse.REFUSED, now)
            site.extractions_left -= 1
            return not site.is_open

    def _get_state(self, key: RateKey, policy: RatePolicy, now: float) -> _SiteState:
        if key not in self._sites:
            if len(self._sites) >= MAX_TRACKED_SITES:
                self._sites = {
                    known: site for known, site in self._sites.items() if not site.is_idle(now)
                }
            is_cautious = now < self._cautious_until
            full_at = self._started + policy.burst * policy.interval_s if is_cautious else now
            self._sites[key] = _SiteState(full_at, is_open=is_cautious)
        return self._sites[key]


def _update_breaker(
    site: _SiteState, policy: RatePolicy, response: SiteResponse, now: float
) -> None:
    site.probe_until = now
    if response is SiteResponse.SERVED:
        site.refusals.clear()
        site.is_open, site.openings = False, 0
        site.extractions_left = math.inf
    if response is SiteResponse.REFUSED:
        site.refusals.append(now)
        while site.refusals[0] < now - REFUSAL_WINDOW_S:
            site.refusals.popleft()
    is_refused = response is SiteResponse.REFUSED and (
        site.is_open or len(site.refusals) >= policy.breaker_after
    )
    if is_refused or response is SiteResponse.BOT_CHECK:
        pause_s = min(policy.breaker_s * 2**site.openings, MAX_PAUSE_S)
        site.paused_until = max(site.paused_until, now + pause_s)
        site.is_open, site.openings = True, site.openings + 1
        site.refusals.clear()
