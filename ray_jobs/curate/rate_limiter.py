"""The rate limiter of a cluster: one named Ray actor, shared by all jobs and machines.

It outlives the job that started it, so that a pause that a site asked for holds for the next job
too. If Ray has to start it again its state is lost, and it begins cautiously: see
`LocalRateLimiter`.
"""

import os
from dataclasses import dataclass
from typing import Any

from argus.curate.download import LocalRateLimiter, RateKey, RatePolicy, SiteResponse

NAMESPACE = "argus"
NAME = "argus-rate-limiter-2"
"""The number grows when the methods change: an actor of an older version may still run."""


class RateLimiterActor(LocalRateLimiter):
    """The body of the actor."""

    def __init__(self) -> None:
        import ray

        super().__init__(cautious=ray.get_runtime_context().was_current_actor_reconstructed)

    def process_id(self) -> int:
        """Return the id of the actor's process."""
        return os.getpid()


@dataclass(frozen=True)
class ClusterRateLimiter:
    """A handle to the cluster's rate limiter; pickles, and works in every process of the cluster.

    Implements `argus.curate.download.RateLimiter`.
    """

    actor: Any

    @classmethod
    def find_or_start(cls) -> "ClusterRateLimiter":
        """Return the cluster's rate limiter; start it if there is none. Ray must be running."""
        import ray

        actor = ray.remote(RateLimiterActor).options(
            name=NAME,
            namespace=NAMESPACE,
            get_if_exists=True,
            lifetime="detached",
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=-1,
        )
        return cls(actor.remote())

    def acquire(self, key: RateKey, policy: RatePolicy) -> float:
        """Return the seconds to wait before asking again; 0 means go now, and is counted."""
        import ray

        return float(ray.get(self.actor.acquire.remote(key, policy)))

    def report(
        self, key: RateKey, policy: RatePolicy, response: SiteResponse, retry_after_s: float = 0.0
    ) -> bool:
        """Report the end of an acquired fetch; return True if the site's breaker is open now."""
        import ray

        return bool(ray.get(self.actor.report.remote(key, policy, response, retry_after_s)))

    def allow_extraction(self, key: RateKey, policy: RatePolicy) -> bool:
        """Return whether a fetch whose media file was refused may extract again, and count it."""
        import ray

        return bool(ray.get(self.actor.allow_extraction.remote(key, policy)))
