"""Learned scorers on a Ray cluster: actors that hold the networks, on shares of GPUs if any."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import Any

from argus.curate import ScorerFailed
from argus.curate.scorers import (
    ClipSamples,
    ScorerPlan,
    ScorerPool,
    ScoreTable,
    load_scorers,
    score_clip,
)
from argus.errors import InvalidInput
from schemas.config import LearnedSettings

MAX_BATCHES = 2
"""Batches of one video that are submitted at once: one is measured, one waits."""

MAX_RESTARTS = 3  # of an actor that died


class RayScorerPool(ScorerPool):
    """Scorers in Ray actors; pickles, so that every processing task can use it."""

    def __init__(self, plan: ScorerPlan, actors: tuple[Any, ...]) -> None:
        super().__init__(plan)
        self._actors = actors

    @classmethod
    def start(cls, plan: ScorerPlan) -> "RayScorerPool":
        """Start the actors and load their networks. Ray must be running.

        Raises:
            InvalidInput: weights do not fit a network, or more processes are configured than the
                GPUs of the cluster hold.
        """
        import ray

        if not plan.ready:
            return cls(plan, ())
        share, count = _place_actors(plan.settings, int(ray.cluster_resources().get("GPU", 0)))
        actor_class = ray.remote(
            num_cpus=0, num_gpus=share, max_restarts=MAX_RESTARTS, max_task_retries=MAX_RESTARTS
        )(ScorerActor)
        device = "cuda" if share else "cpu"
        actors = tuple(actor_class.remote(plan, device) for _ in range(count))
        try:
            ray.get([actor.load.remote() for actor in actors])
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error
        return cls(plan, actors)

    def measure_batches(self, batches: Iterator[list[ClipSamples]], seed: int) -> list[ScoreTable]:
        """Measure batches on the actors in turn, beginning with the one that `seed` selects."""
        import ray

        found: list[ScoreTable] = []
        running: deque[Any] = deque()
        actors = islice(cycle(self._actors), seed % len(self._actors), None)
        try:
            for batch in batches:
                running.append(next(actors).score.remote(batch))
                if len(running) == MAX_BATCHES:
                    found += ray.get(running.popleft())
            for reference in running:
                found += ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            raise ScorerFailed(str(error.cause)) from error
        except ray.exceptions.RayError as error:
            raise ScorerFailed(
                f"the learned scorers failed, so the video is not decided: {error}"
            ) from error
        return found


class ScorerActor:
    """The body of an actor: loads the networks when they are first needed, also after a restart."""

    def __init__(self, plan: ScorerPlan, device: str) -> None:
        self._plan, self._device = plan, device
        self._scorers: Any = None

    def load(self) -> None:
        """Load the networks.

        Raises:
            InvalidInput: this machine lacks the weights of the plan, they do not fit, or torch does
                not see the GPU that Ray assigned.
        """
        import torch

        if self._device == "cpu":
            # Ray sets one thread, but the tasks that decode are waiting for this actor.
            torch.set_num_threads(os.cpu_count() or 1)
        elif not torch.cuda.is_available():
            raise InvalidInput(
                "Ray has a GPU but torch sees none; install torch for CUDA, "
                "or set learned.gpu_share to 0"
            )
        plan = self._plan
        self._scorers = load_scorers(plan.ready, plan.weights, self._device, keys=plan.keys)

    def score(self, clips: Sequence[ClipSamples]) -> list[ScoreTable]:
        """Return the scores of each clip.

        Raises:
            ScorerFailed: a scorer raised, or returned a non-finite score.
        """
        if self._scorers is None:
            self.load()
        return [score_clip(clip, self._scorers) for clip in clips]


def _place_actors(settings: LearnedSettings, gpus: int) -> tuple[float, int]:
    """Return the share of a GPU for each actor (0: on CPUs) and the number of actors."""
    share = settings.gpu_share if gpus else 0.0
    fitting = gpus * int(1 / share) if share else 1
    if share and settings.processes > fitting:
        raise InvalidInput(
            f"learned.processes is {settings.processes}, but {gpus} GPUs hold {fitting} "
            f"with a share of {share:g} each; ask for fewer processes or a smaller gpu_share"
        )
    return share, settings.processes or fitting
