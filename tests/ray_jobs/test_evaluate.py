"""Selection of clips for an evaluation, and the digest of its test."""

import dataclasses
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from argus.dataset import Snapshot, Store
from argus.errors import InvalidInput
from ray_jobs.evaluate import EvaluationPlan, select_rows
from schemas.arrow import SNAPSHOT_SCHEMA
from schemas.config import EvaluateConfig, SampleOverrides
from schemas.names import Split


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    rows = [
        {
            "clip_id": f"{k:02d}",
            "source_id": f"{k // 4}",
            "split": "test",
            "quality": 0.5,
            "frames": 10,
            "shard": "s",
            "row": k,
            "checksum": f"c{k}",
        }
        for k in range(16)
    ]
    rows[3]["frames"] = 4  # too short
    rows[5]["split"] = "train"
    snapshot = Snapshot(1, Store.of(tmp_path))
    with snapshot.store.writing(snapshot.name) as path:
        pq.write_table(pa.Table.from_pylist(rows, schema=SNAPSHOT_SCHEMA), path)
    return snapshot


PLAN = EvaluationPlan("dataset", {}, 5, 64, 64, SampleOverrides(), 0)


def test_clips_are_selected_evenly_over_the_sources(snapshot: Snapshot) -> None:
    all_rows = select_rows(snapshot, EvaluateConfig(), frames=5)
    assert [row.clip_id for row in all_rows] == [f"{k:02d}" for k in range(16) if k not in (3, 5)]
    some = select_rows(snapshot, EvaluateConfig(max_clips=4), frames=5)
    assert [row.source_id for row in some] == ["0", "1", "2", "3"]


def test_a_split_without_long_enough_clips_is_an_error(snapshot: Snapshot) -> None:
    with pytest.raises(InvalidInput) as caught:
        select_rows(snapshot, EvaluateConfig(), frames=11)
    assert "'test'" in str(caught.value)
    assert "15 skipped" in str(caught.value)
    with pytest.raises(InvalidInput) as caught:
        select_rows(snapshot, EvaluateConfig(split=Split.VAL), frames=5)
    assert "'val'" in str(caught.value)


def test_the_test_digest_depends_on_clips_and_settings_only(snapshot: Snapshot) -> None:
    rows = select_rows(snapshot, EvaluateConfig(), frames=5)
    same = dataclasses.replace(PLAN, dataset="elsewhere", pipelines={"model": Path("other")})
    assert same.test_digest(rows) == PLAN.test_digest(rows)
    other_clip = [*rows[:-1], dataclasses.replace(rows[-1], checksum="other")]
    others = [
        dataclasses.replace(PLAN, seed=1),
        dataclasses.replace(PLAN, sample=SampleOverrides(steps=3)),
        dataclasses.replace(PLAN, height=32),
    ]
    digests = [
        PLAN.test_digest(rows),
        PLAN.test_digest(rows[:-1]),
        PLAN.test_digest(other_clip),
        *(plan.test_digest(rows) for plan in others),
    ]
    assert len(set(digests)) == len(digests)
