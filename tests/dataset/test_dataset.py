import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from argus.dataset import (
    Commit,
    Dataset,
    ShardReader,
    SnapshotRow,
    Store,
    row_from_json,
    row_to_json,
    select_usable_rows,
)
from argus.dataset.index import Index
from argus.errors import InvalidInput
from argus.files import sha256_file
from schemas.arrow import INDEX_SCHEMA, SNAPSHOT_SCHEMA
from schemas.names import Decision, Split

RECIPE = "0" * 12


def clip_ids(dataset: Dataset, version: int | None = None) -> list[str]:
    return dataset.get_snapshot(version).table["clip_id"].to_pylist()


def test_the_clips_of_a_chunk_are_read_again(tmp_path: Path, make) -> None:
    chunk = [make.kept("url:b", 2), make.dropped("url:c"), make.kept("url:a", split=Split.TEST)]
    dataset = Dataset(tmp_path)
    dataset.commit_chunk(chunk)
    snapshot = dataset.publish()
    rows = [SnapshotRow.from_values(values) for values in snapshot.table.to_pylist()]
    assert [row.clip_id for row in rows] == sorted(
        clip.clip_id for video in chunk for clip in video.clips
    )
    expected = {clip.clip_id: clip for video in chunk for clip in video.clips}
    for row in rows:
        with ShardReader(tmp_path / row.shard) as reader:
            assert reader.clip(row.row) == expected[row.clip_id]
    assert snapshot.counts() == {Split.TRAIN: 2, Split.VAL: 0, Split.TEST: 1}


def test_the_shard_keeps_the_order_of_the_chunk(tmp_path: Path, make) -> None:
    dataset = Dataset(tmp_path)
    dataset.commit_chunk([make.kept("url:b", 2), make.kept("url:a")])
    snapshot = dataset.publish()
    with ShardReader(tmp_path / snapshot.table["shard"][0].as_py()) as reader:
        assert [reader.clip(row).source_id for row in range(len(reader))] == [
            "url:b",
            "url:b",
            "url:a",
        ]


def test_the_index_opens_with_deltalake_alone(tmp_path: Path, make) -> None:
    Dataset(tmp_path).commit_chunk([make.kept("url:a"), make.failed("url:b")])
    table = DeltaTable(str(tmp_path / "index")).to_pyarrow_table().sort_by("source_id")
    assert table.schema.names == INDEX_SCHEMA.names
    assert table["decision"].to_pylist() == ["kept", "failed"]
    assert table["clips"][0].as_py()[0]["scores"][0] == {
        "filter": "static",
        "name": "difference",
        "value": 0.02,
        "threshold": 0.005,
        "kept": True,
    }
    assert table["sequence"].to_pylist() == [1, 1]


def test_final_rows_need_no_further_attempt(tmp_path: Path, make, find_states: Any) -> None:
    dataset = Dataset(tmp_path)
    assert find_states(dataset, RECIPE) == {}
    chunk = [
        make.kept("url:a"),
        make.dropped("url:b"),
        make.failed("url:c"),
        make.failed("url:d", retryable=False),
        make.kept("url:e", recipe="1" * 12),
    ]
    dataset.commit_chunk(chunk[:4])
    dataset.commit_chunk(chunk[4:])
    assert find_states(dataset, RECIPE) == {
        "url:a": True,
        "url:b": True,
        "url:c": False,
        "url:d": True,
    }
    assert find_states(dataset, "1" * 12) == {"url:e": True}


def test_rows_are_found_by_their_sources(tmp_path: Path, make) -> None:
    dataset = Dataset(tmp_path)
    for number in range(70):  # so many files are folded
        dataset.commit_chunk(
            [make.dropped(f"url:{number:02d}"), make.failed(f"url:{number + 1:02d}")]
        )
    rows = Dataset(tmp_path).read_rows(["url:03", "url:70", "url:99", "url:00"])
    assert {source_id: row.decision for source_id, row in rows.items()} == {
        "url:00": Decision.DROPPED,
        "url:03": Decision.DROPPED,  # after its failure
        "url:70": Decision.FAILED,
    }
    assert dataset.read_rows(["url:03"]) == {"url:03": rows["url:03"]}
    assert Dataset(tmp_path / "none").read_rows(["url:03"]) == {}


def test_the_latest_row_of_a_source_wins(tmp_path: Path, make) -> None:
    dataset = Dataset(tmp_path)
    for chunk in (
        [make.kept("url:a", 2), make.kept("url:b")],
        [make.kept("url:a", 1, recipe="1" * 12)],
        [make.dropped("url:b", recipe="1" * 12)],
    ):
        dataset.commit_chunk(chunk)
        dataset.publish()
    assert [len(clip_ids(dataset, version)) for version in (1, 2, 3)] == [3, 2, 1]
    latest = dataset.read_latest(["source_id", "decision", "recipe"]).to_pylist()
    assert [(row["source_id"], row["decision"], row["recipe"][0]) for row in latest] == [
        ("url:a", "kept", "1"),
        ("url:b", "dropped", "1"),
    ]
    assert DeltaTable(str(tmp_path / "index")).to_pyarrow_table().num_rows == 4


def test_known_videos_commit_nothing(tmp_path: Path, make) -> None:
    dataset = Dataset(tmp_path)
    dataset.commit_chunk([make.kept("url:a"), make.failed("url:b")])
    dataset.publish()
    before = DeltaTable(str(tmp_path / "index")).version()
    assert dataset.commit_chunk([]) is None
    assert dataset.commit_chunk([make.failed("url:b")]) is None  # the same failure once more
    assert (
        dataset.commit_chunk([make.failed("url:a")]) is None
    )  # a failure never replaces a final row
    assert DeltaTable(str(tmp_path / "index")).version() == before
    assert clip_ids(dataset) == ["url:a@0-10000"]


def test_only_changed_clips_make_a_snapshot(tmp_path: Path, make) -> None:
    dataset = Dataset(tmp_path)
    dropped = make.dropped("url:a")
    assert dataset.commit_chunk([dropped]) == Commit(1, (dropped.row,))
    assert dataset.publish() is None
    with pytest.raises(InvalidInput, match=re.escape(str(tmp_path))):
        dataset.get_snapshot()
    dataset.commit_chunk([make.kept("url:b")])
    assert dataset.list_snapshots() == []
    assert dataset.publish().version == 2
    dataset.commit_chunk([make.dropped("url:c")])
    assert dataset.publish().version == 2
    assert [snapshot.version for snapshot in dataset.list_snapshots()] == [2]


def test_a_snapshot_is_a_function_of_the_rows_whichever_were_published_before(
    tmp_path: Path, make
) -> None:
    chunks = [
        [make.kept(source, 2), make.dropped(source + "x")] for source in ("url:c", "url:a", "url:b")
    ]
    chunks.append([make.kept("url:a", recipe="1" * 12), make.dropped("url:c", recipe="1" * 12)])
    often, once = Dataset(tmp_path / "often"), Dataset(tmp_path / "once")
    for chunk in chunks:
        often.commit_chunk(chunk)
        often.publish()
        once.commit_chunk(chunk)
    once.publish()
    assert [snapshot.version for snapshot in often.list_snapshots()] == [1, 2, 3, 4]
    assert [snapshot.version for snapshot in once.list_snapshots()] == [4]
    assert (
        once.get_snapshot(4).digest
        == often.get_snapshot(4).digest
        == sha256_file(tmp_path / "once" / "snapshots" / "000004.parquet")
    )
    for version in (2, 4):
        (tmp_path / "often" / "snapshots" / f"00000{version}.parquet").unlink()
    assert Dataset(tmp_path / "often").publish().digest == once.get_snapshot().digest


def test_a_retryable_failure_hides_nothing(tmp_path: Path, make, find_states: Any) -> None:
    dataset = Dataset(tmp_path)
    dataset.commit_chunk([make.kept("url:a", 2), make.kept("url:b")])
    dataset.commit_chunk(
        [
            make.failed("url:a", recipe="1" * 12),
            make.failed("url:b", recipe="1" * 12, retryable=False),
        ]
    )
    dataset.publish()
    assert clip_ids(dataset) == ["url:a@0-10000", "url:a@10000-20000"]
    assert find_states(dataset, "1" * 12) == {"url:a": False, "url:b": True}


def test_a_kill_before_the_index_leaves_nothing_that_counts(
    tmp_path: Path, make, monkeypatch, find_states: Any
) -> None:
    def killed(*_arguments: object, **_named: object) -> int:
        raise KeyboardInterrupt

    Dataset(tmp_path / "whole").commit_chunk([make.kept("url:a", 3)])
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Index, "append", killed)
        Dataset(tmp_path / "torn").commit_chunk([make.kept("url:a", 3)])
    torn = Dataset(tmp_path / "torn")
    assert (torn.exists, find_states(torn, RECIPE), torn.list_snapshots()) == (False, {}, [])
    torn.commit_chunk([make.kept("url:a", 3)])
    assert torn.publish().digest == Dataset(tmp_path / "whole").publish().digest
    assert Store.of(tmp_path / "torn").list_names("shards") == Store.of(
        tmp_path / "whole"
    ).list_names("shards")


def test_concurrent_writers_lose_nothing(tmp_path: Path, make) -> None:
    def write(source: str) -> None:
        Dataset(tmp_path).commit_chunk([make.kept(source)])

    sources = [f"url:{number:02d}" for number in range(12)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, sources))
    dataset = Dataset(tmp_path)
    dataset.publish()
    assert clip_ids(dataset) == [f"{source}@0-10000" for source in sources]
    assert len(set(dataset.read_latest(["sequence"])["sequence"].to_pylist())) == len(sources)


def test_a_snapshot_has_the_schema_and_is_sorted(tmp_path: Path, make) -> None:
    dataset = Dataset(tmp_path)
    dataset.commit_chunk([make.kept("url:b"), make.kept("url:a", 3)])
    table = pq.read_table(tmp_path / dataset.publish().name)
    assert table.schema.equals(SNAPSHOT_SCHEMA, check_metadata=True)
    assert table["clip_id"].to_pylist() == sorted(table["clip_id"].to_pylist())


def test_a_missing_dataset_or_snapshot_is_named(tmp_path: Path, make) -> None:
    with pytest.raises(InvalidInput, match="argus refresh"):
        Dataset(tmp_path / "none").get_snapshot()
    with pytest.raises(InvalidInput, match="argus refresh"):
        Dataset(tmp_path / "none").read_latest()
    assert not (tmp_path / "none").exists()
    dataset = Dataset(tmp_path / "some")
    for source in ("url:a", "url:b"):
        dataset.commit_chunk([make.kept(source)])
        dataset.publish()
    with pytest.raises(InvalidInput, match="1, 2"):
        dataset.get_snapshot(7)


def test_rows_that_do_not_match_their_clips_are_refused(tmp_path: Path, make) -> None:
    video = make.kept("url:a", 2)
    with pytest.raises(InvalidInput, match=video.row.source_id):
        Dataset(tmp_path).commit_chunk([type(video)(video.row, video.clips[::-1])])
    with pytest.raises(InvalidInput):
        Dataset(tmp_path).commit_chunk([make.kept("url:a"), make.kept("url:b", recipe="1" * 12)])
    assert not Dataset(tmp_path).exists


def test_short_and_poor_clips_are_skipped_and_counted(tmp_path: Path, make) -> None:
    dataset = Dataset(tmp_path)
    dataset.commit_chunk(
        [
            make.kept("url:a", frames=10),
            make.kept("url:b", 2, frames=25),
            make.kept("url:c", split=Split.VAL),
        ]
    )
    snapshot = dataset.publish()
    usable = select_usable_rows(snapshot, Split.TRAIN, frames=25)
    assert ([row.source_id for row in usable.rows], usable.skipped) == (["url:b", "url:b"], 1)
    assert select_usable_rows(snapshot, Split.TRAIN, frames=5, min_quality=0.6).skipped == 3
    assert select_usable_rows(snapshot, Split.TRAIN, frames=5, high_quality=True).skipped == 3


def test_a_row_survives_json(make) -> None:
    row = make.kept("url:a", 2).row
    assert row_from_json(row_to_json(row)) == row


@pytest.mark.parametrize("path", [(), ("clips", 0), ("clips", 0, "scores", 0)])
def test_an_unknown_name_in_a_staged_row_is_refused(make, path: tuple[str | int, ...]) -> None:
    row = make.kept("url:a", 2).row
    values = found = json.loads(row_to_json(row))
    for key in path:
        found = found[key]
    found["sparkle"] = 1
    with pytest.raises(InvalidInput, match=r"\bsparkle\b"):
        row_from_json(json.dumps(values))


def test_a_dataset_of_an_older_version_is_read_and_goes_on(
    tmp_path: Path, make, find_states: Any
) -> None:
    """It lacks columns of the index, of its clips and of snapshots."""
    new = Dataset(tmp_path / "new")
    new.commit_chunk([make.kept("url:a", 2), make.failed("url:b")])
    new.publish()
    clip = [
        field
        for field in INDEX_SCHEMA.field("clips").type.value_type
        if field.name not in {"high_quality", "signature", "duplicate_of"}
    ]
    gone = {"conversion", "measured_filters", "networks", "stage_seconds"}
    fields = [field for field in INDEX_SCHEMA.remove_metadata() if field.name not in gone]
    schema = pa.schema(
        [
            pa.field("clips", pa.list_(pa.struct(clip))) if field.name == "clips" else field
            for field in fields
        ]
    )
    rows = [
        {**row, "clips": [{field.name: one[field.name] for field in clip} for one in row["clips"]]}
        for row in new.read_latest().drop_columns(list(gone)).to_pylist()
    ]
    write_deltalake(str(tmp_path / "old" / "index"), pa.Table.from_pylist([], schema=schema))
    write_deltalake(
        str(tmp_path / "old" / "index"), pa.Table.from_pylist(rows, schema=schema), mode="append"
    )
    shutil.copytree(tmp_path / "new" / "shards", tmp_path / "old" / "shards")
    (tmp_path / "old" / "snapshots").mkdir()
    pq.write_table(
        new.get_snapshot().table.drop_columns(["high_quality"]),
        tmp_path / "old" / "snapshots" / "000001.parquet",
    )

    old = Dataset(tmp_path / "old")
    assert find_states(old, RECIPE) == {"url:a": True, "url:b": False}
    assert old.get_snapshot().table["high_quality"].to_pylist() == [None, None]
    assert old.read_latest(["conversion", "clips.duplicate_of"]).to_pylist()[0] == {
        "conversion": None,
        "clips": [
            {"clip_id": name, "duplicate_of": None}
            for name in ("url:a@0-10000", "url:a@10000-20000")
        ],
    }
    old.commit_chunk([make.kept("url:b"), make.kept("url:c")])
    assert old.publish().table["clip_id"].to_pylist() == [
        "url:a@0-10000",
        "url:a@10000-20000",
        "url:b@0-10000",
        "url:c@0-10000",
    ]
    old.compact(grace_h=0)
    assert old.read_latest(["source_id", "clips.checksum"]).num_rows == 3
