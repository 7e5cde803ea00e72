"""Rows of version 2, which describe less of a file, are read, decided again and written beside new ones.

`tests/data/dataset_v2` was written by version 0.2.0 in two commits: a walk, the same at a variable
rate, a squeezed and turned file, and a declared stereo video; and a staged result of the turned one.
"""

import json
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

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
    row_from_json,
    row_to_json,
)
from argus.media import Color, MediaInfo, Track
from schemas.arrow import INDEX_SCHEMA
from schemas.config import ClipSettings, CurateConfig, FilterSettings
from schemas.names import Decision
from tests.support.old_rows import add_current_scores, pin_versions

DATA = Path(__file__).parent.parent / "data" / "dataset_v2"
WALK, VARY, TURNED, STEREO = "url:walk", "url:vary", "url:turned", "url:stereo"
DESCRIBED = {
    "color": Color("bt2020nc", "tv", "smpte2084", "bt2020"),
    "is_mirrored": True,
    "is_interlaced": True,
    "bit_depth": 10,
    "start_s": 1.5,
    "irregularity": 0.25,
    "is_variable_rate": True,
    "has_edit_list": True,
    "video_track": 2,
    "track_choice": "the default track",
    "tracks": (
        Track(0, "audio", "aac", "eng", "Sound", True),
        Track(2, "video", "hevc", is_default=True, width=640, height=320),
    ),
    "camera": "GoPro MAX",
}


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    shutil.copytree(DATA / "dataset", tmp_path / "dataset")
    return Dataset(tmp_path / "dataset")


def config(**filters: float) -> CurateConfig:
    clip = ClipSettings(height=32, clip_s=3.0, min_clip_s=1.0)
    return CurateConfig(
        catalogue="catalogue.txt",
        clip=clip,
        filters=FilterSettings(sharpness=0.1, text_share=1.0, **filters),
    )


def recipe_of(config: CurateConfig) -> Recipe:
    """Return the recipe with the versions of the filters that measured then."""
    return pin_versions(Recipe.from_config(config), DATA / "dataset")


def source_of(row: SourceRow) -> VideoSource:
    return VideoSource(row.source_id, row.url, row.split)


def decide_again(row: SourceRow, recipe: Recipe) -> SourceRow | None:
    provenance = Provenance(recipe.digest, "second", "0.3.0")
    return reevaluate_video(
        PriorResult(add_current_scores(row)), source_of(row), recipe, provenance
    )


def describe(row: SourceRow) -> SourceRow:
    """Return the row as this version writes it, of a file with everything that it describes."""
    assert row.media is not None
    return replace(row, recipe="0" * 16, media=replace(row.media, **DESCRIBED))


def test_rows_are_read_with_defaults(dataset: Dataset) -> None:
    rows = {row.source_id: row for row in DatasetView(dataset.store).list_videos()}
    assert set(rows) == {WALK, VARY, TURNED, STEREO}
    defaults = vars(MediaInfo(1, 1, Fraction(1), 1, 1.0, "", ""))
    for row in rows.values():
        assert row.media is not None
        for name in DESCRIBED.keys() - {"is_variable_rate"}:
            assert getattr(row.media, name) == defaults[name]
        assert dataset.read_rows([row.source_id]) == {row.source_id: row}
    stereo = rows[STEREO].media
    assert stereo is not None
    assert stereo.spherical is not None
    assert (stereo.spherical.stereo_mode, stereo.spherical.problem) == ("top-bottom", "")


def test_the_pixel_aspect_of_a_turned_file_is_that_of_its_turned_frames(dataset: Dataset) -> None:
    rows = dataset.read_rows([TURNED, WALK])
    found = {
        name: row.media and (row.media.rotation, row.media.pixel_aspect)
        for name, row in rows.items()
    }
    assert found == {TURNED: (270, Fraction(2)), WALK: (0, Fraction(1))}
    (name,) = dataset.store.list_folders("staging")
    stored = json.loads(dataset.store.read(f"{name}/row.json"))
    assert stored["media"]["pixel_aspect"] in {"1/2", 0.5, "0.5"}
    staging = StagingArea.of(
        config().model_copy(update={"dataset": dataset.store.uri}),
        recipe_of(config()).digest,
    )
    media = staging.read_result(stored["source_id"]).row.media
    assert media is not None
    assert media.pixel_aspect == 2
    again = describe(rows[TURNED])
    assert row_from_json(row_to_json(again)) == again


def test_the_recipe_is_the_same_and_nothing_is_planned(dataset: Dataset) -> None:
    recipe = recipe_of(config())
    rows = dataset.read_rows([WALK, VARY, TURNED, STEREO])
    assert {row.recipe for row in rows.values()} == {recipe.digest}
    assert load_recipe(dataset.store, recipe.digest) == recipe
    sources = [source_of(rows[name]) for name in (WALK, TURNED, STEREO)]
    assert plan_refresh(sources, dataset, recipe).work == {}


def test_only_a_variable_rate_is_measured_again(dataset: Dataset) -> None:
    recipe = recipe_of(config(repeated_share=0.2))
    rows = dataset.read_rows([WALK, VARY, STEREO])
    plan = plan_refresh([source_of(row) for row in rows.values()], dataset, recipe)
    assert {work.kind for work in plan.work.values()} == {WorkKind.DECIDE}
    decided = {name: decide_again(row, recipe) for name, row in rows.items()}
    assert decided[VARY] is None
    for name in (WALK, STEREO):
        again = decided[name]
        assert again is not None
        assert again.decision is Decision.KEPT
        pairs = zip(again.clips, rows[name].clips, strict=True)
        assert all(one.shard == other.shard for one, other in pairs)
        expected = add_current_scores(rows[name]).clips
        for one, other in zip(again.clips, expected, strict=True):
            assert [score.value for score in one.scores] == [score.value for score in other.scores]


def test_new_rows_are_committed_to_the_table_and_survive_compaction(dataset: Dataset) -> None:
    before = dataset.read_rows([WALK, VARY, TURNED, STEREO])
    described = {name: describe(before[name]) for name in (WALK, TURNED)}
    commit = dataset.commit_chunk([DecidedVideo(row) for row in described.values()])
    assert commit is not None
    expected = {**before, **described}
    assert dataset.read_rows(list(before)) == expected
    assert Dataset(dataset.store).read_rows(list(before)) == expected
    assert dataset.compact(grace_h=0).index_files == (3, 1)
    again = Dataset(dataset.store)
    assert again.read_rows(list(before)) == expected
    assert (
        again.read_latest(["source_id", "media"])
        .schema.field("media")
        .type.equals(INDEX_SCHEMA.field("media").type)
    )
    history = DatasetView(dataset.store).read_history(TURNED)
    assert history == [before[TURNED], described[TURNED]]
    more = replace(described[WALK], recipe="1" * 16)
    assert again.commit_chunk([DecidedVideo(more)]) is not None
    assert again.read_rows([WALK]) == {WALK: more}


def test_a_new_dataset_stores_the_whole_description(dataset: Dataset, tmp_path: Path) -> None:
    rows = dataset.read_rows([WALK, TURNED])
    for row in map(describe, rows.values()):
        bare = replace(row, clips=())
        fresh = Dataset(tmp_path / row.source_id)
        assert fresh.commit_chunk([DecidedVideo(bare)]) is not None
        assert fresh.read_rows([row.source_id]) == {row.source_id: bare}
