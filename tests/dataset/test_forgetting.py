"""Taking videos down: no byte of them stays in a dataset, nothing else changes, and they are blocked."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from deltalake import DeltaTable

from argus.dataset import (
    Dataset,
    DatasetView,
    SnapshotRow,
    hash_source_id,
    read_tombstones,
    write_shard,
)
from argus.errors import InvalidInput
from schemas.names import Decision, Reason

OTHER = "1" * 12
SECRET = "youtube:aaaaaaaaaaa"
URL = "https://www.youtube.com/watch?v=aaaaaaaaaaa"


def build(place, make) -> Dataset:
    """Three chunks, with a snapshot each: the secret video is in the first two, in two recipes."""
    dataset = Dataset(place)
    for chunk in (
        [make.kept("url:a", 2), make.kept(SECRET, 2), make.dropped("url:b")],
        [make.kept(SECRET, 3, recipe=OTHER), make.kept("url:c", recipe=OTHER)],
        [make.kept("url:d")],
    ):
        dataset.commit_chunk(chunk)
        dataset.publish()
    return dataset


def payloads(make) -> list[bytes]:
    return [make.clip(SECRET, number).video for number in range(3)]


def read_all(dataset: Dataset) -> dict[int, dict[str, bytes]]:
    """Return the bytes of every clip of every snapshot."""
    found: dict[int, dict[str, bytes]] = {}
    for snapshot in dataset.list_snapshots():
        found[snapshot.version] = {}
        for values in snapshot.table.to_pylist():
            row = SnapshotRow.from_values(values)
            with dataset.open_shard(row.shard) as reader:
                clip = reader.clip(row.row)
            assert clip.clip_id == row.clip_id
            found[snapshot.version][row.clip_id] = clip.video
    return found


def contents(dataset: Dataset) -> Iterator[tuple[str, bytes]]:
    for path in dataset.store.local.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes()


def test_no_byte_stays_and_nothing_else_changes(place, make) -> None:
    dataset = build(place, make)
    before = read_all(dataset)
    others = {
        version: {clip: video for clip, video in clips.items() if not clip.startswith(SECRET)}
        for version, clips in before.items()
    }
    assert sum(map(len, before.values())) - sum(map(len, others.values())) == 2 + 3 + 3
    tombstone = dataset.forget(SECRET, URL, "a notice")
    after = read_all(Dataset(place))
    assert {version: after[version] for version in others} == others
    assert set(after) - set(others), "a snapshot without it was published before the purge"
    assert dataset.find_traces(SECRET) == []
    assert sorted(tombstone.digests) == sorted(others)
    for snapshot in dataset.list_snapshots():
        assert tombstone.held_by(snapshot.version) == (snapshot.version in others)
    if dataset.store.local:
        for name, content in contents(dataset):
            assert not any(payload in content for payload in payloads(make)), name
    row = dataset.read_rows([SECRET])[SECRET]
    assert (row.decision, row.reason, row.detail) == (
        Decision.DROPPED,
        Reason.FORGOTTEN,
        "a notice",
    )
    assert [one.reason for one in DatasetView(place).read_history(SECRET)] == [Reason.FORGOTTEN]
    assert [one.source_id for one in read_tombstones(dataset.store)] == [SECRET]


def test_it_is_never_committed_again(tmp_path: Path, make) -> None:
    dataset = build(tmp_path, make)
    dataset.forget(SECRET, URL, "a notice")
    for recipe in (OTHER, "2" * 12):
        assert dataset.find_final(recipe, [SECRET, "url:unknown"]) == {SECRET}
        assert dataset.commit_chunk([make.kept(SECRET, recipe=recipe)]) is None
    commit = dataset.commit_chunk(
        [make.kept(SECRET, recipe="2" * 12), make.kept("url:e", recipe="2" * 12)]
    )
    assert commit is not None
    assert [row.source_id for row in commit.rows] == ["url:e"]
    dataset.publish()
    assert dataset.find_traces(SECRET) == []


def test_rows_in_rewritten_files_are_found(tmp_path: Path, make) -> None:
    """A killed takedown may leave them, as may a backup of the index that is copied back."""
    dataset = build(tmp_path, make)
    dataset.forget("url:a", "", "an earlier notice")
    earlier = {path: path.read_bytes() for path in (tmp_path / "index").glob("*.parquet")}
    dataset.forget(SECRET, URL, "a notice")
    for path, content in earlier.items():
        path.write_bytes(content)
    assert dataset.find_traces(SECRET)
    dataset.forget(SECRET, URL, "a notice")
    assert dataset.find_traces(SECRET) == []


def test_an_unknown_video_is_blocked(tmp_path: Path, make) -> None:
    dataset = build(tmp_path, make)
    tombstone = dataset.forget("youtube:zzzzzzzzzzz", "https://youtu.be/zzzzzzzzzzz", "a notice")
    assert (tombstone.digests, tombstone.shards, tombstone.versions) == ({}, (), ())
    assert dataset.commit_chunk([make.kept("youtube:zzzzzzzzzzz")]) is None


def test_it_stays_forgotten_after_compaction(tmp_path: Path, make) -> None:
    dataset = build(tmp_path, make)
    dataset.forget(SECRET, URL, "a notice")
    dataset.compact(keep_snapshots=1, grace_h=0)
    assert dataset.find_final(OTHER, [SECRET]) == {SECRET}
    assert dataset.find_traces(SECRET) == []


def test_snapshots_that_were_removed_count(tmp_path: Path, make) -> None:
    """A model may have been trained on a snapshot that compaction removed."""
    dataset = build(tmp_path, make)
    versions = [snapshot.version for snapshot in dataset.list_snapshots()]
    dataset.compact(keep_snapshots=1, grace_h=0)
    tombstone = dataset.forget(SECRET, URL, "a notice")
    assert all(map(tombstone.held_by, versions))
    assert sorted(tombstone.digests) == versions[-1:]
    again = dataset.forget(SECRET, URL, "once more")
    assert (again.versions, again.digests) == (tombstone.versions, tombstone.digests)


def test_what_killed_writers_left_is_removed(tmp_path: Path, make) -> None:
    dataset = build(tmp_path, make)
    (tmp_path / "thumbs").mkdir()
    (tmp_path / "thumbs" / f"{hash_source_id(SECRET)}.jpg").write_bytes(b"picture")
    write_shard(tmp_path / "shards" / "feedfeedfeedfeed.arrow", [make.clip(SECRET, 7)])
    table = DeltaTable(tmp_path / "index")
    used = next((tmp_path / "index").glob("*.parquet"))
    orphan = tmp_path / "index" / "part-00000-orphan-c000.snappy.parquet"
    orphan.write_bytes(used.read_bytes())
    assert str(orphan.name) not in "".join(table.file_uris())
    assert len(dataset.find_traces(SECRET)) > 5
    dataset.forget(SECRET, URL, "a notice")
    assert dataset.find_traces(SECRET) == []


def test_a_name_in_a_file_that_is_being_written_is_reported(tmp_path: Path, make) -> None:
    dataset = build(tmp_path, make)
    dataset.forget(SECRET, URL, "a notice")
    (tmp_path / ".scratch-x").mkdir()
    (tmp_path / ".scratch-x" / "shard.arrow").write_bytes(b"..." + SECRET.encode())
    assert ["shard.arrow" in trace for trace in dataset.find_traces(SECRET)] == [True]


@pytest.mark.parametrize("folder", ["thumbs", "fetched", "staging/.00112233445566aa.partial"])
def test_what_a_killed_writer_left_is_reported_and_can_be_removed(
    tmp_path: Path, make, folder: str
) -> None:
    """Pictures and fetched files do not name their video, and the names of leftovers are hashes."""
    dataset = build(tmp_path, make)
    dataset.forget(SECRET, URL, "a notice")
    left = tmp_path / folder / ".0011223344556677.00112233.partial.jpg"
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_bytes(b"picture")
    left.with_name(".0011223344556677.lock").write_bytes(b"+")
    assert [left.name in trace for trace in dataset.find_traces(SECRET)] == [True]
    dataset.compact(grace_h=0)
    assert dataset.find_traces(SECRET) == []
    assert not left.exists()


def test_ids_cannot_widen_the_purge(tmp_path: Path, make) -> None:
    dataset = build(tmp_path, make)
    before = read_all(dataset)
    dataset.forget("url:x' OR '1'='1", "", "a notice")
    assert {version: read_all(dataset)[version] for version in before} == before
    assert len(dataset.read_latest()) == 5 + 1


def test_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        Dataset(tmp_path / "none").forget(SECRET, URL, "a notice")


FORGET = """
import sys
from argus.dataset import Dataset
dataset = Dataset(sys.argv[1])
print("ready", flush=True)
dataset.forget(sys.argv[2], "", "a notice")
"""


@pytest.mark.slow
def test_a_takedown_that_is_killed_continues(tmp_path: Path, make) -> None:
    """At any moment the video is blocked or untouched, other clips are whole, and a repeat ends it."""
    blocked = 0
    for attempt in range(12):
        place = tmp_path / str(attempt)
        dataset = build(place, make)
        others = {
            version: {clip: video for clip, video in clips.items() if not clip.startswith(SECRET)}
            for version, clips in read_all(dataset).items()
        }
        child = subprocess.Popen(
            [sys.executable, "-c", FORGET, str(place), SECRET], stdout=subprocess.PIPE
        )
        assert child.stdout
        assert child.stdout.readline() == b"ready\n"
        time.sleep(random.Random(attempt).random() * 0.3)
        child.kill()
        child.communicate()
        dataset = Dataset(place)
        row = dataset.read_rows([SECRET])[SECRET]
        blocked += row.reason == Reason.FORGOTTEN
        if row.reason == Reason.FORGOTTEN:
            assert dataset.commit_chunk([make.kept(SECRET, recipe="2" * 12)]) is None
        dataset.forget(SECRET, URL, "a notice")
        after = read_all(dataset)
        assert {version: after[version] for version in others} == others
        assert dataset.find_traces(SECRET) == []
    assert blocked
