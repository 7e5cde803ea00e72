"""The gate of a cluster: one named Ray actor, which every fetch of every refresh asks, whichever job or machine it runs in.

It outlives the job that started it, so that a site's pause holds for the next one too. Where it was lost and started again it knows nothing, and
is cautious: see `argus.curate.download.rate_limit.LocalRateLimiter`.
"""

import os
from dataclasses import dataclass
from typing import Any

from argus.curate.download.rate_limit import Key, LocalRateLimiter, RatePolicy, SiteResponse

NAMESPACE = "argus"
NAME = "argus-gate-1"  # the number grows when the methods change: an older gate may still run


class RateLimiterProcess(LocalRateLimiter):
    """The body of the actor."""

    def __init__(self) -> None:
        import ray

        super().__init__(cautious=ray.get_runtime_context().was_current_actor_reconstructed)

    def process(self) -> int:
        """Where it runs: the number of its process."""
        return os.getpid()


@dataclass(frozen=True)
class ClusterRateLimiter:
    """The gate as a task sees it: pickles, and may be used from any process of the cluster. A `RateLimiter`."""

    actor: Any

    @classmethod
    def started(cls) -> "ClusterRateLimiter":
        """The cluster's gate, started if it is not there; needs a running Ray."""
        import ray

        actor = ray.remote(RateLimiterProcess).options(
            name=NAME,
            namespace=NAMESPACE,
            get_if_exists=True,
            lifetime="detached",
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=-1,
        )
        return cls(actor.remote())

    def acquire(self, key: Key, pace: RatePolicy) -> float:
        """Seconds to wait before asking again; 0: go now, it is counted."""
        import ray

        return float(ray.get(self.actor.acquire.remote(key, pace)))

    def report(
        self, key: Key, pace: RatePolicy, answer: SiteResponse, retry_after_s: float = 0.0
    ) -> bool:
        """Told once for each fetch that was admitted; whether the site refuses this address by now (its breaker is open)."""
        import ray

        return bool(ray.get(self.actor.report.remote(key, pace, answer, retry_after_s)))
