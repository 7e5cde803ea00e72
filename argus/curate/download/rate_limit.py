"""How often a site is asked, and when not at all: pure logic, told the time by a clock, for one process or (`ray_jobs.curate.rate_limiter`) for a cluster.

Each route address has, for each site, a rate (the generic cell rate algorithm, ITU-T I.371), a pause that the site asked for, and a breaker: a
bot check, or a run of refusals, opens it; when its time is over one fetch at a time goes as a probe, until one is served.
"""

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
WINDOW_S = 600.0  # refusals that lie further back are forgotten
LONGEST_PAUSE_S = 24 * HOUR_S
PROBE_S = 1800.0  # a probe that is not reported until then is given up
ASK_AGAIN_S = 5.0  # for those who wait for a probe
MANY_SITES = 10_000


class Key(NamedTuple):
    """What has a pace of its own: a site, as seen from one address."""

    route: str  # "direct", or the name of a proxy
    site: str


@dataclass(frozen=True)
class RatePolicy:
    """How fast a site may be asked from one address, and when it is left alone."""

    per_hour: int  # fetches in any hour; 0: no limit
    burst: int  # of these, so many may come at once
    breaker_after: int  # refusals in a row
    breaker_s: float  # doubles with each probe that is refused too

    @classmethod
    def of(cls, site: str, settings: FetchSettings) -> "RatePolicy":
        """The pace that the settings allow for a site."""
        per_hour = settings.youtube_per_hour if site == YOUTUBE else settings.per_hour
        return cls(
            per_hour,
            min(settings.burst, per_hour or settings.burst),
            settings.breaker_after,
            settings.breaker_s,
        )

    @property
    def interval_s(self) -> float:
        """Between fetches, once a burst is spent; so long that an hour which begins with a burst still holds at most `per_hour`."""
        return HOUR_S / (self.per_hour - self.burst + 1) if self.per_hour else 0.0


class SiteResponse(StrEnum):
    """What a fetch tells of how the site takes us."""

    SERVED = "served"  # it answered; that a video is gone is an answer too
    REFUSED = "refused"  # 403 or 429
    BOT_CHECK = "bot_check"
    SILENT = "silent"  # nobody answered, or it says nothing of us


class RateLimiter(Protocol):
    """What a fetch asks before, and tells after."""

    def acquire(self, key: Key, pace: RatePolicy) -> float:
        """Seconds to wait before asking again; 0: go now, it is counted."""

    def report(
        self, key: Key, pace: RatePolicy, answer: SiteResponse, retry_after_s: float = 0.0
    ) -> bool:
        """Told once for each fetch that was admitted; whether the site refuses this address by now (its breaker is open)."""


def site_of(source: VideoSource) -> str:
    """The host that a url names, with its port if it gives one; YouTube's hosts are one."""
    if source.source_id.startswith("youtube:"):
        return YOUTUBE
    host = urlsplit(source.url).netloc.rpartition("@")[2].lower()
    return host.removeprefix("www.")


@dataclass
class _Site:
    free_at: float = 0.0  # when a full bucket would be there again
    paused_until: float = 0.0
    refusals: deque[float] = field(default_factory=deque)  # in a row, within the window
    is_open: bool = False
    openings: int = 0  # in a row
    probe_until: float = 0.0

    def at_rest(self, now: float) -> bool:
        return (
            not self.is_open and not self.refusals and max(self.free_at, self.paused_until) <= now
        )


class LocalRateLimiter:
    """The gate of one process; safe for its threads.

    Args:
        clock: seconds that only grow.
        cautious: after what a gate before this one knew was lost: for an hour, each site begins with an empty bucket and an open breaker, so that
            it is first asked by one fetch alone.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, cautious: bool = False
    ) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sites: dict[Key, _Site] = {}
        self._started = clock()
        self._cautious_until = self._started + HOUR_S if cautious else self._started

    def acquire(self, key: Key, pace: RatePolicy) -> float:
        """Seconds to wait before asking again; 0: go now, it is counted."""
        with self._lock:
            now = self._clock()
            site = self._site(key, pace, now)
            wait = max(site.paused_until, site.free_at - (pace.burst - 1) * pace.interval_s) - now
            if wait <= 0 and site.is_open:
                wait = min(site.probe_until - now, ASK_AGAIN_S)
            if wait > 0:
                return wait
            site.free_at = max(now, site.free_at) + pace.interval_s
            site.probe_until = now + PROBE_S
            return 0.0

    def report(
        self, key: Key, pace: RatePolicy, answer: SiteResponse, retry_after_s: float = 0.0
    ) -> bool:
        """Told once for each fetch that was admitted; whether the site refuses this address by now (its breaker is open)."""
        with self._lock:
            now = self._clock()
            site = self._site(key, pace, now)
            if (
                not site.is_open or now >= site.paused_until
            ):  # else it was admitted before the breaker opened
                self._judge(site, pace, answer, now)
            if retry_after_s > 0:
                site.paused_until = max(
                    site.paused_until, now + min(retry_after_s, LONGEST_PAUSE_S)
                )
            return site.is_open

    def _judge(self, site: _Site, pace: RatePolicy, answer: SiteResponse, now: float) -> None:
        site.probe_until = now
        if answer is SiteResponse.SERVED:
            site.refusals.clear()
            site.is_open, site.openings = False, 0
        if answer is SiteResponse.REFUSED:
            site.refusals.append(now)
            while site.refusals[0] < now - WINDOW_S:
                site.refusals.popleft()
        refused = answer is SiteResponse.REFUSED and (
            site.is_open or len(site.refusals) >= pace.breaker_after
        )
        if refused or answer is SiteResponse.BOT_CHECK:
            site.paused_until = max(
                site.paused_until, now + min(pace.breaker_s * 2**site.openings, LONGEST_PAUSE_S)
            )
            site.is_open, site.openings = True, site.openings + 1
            site.refusals.clear()

    def _site(self, key: Key, pace: RatePolicy, now: float) -> _Site:
        if key not in self._sites:
            if len(self._sites) >= MANY_SITES:
                self._sites = {
                    known: site for known, site in self._sites.items() if not site.at_rest(now)
                }
            cautious = now < self._cautious_until
            self._sites[key] = _Site(
                self._started + pace.burst * pace.interval_s if cautious else now, is_open=cautious
            )
        return self._sites[key]
