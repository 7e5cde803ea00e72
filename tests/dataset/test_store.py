"""A store's contract, in a folder and on an S3 server alike, and a whole dataset in both."""

import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from argus.curate import load_recipe
from argus.dataset import (
    Dataset,
    DatasetView,
    SnapshotRow,
    Store,
    compare_manifest,
    export_manifest,
)
from argus.dataset.index import Index
from argus.errors import InvalidInput, ServiceError
from flows.forms import refresh_config, train_config
from schemas.config import CurateConfig
from schemas.forms import RefreshForm, TrainForm

OTHER = "1" * 12


@pytest.fixture
def store(place: str) -> Store:
    return Store.of(place)


def test_files_are_written_read_listed_and_deleted(store: Store, tmp_path: Path) -> None:
    assert (store.list_names(), store.exists("a/b")) == ([], False)
    store.write("a/b", b"content")
    with store.writing("a/c.bin") as path:
        path.write_bytes(bytes(range(256)) * 100)
    (tmp_path / "file").write_bytes(b"")
    store.put("d", tmp_path / "file")
    assert not (tmp_path / "file").exists()
    assert store.list_names() == ["a/b", "a/c.bin", "d"]
    assert [(file.name, file.bytes) for file in store.list_files("a")] == [
        ("a/b", 7),
        ("a/c.bin", 25_600),
    ]
    assert (store.read("a/b"), store.read("d"), store.exists("a/b")) == (b"content", b"", True)
    with store.open("a/c.bin") as file:
        file.seek(511)
        assert file.read(3) == bytes([255, 0, 1])
    store.write("a/b", b"other")
    assert store.read("a/b") == b"other"
    store.delete(["a/b", "never"])
    store.delete_folder("a")
    store.delete_folder("never")
    assert store.list_names() == ["d"]
    with pytest.raises(FileNotFoundError):
        store.read("a/b")


def test_a_file_is_whole_or_absent(store: Store) -> None:
    store.write("x", b"before")
    with pytest.raises(RuntimeError), store.writing("x") as path:
        path.write_bytes(b"af")
        raise RuntimeError("half-way")
    assert (store.read("x"), store.list_names()) == (b"before", ["x"])


def test_a_folder_is_moved_with_its_marker_last(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.scratch() as scratch:
        for name in ("z.bin", "row.json", "deep/a.bin"):
            (scratch / "staged" / name).parent.mkdir(parents=True, exist_ok=True)
            (scratch / "staged" / name).write_bytes(name.encode())
        put, order = Store.put, []
        monkeypatch.setattr(
            Store, "put", lambda self, name, path: (order.append(name), put(self, name, path))[1]
        )
        store.put_folder("staging/one", scratch / "staged", marker="row.json")
    assert order[-1:] in ([], ["staging/one/row.json"])  # a folder is renamed at once
    assert store.list_names("staging") == [
        "staging/one/deep/a.bin",
        "staging/one/row.json",
        "staging/one/z.bin",
    ]
    assert store.list_folders("staging") == ["staging/one"]
    assert store.read("staging/one/deep/a.bin") == b"deep/a.bin"
    with store.scratch() as scratch:
        (scratch / "row.json").write_bytes(b"new")
        store.put_folder("staging/one", scratch, marker="row.json")
    assert store.list_names() == ["staging/one/row.json"]


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/", "a\\b", "a\0"]
)
def test_no_name_leads_out_of_a_store(store: Store, name: str) -> None:
    for act in (
        store.read,
        store.exists,
        store.uri_of,
        store.delete_folder,
        lambda name: store.write(name, b""),
    ):
        with pytest.raises(InvalidInput):
            act(name)


def test_places_are_named_by_path_or_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        Store.of("data").local
        == Store.of(tmp_path / "data").local
        == Store.of(f"file://{tmp_path}/data").local
        == tmp_path / "data"
    )
    remote = Store.of("s3://bucket/some/data/")
    assert (remote.uri, remote.local, remote.name) == ("s3://bucket/some/data", None, "data")
    assert remote.uri_of("a/b") == "s3://bucket/some/data/a/b"
    assert pickle.loads(pickle.dumps(remote)) == remote == Store.of(remote)
    for place in ("http://host/data", "s3://", "S3://bucket"):
        with pytest.raises(InvalidInput, match=re.escape(place)):
            Store.of(place)


def test_configurations_do_not_change_a_uri() -> None:
    assert CurateConfig(catalogue="none", dataset="s3://bucket/data").dataset == "s3://bucket/data"
    assert (
        refresh_config(RefreshForm(catalogue="none", dataset="s3://bucket/data"), "run").dataset
        == "s3://bucket/data"
    )
    assert train_config(TrainForm(dataset="gs://bucket/data"), "run").dataset == "gs://bucket/data"


def test_no_secret_is_shown(s3: str) -> None:
    store = Store.of(s3)
    assert "secret" not in f"{store} {store.options()} {pickle.dumps(store)!r}"


def test_a_missing_bucket_is_reported(s3: str) -> None:
    with pytest.raises(ServiceError, match="s3://nowhere/data"):
        Dataset("s3://nowhere/data")
    with pytest.raises(ServiceError, match="nowhere"):
        Store.of("s3://nowhere/data").write("a", b"")


def test_a_dataset_on_s3_is_the_one_in_a_folder(
    s3: str, tmp_path: Path, make, find_states: Any
) -> None:
    here, there = Dataset(tmp_path / "dataset"), Dataset(s3)
    assert (there.exists, there.list_snapshots(), find_states(there, OTHER)) == (False, [], {})
    for dataset in (here, there):
        dataset.commit_chunk([make.kept("url:a", 2), make.dropped("url:b"), make.failed("url:c")])
        dataset.commit_chunk([make.kept("url:d"), make.failed("url:a", recipe=OTHER)][:1])
        dataset.publish()
        dataset.store.write(f"recipes/{'0' * 12}.json", b"not a recipe")
    assert there.get_snapshot().digest == here.get_snapshot().digest
    assert there.store.list_names("shards") == here.store.list_names("shards")
    assert there.read_decisions().equals(here.read_decisions())
    for row in map(SnapshotRow.from_values, there.get_snapshot().table.to_pylist()):
        with there.open_shard(row.shard) as remote, here.open_shard(row.shard) as local:
            assert remote.clip(row.row) == local.clip(row.row)
    assert [commit.sequence for commit in there.list_commits()] == [1, 2]
    assert load_recipe(there.store, "0" * 12) is None
    assert export_manifest(there, tmp_path / "m.parquet") == 2
    assert len(compare_manifest(there, tmp_path / "m.parquet").same) == 3
    view = DatasetView(s3)
    assert [row.source_id for row in view.list_videos()] == ["url:a", "url:b", "url:c", "url:d"]
    assert view.find("url:a@10000-20000").clip is not None
    there.store.write("shards/lost.arrow", b"")
    assert there.compact(grace_h=0).shards == ("shards/lost.arrow",)
    assert Dataset(s3).publish().digest == here.get_snapshot().digest


def test_of_two_writers_of_a_version_one_wins(place: str, make) -> None:
    Dataset(place).commit_chunk([make.kept("url:a")])
    first, second = Index(Store.of(place)), Index(Store.of(place))
    assert (first.refresh(), second.refresh()) == (1, 1)
    assert second.append([make.dropped("url:b").row], after=1) == 2
    assert first.append([make.dropped("url:c").row], after=1) is None  # the store itself refuses
    assert Dataset(place).read_decisions()["source_id"].to_pylist() == ["url:a", "url:b"]


def test_a_lost_race_is_repeated_without_what_the_other_writer_committed(place: str, make) -> None:
    Dataset(place).commit_chunk([make.dropped("url:first")])
    seen = []

    def resolve(chunk):
        seen.append([video.row.source_id for video in chunk])
        if len(seen) == 1:  # meanwhile another refresh commits a part of the same chunk
            Dataset(place).commit_chunk([make.kept("url:b"), make.failed("url:c")])
        return chunk

    dataset = Dataset(place)
    commit = dataset.commit_chunk(
        [make.kept("url:a", 2), make.kept("url:b"), make.kept("url:c")], resolve
    )
    assert seen == [["url:a", "url:b", "url:c"], ["url:a", "url:c"]]
    assert (commit.sequence, [row.source_id for row in commit.rows]) == (3, ["url:a", "url:c"])
    dataset.publish()
    assert dataset.get_snapshot().table["source_id"].to_pylist() == [
        "url:a",
        "url:a",
        "url:b",
        "url:c",
    ]
    rows = (
        DeltaTable(dataset.index.uri, storage_options=dataset.store.options())
        .to_pyarrow_table(columns=["source_id"])["source_id"]
        .to_pylist()
    )
    assert sorted(rows) == ["url:a", "url:b", "url:c", "url:c", "url:first"]


def test_concurrent_refreshes_of_overlapping_catalogues_lose_and_repeat_nothing(
    place: str, make
) -> None:
    def refresh(first: int) -> None:
        dataset = Dataset(place)
        for number in range(first, first + 6, 2):
            dataset.commit_chunk([make.kept(f"url:{number}"), make.kept(f"url:{number + 1}")])
        dataset.publish()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(refresh, (0, 2, 4)))
    dataset = Dataset(place)
    assert dataset.publish().table["source_id"].to_pylist() == [
        f"url:{number}" for number in range(10)
    ]
    assert len(list(dataset.index.rows_after(0, ["source_id"])["source_id"])) == 10
