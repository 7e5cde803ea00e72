"""Datasets, recipes, manifests and run configurations of version 1 open, and go on.

`tests/data/dataset_v1` was written by version 0.1.0: a first refresh kept two videos, dropped one and
failed to fetch one; a second refresh with another variance threshold reevaluated two of them; a third
one was killed and left a staged result. `expected.json` holds its rows, and the rows that it computed
from stored scores under `sharpness: 50`.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from argus.curate import (
    PriorResult,
    Recipe,
    StagingArea,
    VideoSource,
    WorkKind,
    load_recipe,
    plan_refresh,
    reevaluate_video,
)
from argus.dataset import (
    Dataset,
    DatasetView,
    DecidedVideo,
    Provenance,
    SourceRow,
    StageSeconds,
    compare_manifest,
    export_manifest,
    migrate_config,
    read_manifest,
    read_manifest_recipes,
)
from argus.errors import InvalidInput
from argus.report import compute_sweeps, explain_decision, read_refreshed_videos
from argus.runs import RunFolder
from schemas.config import ClipSettings, CurateConfig, FilterSettings, LearnedThresholds
from schemas.names import JobKind
from tests.support.old_rows import add_current_scores, pin_versions

DATA = Path(__file__).parent.parent / "data" / "dataset_v1"
EXPECTED = json.loads((DATA / "expected.json").read_text())
WALK, SEAM = "url:6e883f9b5da868a3", "url:404f22a8bf120f4f"
STEREO, REMOVED = "url:7f14976be4124598", "youtube:dQw4w9WgXcQ"
RENAMED_SCORES = {
    ("shots", "worst"): "max_score",
    ("shots", "weakest"): "min_cut_score",
    ("motion", "most_share"): "second_largest_share",
    ("text", "staying"): "static_share",
    ("seam", "centre_value"): "center_value",
    ("seam", "centre_ratio"): "center_ratio",
}
RENAMED_COLUMNS = {
    "decided": "decided_at",
    "scored": "measured_filters",
    "seconds": "stage_seconds",
}


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    shutil.copytree(DATA / "dataset", tmp_path / "dataset")
    return Dataset(tmp_path / "dataset")


def config_of(**filters: Any) -> CurateConfig:
    clip = ClipSettings(height=64, clip_s=1.0, min_clip_s=0.8)
    return CurateConfig(catalogue="catalogue.txt", clip=clip, filters=FilterSettings(**filters))


FIRST, SECOND, STRICT = (
    pin_versions(Recipe.from_config(config_of(**filters)), DATA / "dataset")
    for filters in ({}, {"variance": 400.0}, {"sharpness": 50.0})
)
"""The recipes of the refreshes, with the versions of the filters that measured then."""


def source_of(row: SourceRow) -> VideoSource:
    return VideoSource(row.source_id, row.url, row.split)


def decide_again(row: SourceRow, recipe: Recipe) -> SourceRow:
    """Decide by the scores of a row, as if today's filters had measured it."""
    provenance = Provenance(recipe.digest, "third", "0.2.0")
    prior = PriorResult(add_current_scores(row))
    again = reevaluate_video(prior, source_of(row), recipe, provenance)
    assert again is not None
    return again


def round_quality(row: SourceRow) -> SourceRow:
    """Return the row with its qualities in the precision of the index."""
    clips = (replace(clip, quality=float(np.float32(clip.quality))) for clip in row.clips)
    return replace(row, clips=tuple(clips))


def flatten_scores(record: Any) -> list[tuple[Any, ...]]:
    return [(one.filter, one.name, one.value, one.threshold, one.kept) for one in record.scores]


def rename_scores(scores: list[list[Any]]) -> list[tuple[Any, ...]]:
    return [
        (owner, RENAMED_SCORES.get((owner, name), name), *rest) for owner, name, *rest in scores
    ]


def assert_matches(row: SourceRow, expected: Mapping[str, Any], *, skip: tuple[str, ...]) -> None:
    """Compare a row with one that version 1 dumped."""
    assert flatten_scores(row) == rename_scores(expected["scores"])
    for name in set(expected) - {"scores", "clips", *RENAMED_COLUMNS, *skip}:
        assert getattr(row, name) == expected[name], name
    assert len(row.clips) == len(expected["clips"])
    for clip, one in zip(row.clips, expected["clips"], strict=True):
        assert flatten_scores(clip) == rename_scores(one["scores"])
        for name in set(one) - {"scores", "quality"}:
            assert getattr(clip, name) == one[name], name
        assert clip.quality == pytest.approx(one["quality"], rel=1e-6)


def test_every_row_is_read_as_it_was_written(dataset: Dataset) -> None:
    rows = {row.source_id: row for row in DatasetView(dataset.store).list_videos()}
    assert set(rows) == set(EXPECTED["rows"]) == {WALK, SEAM, STEREO, REMOVED}
    for source_id, expected in EXPECTED["rows"].items():
        row = rows[source_id]
        assert_matches(row, expected, skip=())
        assert row.decided_at == datetime.fromisoformat(expected["decided"])
        assert list(row.measured_filters) == (expected["scored"] or [])
        seconds = expected["seconds"]
        assert row.stage_seconds == (StageSeconds(**seconds) if seconds else None)
        assert dataset.read_rows([source_id]) == {source_id: row}
    media = rows[STEREO].media
    assert media is not None
    assert media.spherical is not None
    assert (media.spherical.stereo_mode, media.pixel_aspect) == ("top-bottom", Fraction(1))
    walk = rows[WALK].media
    assert walk is not None
    assert walk.spherical is None
    history = DatasetView(dataset.store).read_history(WALK)
    assert [row.run_id for row in history] == ["first", "second"]


def test_snapshots_and_shards_stay_as_they_are(dataset: Dataset) -> None:
    found = {str(snapshot.version): snapshot.digest for snapshot in dataset.list_snapshots()}
    assert found == EXPECTED["snapshots"]
    newest = dataset.publish()
    assert newest is not None
    assert newest.digest == found[str(newest.version)]
    row = newest.table.to_pylist()[0]
    with dataset.open_shard(row["shard"]) as reader:
        assert reader.clip(row["row"]).clip_id == row["clip_id"]


def test_recipes_are_equal_and_keep_their_digests(dataset: Dataset) -> None:
    recipes = {"first": FIRST, "second": SECOND, "strict": STRICT}
    assert {name: recipe.digest for name, recipe in recipes.items()} == EXPECTED["recipes"]
    for recipe in (FIRST, SECOND):
        assert load_recipe(dataset.store, recipe.digest) == recipe
    settings = DatasetView(dataset.store).read_filter_settings()
    assert settings == {FIRST.digest: FIRST.filters, SECOND.digest: SECOND.filters}


def test_a_refresh_goes_on_where_version_1_stopped(dataset: Dataset) -> None:
    rows = dataset.read_rows([WALK, SEAM, STEREO, REMOVED])
    sources = [source_of(row) for row in rows.values()]
    plan = plan_refresh(sources, dataset, SECOND)
    assert {source_id: work.kind for source_id, work in plan.work.items()} == {
        STEREO: WorkKind.DECIDE,
        REMOVED: WorkKind.DECIDE,
    }
    assert dataset.find_final(SECOND.digest, rows) == {WALK, SEAM}
    again = [decide_again(rows[source_id], SECOND) for source_id in (STEREO, REMOVED)]
    assert dataset.commit_chunk([DecidedVideo(row) for row in again]) is not None
    assert plan_refresh(sources, dataset, SECOND).work == {}
    newest = dataset.publish()
    assert newest is not None
    assert newest.digest == EXPECTED["snapshots"]["1"]
    assert [logged.run_ids for logged in dataset.list_commits()] == [
        ("first",),
        ("second",),
        ("third",),
    ]


def test_other_thresholds_measure_nothing_and_decide_as_version_1_did(dataset: Dataset) -> None:
    rows = dataset.read_rows([WALK, SEAM, STEREO, REMOVED])
    plan = plan_refresh([source_of(row) for row in rows.values()], dataset, STRICT)
    assert {work.kind for work in plan.work.values()} == {WorkKind.DECIDE}
    for source_id, row in rows.items():
        strict, expected = decide_again(row, STRICT), EXPECTED["strict"][source_id]
        assert (strict.decision, strict.reason) == (expected["decision"], expected["reason"])
        assert [one.reason for one in strict.clips] == [one["reason"] for one in expected["clips"]]


def test_what_was_measured_otherwise_is_measured_again(dataset: Dataset) -> None:
    rows = dataset.read_rows([WALK, SEAM, STEREO, REMOVED])
    sources = [source_of(row) for row in rows.values()]
    today = Recipe.from_config(config_of())
    plan = plan_refresh(sources, dataset, today)
    assert {work.kind for work in plan.work.values()} == {WorkKind.EVERYTHING}
    for name in (WALK, SEAM, STEREO):
        provenance = Provenance(today.digest, "third", "0.3.0")
        row = rows[name]
        assert reevaluate_video(PriorResult(row), source_of(row), today, provenance) is None


def test_a_staged_result_of_a_killed_refresh_is_committed(dataset: Dataset) -> None:
    config = config_of(variance=400.0).model_copy(update={"dataset": dataset.store.uri})
    staging = StagingArea.of(config, SECOND.digest)
    (name,) = dataset.store.list_folders("staging")
    stored = json.loads(dataset.store.read(f"{name}/row.json"))
    assert staging.has_result(stored["source_id"])
    video = staging.read_result(stored["source_id"])
    assert [clip.signature is not None for clip in video.row.kept_clips] == [
        True for _ in video.clips
    ]
    scores = [[*score.values()] for score in stored["scores"]]
    assert flatten_scores(video.row) == rename_scores(scores)
    commit = dataset.commit_chunk([video])
    assert commit is not None
    assert all(clip.shard for clip in commit.rows[0].kept_clips)
    assert dataset.read_rows([stored["source_id"]])[stored["source_id"]] == round_quality(
        commit.rows[0]
    )


def test_rows_of_both_versions_survive_compaction(dataset: Dataset) -> None:
    row = dataset.read_rows([STEREO])[STEREO]
    again = decide_again(row, SECOND)
    dataset.commit_chunk([DecidedVideo(again)])
    before = dataset.read_latest()
    assert dataset.compact(grace_h=0).index_files == (3, 1)
    assert Dataset(dataset.store).read_latest().equals(before)
    columns = ["source_id", "decided_at", "scores", "clips.scores", "stage_seconds"]
    assert None not in dataset.read_latest(columns)["decided_at"].to_pylist()
    assert dataset.read_rows([STEREO, WALK])[STEREO] == round_quality(again)
    history = DatasetView(dataset.store).read_history(STEREO)
    assert history == [row, round_quality(again)]


def test_views_explanations_and_sweeps_read_version_1(dataset: Dataset) -> None:
    view = DatasetView(dataset.store)
    videos = view.list_videos()
    found = view.find("https://videos.example/walk.mp4")
    titles = [stage.title for stage in explain_decision(view, found)]
    assert len(titles) > 4
    (sweep,) = compute_sweeps(videos, view.read_filter_settings(), "blur", steps=3)
    assert (sweep.setting, sweep.left_out, len(sweep.values)) == ("sharpness", 0, 4)
    (seams,) = compute_sweeps(videos, view.read_filter_settings(), "seam.center_ratio", steps=3)
    assert seams.setting == "seam_ratio"
    refreshed = read_refreshed_videos(dataset, "first")
    assert {video.source_id for video in refreshed} == {WALK, SEAM, STEREO, REMOVED}


def test_a_manifest_of_version_1_is_compared_and_exported_again(
    dataset: Dataset, tmp_path: Path
) -> None:
    stored = DATA / "manifest.parquet"
    assert set(read_manifest(stored)["source_id"].to_pylist()) == {WALK, STEREO}
    report = compare_manifest(dataset, stored)
    assert (len(report.same), report.changed, report.missing) == (4, (), {})
    recipes = read_manifest_recipes(stored)
    assert {digest: Recipe.from_json(text) for digest, text in recipes.items()} == {
        FIRST.digest: FIRST,
        SECOND.digest: SECOND,
    }
    assert export_manifest(dataset, tmp_path / "again.parquet") == 2
    names = ["source_id", "url", "split", "media", "fetch", "recipe"]
    again = read_manifest(tmp_path / "again.parquet")
    assert again.select(names).equals(read_manifest(stored).select(names))


def test_an_unknown_column_is_refused(tmp_path: Path) -> None:
    schema = pa.schema(
        [("source_id", pa.string()), ("sparkle", pa.int64()), ("sequence", pa.int64())]
    )
    table = pa.Table.from_pylist([{"source_id": "url:a", "sparkle": 1, "sequence": 1}], schema)
    write_deltalake(str(tmp_path / "index"), table)
    assert DeltaTable(str(tmp_path / "index")).version() == 0
    with pytest.raises(InvalidInput, match=r"index/.*\bsparkle\b"):
        DatasetView(tmp_path).list_videos()


def test_a_run_folder_of_version_1_resumes(tmp_path: Path) -> None:
    values = json.loads((DATA / "run.json").read_text())
    config = CurateConfig.model_validate(migrate_config(JobKind.CURATE, values))
    assert (config.chunk_size, config.max_concurrent_videos, config.video_timeout_s) == (8, 3, 60.0)
    assert (config.fetch.max_concurrent_downloads, config.filters.variance) == (5, 400.0)
    folder = RunFolder(tmp_path, JobKind.CURATE, "second")
    folder.path.mkdir(parents=True)
    folder.config_path.write_text((DATA / "run.json").read_text())
    folder.write_config(config, migrate=migrate_config)
    stored = json.loads(folder.config_path.read_text())
    assert CurateConfig.model_validate(migrate_config(JobKind.CURATE, stored)) == config
    with pytest.raises(InvalidInput):
        folder.write_config(config.model_copy(update={"chunk_size": 9}), migrate=migrate_config)
    folder.config_path.write_text(json.dumps({**values, "sparkle": 1}))
    with pytest.raises(InvalidInput, match="sparkle"):
        folder.write_config(config, migrate=migrate_config)


def test_migrating_current_names_changes_nothing() -> None:
    values = config_of(variance=400.0).model_dump(mode="json")
    assert migrate_config(JobKind.CURATE, values) == values
    assert migrate_config(JobKind.TRAIN, {"policy": {"x": 1}}) == {"policy": {"x": 1}}


def test_a_limit_for_the_replaced_text_scorer_is_refused_and_an_unset_one_is_not() -> None:
    values = config_of(variance=400.0).model_dump(mode="json")
    learned = values["filters"]["learned"]
    learned["text_db_share"] = learned.pop("text_ocr_overlay_share")
    config = CurateConfig.model_validate(migrate_config(JobKind.CURATE, values))
    assert config == config_of(variance=400.0)
    assert learned["text_db_share"] is None  # what was passed is not changed
    learned["text_db_share"] = 0.01
    with pytest.raises(InvalidInput, match="text_ocr_overlay_share"):
        migrate_config(JobKind.CURATE, values)


def test_a_recipe_with_a_limit_for_the_replaced_text_scorer_is_refused() -> None:
    (path,) = (DATA / "dataset/recipes").glob(f"{EXPECTED['recipes']['first']}*")
    parts = json.loads(path.read_text())
    assert "text_db_share" in parts["policy"]["learned"]
    parts["policy"]["learned"]["text_db_share"] = 0.01
    with pytest.raises(InvalidInput, match="text_ocr_overlay_share"):
        Recipe.from_json(json.dumps(parts), path.name)


def test_a_limit_for_the_new_text_scorer_changes_a_digest() -> None:
    limited = replace(
        FIRST,
        filters=FIRST.filters.model_copy(
            update={"learned": LearnedThresholds(text_ocr_overlay_share=0.01)}
        ),
    )
    assert limited.digest != FIRST.digest
    assert Recipe.from_json(limited.to_json()) == limited
