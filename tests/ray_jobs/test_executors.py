"""The contract of executors: one suite over the local executor and the one for Ray."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from argus.curate import (
    CurationRun,
    Executor,
    FetchedVideo,
    LocalExecutor,
    StagedVideo,
    StagingArea,
    TaskOutcome,
    VideoSource,
    WorkerDied,
    WorkItem,
)
from argus.dataset import Provenance
from argus.errors import FetchError, ServiceError
from argus.runs import RunFolder
from argus.synth import write_video_kind
from schemas.config import CurateConfig
from schemas.names import Decision, JobKind, Reason
from tests.support.faulty_server import Fault, FaultyServer, serve_with_faults
from tests.support.refreshes import kill_all, sandbox_children, wait_until
from tests.support.scripted_tasks import ScriptedTasks

DOWNLOADING, PROCESSING = "argus.curate.download.ytdlp", "argus.curate.preload"
NewExecutor = Callable[[], Executor]


@pytest.fixture(scope="module", params=["local", pytest.param("ray", marks=pytest.mark.slow)])
def new_executor(request: pytest.FixtureRequest) -> Iterator[NewExecutor]:
    """Return a function that makes an executor for one run, of two videos at once."""
    if request.param == "local":
        yield lambda: LocalExecutor(max_videos=2)
        return
    import ray

    from ray_jobs.curate.executor import RayExecutor

    yield lambda: RayExecutor(max_videos=2)
    ray.shutdown()


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    for seed in range(3):
        write_video_kind(
            folder / f"walk{seed}.mp4", "walk", seed=seed, seconds=2.5, height=64, tagged=True
        )
    (folder / "text.mp4").write_text("this is not a video")
    (folder / "empty.mp4").write_bytes(b"")
    return folder


@pytest.fixture
def server(videos: Path) -> Iterator[FaultyServer]:
    with serve_with_faults(videos) as server:
        yield server


class Run:
    """A curation run in this process, in a folder of its own."""

    def __init__(
        self,
        folder: Path,
        urls: list[str],
        executor: Executor,
        fetch: dict[str, Any] | None = None,
        **config: Any,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "catalogue.txt").write_text("\n".join(urls))
        values = {
            "catalogue": str(folder / "catalogue.txt"),
            "dataset": str(folder / "dataset"),
            "home": str(folder / "home"),
            "run_id": "run",
            "chunk_size": 2,
            "clip": {"height": 64},
            **config,
        }
        fetch = {"allow_private_hosts": True, "attempts": 1, "min_free_bytes": 0, **(fetch or {})}
        self.config = CurateConfig(**values, fetch=fetch)
        self.folder = RunFolder.of(self.config, JobKind.CURATE)
        self.folder.prepare()
        self.curation = CurationRun(self.config, self.folder, executor)

    def finish(self) -> dict[str, dict[str, Any]]:
        """Run to the end, check that nothing is left, and return each video's row by file name."""
        self.curation.run()
        assert self.leftovers() == []
        table = self.curation.dataset.read_latest()
        return {Path(row["url"]).name: row for row in table.to_pylist()}

    def start(self) -> threading.Thread:
        """Run in a thread."""
        thread = threading.Thread(target=self.curation.run)
        thread.start()
        return thread

    def leftovers(self) -> list[str]:
        folders = (Path(self.config.dataset) / "staging", Path(self.config.home) / "work")
        return [path.name for folder in folders if folder.exists() for path in folder.rglob("*")]


def test_every_video_gets_its_decision_and_the_dataset_depends_on_no_executor(
    tmp_path: Path, server: FaultyServer, new_executor: NewExecutor
) -> None:
    names = ["walk0.mp4", "absent.mp4", "text.mp4", "walk1.mp4", "empty.mp4", "walk2.mp4"]
    urls = [server.url(name) for name in names]
    run = Run(tmp_path / "run", urls, new_executor())
    rows = run.finish()
    assert {name: (rows[name]["decision"], rows[name]["reason"]) for name in names} == {
        "walk0.mp4": (Decision.KEPT, None),
        "absent.mp4": (Decision.FAILED, Reason.NOT_FOUND),
        "text.mp4": (Decision.DROPPED, Reason.NOT_A_VIDEO),
        "walk1.mp4": (Decision.KEPT, None),
        "empty.mp4": (Decision.FAILED, Reason.EMPTY_FILE),
        "walk2.mp4": (Decision.KEPT, None),
    }
    sequences = [rows[name]["sequence"] for name in names]
    assert sequences == sorted(sequences), "chunks are committed in the catalogue's order"
    assert sequences[0::2] == sequences[1::2]
    one_by_one = Run(tmp_path / "one", urls, LocalExecutor(max_videos=1))
    one_by_one.finish()
    ours, theirs = (one.curation.dataset.publish() for one in (run, one_by_one))
    assert ours is not None
    assert theirs is not None
    assert ours.digest == theirs.digest


def test_a_passing_failure_is_retried_with_backoff_and_a_terminal_one_is_not(
    tmp_path: Path, server: FaultyServer, new_executor: NewExecutor
) -> None:
    urls = [
        server.url("walk0.mp4", Fault.RESET),
        server.url("walk1.mp4", Fault.SERVER_ERROR, repeat_last=True),
        server.url("walk2.mp4", Fault.NOT_FOUND, repeat_last=True),
    ]
    fetch = {"attempts": 2, "backoff_s": 0.5}
    rows = Run(tmp_path, urls, new_executor(), fetch=fetch).finish()
    assert {name: (row["reason"], bool(row["retryable"])) for name, row in rows.items()} == {
        "walk0.mp4": (None, False),
        "walk1.mp4": (Reason.SERVER_ERROR, True),
        "walk2.mp4": (Reason.NOT_FOUND, False),
    }
    assert {name: len(server.fetches(name)) for name in rows} == {
        "walk0.mp4": 2,
        "walk1.mp4": 2,
        "walk2.mp4": 1,
    }
    for name in ("walk0.mp4", "walk1.mp4"):
        first, second = server.fetches(name)
        assert second - first >= 0.25, "backoff_s is spread by half"


def test_the_deadlines_of_fetching_and_of_processing_hold(
    tmp_path: Path, server: FaultyServer, new_executor: NewExecutor
) -> None:
    urls = [server.url("walk0.mp4", Fault.STALL, repeat_last=True)]
    rows = Run(tmp_path / "fetch", urls, new_executor(), fetch={"timeout_s": 1.5}).finish()
    fast = [server.url("walk1.mp4")]
    rows |= Run(tmp_path / "process", fast, new_executor(), video_timeout_s=0.05).finish()
    for name in ("walk0.mp4", "walk1.mp4"):
        assert (rows[name]["decision"], rows[name]["reason"], rows[name]["retryable"]) == (
            Decision.FAILED,
            Reason.TIMED_OUT,
            True,
        )


def test_a_video_whose_process_is_killed_once_is_kept_and_always_fails_alone(
    tmp_path: Path, server: FaultyServer, new_executor: NewExecutor
) -> None:
    urls = [server.url("walk0.mp4", Fault.STALL, repeat_last=True), server.url("walk1.mp4")]
    run = Run(tmp_path, urls, new_executor(), max_concurrent_videos=1)
    thread = run.start()
    kills = 0
    while thread.is_alive():
        # The processing of one video dies once, then the download of the stalled one each time.
        if not kills:
            kills += kill_all(sandbox_children(os.getpid(), PROCESSING))
        else:
            kill_all(sandbox_children(os.getpid(), DOWNLOADING))
        thread.join(0.1)
    rows = {Path(row["url"]).name: row for row in run.curation.dataset.read_latest().to_pylist()}
    assert kills
    assert (rows["walk1.mp4"]["decision"], rows["walk1.mp4"]["reason"]) == (Decision.KEPT, None)
    failed = rows["walk0.mp4"]
    assert (failed["reason"], failed["retryable"]) == (Reason.WORKER_DIED, True)
    assert run.leftovers() == []


def test_a_stop_request_ends_the_run_and_its_processes_and_keeps_what_is_committed(
    tmp_path: Path, server: FaultyServer, new_executor: NewExecutor
) -> None:
    names = ["walk0.mp4", "walk1.mp4"]
    urls = [*map(server.url, names), server.url("walk2.mp4", Fault.STALL, repeat_last=True)]
    run = Run(tmp_path, urls, new_executor())
    thread = run.start()
    wait_until(lambda: bool(run.curation.committed and server.fetches("walk2.mp4")))
    run.folder.request_stop()
    thread.join(20)
    assert not thread.is_alive()
    assert run.curation.is_stopped
    assert run.curation.committed == 2
    wait_until(lambda: not sandbox_children(os.getpid()), timeout_s=20)


def test_fetches_are_never_faster_than_the_rate_limit(
    tmp_path: Path, server: FaultyServer, new_executor: NewExecutor
) -> None:
    urls = [server.url(f"absent{number}.mp4") for number in range(10)]
    interval_s, at_once = 0.25, 3
    fetch = {"per_hour": int(3600 / interval_s), "max_concurrent_downloads": at_once}
    Run(tmp_path, urls, new_executor(), fetch=fetch).finish()
    times = server.fetches()
    assert len(times) == len(urls)
    # Those that were let through may reach the server together, such as while a worker starts.
    assert times[-1] - times[0] >= 0.9 * interval_s * (len(urls) - 1 - at_once)


class Submission:
    """A started executor with scripted tasks."""

    def __init__(self, folder: Path, new_executor: NewExecutor) -> None:
        config = CurateConfig(catalogue="none", dataset=str(folder), home=str(folder / "home"))
        staging = StagingArea.of(config, "0" * 16)
        self.executor = new_executor()
        self.executor.start(ScriptedTasks(config, Provenance("0" * 16, "run", "0"), staging), None)

    def outcome(self, source_id: str) -> TaskOutcome:
        """Submit one task and return its outcome."""
        self.submit(source_id)
        end = time.monotonic() + 100
        while not (ended := self.executor.wait(1.0)):
            assert time.monotonic() < end
        (completion,) = ended
        assert completion.item.source.source_id == source_id
        return completion.outcome

    def submit(self, source_id: str) -> None:
        item = WorkItem(VideoSource(source_id, "http://127.0.0.1/"))
        self.executor.submit_fetch(item, is_last_attempt=True)


def test_each_end_of_a_task_has_its_outcome(tmp_path: Path, new_executor: NewExecutor) -> None:
    submission = Submission(tmp_path, new_executor)
    assert submission.executor.capacity() == 2
    assert submission.executor.wait(0.0) == []
    assert submission.outcome("url:returns") == StagedVideo("url:returns:True")
    raised = submission.outcome("url:raises")
    assert isinstance(raised, WorkerDied)
    assert "KeyError" in raised.detail
    out_of_memory = submission.outcome("url:memory")
    assert isinstance(out_of_memory, FetchError)
    assert out_of_memory.reason is Reason.DECODER_CRASHED
    for source_id in ("url:disk-full", "url:service"):
        with pytest.raises(ServiceError):
            submission.outcome(source_id)
    submission.executor.close()


def test_close_cancels_what_runs_with_its_processes(
    tmp_path: Path, new_executor: NewExecutor
) -> None:
    submission = Submission(tmp_path, new_executor)
    submission.submit("url:sleeps")
    wait_until(lambda: bool(sandbox_children(os.getpid())), timeout_s=60)
    submission.executor.close()
    wait_until(lambda: not sandbox_children(os.getpid()), timeout_s=20)


def test_a_file_that_was_lost_is_fetched_again(
    tmp_path: Path, server: FaultyServer, new_executor: NewExecutor
) -> None:
    """The first fetched file disappears before it is processed, as if its machine had left."""
    executor = new_executor()
    process, lost = executor.submit_process, []

    def lose_first(item: WorkItem, fetched: FetchedVideo) -> None:
        if not lost:
            lost.append(fetched)
            fetched.file.path.unlink()
        process(item, fetched)

    executor.submit_process = lose_first  # type: ignore[method-assign]
    rows = Run(tmp_path, [server.url("walk0.mp4")], executor).finish()
    assert rows["walk0.mp4"]["decision"] == Decision.KEPT
    assert len(server.fetches("walk0.mp4")) == 2
