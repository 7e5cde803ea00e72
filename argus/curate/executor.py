"""Executors: where the tasks of a curation run are executed. LocalExecutor uses this machine.

This module imports little, so that fork servers begin to import before the rest of the run does.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from argus.curate.outcomes import FetchedVideo, TaskOutcome, WorkerDied, WorkItem
from argus.errors import ServiceError
from argus.files import is_disk_full
from argus.media import CallCancelled, cancel_calls, start_server

if TYPE_CHECKING:
    from argus.curate.download import RateKey, RatePolicy, SiteResponse
    from argus.curate.scorers import LocalScorerPool, ScorerPlan
    from argus.curate.tasks import VideoTasks

PRELOADED_MODULES = ("argus.curate.download.ytdlp", "argus.curate.preload")
"""Modules that the fork servers of downloads and of processing have imported."""

CLOSE_WAIT_S = 10.0
_CANCEL_EVERY_S = 0.05


@dataclass(frozen=True)
class Completion:
    """A task that ended."""

    item: WorkItem
    outcome: TaskOutcome


class Executor(Protocol):
    """Runs tasks of one curation run. It knows where they run; the scheduler knows which and when.

    An executor serves one run: `start` is called once before the first submission, `close` once at
    the end. Every submission leads to one Completion, unless the executor is closed before.
    """

    def start(self, tasks: VideoTasks, scorers: ScorerPlan | None) -> None:
        """Acquire what the tasks need: workers, a rate limiter for all fetches, loaded scorers.

        Raises:
            InvalidInput: the scorers cannot be loaded as configured.
            ServiceError: the workers cannot be started now.
        """

    def capacity(self) -> int:
        """Return the number of videos that may be processed at once; it may change over time."""

    def submit_fetch(self, item: WorkItem, *, is_last_attempt: bool) -> None:
        """Begin a `VideoTasks.fetch`."""

    def submit_process(self, item: WorkItem, fetched: FetchedVideo) -> None:
        """Queue a `VideoTasks.process` on the machine that has the file, if that is still there.

        Queued tasks begin in order, without waiting for the scheduler, which may be committing.
        """

    def wait(self, timeout_s: float) -> list[Completion]:
        """Wait until at least one task has ended, at most `timeout_s` seconds.

        Raises:
            ServiceError: no task can succeed at present: a full disk, a cluster that failed.
        """

    def close(self) -> None:
        """Cancel the tasks that still run, with all their processes, and release the workers."""


class LocalExecutor:
    """Runs tasks on this machine, each in a thread that waits for sandboxed child processes.

    Downloads and processing run in one child process per video (`argus.media.run_sandboxed`), which
    has a deadline and a memory limit and may crash without harm. The threads themselves only wait,
    and write results.

    Args:
        max_videos: videos that are processed at once; 0 means as many as there are CPUs for.
        cpus_per_video: CPUs that each of them needs.
    """

    def __init__(self, max_videos: int = 0, cpus_per_video: float = 1.0) -> None:
        self._capacity = max_videos or max(1, int(available_cpus() / cpus_per_video))
        self._is_cancelled = threading.Event()
        self._completions: queue.SimpleQueue[Completion | ServiceError] = queue.SimpleQueue()
        self._threads: set[threading.Thread] = set()
        self._tasks: VideoTasks | None = None
        self._limiter: _CancellableRateLimiter | None = None
        self._scorers: LocalScorerPool | None = None
        self._slots = self._capacity  # videos that may be processed in addition
        self._waiting: deque[tuple[WorkItem, FetchedVideo]] = deque()
        self._lock = threading.Lock()
        for module in PRELOADED_MODULES:  # they import while the run is planned
            start_server(module)

    def start(self, tasks: VideoTasks, scorers: ScorerPlan | None) -> None:
        """Load the scorers."""
        self._tasks, self._limiter = tasks, _CancellableRateLimiter(self._is_cancelled)
        if scorers:
            from argus.curate.scorers import LocalScorerPool

            self._scorers = LocalScorerPool(scorers)

    def capacity(self) -> int:
        """Return the number of videos that may be processed at once."""
        return self._capacity

    def submit_fetch(self, item: WorkItem, *, is_last_attempt: bool) -> None:
        """Begin a `VideoTasks.fetch`."""
        tasks, limiter = self._started_tasks(), self._limiter
        assert limiter is not None, "it is made with the tasks"
        self._submit(
            item, lambda: tasks.fetch(item.source, limiter, is_last_attempt=is_last_attempt)
        )

    def submit_process(self, item: WorkItem, fetched: FetchedVideo) -> None:
        """Queue a `VideoTasks.process`; it begins when fewer than `capacity` run."""
        self._waiting.append((item, fetched))
        self._begin_processing()

    def wait(self, timeout_s: float) -> list[Completion]:
        """Wait until at least one task has ended, at most `timeout_s` seconds."""
        found: list[Completion] = []
        try:
            ended = self._completions.get(timeout=timeout_s)
            while True:
                if isinstance(ended, ServiceError):
                    raise ended
                found.append(ended)
                ended = self._completions.get_nowait()
        except queue.Empty:
            return found

    def close(self) -> None:
        """Cancel the tasks that still run, with all their processes.

        A thread that only waits (for a rate limit, for another run) ends when its wait is over; it
        does nothing after that.
        """
        self._is_cancelled.set()
        end = time.monotonic() + CLOSE_WAIT_S
        while (running := [one for one in tuple(self._threads) if one.is_alive()]) and (
            time.monotonic() < end
        ):
            cancel_calls(thread.ident for thread in running if thread.ident)
            running[0].join(_CANCEL_EVERY_S)

    def _begin_processing(self, freed_slots: int = 0) -> None:
        with self._lock:
            self._slots += freed_slots
            if not self._slots or not self._waiting or self._is_cancelled.is_set():
                return
            self._slots -= 1
            item, fetched = self._waiting.popleft()
        tasks = self._started_tasks()

        def process() -> TaskOutcome:
            try:
                return tasks.process(item.source, fetched, item.prior, self._scorers)
            finally:
                self._begin_processing(freed_slots=1)

        self._submit(item, process)

    def _started_tasks(self) -> VideoTasks:
        if self._tasks is None:
            raise RuntimeError("the executor is not started; call start() first")
        return self._tasks

    def _submit(self, item: WorkItem, task: Callable[[], TaskOutcome]) -> None:
        def run() -> None:
            try:
                self._completions.put(Completion(item, task()))
            except CallCancelled:
                pass
            except Exception as error:  # noqa: BLE001  every error of a task becomes an outcome
                self._completions.put(_completion_of_error(item, error))
            finally:
                self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, name=item.source.source_id, daemon=True)
        self._threads.add(thread)
        thread.start()


class _CancellableRateLimiter:
    """A rate limiter that lets no further fetch through once its run is cancelled."""

    def __init__(self, is_cancelled: threading.Event) -> None:
        from argus.curate.download import LocalRateLimiter

        self._is_cancelled, self._limiter = is_cancelled, LocalRateLimiter()

    def acquire(self, key: RateKey, policy: RatePolicy) -> float:
        """Return the seconds to wait before asking again; 0 means go now."""
        if self._is_cancelled.is_set():
            raise CallCancelled
        return self._limiter.acquire(key, policy)

    def report(
        self,
        key: RateKey,
        policy: RatePolicy,
        response: SiteResponse,
        retry_after_s: float = 0.0,
    ) -> bool:
        """Report the end of an acquired fetch; return True if the site's breaker is open now."""
        return self._limiter.report(key, policy, response, retry_after_s)

    def allow_extraction(self, key: RateKey, policy: RatePolicy) -> bool:
        """Return whether a fetch whose media file was refused may extract again."""
        return self._limiter.allow_extraction(key, policy)


def describe_task_error(item: WorkItem, error: BaseException) -> WorkerDied:
    """Return the outcome of a task that raised, and log the traceback.

    Raises:
        ServiceError: the error is the machine's and not the video's, such as a full disk.
    """
    if isinstance(error, ServiceError):
        raise error
    if is_disk_full(error):
        raise ServiceError(
            f"the disk is full ({error}); make room, then run the same refresh again: "
            "it continues where it stopped"
        ) from error
    text = "".join(traceback.format_exception(error))
    print(f"{item.source.source_id}: {text}", file=sys.stderr, flush=True)  # noqa: T201  job log
    return WorkerDied(f"{type(error).__name__}: {error}")


def available_cpus() -> float:
    """Return the CPUs that this process may use, by its affinity and its control group's quota."""
    count = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0)
    count = count or float(os.cpu_count() or 1)
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return min(count, int(quota) / int(period))
    except (OSError, ValueError):  # no control groups, or "max": no quota
        return count


def _completion_of_error(item: WorkItem, error: Exception) -> Completion | ServiceError:
    try:
        return Completion(item, describe_task_error(item, error))
    except ServiceError as service_error:
        return service_error
