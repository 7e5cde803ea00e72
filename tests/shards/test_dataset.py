from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from argus.errors import InvalidInput
from argus.files import sha256_file
from argus.shards import Commit, Dataset, ShardReader, SnapshotRow, SourceRow, usable_rows
from argus.shards.index import Index
from schemas.arrow import INDEX_SCHEMA, SNAPSHOT_SCHEMA
from schemas.names import Split

RECIPE = "0" * 12


def clip_ids(dataset: Dataset, version: int | None = None) -> list[str]:
    return dataset.snapshot(version).table["clip_id"].to_pylist()


def test_a_wave_is_found_again_clip_by_clip(tmp_path: Path, make) -> None:
    wave = [make.kept("url:b", 2), make.dropped("url:c"), make.kept("url:a", split=Split.TEST)]
    dataset = Dataset(tmp_path)
    snapshot = dataset.commit_wave(wave).snapshot
    rows = [SnapshotRow.of(values) for values in snapshot.table.to_pylist()]
    assert [row.clip_id for row in rows] == sorted(clip.clip_id for video in wave for clip in video.clips)
    expected = {clip.clip_id: clip for video in wave for clip in video.clips}
    for row in rows:
        with ShardReader(tmp_path / row.shard) as reader:
            assert reader.clip(row.row) == expected[row.clip_id]
    assert dataset.clip_counts() == {Split.TRAIN: 2, Split.VAL: 0, Split.TEST: 1}


def test_the_shard_keeps_the_order_of_the_wave(tmp_path: Path, make) -> None:
    dataset = Dataset(tmp_path)
    snapshot = dataset.commit_wave([make.kept("url:b", 2), make.kept("url:a")]).snapshot
    with ShardReader(tmp_path / snapshot.table["shard"][0].as_py()) as reader:
        assert [reader.clip(row).source_id for row in range(len(reader))] == ["url:b", "url:b", "url:a"]


def test_the_index_opens_with_deltalake_alone(tmp_path: Path, make) -> None:
    Dataset(tmp_path).commit_wave([make.kept("url:a"), make.failed("url:b")])
    table = DeltaTable(str(tmp_path / "index")).to_pyarrow_table().sort_by("source_id")
    assert table.schema.names == INDEX_SCHEMA.names
    assert table["decision"].to_pylist() == ["kept", "failed"]
    assert table["clips"][0].as_py()[0]["scores"][0] == {"filter": "static", "name": "difference", "value": 0.02, "threshold": 0.005, "kept": True}
    assert table["sequence"].to_pylist() == [1, 1]


def test_settled_is_what_needs_no_other_try(tmp_path: Path, make) -> None:
    dataset = Dataset(tmp_path)
    assert dataset.decided(RECIPE) == {}
    wave = [
        make.kept("url:a"),
        make.dropped("url:b"),
        make.failed("url:c"),
        make.failed("url:d", retryable=False),
        make.kept("url:e", recipe="1" * 12),
    ]
    dataset.commit_wave(wave[:4])
    dataset.commit_wave(wave[4:])
    assert dataset.decided(RECIPE) == {"url:a": True, "url:b": True, "url:c": False, "url:d": True}
    assert dataset.decided("1" * 12) == {"url:e": True}


def test_the_latest_row_of_a_source_wins(tmp_path: Path, make) -> None:
    dataset = Dataset(tmp_path)
    dataset.commit_wave([make.kept("url:a", 2), make.kept("url:b")])
    dataset.commit_wave([make.kept("url:a", 1, recipe="1" * 12)])
    dataset.commit_wave([make.dropped("url:b", recipe="1" * 12)])
    assert [len(clip_ids(dataset, version)) for version in (1, 2, 3)] == [3, 2, 1]
    latest = dataset.latest_rows(["source_id", "decision", "recipe"]).to_pylist()
    assert [(row["source_id"], row["decision"], row["recipe"][0]) for row in latest] == [("url:a", "kept", "1"), ("url:b", "dropped", "1")]
    assert DeltaTable(str(tmp_path / "index")).to_pyarrow_table().num_rows == 4


def test_nothing_new_commits_nothing(tmp_path: Path, make) -> None:
    dataset = Dataset(tmp_path)
    dataset.commit_wave([make.kept("url:a"), make.failed("url:b")])
    before = DeltaTable(str(tmp_path / "index")).version()
    assert dataset.commit_wave([]) is None
    assert dataset.commit_wave([make.failed("url:b")]) is None  # the same failure once more
    assert dataset.commit_wave([make.failed("url:a")]) is None  # a failure never undoes what is settled
    assert DeltaTable(str(tmp_path / "index")).version() == before
    assert clip_ids(dataset) == ["url:a@0-10000"]


def test_a_commit_without_clips_makes_no_snapshot(tmp_path: Path, make) -> None:
    dataset = Dataset(tmp_path)
    assert dataset.commit_wave([make.dropped("url:a")]) == Commit(1, 1, None)
    with pytest.raises(InvalidInput, match="no clip was ever kept"):
        dataset.snapshot()
    assert dataset.commit_wave([make.kept("url:b")]).snapshot.version == 2
    dataset.commit_wave([make.dropped("url:c")])
    assert [snapshot.version for snapshot in dataset.snapshots()] == [2]


def test_a_snapshot_lost_to_a_kill_is_made_again_with_equal_bytes(tmp_path: Path, make) -> None:
    dataset = Dataset(tmp_path)
    for source in ("url:c", "url:a", "url:b"):
        dataset.commit_wave([make.kept(source, 2), make.dropped(source + "x")])
    digests = [snapshot.digest for snapshot in dataset.snapshots()]
    assert digests == [sha256_file(tmp_path / "snapshots" / f"00000{version}.parquet") for version in (1, 2, 3)]
    for lost in ({3}, {2, 3}, {1, 2, 3}):
        for version in lost:
            (tmp_path / "snapshots" / f"00000{version}.parquet").unlink()
        assert [snapshot.digest for snapshot in Dataset(tmp_path).snapshots()] == digests


def test_a_kill_before_the_index_leaves_nothing_that_counts(tmp_path: Path, make, monkeypatch) -> None:
    def killed(*_arguments: object) -> int:
        raise KeyboardInterrupt

    whole = Dataset(tmp_path / "whole").commit_wave([make.kept("url:a", 3)]).snapshot
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Index, "append", killed)
        Dataset(tmp_path / "torn").commit_wave([make.kept("url:a", 3)])
    torn = Dataset(tmp_path / "torn")
    assert (torn.exists, torn.decided(RECIPE), torn.snapshots()) == (False, {}, [])
    assert torn.commit_wave([make.kept("url:a", 3)]).snapshot.digest == whole.digest


def test_writers_at_once_lose_nothing(tmp_path: Path, make) -> None:
    def write(source: str) -> None:
        Dataset(tmp_path).commit_wave([make.kept(source)])

    sources = [f"url:{number:02d}" for number in range(12)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, sources))
    dataset = Dataset(tmp_path)
    assert clip_ids(dataset) == [f"{source}@0-10000" for source in sources]
    assert len(set(dataset.latest_rows(["sequence"])["sequence"].to_pylist())) == len(sources)


def test_a_snapshot_has_the_schema_and_is_sorted(tmp_path: Path, make) -> None:
    snapshot = Dataset(tmp_path).commit_wave([make.kept("url:b"), make.kept("url:a", 3)]).snapshot
    table = pq.read_table(snapshot.path)
    assert table.schema.equals(SNAPSHOT_SCHEMA, check_metadata=True)
    assert table["clip_id"].to_pylist() == sorted(table["clip_id"].to_pylist())


def test_what_does_not_exist_is_named(tmp_path: Path, make) -> None:
    with pytest.raises(InvalidInput, match=r"no dataset at .*argus refresh"):
        Dataset(tmp_path / "none").snapshot()
    with pytest.raises(InvalidInput, match="no dataset at"):
        Dataset(tmp_path / "none").latest_rows()
    assert not (tmp_path / "none").exists()
    dataset = Dataset(tmp_path / "some")
    dataset.commit_wave([make.kept("url:a")])
    dataset.commit_wave([make.kept("url:b")])
    with pytest.raises(InvalidInput, match=r"has no snapshot 7; it has 1, 2"):
        dataset.snapshot(7)


def test_rows_that_do_not_match_their_clips_are_refused(tmp_path: Path, make) -> None:
    video = make.kept("url:a", 2)
    with pytest.raises(InvalidInput, match="was given where the row"):
        Dataset(tmp_path).commit_wave([type(video)(video.row, video.clips[::-1])])
    with pytest.raises(InvalidInput, match="one recipe"):
        Dataset(tmp_path).commit_wave([make.kept("url:a"), make.kept("url:b", recipe="1" * 12)])
    assert not Dataset(tmp_path).exists


def test_short_and_poor_clips_are_skipped_and_counted(tmp_path: Path, make) -> None:
    snapshot = (
        Dataset(tmp_path).commit_wave([make.kept("url:a", frames=10), make.kept("url:b", 2, frames=25), make.kept("url:c", split=Split.VAL)]).snapshot
    )
    usable = usable_rows(snapshot, Split.TRAIN, frames=25)
    assert ([row.source_id for row in usable.rows], usable.skipped) == (["url:b", "url:b"], 1)
    assert usable_rows(snapshot, Split.TRAIN, frames=5, min_quality=0.6).skipped == 3
    assert usable_rows(snapshot, Split.TRAIN, frames=5, high_quality=True).skipped == 3


def test_a_row_survives_json(make) -> None:
    row = make.kept("url:a", 2).row
    assert SourceRow.model_validate_json(row.model_dump_json()) == row
