"""The pace of fetches, told the time by the tests."""

from dataclasses import dataclass

import pytest

from argus.curate import VideoSource
from argus.curate.download.rate_limit import (
    ASK_AGAIN_S,
    HOUR_S,
    PROBE_S,
    WINDOW_S,
    YOUTUBE,
    Key,
    LocalRateLimiter,
    RatePolicy,
    SiteResponse,
    site_of,
)
from schemas.config import FetchSettings
from tests.support.faulty_server import max_count_in_window

HERE = Key("direct", "videos.example")
FREE = RatePolicy(per_hour=0, burst=1, breaker_after=3, breaker_s=60)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(clock: Clock) -> LocalRateLimiter:
    return LocalRateLimiter(clock)


def admitted(gate: LocalRateLimiter, clock: Clock, pace: RatePolicy, count: int) -> list[float]:
    """When fetches go that come as fast as they are let."""
    times = []
    while len(times) < count:
        wait = gate.acquire(HERE, pace)
        if wait:
            clock.now += wait
        else:
            times.append(clock.now)
    return times


@pytest.mark.parametrize("per_hour", [1, 7, 300, 100_000])
@pytest.mark.parametrize("burst", [1, 5, 300])
def test_no_hour_has_more_than_its_limit(
    gate: LocalRateLimiter, clock: Clock, per_hour: int, burst: int
) -> None:
    pace = RatePolicy.of("videos.example", FetchSettings(per_hour=per_hour, burst=burst))
    count = min(3 * per_hour, 1000)
    times = admitted(gate, clock, pace, count)
    assert max_count_in_window(times, HOUR_S * (1 - 1e-9)) <= per_hour
    assert times[min(pace.burst, count) - 1] == pytest.approx(times[0]), "the burst comes at once"
    assert times[-1] - times[0] <= HOUR_S / (per_hour - pace.burst + 1) * count, "nothing is wasted"


def test_a_pause_in_demand_is_no_credit_beyond_the_burst(
    gate: LocalRateLimiter, clock: Clock
) -> None:
    pace = RatePolicy(per_hour=3600, burst=2, breaker_after=3, breaker_s=60)
    admitted(gate, clock, pace, 2)
    clock.now += HOUR_S
    times = admitted(gate, clock, pace, 3)
    assert times[1] == times[0] < times[2]


def test_youtube_is_limited_and_others_are_not_by_default() -> None:
    settings = FetchSettings()
    assert RatePolicy.of(YOUTUBE, settings).interval_s == pytest.approx(12)
    assert RatePolicy.of("videos.example", settings).interval_s == 0


def test_sites_and_addresses_have_a_pace_each(gate: LocalRateLimiter) -> None:
    pace = RatePolicy(per_hour=1, burst=1, breaker_after=3, breaker_s=60)
    assert gate.acquire(HERE, pace) == 0
    assert gate.acquire(HERE, pace) > 0
    assert gate.acquire(Key("direct", "other.example"), pace) == 0
    assert gate.acquire(Key("proxy 1", "videos.example"), pace) == 0


@pytest.mark.parametrize(
    ("source_id", "url", "site"),
    [
        ("youtube:dQw4w9WgXcQ", "https://youtu.be/dQw4w9WgXcQ", YOUTUBE),
        ("youtube:dQw4w9WgXcQ", "https://m.youtube.com/watch?v=dQw4w9WgXcQ", YOUTUBE),
        ("url:0", "https://www.Videos.example/a", "videos.example"),
        ("url:0", "https://me:secret@videos.example:8443/a", "videos.example:8443"),
    ],
)
def test_the_site_of_a_video(source_id: str, url: str, site: str) -> None:
    assert site_of(VideoSource(source_id, url)) == site


def test_retry_after_is_honoured_by_all_and_never_shortened(
    gate: LocalRateLimiter, clock: Clock
) -> None:
    gate.acquire(HERE, FREE)
    gate.report(HERE, FREE, SiteResponse.REFUSED, retry_after_s=100)
    gate.report(HERE, FREE, SiteResponse.SERVED, retry_after_s=10)
    assert gate.acquire(HERE, FREE) == 100
    clock.now += 99
    assert gate.acquire(HERE, FREE) == 1
    clock.now += 1
    assert gate.acquire(HERE, FREE) == 0


def test_nobody_is_sent_away_for_more_than_a_day(gate: LocalRateLimiter) -> None:
    gate.report(HERE, FREE, SiteResponse.REFUSED, retry_after_s=1e9)
    assert gate.acquire(HERE, FREE) == 24 * HOUR_S


def test_a_run_of_refusals_opens_the_breaker(gate: LocalRateLimiter) -> None:
    assert [gate.report(HERE, FREE, SiteResponse.REFUSED) for _ in range(3)] == [False, False, True]
    assert gate.acquire(HERE, FREE) == 60


def test_a_bot_check_opens_it_at_once(gate: LocalRateLimiter) -> None:
    assert gate.report(HERE, FREE, SiteResponse.BOT_CHECK)
    assert gate.acquire(HERE, FREE) == 60
    assert gate.acquire(Key("proxy 1", "videos.example"), FREE) == 0


def test_what_is_served_ends_a_run_and_what_is_long_ago_does_not_count(
    gate: LocalRateLimiter, clock: Clock
) -> None:
    answers = [
        SiteResponse.REFUSED,
        SiteResponse.REFUSED,
        SiteResponse.SERVED,
        SiteResponse.REFUSED,
        SiteResponse.SILENT,
        SiteResponse.REFUSED,
    ]
    assert not any(gate.report(HERE, FREE, answer) for answer in answers)
    clock.now += WINDOW_S + 1
    assert not gate.report(HERE, FREE, SiteResponse.REFUSED)
    assert gate.acquire(HERE, FREE) == 0


def test_after_its_time_one_probe_goes_and_decides(gate: LocalRateLimiter, clock: Clock) -> None:
    gate.report(HERE, FREE, SiteResponse.BOT_CHECK)
    clock.now += 60
    assert gate.acquire(HERE, FREE) == 0
    assert gate.acquire(HERE, FREE) == ASK_AGAIN_S, "one at a time"
    assert gate.report(HERE, FREE, SiteResponse.REFUSED)
    assert gate.acquire(HERE, FREE) == 120, "twice as long"
    clock.now += 120
    assert gate.acquire(HERE, FREE) == 0
    assert not gate.report(HERE, FREE, SiteResponse.SERVED)
    assert [gate.acquire(HERE, FREE) for _ in range(3)] == [0, 0, 0]
    assert gate.report(HERE, FREE, SiteResponse.BOT_CHECK)
    assert gate.acquire(HERE, FREE) == 60, "as at first"


def test_a_probe_that_nobody_answered_is_followed_by_another(
    gate: LocalRateLimiter, clock: Clock
) -> None:
    gate.report(HERE, FREE, SiteResponse.BOT_CHECK)
    clock.now += 60
    assert gate.acquire(HERE, FREE) == 0
    assert gate.report(HERE, FREE, SiteResponse.SILENT)
    assert gate.acquire(HERE, FREE) == 0
    clock.now += PROBE_S - 1
    assert gate.acquire(HERE, FREE) == 1
    clock.now += 1
    assert gate.acquire(HERE, FREE) == 0, "the one before was lost"


def test_those_who_went_before_it_opened_neither_close_nor_prolong_it(
    gate: LocalRateLimiter,
) -> None:
    gate.report(HERE, FREE, SiteResponse.BOT_CHECK)
    assert all(
        gate.report(HERE, FREE, answer)
        for answer in (SiteResponse.SERVED, SiteResponse.REFUSED, SiteResponse.BOT_CHECK)
    )
    assert gate.acquire(HERE, FREE) == 60


def test_a_gate_that_forgot_is_never_faster_than_the_one_before(clock: Clock) -> None:
    """Whatever was spent: after a restart no site gets more than it would have."""
    pace = RatePolicy(per_hour=3600, burst=4, breaker_after=3, breaker_s=60)
    before = admitted(LocalRateLimiter(clock), clock, pace, 40)
    gate = LocalRateLimiter(clock, cautious=True)
    wait = gate.acquire(HERE, pace)
    assert wait > 0
    clock.now += wait
    assert gate.acquire(HERE, pace) == 0
    assert gate.acquire(HERE, pace) > 0, "one alone, first"
    first = clock.now
    gate.report(HERE, pace, SiteResponse.SERVED)
    after = [first, *admitted(gate, clock, pace, 40)]
    undisturbed = admitted(LocalRateLimiter(clock), clock, pace, 81)
    for window in (1.5, 5, 20, 60):
        assert max_count_in_window([*before, *after], window) <= max_count_in_window(undisturbed, window)


def test_sites_at_rest_are_forgotten(
    gate: LocalRateLimiter, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("argus.curate.download.rate_limit.MANY_SITES", 10)
    gate.report(HERE, FREE, SiteResponse.BOT_CHECK)
    for number in range(100):
        clock.now += 0.1
        assert gate.acquire(Key("direct", f"{number}.example"), FREE) == 0
    assert len(gate._sites) <= 11
    assert gate.acquire(HERE, FREE) > 0, "one that is not is remembered"
