"""Rows of version 3, which say less of fetches and failures, are read and written beside new ones.

`tests/data/dataset_v3` was written by version 0.5.0 in two commits: a walk that is kept; a still
video that is dropped and one of a private host that failed; and a staged result of another walk.
"""

import json
import shutil
from dataclasses import fields, replace
from pathlib import Path

import pytest

from argus.curate import Recipe, VideoSource, load_recipe, plan_refresh
from argus.dataset import (
    Dataset,
    DatasetView,
    DecidedVideo,
    SourceRow,
    StageSeconds,
    export_manifest,
    read_manifest,
    row_from_json,
    row_to_json,
)
from schemas.arrow import INDEX_SCHEMA
from schemas.config import ClipSettings, CurateConfig, FilterSettings
from schemas.names import Decision, Reason
from tests.support.old_rows import pin_versions

DATA = Path(__file__).parent.parent / "data" / "dataset_v3" / "dataset"
WALK, STILL, PRIVATE = "url:walk", "url:still", "url:private"
ALL_SECONDS = {field.name: 1.5 for field in fields(StageSeconds)}


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    shutil.copytree(DATA, tmp_path / "dataset")
    return Dataset(tmp_path / "dataset")


def describe(row: SourceRow) -> SourceRow:
    """Return the row with everything that this version stores of a fetch and a failure."""
    return replace(
        row,
        recipe="0" * 16,
        fetch=row.fetch and replace(row.fetch, etag='"a"', status=206),
        failure_settings='{"allow_private_hosts": false}',
        stage_seconds=StageSeconds(**ALL_SECONDS),
    )


def assert_same(found: dict[str, SourceRow], expected: dict[str, SourceRow]) -> None:
    """Compare rows with their seconds, which are no part of their equality."""
    assert found == expected
    for name, row in found.items():
        assert row.stage_seconds == expected[name].stage_seconds


def test_rows_are_read_without_what_was_not_stored(dataset: Dataset) -> None:
    rows = {row.source_id: row for row in DatasetView(dataset.store).list_videos()}
    decisions = {name: (row.decision, row.reason) for name, row in rows.items()}
    assert decisions == {
        WALK: (Decision.KEPT, None),
        STILL: (Decision.DROPPED, Reason.STATIC),
        PRIVATE: (Decision.FAILED, Reason.FORBIDDEN_HOST),
    }
    for name in (WALK, STILL):
        fetch, spent = rows[name].fetch, rows[name].stage_seconds
        assert fetch is not None
        assert spent is not None
        assert (fetch.tool, fetch.etag, fetch.status) == ("yt-dlp", None, None)
        assert spent.fetch == 0.75
        assert spent.decode is not None
        added = (spent.wait, spent.startup, spent.transfer, spent.fetch_cpu, spent.process_cpu)
        assert added == (None,) * 5
    assert rows[PRIVATE].fetch is None
    assert {row.failure_settings for row in rows.values()} == {None}
    assert_same(dataset.read_rows(list(rows)), rows)


def test_a_staged_result_is_read_without_what_was_not_stored() -> None:
    (path,) = DATA.glob("staging/*/row.json")
    stored = json.loads(path.read_text())
    assert not {"etag", "status"} & set(stored["fetch"])
    row = row_from_json(path.read_text())
    assert row.fetch is not None
    assert (row.fetch.etag, row.fetch.status, row.failure_settings) == (None, None, None)
    assert row.fetch.sha256 == stored["fetch"]["sha256"]
    assert row.stage_seconds == StageSeconds(**stored["stage_seconds"])
    again = row_from_json(row_to_json(describe(row)))
    assert_same({"staged": again}, {"staged": describe(row)})


def test_the_recipe_is_the_same_and_kept_videos_are_known(dataset: Dataset) -> None:
    config = CurateConfig(
        catalogue="catalogue.txt",
        clip=ClipSettings(height=32, clip_s=2.0, min_clip_s=1.0),
        filters=FilterSettings(sharpness=0.1, text_share=1.0),
    )
    recipe = pin_versions(Recipe.from_config(config), DATA)
    rows = dataset.read_rows([WALK, STILL])
    assert {row.recipe for row in rows.values()} == {recipe.digest}
    assert load_recipe(dataset.store, recipe.digest) == recipe
    sources = [VideoSource(row.source_id, row.url, row.split) for row in rows.values()]
    assert plan_refresh(sources, dataset, recipe).work == {}


def test_new_rows_are_committed_to_the_table_and_survive_compaction(dataset: Dataset) -> None:
    before = dataset.read_rows([WALK, STILL, PRIVATE])
    described = {name: describe(before[name]) for name in (WALK, PRIVATE)}
    assert dataset.commit_chunk([DecidedVideo(row) for row in described.values()]) is not None
    expected = {**before, **described}
    assert_same(dataset.read_rows(list(before)), expected)
    assert dataset.compact(grace_h=0).index_files == (3, 1)
    again = Dataset(dataset.store)
    assert_same(again.read_rows(list(before)), expected)
    for name in ("fetch", "stage_seconds"):
        stored = again.read_latest(["source_id", name]).schema.field(name)
        assert stored.type.equals(INDEX_SCHEMA.field(name).type)
    assert DatasetView(dataset.store).read_history(WALK) == [before[WALK], described[WALK]]
    more = replace(described[WALK], recipe="1" * 16)
    assert again.commit_chunk([DecidedVideo(more)]) is not None
    assert again.read_rows([WALK]) == {WALK: more}


def test_a_manifest_of_old_and_new_rows_is_exported(dataset: Dataset, tmp_path: Path) -> None:
    assert export_manifest(dataset, tmp_path / "old.parquet") == 1
    old = read_manifest(tmp_path / "old.parquet").to_pylist()
    (still,) = dataset.read_rows([STILL]).values()
    assert dataset.commit_chunk([DecidedVideo(describe(still))]) is not None
    assert dataset.compact(grace_h=0).index_files == (3, 1)
    assert export_manifest(Dataset(dataset.store), tmp_path / "new.parquet") == 1
    assert read_manifest(tmp_path / "new.parquet").to_pylist() == old
