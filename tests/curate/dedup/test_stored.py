"""The stored duplicate index: it finds what one in memory finds, whatever happened to its files."""

import json
import multiprocessing
import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from argus.curate.dedup import DuplicateIndex, Signature, SignedClip, StoredDuplicateIndex, stored
from argus.dataset import Dataset, DecidedVideo
from argus.errors import ServiceError
from schemas.names import Decision, Reason, Split
from tests.support.signed_videos import make_signature, make_signed_video

SCENES = 40
HISTORY = 12  # scenes
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write after 60 moments, so that few clips give many segments and merges."""
    monkeypatch.setattr(stored, "FLUSH_MOMENTS", 60)


def commit(dataset: Dataset, *videos: DecidedVideo) -> None:
    dataset.commit_chunk(videos)


def query(scene: int) -> SignedClip:
    return SignedClip("query", "url:query", 0, Signature.from_bytes(make_signature(scene)))


def find_all(index: DuplicateIndex, scenes: int = SCENES) -> dict[int, tuple[str, str]]:
    """Return the clip that each scene is found in, and its split."""
    matches = {scene: index.find(query(scene)) for scene in range(scenes)}
    return {
        scene: (match.earlier, index.find_split(match.source_id))
        for scene, match in matches.items()
        if match
    }


def fill(folder: Path, commits: int = 12) -> Dataset:
    """Return a dataset with two videos of two scenes per commit; go on where it stopped."""
    dataset = Dataset(folder)
    for number in range(commits):
        pair = [
            make_signed_video(f"url:{number}{name}", 2 * number + k, 2 * number + k + 1)
            for k, name in enumerate("ab")
        ]
        commit(dataset, *pair)
    return dataset


def in_memory(dataset: Dataset) -> DuplicateIndex:
    """Return an index in memory that is built from a dataset at once."""
    index = DuplicateIndex()
    for row in dataset.read_latest().to_pylist():
        index.add(
            SignedClip(
                clip["clip_id"],
                row["source_id"],
                clip["start_ms"],
                Signature.from_bytes(clip["signature"]),
            )
            for clip in row["clips"]
        )
    return index


def found_in_memory(dataset: Dataset) -> dict[int, str]:
    index = in_memory(dataset)
    return {scene: match.earlier for scene in range(SCENES) if (match := index.find(query(scene)))}


def earlier_of(index: DuplicateIndex) -> dict[int, str]:
    return {scene: earlier for scene, (earlier, _) in find_all(index).items()}


def segments_of(home: Path) -> set[str]:
    (folder,) = (home / "duplicates").iterdir()
    return {path.name for path in folder.iterdir() if path.is_dir()}


def marker_of(home: Path) -> Path:
    (marker,) = (home / "duplicates").glob("*/index.json")
    return marker


@pytest.mark.parametrize("seed", range(2))
def test_it_finds_what_an_index_in_memory_finds_after_any_history(
    tmp_path: Path, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    dataset = Dataset(tmp_path / "data")
    kept: dict[str, tuple[tuple[int, ...], Split]] = {}
    running = StoredDuplicateIndex(dataset, tmp_path / "home")
    for step in range(10):
        source, scenes = f"url:{rng.integers(6)}", tuple(map(int, rng.choice(HISTORY, 2, False)))
        split, kind = list(Split)[rng.integers(3)], rng.integers(4)
        video = make_signed_video(source, *scenes, split=split, recipe=f"{step:016}")
        if kind == 0:
            row = replace(video.row, decision=Decision.DROPPED, reason=Reason.STATIC, clips=())
            video = DecidedVideo(row)
            kept.pop(source, None)
        elif kind == 1:
            row = replace(
                video.row,
                decision=Decision.FAILED,
                reason=Reason.FORBIDDEN,
                retryable=True,
                clips=(),
            )
            video = DecidedVideo(row)
        else:
            kept[source] = scenes, split
        commit(dataset, video)
        if step == 6:
            dataset.compact(grace_h=0)
        running.update()
        opened = StoredDuplicateIndex(Dataset(tmp_path / "data"), tmp_path / "home")
        for index in (running, opened):
            for scene, (earlier, found_split) in find_all(index, HISTORY).items():
                own, expected_split = kept[earlier.partition("@")[0]]
                assert scene in own
                assert found_split == expected_split
            wanted = {scene for own, _ in kept.values() for scene in own}
            assert set(find_all(index, HISTORY)) == wanted
    assert 1 < len(segments_of(tmp_path / "home")) < 10


class CountedDataset(Dataset):
    """A dataset that counts the rows that are read."""

    rows = 0

    def iter_parts_after(
        self, sequence: int, columns: Sequence[str] | None = None
    ) -> Iterator[pa.Table]:
        for part in super().iter_parts_after(sequence, columns):
            self.rows += len(part)
            yield part


def test_a_start_reads_only_what_was_committed_since(tmp_path: Path) -> None:
    fill(tmp_path / "data")
    rows = []
    for number in range(3):
        dataset = CountedDataset(tmp_path / "data")
        StoredDuplicateIndex(dataset, tmp_path / "home")
        rows.append(dataset.rows)
        commit(dataset, make_signed_video(f"url:new{number}", 30 + number))
        if number == 1:
            dataset.compact(grace_h=0)
    assert rows == [24, 1, 1]


def kill_while_writing(data: Path, home: Path, calls: int) -> None:
    """Build the index of a dataset in this process; kill it when the n-th file was written."""
    stored.FLUSH_MOMENTS = 60
    left, synchronize = calls, os.fsync

    def count(descriptor: int) -> None:
        nonlocal left
        synchronize(descriptor)
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    os.fsync = count
    StoredDuplicateIndex(Dataset(data), home)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("is_grown", "calls"), [(False, 1), (False, 30), (False, 76), (True, 9), (True, 50)]
)
def test_a_killed_writer_leaves_nothing_that_counts(
    tmp_path: Path, is_grown: bool, calls: int
) -> None:
    data, home = tmp_path / "data", tmp_path / "home"
    dataset = fill(data, 3)
    if is_grown:
        StoredDuplicateIndex(dataset, home)
    dataset = fill(data)
    process = SPAWN.Process(target=kill_while_writing, args=(data, home, calls))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    index = StoredDuplicateIndex(dataset, home)
    assert earlier_of(index) == found_in_memory(dataset)
    assert segments_of(home) == set(json.loads(marker_of(home).read_bytes())["segments"])


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("keys", truncate),
        ("moments", flip),
        ("names.arrow", truncate),
        ("numbers", Path.unlink),
        ("hashes", empty),
        ("index.json", truncate),
        ("index.json", empty),
    ],
)
def test_a_harmed_file_is_noticed_and_the_index_built_anew(
    tmp_path: Path, name: str, harm: Callable[[Path], None]
) -> None:
    dataset, home = fill(tmp_path / "data", 4), tmp_path / "home"
    StoredDuplicateIndex(dataset, home)
    harm(next((home / "duplicates").rglob(name)))
    counted = CountedDataset(tmp_path / "data")
    index = StoredDuplicateIndex(counted, home)
    assert counted.rows == 8
    assert earlier_of(index) == found_in_memory(dataset)


@pytest.mark.parametrize(
    ("name", "value"),
    [("format", 0), ("signature", 2), ("table", "another"), ("dataset", "/x"), ("sequence", 999)],
)
def test_an_index_of_another_version_or_dataset_is_built_anew(
    tmp_path: Path, name: str, value: object
) -> None:
    dataset, home = fill(tmp_path / "data", 4), tmp_path / "home"
    StoredDuplicateIndex(dataset, home)
    marker = json.loads(marker_of(home).read_bytes())
    marker_of(home).write_text(json.dumps({**marker, name: value}))
    before = segments_of(home)
    index = StoredDuplicateIndex(dataset, home)
    assert earlier_of(index) == found_in_memory(dataset)
    assert not before & segments_of(home)


@pytest.mark.parametrize("name", ["../../data", "/etc", ".", "x" * 16])
def test_a_marker_cannot_name_a_folder_elsewhere(tmp_path: Path, name: str) -> None:
    dataset, home = fill(tmp_path / "data", 4), tmp_path / "home"
    StoredDuplicateIndex(dataset, home)
    marker = json.loads(marker_of(home).read_bytes())
    marker_of(home).write_text(json.dumps({**marker, "segments": {name: {}}}))
    index = StoredDuplicateIndex(dataset, home)
    assert earlier_of(index) == found_in_memory(dataset)


def test_a_replaced_dataset_and_a_restored_one_are_not_mixed_with_the_old(tmp_path: Path) -> None:
    data, home = tmp_path / "data", tmp_path / "home"
    StoredDuplicateIndex(fill(data, 4), home)
    shutil.copytree(data, tmp_path / "backup")
    StoredDuplicateIndex(fill(data, 8), home)
    shutil.rmtree(data)
    shutil.copytree(tmp_path / "backup", data)
    assert set(find_all(StoredDuplicateIndex(Dataset(data), home))) == set(range(9))
    shutil.rmtree(data)
    dataset = Dataset(data)
    for scene in range(30, 38):
        commit(dataset, make_signed_video(f"url:{scene}", scene))
    assert set(find_all(StoredDuplicateIndex(dataset, home))) == set(range(30, 38))


def grow(data: Path, home: Path, name: str) -> None:
    """Commit videos and keep an index of all, as a refresh beside others does."""
    stored.FLUSH_MOMENTS = 60
    dataset = Dataset(data)
    index = StoredDuplicateIndex(dataset, home)
    for number in range(8):
        scene = 24 + 8 * (name == "b") + number
        commit(dataset, make_signed_video(f"url:{name}{number}", scene))
        index.update()
        assert index.find(query(scene)) is not None
    assert set(range(13)) < set(find_all(index))


@pytest.mark.slow
def test_two_processes_grow_one_index(tmp_path: Path) -> None:
    data, home = tmp_path / "data", tmp_path / "home"
    dataset = fill(data, 6)
    processes = [SPAWN.Process(target=grow, args=(data, home, name)) for name in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    index = StoredDuplicateIndex(dataset, home)
    assert earlier_of(index) == found_in_memory(dataset)
    assert segments_of(home) == set(json.loads(marker_of(home).read_bytes())["segments"])


def test_an_index_stays_usable_while_another_process_merges_its_files(tmp_path: Path) -> None:
    data, home = tmp_path / "data", tmp_path / "home"
    running = StoredDuplicateIndex(fill(data, 3), home)
    before = segments_of(home)
    for commits in range(4, 13):
        StoredDuplicateIndex(fill(data, commits), home)
    assert not before <= segments_of(home)
    assert set(find_all(running)) == set(range(7))
    running.update()
    assert earlier_of(running) == found_in_memory(Dataset(data))


@pytest.mark.parametrize("blocked", ["home", "home/duplicates"])
def test_without_a_folder_it_is_built_elsewhere_and_a_warning_tells(
    tmp_path: Path, blocked: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / blocked).parent.mkdir(exist_ok=True)
    (tmp_path / blocked).write_bytes(b"")
    dataset = fill(tmp_path / "data", 4)
    index = StoredDuplicateIndex(dataset, tmp_path / "home")
    assert earlier_of(index) == found_in_memory(dataset)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert (tmp_path / blocked).is_file()


def open_without_room(data: Path, home: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
    try:
        StoredDuplicateIndex(Dataset(data), home)
    except ServiceError:
        return
    raise AssertionError("there was room")


@pytest.mark.slow
def test_without_room_anywhere_an_error_tells(tmp_path: Path) -> None:
    dataset, home = fill(tmp_path / "data", 4), tmp_path / "home"
    process = SPAWN.Process(target=open_without_room, args=(tmp_path / "data", home))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert earlier_of(StoredDuplicateIndex(dataset, home)) == found_in_memory(dataset)


@pytest.mark.parametrize("is_running", [False, True])
def test_no_byte_of_a_source_that_was_taken_down_stays(tmp_path: Path, is_running: bool) -> None:
    data, home = tmp_path / "data", tmp_path / "home"
    commit(Dataset(data), make_signed_video("url:gone", 30))
    dataset = fill(data)
    index = StoredDuplicateIndex(dataset, home)
    assert index.find(query(30)) is not None
    row = make_signed_video("url:gone", recipe="1" * 16).row
    row = replace(row, decision=Decision.DROPPED, reason=Reason.FORGOTTEN, clips=())
    commit(dataset, DecidedVideo(row))
    if is_running:
        index.update()
        assert index.find(query(30)) is None
    index = StoredDuplicateIndex(dataset, home)
    assert set(find_all(index)) == set(range(25))
    moment = make_signature(30)[4:196]
    files = [path for path in home.rglob("*") if path.is_file()]
    assert len(files) > 9
    for path in files:
        assert b"url:gone" not in path.read_bytes(), path
        assert moment not in path.read_bytes(), path


def test_nothing_is_written_for_a_dataset_that_does_not_exist(tmp_path: Path) -> None:
    index = StoredDuplicateIndex(Dataset(tmp_path / "data"), tmp_path / "home")
    assert index.find(query(0)) is None
    assert not (tmp_path / "home").exists()
    fill(tmp_path / "data", 4)
    index.update()
    assert set(find_all(index)) == set(range(9))


def test_a_first_build_reports_the_videos_that_it_read(tmp_path: Path) -> None:
    dataset = fill(tmp_path / "data")
    seen: list[int] = []
    StoredDuplicateIndex(dataset, tmp_path / "home", seen.append)
    assert len(seen) > 2
    assert seen == sorted(set(seen))
    assert seen[-1] <= 24  # videos of `fill`
    count = len(seen)
    StoredDuplicateIndex(dataset, tmp_path / "home", seen.append)  # nothing is read again
    assert len(seen) == count
