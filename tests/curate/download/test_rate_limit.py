"""Rate limits and breakers, with a clock that the tests set."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argus.curate import VideoSource
from argus.curate.download import (
    LocalRateLimiter,
    RateKey,
    RatePolicy,
    SiteResponse,
    get_site,
)
from argus.curate.download.rate_limit import (
    HOUR_S,
    PROBE_POLL_S,
    PROBE_TIMEOUT_S,
    REFUSAL_WINDOW_S,
    UNSERVED_EXTRACTIONS,
    YOUTUBE,
)
from schemas.config import FetchSettings
from tests.support.faulty_server import max_count_in_window

PROPERTY = settings(max_examples=50, deadline=None, derandomize=True)
KEY = RateKey("direct", "videos.example")
UNLIMITED = RatePolicy(per_hour=0, burst=1, breaker_after=3, breaker_s=60)
responses = st.sampled_from(SiteResponse)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limiter(clock: Clock) -> LocalRateLimiter:
    return LocalRateLimiter(clock)


def admit(limiter: LocalRateLimiter, clock: Clock, policy: RatePolicy, count: int) -> list[float]:
    """Return the times at which fetches are admitted if the next one always waits."""
    times = []
    while len(times) < count:
        wait = limiter.acquire(KEY, policy)
        if wait:
            clock.now += wait
        else:
            times.append(clock.now)
    return times


@pytest.mark.parametrize("per_hour", [1, 7, 300, 100_000])
@pytest.mark.parametrize("burst", [1, 5, 300])
def test_rate_is_used_fully_and_never_exceeded(
    limiter: LocalRateLimiter, clock: Clock, per_hour: int, burst: int
) -> None:
    policy = RatePolicy.for_site("videos.example", FetchSettings(per_hour=per_hour, burst=burst))
    count = min(3 * per_hour, 1000)
    times = admit(limiter, clock, policy, count)
    assert max_count_in_window(times, HOUR_S * (1 - 1e-9)) <= per_hour
    assert times[min(policy.burst, count) - 1] == pytest.approx(times[0])
    assert times[-1] - times[0] <= HOUR_S / (per_hour - policy.burst + 1) * count


@PROPERTY
@given(
    per_hour=st.integers(1, 50),
    burst=st.integers(1, 50),
    gaps_s=st.lists(st.floats(0, HOUR_S), min_size=1, max_size=200),
)
def test_rate_holds_for_arbitrary_request_times(
    per_hour: int, burst: int, gaps_s: list[float]
) -> None:
    policy = RatePolicy.for_site("videos.example", FetchSettings(per_hour=per_hour, burst=burst))
    clock = Clock()
    limiter = LocalRateLimiter(clock)
    times = []
    for gap_s in gaps_s:
        clock.now += gap_s
        if not limiter.acquire(KEY, policy):
            times.append(clock.now)
    assert max_count_in_window(times, HOUR_S * (1 - 1e-9)) <= per_hour
    for window_s in (1.0, 60.0, 600.0):
        assert (
            max_count_in_window(times, window_s) <= policy.burst + window_s / policy.interval_s + 1
        )


@PROPERTY
@given(
    st.lists(st.tuples(st.floats(0, HOUR_S), st.none() | responses, st.floats(0, 100)), max_size=60)
)
def test_open_breaker_admits_one_fetch_at_a_time(
    steps: list[tuple[float, SiteResponse | None, float]],
) -> None:
    """Arbitrary requests and reports; a probe in flight blocks all others until it is lost."""
    clock = Clock()
    limiter = LocalRateLimiter(clock)
    is_open, probe_until = False, 0.0
    for gap_s, response, retry_after_s in steps:
        clock.now += gap_s
        if response:
            is_open = limiter.report(KEY, UNLIMITED, response, retry_after_s)
            probe_until = 0.0
        elif limiter.acquire(KEY, UNLIMITED) == 0:
            assert not is_open or clock.now >= probe_until
            probe_until = clock.now + PROBE_TIMEOUT_S


def test_idle_time_gives_no_credit_beyond_the_burst(
    limiter: LocalRateLimiter, clock: Clock
) -> None:
    policy = RatePolicy(per_hour=3600, burst=2, breaker_after=3, breaker_s=60)
    admit(limiter, clock, policy, 2)
    clock.now += HOUR_S
    times = admit(limiter, clock, policy, 3)
    assert times[1] == times[0] < times[2]


def test_only_youtube_is_limited_by_default() -> None:
    settings = FetchSettings()
    assert RatePolicy.for_site(YOUTUBE, settings).interval_s == pytest.approx(12)
    assert RatePolicy.for_site("videos.example", settings).interval_s == 0


def test_each_site_and_route_has_its_own_limit(limiter: LocalRateLimiter) -> None:
    policy = RatePolicy(per_hour=1, burst=1, breaker_after=3, breaker_s=60)
    assert limiter.acquire(KEY, policy) == 0
    assert limiter.acquire(KEY, policy) > 0
    assert limiter.acquire(RateKey("direct", "other.example"), policy) == 0
    assert limiter.acquire(RateKey("proxy 1", "videos.example"), policy) == 0


@pytest.mark.parametrize(
    ("source_id", "url", "site"),
    [
        ("youtube:dQw4w9WgXcQ", "https://youtu.be/dQw4w9WgXcQ", YOUTUBE),
        ("youtube:dQw4w9WgXcQ", "https://m.youtube.com/watch?v=dQw4w9WgXcQ", YOUTUBE),
        ("url:0", "https://www.Videos.example/a", "videos.example"),
        ("url:0", "https://me:secret@videos.example:8443/a", "videos.example:8443"),
    ],
)
def test_site_of_a_source(source_id: str, url: str, site: str) -> None:
    assert get_site(VideoSource(source_id, url)) == site


def test_retry_after_is_respected_and_never_shortened(
    limiter: LocalRateLimiter, clock: Clock
) -> None:
    limiter.acquire(KEY, UNLIMITED)
    limiter.report(KEY, UNLIMITED, SiteResponse.REFUSED, retry_after_s=100)
    limiter.report(KEY, UNLIMITED, SiteResponse.SERVED, retry_after_s=10)
    assert limiter.acquire(KEY, UNLIMITED) == 100
    clock.now += 99
    assert limiter.acquire(KEY, UNLIMITED) == 1
    clock.now += 1
    assert limiter.acquire(KEY, UNLIMITED) == 0


def test_retry_after_is_at_most_a_day(limiter: LocalRateLimiter) -> None:
    limiter.report(KEY, UNLIMITED, SiteResponse.REFUSED, retry_after_s=1e9)
    assert limiter.acquire(KEY, UNLIMITED) == 24 * HOUR_S


def test_consecutive_refusals_open_the_breaker(limiter: LocalRateLimiter) -> None:
    opened = [limiter.report(KEY, UNLIMITED, SiteResponse.REFUSED) for _ in range(3)]
    assert opened == [False, False, True]
    assert limiter.acquire(KEY, UNLIMITED) == 60


def test_bot_check_opens_the_breaker_at_once(limiter: LocalRateLimiter) -> None:
    assert limiter.report(KEY, UNLIMITED, SiteResponse.BOT_CHECK)
    assert limiter.acquire(KEY, UNLIMITED) == 60
    assert limiter.acquire(RateKey("proxy 1", "videos.example"), UNLIMITED) == 0


def test_served_fetches_and_time_reset_the_count_of_refusals(
    limiter: LocalRateLimiter, clock: Clock
) -> None:
    reports = [
        SiteResponse.REFUSED,
        SiteResponse.REFUSED,
        SiteResponse.SERVED,
        SiteResponse.REFUSED,
        SiteResponse.INCONCLUSIVE,
        SiteResponse.REFUSED,
    ]
    assert not any(limiter.report(KEY, UNLIMITED, response) for response in reports)
    clock.now += REFUSAL_WINDOW_S + 1
    assert not limiter.report(KEY, UNLIMITED, SiteResponse.REFUSED)
    assert limiter.acquire(KEY, UNLIMITED) == 0


def test_open_breaker_admits_a_single_probe_that_decides(
    limiter: LocalRateLimiter, clock: Clock
) -> None:
    limiter.report(KEY, UNLIMITED, SiteResponse.BOT_CHECK)
    clock.now += 60
    assert limiter.acquire(KEY, UNLIMITED) == 0
    assert limiter.acquire(KEY, UNLIMITED) == PROBE_POLL_S
    assert limiter.report(KEY, UNLIMITED, SiteResponse.REFUSED)
    assert limiter.acquire(KEY, UNLIMITED) == 120, "the time doubles"
    clock.now += 120
    assert limiter.acquire(KEY, UNLIMITED) == 0
    assert not limiter.report(KEY, UNLIMITED, SiteResponse.SERVED)
    assert [limiter.acquire(KEY, UNLIMITED) for _ in range(3)] == [0, 0, 0]
    assert limiter.report(KEY, UNLIMITED, SiteResponse.BOT_CHECK)
    assert limiter.acquire(KEY, UNLIMITED) == 60, "the time is reset"


def test_inconclusive_or_lost_probe_is_followed_by_another(
    limiter: LocalRateLimiter, clock: Clock
) -> None:
    limiter.report(KEY, UNLIMITED, SiteResponse.BOT_CHECK)
    clock.now += 60
    assert limiter.acquire(KEY, UNLIMITED) == 0
    assert limiter.report(KEY, UNLIMITED, SiteResponse.INCONCLUSIVE)
    assert limiter.acquire(KEY, UNLIMITED) == 0
    clock.now += PROBE_TIMEOUT_S - 1
    assert limiter.acquire(KEY, UNLIMITED) == 1
    clock.now += 1
    assert limiter.acquire(KEY, UNLIMITED) == 0, "the earlier probe was lost"


def test_fetches_admitted_before_the_breaker_opened_do_not_change_it(
    limiter: LocalRateLimiter,
) -> None:
    limiter.report(KEY, UNLIMITED, SiteResponse.BOT_CHECK)
    assert all(
        limiter.report(KEY, UNLIMITED, response)
        for response in (SiteResponse.SERVED, SiteResponse.REFUSED, SiteResponse.BOT_CHECK)
    )
    assert limiter.acquire(KEY, UNLIMITED) == 60


def test_extractions_are_few_until_the_site_has_served(limiter: LocalRateLimiter) -> None:
    policy = replace(UNLIMITED, breaker_after=10)
    allowed = [limiter.allow_extraction(KEY, policy) for _ in range(4)]
    assert allowed == [True, True, False, False]
    assert limiter.allow_extraction(RateKey("proxy 1", KEY.site), policy), "another route"
    limiter.report(KEY, policy, SiteResponse.INCONCLUSIVE)
    assert not limiter.allow_extraction(KEY, policy)
    limiter.report(KEY, policy, SiteResponse.SERVED)
    assert all(limiter.allow_extraction(KEY, policy) for _ in range(100))


def test_extractions_at_once_do_not_exceed_the_budget(limiter: LocalRateLimiter) -> None:
    policy = replace(UNLIMITED, breaker_after=10)
    with ThreadPoolExecutor(16) as threads:
        allowed = threads.map(lambda _: limiter.allow_extraction(KEY, policy), range(200))
        assert sum(allowed) == UNSERVED_EXTRACTIONS


def test_extractions_of_an_unserved_site_count_as_refusals(limiter: LocalRateLimiter) -> None:
    assert [limiter.allow_extraction(KEY, UNLIMITED) for _ in range(2)] == [True, True]
    assert limiter.report(KEY, UNLIMITED, SiteResponse.REFUSED), "the third in a row"
    assert not limiter.allow_extraction(KEY, UNLIMITED), "the breaker is open"


def test_extractions_of_a_served_site_do_not_open_the_breaker(limiter: LocalRateLimiter) -> None:
    limiter.report(KEY, UNLIMITED, SiteResponse.SERVED)
    assert all(limiter.allow_extraction(KEY, UNLIMITED) for _ in range(10))
    assert not limiter.report(KEY, UNLIMITED, SiteResponse.REFUSED)


def test_no_extraction_while_the_breaker_is_open_or_a_probe_is_in_flight(
    limiter: LocalRateLimiter, clock: Clock
) -> None:
    limiter.report(KEY, UNLIMITED, SiteResponse.SERVED)
    limiter.report(KEY, UNLIMITED, SiteResponse.BOT_CHECK)
    assert not limiter.allow_extraction(KEY, UNLIMITED)
    clock.now += 60
    assert limiter.acquire(KEY, UNLIMITED) == 0
    assert not limiter.allow_extraction(KEY, UNLIMITED)
    limiter.report(KEY, UNLIMITED, SiteResponse.SERVED)
    assert limiter.allow_extraction(KEY, UNLIMITED)


def test_cautious_limiter_allows_no_extraction_until_the_site_has_served(clock: Clock) -> None:
    limiter = LocalRateLimiter(clock, cautious=True)
    assert not limiter.allow_extraction(KEY, UNLIMITED)
    limiter.report(KEY, UNLIMITED, SiteResponse.SERVED)
    assert limiter.allow_extraction(KEY, UNLIMITED)


@PROPERTY
@given(
    breaker_after=st.integers(1, 12),
    is_second_refused=st.lists(st.booleans(), min_size=40, max_size=40),
)
def test_an_unserved_site_gets_no_more_requests_before_the_breaker_opens(
    breaker_after: int, is_second_refused: list[bool]
) -> None:
    """Fetches that extract again as often as they may, or give up early."""
    policy = replace(UNLIMITED, breaker_after=breaker_after)
    limiter, requests, is_open = LocalRateLimiter(Clock()), 0, False
    for wants_more in is_second_refused:
        if is_open:
            break
        requests += 1
        while wants_more and limiter.allow_extraction(KEY, policy):
            requests += 1
        is_open = limiter.report(KEY, policy, SiteResponse.REFUSED)
    assert is_open
    assert requests == breaker_after


def test_cautious_limiter_is_never_faster_than_the_lost_one(clock: Clock) -> None:
    """Whatever was used before: a restart gives no site more than it would have had."""
    policy = RatePolicy(per_hour=3600, burst=4, breaker_after=3, breaker_s=60)
    before = admit(LocalRateLimiter(clock), clock, policy, 40)
    limiter = LocalRateLimiter(clock, cautious=True)
    wait = limiter.acquire(KEY, policy)
    assert wait > 0
    clock.now += wait
    assert limiter.acquire(KEY, policy) == 0
    assert limiter.acquire(KEY, policy) > 0, "the first fetch is a probe"
    first = clock.now
    limiter.report(KEY, policy, SiteResponse.SERVED)
    after = [first, *admit(limiter, clock, policy, 40)]
    undisturbed = admit(LocalRateLimiter(clock), clock, policy, 81)
    for window_s in (1.5, 5, 20, 60):
        limit = max_count_in_window(undisturbed, window_s)
        assert max_count_in_window([*before, *after], window_s) <= limit


def test_idle_sites_are_forgotten(
    limiter: LocalRateLimiter, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("argus.curate.download.rate_limit.MAX_TRACKED_SITES", 10)
    limiter.report(KEY, UNLIMITED, SiteResponse.BOT_CHECK)
    for number in range(100):
        clock.now += 0.1
        assert limiter.acquire(RateKey("direct", f"{number}.example"), UNLIMITED) == 0
    assert limiter.tracked_sites <= 11
    assert limiter.acquire(KEY, UNLIMITED) > 0, "a site with an open breaker is kept"
