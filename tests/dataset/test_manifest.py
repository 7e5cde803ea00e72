"""Manifests: their content, their use as a catalogue, and comparison with a rebuilt dataset."""

import json
import random
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from argus.curate import read_catalogue
from argus.dataset import (
    Dataset,
    compare_manifest,
    export_manifest,
    read_manifest,
    read_manifest_recipes,
)
from argus.errors import InvalidInput
from schemas.arrow import MANIFEST_SCHEMA
from schemas.names import Split

RECIPE = "0" * 12


@pytest.fixture
def dataset(tmp_path: Path, make) -> Dataset:
    dataset = Dataset(tmp_path / "dataset")
    dataset.commit_chunk([make.kept("url:c", 2), make.dropped("url:d")])
    dataset.commit_chunk([make.kept("url:a", split=Split.TEST), make.failed("url:e")])
    dataset.publish()
    return dataset


def test_a_manifest_has_everything_except_pixels(dataset: Dataset, tmp_path: Path) -> None:
    dataset.store.write(f"recipes/{RECIPE}.json", b'{"policy": {}}')
    assert export_manifest(dataset, tmp_path / "m.parquet") == 2
    table = read_manifest(tmp_path / "m.parquet")
    assert table.schema.equals(MANIFEST_SCHEMA)
    assert table["source_id"].to_pylist() == ["url:c", "url:a"]
    shared = {clip["clip_id"]: clip for row in table.to_pylist() for clip in row["clips"]}
    stored = {row["clip_id"]: row for row in dataset.get_snapshot().table.to_pylist()}
    assert {name: clip["checksum"] for name, clip in shared.items()} == {
        name: row["checksum"] for name, row in stored.items()
    }
    assert (
        shared["url:c@10000-20000"]["start_ms"],
        shared["url:c@10000-20000"]["scores"][0]["value"],
    ) == (10_000, 0.02)
    assert not {"shard", "row", "signature", "video"} & set(shared["url:a@0-10000"])
    assert json.loads(read_manifest_recipes(tmp_path / "m.parquet")[RECIPE]) == {"policy": {}}


def test_a_manifest_is_a_catalogue(dataset: Dataset, tmp_path: Path) -> None:
    export_manifest(dataset, tmp_path / "m.parquet")
    sources = read_catalogue(tmp_path / "m.parquet").sources
    assert [(source.url, source.split) for source in sources] == [
        ("http://example.org/url:c", Split.TRAIN),
        ("http://example.org/url:a", Split.TEST),
    ]


def list_order(dataset: Dataset, path: Path) -> list[str]:
    export_manifest(dataset, path)
    return [str(name) for name in read_manifest(path)["source_id"].to_pylist()]


def test_a_manifest_keeps_the_order_of_each_chunk(tmp_path: Path, make) -> None:
    """Chunks of shuffled sources; some are decided again, so that their latest row counts."""
    generator = random.Random(3)
    names = [f"url:{number:02}" for number in range(60)]
    generator.shuffle(names)
    dataset = Dataset(tmp_path / "dataset")
    for first in range(0, 60, 12):
        dataset.commit_chunk([make.kept(name) for name in names[first : first + 12]])
    again = [names[40], names[3], names[22]]
    dataset.commit_chunk([make.kept(name, recipe="1" * 12) for name in again])
    expected = [*(name for name in names if name not in again), *again]
    assert list_order(dataset, tmp_path / "a.parquet") == expected
    assert dataset.compact(grace_h=0).index_files == (6, 1)
    assert list_order(dataset, tmp_path / "b.parquet") == expected
    rebuilt = Dataset(tmp_path / "rebuilt")
    sources = read_catalogue(tmp_path / "b.parquet").sources
    for first in range(0, 60, 7):
        chunk = [make.kept(source.source_id) for source in sources[first : first + 7]]
        rebuilt.commit_chunk(chunk)
    assert list_order(rebuilt, tmp_path / "c.parquet") == [one.source_id for one in sources]
    assert [one.url for one in sources] == [f"http://example.org/{name}" for name in expected]


def test_a_rebuilt_dataset_is_compared_with_its_manifest(
    dataset: Dataset, tmp_path: Path, make
) -> None:
    export_manifest(dataset, tmp_path / "m.parquet")
    assert compare_manifest(dataset, tmp_path / "m.parquet").same == (
        "url:c@0-10000",
        "url:c@10000-20000",
        "url:a@0-10000",
    )
    other = make.kept("url:c")
    clips = [type(clip)(**{**vars(clip), "video": b"another encoder"}) for clip in other.clips]
    rebuilt = Dataset(tmp_path / "rebuilt")
    rebuilt.commit_chunk([type(other)(other.row, clips)])
    report = compare_manifest(rebuilt, tmp_path / "m.parquet")
    assert (report.same, report.changed) == ((), ("url:c@0-10000",))
    assert report.missing == {"url:c@10000-20000": "no such span", "url:a@0-10000": "not decided"}
    rebuilt.commit_chunk([make.failed("url:a")])
    assert (
        compare_manifest(rebuilt, tmp_path / "m.parquet").missing["url:a@0-10000"] == "unreachable"
    )


def test_other_files_are_refused(tmp_path: Path, make) -> None:
    with pytest.raises(InvalidInput, match="argus refresh"):
        export_manifest(Dataset(tmp_path / "none"), tmp_path / "m.parquet")
    dataset = Dataset(tmp_path / "dropped")
    dataset.commit_chunk([make.dropped("url:a")])
    with pytest.raises(InvalidInput, match=re.escape(str(tmp_path))):
        export_manifest(dataset, tmp_path / "m.parquet")
    assert not (tmp_path / "m.parquet").exists()
    (tmp_path / "text.parquet").write_text("text")
    pq.write_table(pq.read_table(_snapshot(tmp_path, make)), tmp_path / "other.parquet")
    for name in ("text", "other", "none"):
        with pytest.raises(InvalidInput, match=rf"{name}\.parquet"):
            read_manifest(tmp_path / f"{name}.parquet")


def _snapshot(folder: Path, make) -> Path:
    dataset = Dataset(folder / "kept")
    dataset.commit_chunk([make.kept("url:a")])
    return folder / "kept" / dataset.publish().name
