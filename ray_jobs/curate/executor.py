"""The executor that runs the tasks of a curation run on a Ray cluster.

Fetches run in a few light actors, each video's processing in a Ray task that reserves CPUs, on the
machine that has the file. Only paths and small records travel.
"""

import sys
import time
from collections import Counter, deque
from typing import Any

from argus.curate import (
    Completion,
    FetchedVideo,
    TaskOutcome,
    VideoTasks,
    WorkerDied,
    WorkItem,
    describe_task_error,
)
from argus.curate.scorers import ScorerPlan
from argus.errors import ServiceError
from ray_jobs.curate.rate_limiter import ClusterRateLimiter
from ray_jobs.entry import start_ray

MAX_RETRIES = 2  # of a task whose worker process died
FETCHES_PER_ACTOR = 4
RECOUNT_S = 5.0  # machines join and leave: how often the CPUs of the cluster are counted


class RayExecutor:
    """Runs tasks on the cluster of RAY_ADDRESS or of the submitted job, or on a local Ray.

    Implements `argus.curate.Executor`.

    Args:
        max_videos: videos that are processed at once; 0 means as many as the cluster has CPUs for.
        cpus_per_video: CPUs that each of them reserves.
    """

    def __init__(self, max_videos: int = 0, cpus_per_video: float = 1.0) -> None:
        self._max_videos, self._cpus_per_video = max_videos, cpus_per_video
        self._capacity, self._counted = max_videos or 1, -RECOUNT_S
        self._fetching: dict[Any, tuple[WorkItem, Any]] = {}  # object reference -> item, actor
        self._processing: dict[Any, WorkItem] = {}
        self._waiting: deque[tuple[WorkItem, FetchedVideo]] = deque()
        self._actors: list[Any] = []

    def start(self, tasks: VideoTasks, scorers: ScorerPlan | None) -> None:
        """Join or start Ray, find the rate limiter of the cluster, and start the scorers."""
        import ray

        start_ray()
        self._tasks = tasks
        self._limiter = ClusterRateLimiter.find_or_start()
        self._scorers = None
        if scorers:
            from ray_jobs.curate.scorer_pool import RayScorerPool

            self._scorers = RayScorerPool.start(scorers)
        self._actor_class = ray.remote(
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=MAX_RETRIES,
            max_concurrency=FETCHES_PER_ACTOR,
            scheduling_strategy="SPREAD",
        )(FetchActor)
        self._process = ray.remote(num_cpus=self._cpus_per_video, max_retries=MAX_RETRIES)(
            process_video_task
        )

    def capacity(self) -> int:
        """Return the number of videos that may be processed at once; it follows the cluster."""
        import ray

        if not self._max_videos and time.monotonic() - self._counted >= RECOUNT_S:
            cpus = ray.cluster_resources().get("CPU", 1)
            self._capacity = max(1, int(cpus / self._cpus_per_video))
            self._counted = time.monotonic()
        return self._capacity

    def submit_fetch(self, item: WorkItem, *, is_last_attempt: bool) -> None:
        """Begin a fetch in the least busy actor, or in a new one if all are busy."""
        busy = Counter(actor for _, actor in self._fetching.values())
        actor = min(self._actors, key=lambda actor: busy[actor], default=None)
        if actor is None or busy[actor] >= FETCHES_PER_ACTOR:
            actor = self._actor_class.remote(self._tasks, self._limiter)
            self._actors.append(actor)
        reference = actor.fetch.remote(item.source, is_last_attempt)
        self._fetching[reference] = item, actor

    def submit_process(self, item: WorkItem, fetched: FetchedVideo) -> None:
        """Queue processing where the file is; elsewhere if that machine has left the cluster."""
        self._waiting.append((item, fetched))
        self._begin_processing()

    def _begin_processing(self) -> None:
        """Hand waiting videos to Ray, which starts them as it has CPUs for them."""
        while self._waiting and len(self._processing) < self.capacity():
            self._submit_task(*self._waiting.popleft())

    def _submit_task(self, item: WorkItem, fetched: FetchedVideo) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        task = self._process.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(fetched.node, soft=True)
        )
        reference = task.remote(self._tasks, item.source, fetched, item.prior, self._scorers)
        self._processing[reference] = item

    def wait(self, timeout_s: float) -> list[Completion]:
        """Wait until at least one task has ended, at most `timeout_s` seconds."""
        import ray

        running = [*self._fetching, *self._processing]
        if not running:
            time.sleep(timeout_s)
            return []
        ended, _ = ray.wait(running, timeout=timeout_s)
        completions = [self._complete(reference) for reference in ended]
        self._begin_processing()
        return completions

    def close(self) -> None:
        """Kill the tasks that still run, and the actors."""
        import ray

        for reference in self._processing:
            ray.cancel(reference, force=True)
        for actor in self._actors:
            ray.kill(actor)

    def _complete(self, reference: Any) -> Completion:
        if reference in self._fetching:
            item, _ = self._fetching.pop(reference)
        else:
            item = self._processing.pop(reference)
        return Completion(item, _outcome_of(reference, item))


class FetchActor:
    """A process that fetches a few videos at once, each in a child process of its own.

    It is an actor because Ray ends idle workers of tasks, and the modules that a fetch needs take
    long to load.
    """

    def __init__(self, tasks: VideoTasks, limiter: ClusterRateLimiter) -> None:
        self._tasks, self._limiter = tasks, limiter

    def fetch(self, source: Any, is_last_attempt: bool) -> TaskOutcome:
        """Run `VideoTasks.fetch`, and add the id of this machine to a fetched file."""
        import ray

        outcome = self._tasks.fetch(source, self._limiter, is_last_attempt=is_last_attempt)
        if isinstance(outcome, FetchedVideo):
            node = ray.get_runtime_context().get_node_id()
            return FetchedVideo(outcome.file, outcome.seconds, node)
        return outcome


def process_video_task(tasks: VideoTasks, *args: Any) -> TaskOutcome:
    """Run `VideoTasks.process`; a Ray task."""
    return tasks.process(*args)


def _outcome_of(reference: Any, item: WorkItem) -> TaskOutcome:
    """Return what a Ray task returned, or what its failure means.

    Raises:
        ServiceError: the failure is not the video's: a full disk, or a cluster that is gone.
    """
    import ray

    try:
        outcome: TaskOutcome = ray.get(reference)
        return outcome
    except (
        ray.exceptions.RayTaskError,
        ray.exceptions.RayActorError,
        ray.exceptions.WorkerCrashedError,
        ray.exceptions.OutOfMemoryError,
    ) as error:
        if cause := getattr(error, "cause", None):
            cause.add_note(str(error))  # the traceback in the worker, which pickling removed
            return describe_task_error(item, cause)
        print(f"{item.source.source_id}: {error}", file=sys.stderr, flush=True)  # noqa: T201  job log
        return WorkerDied(f"the worker process died {1 + MAX_RETRIES} times")
    except ray.exceptions.RayError as error:
        raise ServiceError(
            f"the Ray cluster failed ({error}); run the same refresh again when it is back: "
            "it continues where it stopped"
        ) from error
