"""Videos through Ray: fetched ahead by light processes, judged by a task on a CPU each, of both at most so many at once; waves come out in order.

Only paths and records travel. On the disks lie at most as many fetched files as may be fetched and judged at once. A try that failed waits outside
the tasks until its time has come, so that a site that wants to be left alone holds up nobody else.
"""

import heapq
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import TYPE_CHECKING, Any

from argus.curate import VideoSource
from argus.curate.download.fetch import pause_s
from argus.curate.recipe import Recipe
from argus.curate.recompute import PriorResult
from argus.curate.results import Provenance, failed_row, reevaluate_now
from argus.curate.staging import (
    FetchedVideo,
    FileLost,
    StagedGone,
    fetch_video,
    read_staged,
    stage_video,
)
from argus.dataset import DecidedVideo, SourceRow, Store
from argus.errors import FetchError, ServiceError
from argus.files import is_disk_full
from schemas.config import CurateConfig
from schemas.names import Reason

if TYPE_CHECKING:
    from ray_jobs.curate.rate_limiter import ClusterRateLimiter
    from ray_jobs.curate.scorer_pool import Scoring

MAX_RETRIES = 2  # of a task whose worker process died
WAVES_AHEAD = 4  # while videos of a wave are waited for, those of so many later ones are begun
POLL_S = 0.5  # how soon a stop marker is seen
RESOURCES_S = 5.0  # how often the cluster's CPUs are counted: machines come and go
FETCHES = 4  # at once in one process

Settled = Callable[[Collection[str]], Collection[str]]


@dataclass
class WorkItem:
    """A video that is to be judged: wholly, or but for what is stored of it."""

    source: VideoSource
    stored: PriorResult | None = None
    tries: int = 0
    since: float | None = None  # when it was first tried, by time.monotonic()


class FetchProcess:
    """A process that fetches a few videos at once, each in a child of its own.

    It is an actor because Ray ends idle workers of tasks, and what fetching needs is long to load.
    """

    def fetch(self, *args: Any) -> FetchedVideo | FetchError | str:
        """`fetch_video`."""
        return fetch_video(*args)


class Pipeline:
    """What runs at present; `decided_waves` is called once."""

    def __init__(
        self,
        config: CurateConfig,
        stamp: Provenance,
        gate: "ClusterRateLimiter",
        settled: Settled,
        scoring: "Scoring | None" = None,
    ) -> None:
        """`settled` says which of some sources anybody has settled under the recipe by now."""
        import ray

        self._config, self._stamp, self._gate, self._scoring = config, stamp, gate, scoring
        self._settled = settled
        self._store, self._recipe = Store.of(config.dataset), Recipe.of(config)
        options = {
            "max_restarts": -1,
            "max_task_retries": MAX_RETRIES,
            "max_concurrency": FETCHES,
            "scheduling_strategy": "SPREAD",
        }
        self._fetcher = ray.remote(num_cpus=0, **options)(FetchProcess)
        self._fetchers: list[Any] = []  # actors
        self._judge = ray.remote(num_cpus=config.cpus_per_video, max_retries=MAX_RETRIES)(
            stage_video
        )
        self._queue: deque[WorkItem] = deque()
        self._waiting: list[
            tuple[float, int, WorkItem]
        ] = []  # a heap: when, a number that breaks ties, what
        self._turns = count()
        self._fetching: dict[Any, tuple[WorkItem, Any]] = {}  # with the actor
        self._fetched: deque[tuple[WorkItem, FetchedVideo]] = deque()
        self._judging: dict[Any, WorkItem] = {}
        self._done: dict[str, DecidedVideo | None] = {}  # None where another refresh has settled it
        self.judges, self._counted = 0, -RESOURCES_S

    def decided_waves(
        self,
        waves: Iterable[Sequence[WorkItem]],
        decided: Callable[[SourceRow], None],
        stopped: Callable[[], bool],
    ) -> Iterator[list[DecidedVideo]]:
        """Works on the waves and yields each when all its videos are decided, in order; ends early when stopped.

        Raises ServiceError where a disk is full: what was decided until then is committed or staged, and the next refresh goes on from it.
        """
        import ray

        coming = iter(waves)
        begun = deque(map(self._begun, islice(coming, 1 + WAVES_AHEAD)))
        try:
            while begun:
                wave = begun.popleft()
                while not all(source_id in self._done for source_id in wave):
                    if stopped():
                        return
                    self._start()
                    self._collect(decided)
                yield [video for source_id in wave if (video := self._done.pop(source_id))]
                begun.extend(map(self._begun, islice(coming, 1)))
        finally:
            for reference in self._judging:
                ray.cancel(reference, force=True)
            for actor in self._fetchers:
                ray.kill(actor)

    def _begun(self, wave: Sequence[WorkItem]) -> list[str]:
        """Puts what nobody was faster with into the queue; the ids of the wave."""
        elsewhere = self._settled([todo.source.source_id for todo in wave])
        self._done |= dict.fromkeys(elsewhere)
        self._queue.extend(todo for todo in wave if todo.source.source_id not in elsewhere)
        return [todo.source.source_id for todo in wave]

    def _start(self) -> None:
        """Begins what there is room for: judging first, then tries whose time has come, then new videos."""
        judges = self._room()
        while self._fetched and len(self._judging) < judges:
            todo, fetched = self._fetched.popleft()
            extra = {"stored": todo.stored, "scoring": self._scoring}
            self._judging[
                self._placed(fetched).remote(
                    todo.source, fetched, self._config, self._stamp, **extra
                )
            ] = todo
        fetches = self._config.fetch.max_concurrent_downloads or judges + 2
        now = time.monotonic()
        while len(self._fetching) + len(self._fetched) < fetches:
            if self._waiting and self._waiting[0][0] <= now:
                todo = heapq.heappop(self._waiting)[2]
            elif self._queue:
                todo = self._queue.popleft()
            else:
                return
            todo.since = todo.since or now
            self._fetch(todo)

    def _fetch(self, todo: WorkItem) -> None:
        """Has the least busy process fetch it, a new one where all have enough to do."""
        busy = Counter(actor for _, actor in self._fetching.values())
        actor = min(self._fetchers, key=lambda actor: busy[actor], default=None)
        if actor is None or busy[actor] >= FETCHES:
            actor = self._fetcher.remote()
            self._fetchers.append(actor)
        is_last = todo.tries + 1 >= self._config.fetch.attempts
        reference = actor.fetch.remote(todo.source, self._config, self._stamp, self._gate, is_last)
        self._fetching[reference] = todo, actor

    def _room(self) -> int:
        """How many videos may be judged at once."""
        import ray

        if self._config.max_concurrent_videos:
            self.judges = self._config.max_concurrent_videos
        elif time.monotonic() - self._counted >= RESOURCES_S:
            self.judges = max(
                1, int(ray.cluster_resources().get("CPU", 1) / self._config.cpus_per_video)
            )
            self._counted = time.monotonic()
        return self.judges

    def _placed(self, fetched: FetchedVideo) -> Any:
        """The judging task where the file lies; elsewhere when that machine has left, to find that it is lost."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return self._judge.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(fetched.node, soft=True)
        )

    def _collect(self, decided: Callable[[SourceRow], None]) -> None:
        """Waits for something to end, but not past the time of the next try."""
        import ray

        running = [*self._fetching, *self._judging]
        pause = (
            max(0.0, min(POLL_S, self._waiting[0][0] - time.monotonic()))
            if self._waiting
            else POLL_S
        )
        if not running:
            time.sleep(pause)
            return
        for reference in ray.wait(running, timeout=pause)[0]:
            video = (
                self._after_fetch(reference)
                if reference in self._fetching
                else self._after_judging(reference)
            )
            if video:
                self._done[video.row.source_id] = video
                decided(video.row)

    def _after_fetch(self, reference: Any) -> DecidedVideo | None:
        """A video that need not be judged, because it was staged before or cannot be fetched."""
        todo, _ = self._fetching.pop(reference)
        outcome = self._value(reference, todo)
        match outcome:
            case FetchedVideo():
                self._fetched.append((todo, outcome))
                return None
            case str():
                return self._staged(todo, outcome)
            case FetchError():
                return self._failed_fetch(todo, outcome)
        return outcome

    def _failed_fetch(self, todo: WorkItem, error: FetchError) -> DecidedVideo | None:
        """A failure to be committed; None where there is another try, within the deadline of one."""
        if error.reason is Reason.DISK_FULL:
            raise ServiceError(
                f"{error}; make room, then run the same refresh again: it goes on where it was"
            )
        todo.tries += error.is_attempt
        pause = pause_s(max(1, todo.tries), self._config.fetch.backoff_s, error.retry_after_s)
        waited = time.monotonic() - todo.since if todo.since else 0.0
        if (
            error.retryable
            and todo.tries < self._config.fetch.attempts
            and waited + pause < self._config.fetch.timeout_s
        ):
            heapq.heappush(self._waiting, (time.monotonic() + pause, next(self._turns), todo))
            return None
        row = self._without_file(todo, error)
        return DecidedVideo(
            row
            or failed_row(
                todo.source, self._stamp, error.reason, str(error), retryable=error.retryable
            )
        )

    def _without_file(self, todo: WorkItem, error: FetchError) -> SourceRow | None:
        """What can be decided of a video that is gone for good, but of which clips are stored."""
        if todo.stored is None or error.retryable:
            return None
        return reevaluate_now(
            todo.stored, todo.source, self._recipe, self._stamp, lost=error.reason
        )

    def _after_judging(self, reference: Any) -> DecidedVideo | None:
        todo = self._judging.pop(reference)
        outcome = self._value(reference, todo)
        if isinstance(outcome, FileLost):
            todo.tries += 1
            if todo.tries <= self._config.fetch.attempts + MAX_RETRIES:
                heapq.heappush(self._waiting, (time.monotonic(), next(self._turns), todo))
                return None
            detail = f"{outcome.path} was lost {todo.tries} times"
            return DecidedVideo(
                failed_row(todo.source, self._stamp, Reason.WORKER_DIED, detail, retryable=True)
            )
        return self._staged(todo, outcome) if isinstance(outcome, str) else outcome

    def _staged(self, todo: WorkItem, name: str) -> DecidedVideo | None:
        """What is staged; where another refresh has committed it meanwhile, the video is done, and where it is lost, it is begun anew."""
        try:
            return read_staged(self._store, name)
        except StagedGone:
            if self._settled([todo.source.source_id]):
                self._done[todo.source.source_id] = None
            else:
                heapq.heappush(self._waiting, (time.monotonic(), next(self._turns), todo))
            return None

    def _value(self, reference: Any, todo: WorkItem) -> Any:
        """What a task returned; a failure that a later refresh tries again where it raised or its worker died.

        Raises ServiceError where it is not the video's doing: a full disk, or a cluster that is gone.
        """
        import ray

        try:
            return ray.get(reference)
        except (
            ray.exceptions.RayTaskError,
            ray.exceptions.RayActorError,
            ray.exceptions.WorkerCrashedError,
            ray.exceptions.OutOfMemoryError,
        ) as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, ServiceError):
                raise cause from error
            if cause and is_disk_full(cause):
                raise ServiceError(
                    f"the disk is full ({cause}); make room, then run the same refresh again: it goes on where it was"
                ) from error
            detail = (
                f"{type(cause).__name__}: {cause}"
                if cause
                else f"the worker process died {1 + MAX_RETRIES} times"
            )
            print(f"{todo.source.source_id}: {error}", file=sys.stderr, flush=True)  # noqa: T201  the job's log
            return DecidedVideo(
                failed_row(todo.source, self._stamp, Reason.WORKER_DIED, detail, retryable=True)
            )
        except ray.exceptions.RayError as error:
            raise ServiceError(
                f"the Ray cluster failed ({error}); run the same refresh again when it is back: it goes on where it was"
            ) from error
