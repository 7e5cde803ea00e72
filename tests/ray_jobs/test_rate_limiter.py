"""The rate limiter of a cluster: one for all jobs, and cautious after it was lost."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from argus.curate.download import RateKey, RatePolicy, SiteResponse
from ray_jobs.curate.rate_limiter import ClusterRateLimiter

pytestmark = pytest.mark.slow
FREE = RatePolicy(per_hour=0, burst=1, breaker_after=2, breaker_s=60)
SLOW = RatePolicy(per_hour=1, burst=1, breaker_after=2, breaker_s=60)


@pytest.fixture(scope="module")
def limiter() -> Iterator[ClusterRateLimiter]:
    import ray

    from ray_jobs.entry import start_ray

    start_ray()
    yield ClusterRateLimiter.find_or_start()
    ray.shutdown()


def test_all_tasks_share_one_limiter(limiter: ClusterRateLimiter) -> None:
    """Ten tasks, half of which find the limiter themselves: one of them may go."""
    import ray

    key = RateKey("direct", "tasks.example")

    @ray.remote(num_cpus=0.1)
    def asks(own: bool) -> float:
        return (ClusterRateLimiter.find_or_start() if own else limiter).acquire(key, SLOW)

    waits = ray.get([asks.remote(number % 2 == 0) for number in range(10)])
    assert waits.count(0.0) == 1


def test_a_report_counts_for_all(limiter: ClusterRateLimiter) -> None:
    key = RateKey("direct", "reports.example")
    assert [limiter.report(key, FREE, SiteResponse.REFUSED) for _ in range(2)] == [False, True]
    assert 55 < ClusterRateLimiter.find_or_start().acquire(key, FREE) <= 60
    paused = RateKey("direct", "paused.example")
    limiter.report(paused, FREE, SiteResponse.REFUSED, 500.0)
    assert 490 < ClusterRateLimiter.find_or_start().acquire(paused, FREE) <= 500


def test_extractions_are_counted_for_all(limiter: ClusterRateLimiter) -> None:
    import ray

    key = RateKey("direct", "extractions.example")
    policy = RatePolicy(per_hour=0, burst=1, breaker_after=20, breaker_s=60)

    @ray.remote(num_cpus=0.1)
    def asks() -> bool:
        return ClusterRateLimiter.find_or_start().allow_extraction(key, policy)

    assert sum(ray.get([asks.remote() for _ in range(8)])) == 2
    limiter.report(key, policy, SiteResponse.SERVED)
    assert all(ray.get([asks.remote() for _ in range(4)]))


def test_after_its_process_was_killed_it_lets_one_fetch_try(limiter: ClusterRateLimiter) -> None:
    import ray

    key = RateKey("direct", "lost.example")
    assert [limiter.acquire(key, FREE) for _ in range(3)] == [0.0, 0.0, 0.0]
    process = ray.get(limiter.actor.process_id.remote())
    os.kill(process, signal.SIGKILL)
    end = time.monotonic() + 60
    while ray.get(limiter.actor.process_id.remote()) == process:
        assert time.monotonic() < end
    assert limiter.acquire(key, FREE) == 0.0
    assert limiter.acquire(key, FREE) > 0, "one alone, first"
    assert limiter.acquire(RateKey("direct", "never.example"), SLOW) > 3000, (
        "what was spent before is not known"
    )
    limiter.report(key, FREE, SiteResponse.SERVED)
    assert [limiter.acquire(key, FREE) for _ in range(3)] == [0.0, 0.0, 0.0]
