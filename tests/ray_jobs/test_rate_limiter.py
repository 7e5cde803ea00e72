"""The gate of a cluster: one for all jobs, and cautious after it was lost."""

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
def gate() -> Iterator[ClusterRateLimiter]:
    import ray

    from ray_jobs.entry import start_ray

    start_ray()
    yield ClusterRateLimiter.started()
    ray.shutdown()


def test_it_is_the_same_for_all_tasks(gate: ClusterRateLimiter) -> None:
    """Ten tasks, each with its own handle or one of its own finding: one of them goes."""
    import ray

    key = RateKey("direct", "tasks.example")

    @ray.remote(num_cpus=0.1)
    def asks(own: bool) -> float:
        return (ClusterRateLimiter.started() if own else gate).acquire(key, SLOW)

    waits = ray.get([asks.remote(number % 2 == 0) for number in range(10)])
    assert waits.count(0.0) == 1


def test_a_report_is_heard_by_all(gate: ClusterRateLimiter) -> None:
    key = RateKey("direct", "reports.example")
    assert [gate.report(key, FREE, SiteResponse.REFUSED) for _ in range(2)] == [False, True]
    assert 55 < ClusterRateLimiter.started().acquire(key, FREE) <= 60
    paused = RateKey("direct", "paused.example")
    gate.report(paused, FREE, SiteResponse.REFUSED, 500.0)
    assert 490 < ClusterRateLimiter.started().acquire(paused, FREE) <= 500


def test_after_its_process_was_killed_it_lets_one_fetch_try(gate: ClusterRateLimiter) -> None:
    import ray

    key = RateKey("direct", "lost.example")
    assert [gate.acquire(key, FREE) for _ in range(3)] == [0.0, 0.0, 0.0]
    process = ray.get(gate.actor.process.remote())
    os.kill(process, signal.SIGKILL)
    end = time.monotonic() + 60
    while ray.get(gate.actor.process.remote()) == process:
        assert time.monotonic() < end
    assert gate.acquire(key, FREE) == 0.0
    assert gate.acquire(key, FREE) > 0, "one alone, first"
    assert gate.acquire(RateKey("direct", "never.example"), SLOW) > 3000, (
        "what was spent before is not known"
    )
    gate.report(key, FREE, SiteResponse.SERVED)
    assert [gate.acquire(key, FREE) for _ in range(3)] == [0.0, 0.0, 0.0]
