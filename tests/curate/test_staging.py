"""The staging area: locks on videos, staged results, and what is removed when."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from argus.curate import StagedResultGone, StagingArea
from argus.dataset import FetchedFile, SourceRow, Store
from schemas.config import CurateConfig
from schemas.names import Decision, Reason, Split

RECIPE, OTHER = "0" * 16, "1" * 16
NAMES = ("url:committed", "url:open")


@pytest.fixture
def area(tmp_path: Path) -> StagingArea:
    return StagingArea(Store.of(tmp_path / "dataset"), RECIPE, tmp_path / "work")


def row_of(source_id: str, **values: Any) -> SourceRow:
    return SourceRow(
        source_id=source_id,
        url="http://127.0.0.1/",
        split=Split.TRAIN,
        decision=Decision.DROPPED,
        reason=Reason.BLACK,
        decided_at=datetime.now(UTC),
        recipe=RECIPE,
        run_id="run",
        code_version="0",
        **values,
    )


def stage(area: StagingArea, source_id: str, thumbnail: str | None = None) -> None:
    """Stage a result without clips."""
    with area.claim(source_id, 0) as work:
        folder = work / "staged"
        folder.mkdir()
        (folder / "thumb.jpg").write_bytes(b"picture")
        area.store_result(folder, row_of(source_id, thumbnail=thumbnail))


def test_a_work_folder_follows_the_configuration(tmp_path: Path) -> None:
    config = CurateConfig(catalogue="none", home=str(tmp_path), dataset=str(tmp_path / "dataset"))
    area = StagingArea.of(config, RECIPE)
    assert area.work == tmp_path / "work"
    assert area.work_folder("url:a") != area.work_folder("url:b")
    elsewhere = config.model_copy(update={"work": str(tmp_path / "elsewhere")})
    assert StagingArea.of(elsewhere, RECIPE).work == tmp_path / "elsewhere"


def test_a_claim_excludes_others_and_leaves_no_empty_folder(area: StagingArea) -> None:
    with area.claim("url:a", 0) as folder:
        assert folder.is_dir()
        with pytest.raises(TimeoutError), area.claim("url:a", 0.3):
            pass
        with area.claim("url:b", 0):
            pass
    assert not folder.exists()
    with area.claim("url:a", 0) as folder:
        (folder / "file").touch()
    assert (folder / "file").exists()


def test_a_claim_waits_for_the_one_before(area: StagingArea) -> None:
    order: list[str] = []

    def second() -> None:
        with area.claim("url:a", 30):
            order.append("second")

    thread = threading.Thread(target=second)
    with area.claim("url:a", 0):
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join(30)
    assert order == ["first", "second"]


def test_many_threads_never_hold_the_same_claim(area: StagingArea) -> None:
    inside, most, errors = [0], [0], []

    def work() -> None:
        try:
            for _ in range(20):
                with area.claim("url:a", 60):
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                    inside[0] -= 1
        except BaseException as error:  # noqa: BLE001  the test asserts that there is none
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (most, errors) == ([1], [])


def test_a_killed_process_loses_its_claim(area: StagingArea) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom argus.curate import StagingArea\n"
        "from argus.dataset import Store\n"
        "area = StagingArea(Store(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))\n"
        "with area.claim('url:a', 0) as folder:\n"
        "    (folder / 'part').touch(); print('held', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, area.store.uri, RECIPE, str(area.work)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(TimeoutError), area.claim("url:a", 0):
            pass
        area.clear_work(["url:a"])
        assert (area.work_folder("url:a") / "part").exists(), "a folder in use is left alone"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with area.claim("url:a", 0) as folder:
        assert (folder / "part").exists()
    area.clear_work(["url:other"])
    assert folder.exists()
    area.clear_work(["url:a"])
    assert not folder.exists()


def test_a_result_counts_once_its_marker_is_there(area: StagingArea) -> None:
    assert not area.has_result("url:a")
    with pytest.raises(StagedResultGone):
        area.read_result("url:a")
    stage(area, "url:a")
    assert area.has_result("url:a")
    staged = area.read_result("url:a")
    assert (staged.row.source_id, staged.row.reason, list(staged.clips)) == (
        "url:a",
        Reason.BLACK,
        [],
    )
    other = StagingArea(area.store, OTHER, area.work)
    assert not other.has_result("url:a")
    area.store.delete(
        name for name in area.store.list_names("staging") if name.endswith("row.json")
    )
    assert not area.has_result("url:a")


def test_a_thumbnail_is_published_where_its_row_says(area: StagingArea) -> None:
    stage(area, "url:a", thumbnail="thumbs/a.jpg")
    row = area.read_result("url:a").row
    area.publish_thumbnail(row, is_committed=False)
    assert area.store.read("thumbs/a.jpg") == b"picture"
    area.discard(["url:a"])
    area.publish_thumbnail(row, is_committed=True)  # another run has discarded the result
    area.publish_thumbnail(row_of("url:b"), is_committed=True)
    assert area.store.list_names("thumbs") == ["thumbs/a.jpg"]


def test_a_thumbnail_is_replaced_only_once_its_row_is_committed(area: StagingArea) -> None:
    area.store.write("thumbs/a.jpg", b"earlier")
    stage(area, "url:a", thumbnail="thumbs/a.jpg")
    row = area.read_result("url:a").row
    area.publish_thumbnail(row, is_committed=False)
    assert area.store.read("thumbs/a.jpg") == b"earlier"
    area.publish_thumbnail(row, is_committed=True)
    assert area.store.read("thumbs/a.jpg") == b"picture"


def test_results_of_a_killed_run_that_are_committed_go_and_others_stay(area: StagingArea) -> None:
    area.discard_committed(["url:committed"])  # there is no staging area yet
    for name in NAMES:
        stage(area, name)
    other = StagingArea(area.store, OTHER, area.work)
    stage(other, "url:committed")
    area.discard_committed(["url:committed", "url:never"])
    assert [area.has_result(name) for name in NAMES] == [False, True]
    assert other.has_result("url:committed")
    area.discard(["url:open"])
    other.discard(["url:committed"])
    assert area.store.list_names("staging") == []


def test_a_kept_file_goes_to_the_dataset_and_back(area: StagingArea, tmp_path: Path) -> None:
    assert area.take_kept_file("url:a", tmp_path) is None
    path = tmp_path / "video"
    path.write_bytes(b"video")
    fetched = FetchedFile(
        tool="yt-dlp",
        version="1",
        client="generic",
        format_id="0",
        format_note="",
        bytes=5,
        sha256="0" * 64,
        path=path,
    )
    area.keep_file("url:a", fetched)
    assert not path.exists()
    taken = area.take_kept_file("url:a", tmp_path)
    assert taken is not None
    assert (taken.info, taken.path.read_bytes()) == (fetched.info, b"video")
    # A run that took the file may be killed; its video is then fetched again.
    assert area.take_kept_file("url:a", tmp_path) is None
