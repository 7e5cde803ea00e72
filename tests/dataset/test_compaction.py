"""Compaction, the list of commits, and differences between snapshots."""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from argus.dataset import Dataset, SnapshotRow, is_remote
from argus.dataset.index import MERGE_FILES
from argus.errors import InvalidInput
from schemas.names import Decision

OTHER = "1" * 12


def publish(dataset: Dataset, *chunks: list) -> None:
    for chunk in chunks:
        dataset.commit_chunk(chunk)
        dataset.publish()


def readable(dataset: Dataset, version: int | None = None) -> list[str]:
    """Return the ids of a snapshot's clips, after reading each from its shard."""
    rows = [
        SnapshotRow.from_values(values)
        for values in dataset.get_snapshot(version).table.to_pylist()
    ]
    for row in rows:
        with dataset.open_shard(row.shard) as reader:
            assert reader.clip(row.row).clip_id == row.clip_id
    return [row.clip_id for row in rows]


def test_only_unreferenced_files_are_removed(tmp_path: Path, make) -> None:
    dataset = Dataset(tmp_path)
    publish(
        dataset,
        [make.kept("url:a"), make.kept("url:b")],
        [make.kept("url:c")],
        [make.dropped("url:a", recipe=OTHER), make.dropped("url:c", recipe=OTHER)],
    )
    dataset.store.write("thumbs/lost.jpg", b"picture")
    dataset.store.write("staging/x/row.json", b"{}")
    (tmp_path / "shards" / ".torn.partial").write_bytes(b"half")
    assert (
        dataset.compact(grace_h=0, dry_run=True).shards == ()
    )  # the older snapshots name every shard
    before = dataset.store.list_names()
    planned = dataset.compact(keep_snapshots=1, grace_h=0, dry_run=True)
    assert dataset.store.list_names() == before
    done = dataset.compact(keep_snapshots=1, grace_h=0)
    assert (done.snapshots, done.thumbnails, done.staged) == (
        (1, 2),
        ("thumbs/lost.jpg",),
        ("staging/x/row.json",),
    )
    assert (done.snapshots, done.shards, done.bytes) == (
        planned.snapshots,
        planned.shards,
        planned.bytes,
    )
    assert len(done.shards) == 1  # that of url:c; url:b is in the other
    assert readable(dataset) == ["url:b@0-10000"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "index",
        "shards",
        "snapshots",
        "staging",
        "thumbs",
    ]
    assert not [path for path in tmp_path.rglob(".*") if path.name.startswith(".torn")]


def test_young_files_are_kept(tmp_path: Path, make) -> None:
    dataset = Dataset(tmp_path)
    publish(dataset, [make.kept("url:a")])
    for name in ("shards/uncommitted.arrow", "thumbs/x.jpg", "staging/x/row.json"):
        dataset.store.write(name, b"of a refresh that runs")
    assert dataset.compact().bytes == 0
    an_hour_ago = time.time() - 3600
    os.utime(tmp_path / "shards" / "uncommitted.arrow", (an_hour_ago, an_hour_ago))
    assert dataset.compact(grace_h=0.5).shards == ("shards/uncommitted.arrow",)
    assert dataset.store.exists("staging/x/row.json")


def test_snapshots_are_kept_by_number_or_by_age(tmp_path: Path, make) -> None:
    dataset = Dataset(tmp_path)
    publish(dataset, *([make.kept(f"url:{number}")] for number in range(4)))
    for version, days in ((1, 9), (2, 5), (3, 3), (4, 2)):
        published = time.time() - days * 86400
        os.utime(tmp_path / "snapshots" / f"00000{version}.parquet", (published, published))
    assert dataset.compact(dry_run=True).snapshots == ()
    assert dataset.compact(keep_snapshots=3, dry_run=True).snapshots == (1,)
    assert dataset.compact(keep_days=4, dry_run=True).snapshots == (1, 2)
    assert dataset.compact(keep_snapshots=3, keep_days=4, dry_run=True).snapshots == (1,)
    assert dataset.compact(keep_days=1, dry_run=True).snapshots == (
        1,
        2,
        3,
    )  # the newest always stays
    with pytest.raises(InvalidInput, match="keep_snapshots=0"):
        dataset.compact(keep_snapshots=0)


def test_a_reader_of_a_kept_snapshot_and_a_writer_are_not_disturbed(
    tmp_path: Path, make, find_states: Any
) -> None:
    dataset, writer = Dataset(tmp_path), Dataset(tmp_path)
    publish(
        dataset,
        [make.kept("url:a", 3)],
        [make.kept("url:a", recipe=OTHER), make.kept("url:b", recipe=OTHER)],
    )
    reader = Dataset(tmp_path)
    table = reader.get_snapshot(1).table
    before = find_states(writer, OTHER)
    with reader.open_shard(table["shard"][0].as_py()) as shard:
        dataset.compact(keep_snapshots=2, grace_h=0)
        assert shard.clip(2).clip_id == "url:a@20000-30000"
    assert readable(reader, 1) == ["url:a@0-10000", "url:a@10000-20000", "url:a@20000-30000"]
    assert find_states(writer, OTHER) == before
    writer.commit_chunk([make.kept("url:c", recipe=OTHER)])
    assert readable(writer, writer.publish().version) == [
        "url:a@0-10000",
        "url:b@0-10000",
        "url:c@0-10000",
    ]


def test_a_dropped_clip_keeps_its_bytes(tmp_path: Path, make) -> None:
    dataset = Dataset(tmp_path)
    first = make.kept("url:a", 2)
    (row,) = dataset.commit_chunk([first]).rows
    for decision, recipe in ((Decision.DROPPED, OTHER), (Decision.KEPT, "2" * 12)):
        clips = tuple(replace(clip, decision=decision) for clip in row.clips)
        row = replace(row, decision=decision, recipe=recipe, clips=clips)
        dataset.commit_chunk([type(first)(row)])
        dataset.publish()
        dataset.compact(grace_h=0)
    assert readable(dataset) == ["url:a@0-10000", "url:a@10000-20000"]
    assert len(dataset.store.list_names("shards")) == 1


def test_a_retryable_failure_does_not_free_the_files_of_the_row_before(
    tmp_path: Path, make
) -> None:
    dataset = Dataset(tmp_path)
    dataset.commit_chunk([make.kept("url:a")])
    dataset.commit_chunk([make.failed("url:a", recipe=OTHER)])
    dataset.compact(grace_h=0)
    dataset.publish()
    assert readable(dataset) == ["url:a@0-10000"]


def test_compaction_leaves_few_index_files_with_the_same_rows(tmp_path: Path, make) -> None:
    dataset = Dataset(tmp_path)
    for number in range(5):
        dataset.commit_chunk([make.kept(f"url:{number}")])
    before = dataset.read_latest()
    report = dataset.compact(grace_h=0)
    assert report.index_files == (5, 1)
    assert report.index_removed >= 5
    assert dataset.read_latest().equals(before)
    assert Dataset(tmp_path).read_latest().equals(before)
    assert [commit.sequence for commit in dataset.list_commits()] == [1, 2, 3, 4, 5]


def test_many_small_files_are_merged(tmp_path: Path, make) -> None:
    dataset = Dataset(tmp_path)
    for number in range(MERGE_FILES + 3):
        dataset.commit_chunk([make.dropped(f"url:{number:03d}")])
    assert len(DeltaTable(str(tmp_path / "index")).file_uris()) < 8
    assert (
        dataset.read_decisions().num_rows
        == Dataset(tmp_path).read_decisions().num_rows
        == MERGE_FILES + 3
    )


def test_every_commit_is_listed(tmp_path: Path, make) -> None:
    dataset = Dataset(tmp_path)
    dataset.commit_chunk([make.kept("url:a", 2), make.dropped("url:b"), make.failed("url:c")])
    dataset.commit_chunk([make.kept("url:d", recipe=OTHER)])
    dataset.publish()
    first, second = dataset.list_commits()
    assert (first.sequence, first.run_ids, first.recipes, first.clips, first.published) == (
        1,
        ("run",),
        ("0" * 12,),
        2,
        False,
    )
    assert first.decisions == dict.fromkeys(Decision, 1)
    assert (second.sequence, second.recipes, second.clips, second.published) == (
        2,
        (OTHER,),
        1,
        True,
    )
    assert second.decisions == {Decision.KEPT: 1, Decision.DROPPED: 0, Decision.FAILED: 0}
    assert second.time == make.kept("url:d").row.decided_at
    with pytest.raises(InvalidInput, match="no dataset"):
        Dataset(tmp_path / "none").list_commits()


def test_two_snapshots_differ_by_clips(tmp_path: Path, make) -> None:
    dataset = Dataset(tmp_path)
    publish(dataset, [make.kept("url:a", 2), make.kept("url:b")])
    other = make.kept("url:b", recipe=OTHER)
    clips = [type(clip)(**{**vars(clip), "video": b"another encoder"}) for clip in other.clips]
    publish(
        dataset,
        [
            make.kept("url:a", recipe=OTHER),
            type(other)(other.row, clips),
            make.kept("url:c", recipe=OTHER),
        ],
    )
    diff = dataset.diff_snapshots(1)
    assert (diff.before, diff.after) == (1, 2)
    assert (diff.added, diff.removed, diff.changed) == (
        ("url:c@0-10000",),
        ("url:a@10000-20000",),
        ("url:b@0-10000",),
    )
    back = dataset.diff_snapshots(2, 1)
    assert (back.added, back.removed, back.changed) == (diff.removed, diff.added, diff.changed)
    assert dataset.diff_snapshots(2) == type(diff)(2, 2, (), (), ())


def test_uris_of_object_stores_are_told_from_paths() -> None:
    assert [
        is_remote(place)
        for place in ("s3://bucket/a", "gs://b", "/data/s3:/x", "s3:/bucket", "a://b")
    ] == [True, True, False, False, False]
