"""A dataset of 100,000 rows: the cost of queries over all rows, and of a commit."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from argus.dataset import Dataset
from schemas.arrow import CLIP, INDEX_SCHEMA

ROWS = 100_000
DECIDED = datetime(2026, 1, 1, tzinfo=UTC)


def rows(count: int) -> pa.Table:
    """Kept videos of one clip each, as one commit."""
    numbers = range(count)
    sources = [f"url:{number:016x}" for number in numbers]
    clip = {
        "clip_id": [f"{source}@0-10000" for source in sources],
        "decision": ["kept"] * count,
        "shard": [f"shards/{number // 32:016x}.arrow" for number in numbers],
        "row": [number % 32 for number in numbers],
        "checksum": [f"{number:064x}" for number in numbers],
        "signature": [bytes(200)] * count,
    }
    clips = pa.StructArray.from_arrays(
        [pa.array(clip.get(field.name, [None] * count), field.type) for field in CLIP],
        fields=list(CLIP),
    )
    same = {
        "split": "train",
        "decision": "kept",
        "retryable": False,
        "recipe": "0" * 12,
        "run_id": "run",
        "decided_at": DECIDED,
        "sequence": 2,
    }
    columns = {
        name: pa.repeat(pa.scalar(value, INDEX_SCHEMA.field(name).type), count)
        for name, value in same.items()
    }
    columns |= {
        "source_id": pa.array(sources),
        "clips": pa.ListArray.from_arrays(pa.array(range(count + 1), pa.int32()), clips),
    }
    table = pa.table(
        [columns.get(field.name, pa.nulls(count, field.type)) for field in INDEX_SCHEMA],
        names=INDEX_SCHEMA.names,
    )
    return table.cast(INDEX_SCHEMA.remove_metadata())


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.dataset.conftest import Maker

    folder = tmp_path_factory.mktemp("large")
    Dataset(folder).commit_chunk([Maker().dropped("url:first")])
    write_deltalake(str(folder / "index"), rows(ROWS), mode="append")
    return folder


def seconds(act: Callable[[], object], tries: int = 5) -> float:
    """Return the seconds of the fastest of several calls."""
    spent = []
    for _ in range(tries):
        start = time.perf_counter()
        act()
        spent.append(time.perf_counter() - start)
    return min(spent)


def test_queries_over_all_rows_are_fast(large: Path, find_states: Any) -> None:
    assert len(find_states(Dataset(large), "0" * 12)) == ROWS + 1
    assert seconds(lambda: Dataset(large).read_decisions(), 3) < 1
    assert Dataset(large).publish().table.num_rows == ROWS

    def republish() -> None:
        (large / "snapshots" / "000002.parquet").unlink()
        Dataset(large).publish()

    assert seconds(republish, 3) < 3


def test_the_cost_of_a_commit_does_not_grow(large: Path, tmp_path: Path, make) -> None:
    def committing(folder: Path) -> Callable[[], object]:
        dataset, numbers = Dataset(folder), iter(range(1000))
        dataset.read_decisions()
        return lambda: dataset.commit_chunk(
            [make.dropped(f"url:new{next(numbers)}-{clip}") for clip in range(32)]
        )

    alone, beside = committing(tmp_path), committing(large)
    alone()
    assert seconds(beside) < 2 * seconds(alone) + 0.02
