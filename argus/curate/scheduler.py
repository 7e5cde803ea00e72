"""The scheduler of a curation run: decides which task begins next, and puts results in order.

Fetches run ahead of processing, so that a processing slot never waits for the network; a failed
fetch waits here, outside the executor, until its next attempt is due, so that one slow site does
not block the others. Chunks come out in the order in which they went in, whichever video finished
first.
"""

import heapq
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count, islice

from argus.curate.download import retry_delay_s
from argus.curate.executor import Executor
from argus.curate.failures import AccessSettings
from argus.curate.outcomes import (
    FetchedVideo,
    FileLost,
    StagedVideo,
    TaskOutcome,
    WorkerDied,
    WorkItem,
)
from argus.curate.recipe import Recipe
from argus.curate.reevaluate import reevaluate_video
from argus.curate.results import failed_row, keep_lost_row
from argus.curate.staging import StagedResultGone, StagingArea
from argus.curate.tasks import MAX_RETRIES
from argus.dataset import DecidedVideo, Provenance, SourceRow
from argus.errors import FetchError, ServiceError
from schemas.names import Reason

CHUNKS_AHEAD = 4
"""Later chunks whose videos may begin while a chunk waits for its last videos."""

STOP_POLL_S = 0.5

FindResolved = Callable[[Collection[str]], Collection[str]]
"""Returns those of some source ids that are resolved in the dataset, by any run."""


class Scheduler:
    """Keeps an executor busy with the videos of one run; `run_chunks` is called once.

    At most as many fetched files are on disk as may be fetched and processed at once.

    Args:
        executor: a started executor; closed at the end of `run_chunks`.
        staging: the staging area of the run.
        recipe: the recipe of the run.
        provenance: stored with the rows of videos that fail.
        access: limits on attempts and concurrent downloads, and what failures depend on.
        find_resolved: see `FindResolved`.
    """

    def __init__(
        self,
        executor: Executor,
        *,
        staging: StagingArea,
        recipe: Recipe,
        provenance: Provenance,
        access: AccessSettings,
        find_resolved: FindResolved,
    ) -> None:
        self.max_capacity = 0  # largest number of videos processed at once
        self._executor, self._staging, self._recipe = executor, staging, recipe
        self._provenance, self._fetch, self._find_resolved = provenance, access.fetch, find_resolved
        self._access = access
        self._queue: deque[WorkItem] = deque()
        self._delayed: list[tuple[float, int, WorkItem]] = []  # heap: due time, tie-breaker, item
        self._tie_breaker = count()
        self._fetching: set[str] = set()  # source ids
        self._processing: set[str] = set()  # source ids, also of those that wait in the executor
        self._decided: dict[str, DecidedVideo | None] = {}  # None: another run resolved it

    def run_chunks(
        self,
        chunks: Iterable[Sequence[WorkItem]],
        on_decided: Callable[[SourceRow], None],
        should_stop: Callable[[], bool],
    ) -> Iterator[list[DecidedVideo]]:
        """Process chunks and yield each, in order, when all its videos are decided.

        Args:
            chunks: the videos of each chunk; read lazily, `CHUNKS_AHEAD` further than yielded.
            on_decided: called with the row of each video, in the order of completion.
            should_stop: polled; the iterator ends early once it returns True.

        Raises:
            ServiceError: a disk is full or the executor failed. What was decided until then is
                committed or staged, and the next run continues from there.
        """
        coming = iter(chunks)
        begun = deque(map(self._begin_chunk, islice(coming, 1 + CHUNKS_AHEAD)))
        try:
            while begun:
                chunk = begun.popleft()
                while not all(source_id in self._decided for source_id in chunk):
                    if should_stop():
                        return
                    self._submit_fetches()
                    self._collect(on_decided)
                yield [video for source_id in chunk if (video := self._decided.pop(source_id))]
                begun.extend(map(self._begin_chunk, islice(coming, 1)))
        finally:
            self._executor.close()

    def _begin_chunk(self, chunk: Sequence[WorkItem]) -> list[str]:
        """Queue the videos that no other run has resolved; return the ids of all."""
        resolved = self._find_resolved([item.source.source_id for item in chunk])
        self._decided |= dict.fromkeys(resolved)
        self._queue.extend(item for item in chunk if item.source.source_id not in resolved)
        return [item.source.source_id for item in chunk]

    def _submit_fetches(self) -> None:
        """Begin as many fetches as allowed: attempts that are due first, then new videos."""
        capacity = self._executor.capacity()
        self.max_capacity = max(self.max_capacity, capacity)
        max_files = capacity + (self._fetch.max_concurrent_downloads or capacity + 2)
        while len(self._fetching) + max(capacity, len(self._processing)) < max_files:
            if (item := self._next_to_fetch()) is None:
                return
            self._submit_fetch(item)

    def _submit_fetch(self, item: WorkItem) -> None:
        item.first_attempt = item.first_attempt or time.monotonic()
        self._fetching.add(item.source.source_id)
        is_last = item.attempts + 1 >= self._fetch.attempts
        self._executor.submit_fetch(item, is_last_attempt=is_last)

    def _next_to_fetch(self) -> WorkItem | None:
        if self._delayed and self._delayed[0][0] <= time.monotonic():
            return heapq.heappop(self._delayed)[2]
        return self._queue.popleft() if self._queue else None

    def _collect(self, on_decided: Callable[[SourceRow], None]) -> None:
        """Wait until a task ends, but not longer than until the next attempt is due."""
        timeout_s = STOP_POLL_S
        if self._delayed:
            timeout_s = max(0.0, min(timeout_s, self._delayed[0][0] - time.monotonic()))
        for completion in self._executor.wait(timeout_s):
            source_id = completion.item.source.source_id
            self._fetching.discard(source_id)
            self._processing.discard(source_id)
            if video := self._handle_outcome(completion.item, completion.outcome):
                self._decided[source_id] = video
                on_decided(video.row)

    def _handle_outcome(self, item: WorkItem, outcome: TaskOutcome) -> DecidedVideo | None:
        """Return the decision, or None if the video needs another task or is resolved."""
        match outcome:
            case FetchedVideo():
                self._processing.add(item.source.source_id)
                self._executor.submit_process(item, outcome.add_wait(item.rate_wait_s))
                return None
            case StagedVideo():
                return self._read_staged(item)
            case FetchError():
                return self._handle_fetch_error(item, outcome)
            case FileLost():
                return self._handle_loss(item, f"{outcome.path} was lost")
            case WorkerDied():
                return self._fail(item, Reason.WORKER_DIED, outcome.detail, retryable=True)

    def _handle_fetch_error(self, item: WorkItem, error: FetchError) -> DecidedVideo | None:
        """Return the failure, or None if another attempt is due within the deadline."""
        if error.reason is Reason.DISK_FULL:
            raise ServiceError(
                f"{error}; make room, then run the same refresh again: it continues from here"
            )
        settings = self._fetch
        item.attempts += error.is_attempt
        delay_s = retry_delay_s(max(1, item.attempts), settings.backoff_s, error.retry_after_s)
        waited_s = time.monotonic() - item.first_attempt if item.first_attempt else 0.0
        is_in_time = waited_s + delay_s < settings.timeout_s
        if error.retryable and item.attempts < settings.attempts and is_in_time:
            if error.reason is Reason.RATE_LIMITED:
                item.rate_wait_s += delay_s
            self._retry(item, delay_s)
            return None
        if item.prior and not error.retryable:  # gone for good: decide from what is stored of it
            row = reevaluate_video(
                item.prior, item.source, self._recipe, self._provenance, lost=error.reason
            )
            if row:
                return DecidedVideo(self._add_failure_settings(row, error.reason))
        if item.kept_row and not error.retryable:
            return DecidedVideo(keep_lost_row(item.kept_row, item.source, self._provenance, error))
        return self._fail(item, error.reason, str(error), retryable=error.retryable)

    def _read_staged(self, item: WorkItem) -> DecidedVideo | None:
        """Return a staged result; None if another run committed it, or it must be made again."""
        source_id = item.source.source_id
        try:
            return self._staging.read_result(source_id)
        except StagedResultGone:
            if not self._find_resolved([source_id]):
                return self._handle_loss(item, "its staged result was lost")
            self._decided[source_id] = None
            return None

    def _handle_loss(self, item: WorkItem, what: str) -> DecidedVideo | None:
        """Begin a video anew at once; give up after as many losses as there may be attempts."""
        item.losses += 1
        if item.losses <= self._fetch.attempts + MAX_RETRIES:
            self._retry(item, 0.0)
            return None
        return self._fail(item, Reason.WORKER_DIED, f"{what} {item.losses} times", retryable=True)

    def _retry(self, item: WorkItem, delay_s: float) -> None:
        heapq.heappush(self._delayed, (time.monotonic() + delay_s, next(self._tie_breaker), item))

    def _fail(
        self, item: WorkItem, reason: Reason, detail: str, *, retryable: bool
    ) -> DecidedVideo:
        row = failed_row(item.source, self._provenance, reason, detail, retryable=retryable)
        return DecidedVideo(self._add_failure_settings(row, reason))

    def _add_failure_settings(self, row: SourceRow, reason: Reason) -> SourceRow:
        """Return the row of a video that could not be fetched, or lost clips because of that."""
        if row.reason is not reason and all(clip.reason is not reason for clip in row.clips):
            return row
        return replace(row, failure_settings=self._access.describe(reason, row.url))
