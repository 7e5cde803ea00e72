"""The scheduler as properties: whatever tasks end with, and in whatever order they end."""

import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argus.curate import (
    AccessSettings,
    Completion,
    FetchedVideo,
    FileLost,
    Recipe,
    StagedVideo,
    StagingArea,
    TaskOutcome,
    VideoSource,
    WorkerDied,
    WorkItem,
)
from argus.curate.scheduler import CHUNKS_AHEAD, Scheduler
from argus.curate.tasks import MAX_RETRIES
from argus.dataset import FetchedFile, Provenance, SourceRow
from argus.errors import FetchError, ServiceError
from schemas.config import CurateConfig, FetchSettings
from schemas.names import Decision, Reason, Split

CAPACITY, ATTEMPTS = 2, 2
FILE = FetchedFile(
    tool="",
    version="",
    client="",
    format_id="",
    format_note="",
    bytes=1,
    sha256="",
    path=Path("video"),
)
FETCH_ENDS = ("fetched", "staged", "passing", "terminal", "died")
PROCESS_ENDS = ("staged", "lost", "died")


class RandomExecutor:
    """Ends tasks in a random order with random outcomes; really stages the results."""

    def __init__(self, staging: StagingArea, seed: int) -> None:
        self.staging, self.chance = staging, random.Random(seed)
        self.fetching: list[tuple[WorkItem, bool]] = []
        self.processing: list[WorkItem] = []
        self.fetches: Counter[str] = Counter()
        self.most_files = 0
        self.is_closed = False

    def capacity(self) -> int:
        return CAPACITY

    def submit_fetch(self, item: WorkItem, *, is_last_attempt: bool) -> None:
        assert is_last_attempt == (item.attempts + 1 >= ATTEMPTS)
        self.fetching.append((item, is_last_attempt))
        self.fetches[item.source.source_id] += 1
        self.most_files = max(self.most_files, len(self.fetching) + len(self.processing))

    def submit_process(self, item: WorkItem, fetched: FetchedVideo) -> None:
        assert fetched.file == FILE
        self.processing.append(item)

    def wait(self, timeout_s: float) -> list[Completion]:
        tasks = len(self.fetching) + min(CAPACITY, len(self.processing))
        if not tasks:
            return []
        number = self.chance.randrange(tasks)
        if number < len(self.fetching):
            item, _ = self.fetching.pop(number)
            return [Completion(item, self._outcome(item, self.chance.choice(FETCH_ENDS)))]
        item = self.processing.pop(number - len(self.fetching))
        return [Completion(item, self._outcome(item, self.chance.choice(PROCESS_ENDS)))]

    def close(self) -> None:
        self.is_closed = True

    def _outcome(self, item: WorkItem, end: str) -> TaskOutcome:
        source_id = item.source.source_id
        match end:
            case "fetched":
                return FetchedVideo(FILE, 0.1)
            case "passing":
                return FetchError(Reason.SERVER_ERROR, "503", retryable=True)
            case "terminal":
                return FetchError(Reason.NOT_FOUND, "404", retryable=False)
            case "died":
                return WorkerDied("killed")
            case "lost":
                return FileLost(FILE.path)
        with self.staging.claim(source_id, 0) as work:
            (work / "staged").mkdir()
            self.staging.store_result(work / "staged", staged_row(source_id))
        return StagedVideo(source_id)


def staged_row(source_id: str) -> SourceRow:
    return SourceRow(
        source_id=source_id,
        url="http://127.0.0.1/",
        split=Split.TRAIN,
        decision=Decision.DROPPED,
        reason=Reason.BLACK,
        recipe="0" * 16,
        run_id="run",
        code_version="0",
        decided_at=datetime.now(UTC),
    )


def make_scheduler(folder: Path, seed: int, resolved: set[str]) -> tuple[Scheduler, RandomExecutor]:
    config = CurateConfig(catalogue="none", dataset=str(folder / "dataset"), home=str(folder))
    staging = StagingArea.of(config, "0" * 16)
    executor = RandomExecutor(staging, seed)
    scheduler = Scheduler(
        executor,  # type: ignore[arg-type]
        staging=staging,
        recipe=Recipe.from_config(config),
        provenance=Provenance("0" * 16, "run", "0"),
        access=AccessSettings(FetchSettings(attempts=ATTEMPTS, backoff_s=0.0)),
        find_resolved=resolved.intersection,
    )
    return scheduler, executor


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    sizes=st.lists(st.integers(1, 4), max_size=2 + CHUNKS_AHEAD),
    seed=st.integers(0, 2**32),
    resolved=st.sets(st.integers(0, 20), max_size=4),
)
def test_chunks_come_out_in_order_with_each_video_decided_once(
    sizes: list[int], seed: int, resolved: set[int]
) -> None:
    ids = [f"url:{number}" for number in range(sum(sizes))]
    known = {f"url:{number}" for number in resolved}
    iterator = iter(ids)
    chunks = [[next(iterator) for _ in range(size)] for size in sizes]
    decided: list[str] = []
    with TemporaryDirectory() as folder:
        scheduler, executor = make_scheduler(Path(folder), seed, known)
        items = (
            [WorkItem(VideoSource(one, "http://127.0.0.1/")) for one in chunk] for chunk in chunks
        )
        yielded = [
            [video.row.source_id for video in chunk]
            for chunk in scheduler.run_chunks(
                items, lambda row: decided.append(row.source_id), lambda: False
            )
        ]
    assert yielded == [[one for one in chunk if one not in known] for chunk in chunks]
    assert sorted(decided) == sorted(set(ids) - known)
    assert executor.is_closed
    assert not known.intersection(executor.fetches)
    assert executor.most_files <= CAPACITY + CAPACITY + 2, "files on disk are bounded"
    most_fetches = ATTEMPTS + ATTEMPTS + MAX_RETRIES  # failures, and losses of fetched files
    assert max(executor.fetches.values(), default=0) <= most_fetches


def test_a_stop_ends_the_iteration_and_closes_the_executor(tmp_path: Path) -> None:
    scheduler, executor = make_scheduler(tmp_path, 0, set())
    chunk = [WorkItem(VideoSource("url:0", "http://127.0.0.1/"))]
    assert list(scheduler.run_chunks([chunk], lambda _: None, lambda: True)) == []
    assert executor.is_closed


def test_a_full_disk_is_a_service_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler, executor = make_scheduler(tmp_path, 0, set())
    error = FetchError(Reason.DISK_FULL, "no room", retryable=True)
    item = WorkItem(VideoSource("url:0", "http://127.0.0.1/"))
    monkeypatch.setattr(executor, "wait", lambda timeout_s: [Completion(item, error)])
    with pytest.raises(ServiceError):
        list(scheduler.run_chunks([[item]], lambda _: None, lambda: False))
    assert executor.is_closed
