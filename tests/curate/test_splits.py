"""Changed splits of a catalogue: applied to known videos, and never against a duplicate."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from argus.curate import Recipe, VideoSource, plan_refresh, store_recipe
from argus.curate.splits import SplitChanges, change_splits, find_split_changes
from argus.dataset import CuratedClip, Dataset, DecidedVideo, SourceRow
from schemas.config import CurateConfig
from schemas.names import Decision, Reason, Split

RECIPE = Recipe.from_config(CurateConfig(catalogue="none", dataset="none", home="none"))


def video(name: str, copy_of: str | None = None, *, split: Split = Split.TRAIN) -> DecidedVideo:
    """Return a video of two stored clips; the second repeats the first one of another video."""
    clips = tuple(
        CuratedClip(
            clip_id=f"url:{name}@{start}-{start + 10}",
            start_ms=start,
            end_ms=start + 10,
            frames=50,
            decision=Decision.DROPPED if start and copy_of else Decision.KEPT,
            reason=Reason.DUPLICATE if start and copy_of else None,
            quality=0.5,
            shard="shards/0.arrow",
            row=0,
            checksum="0",
            duplicate_of=f"url:{copy_of}@0-10" if start and copy_of else None,
        )
        for start in (0, 10)
    )
    row = SourceRow(
        source_id=f"url:{name}",
        url=f"http://example.org/{name}",
        split=split,
        decision=Decision.KEPT,
        clips=clips,
        recipe=RECIPE.digest,
        run_id="first",
        code_version="0",
        decided_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return DecidedVideo(row)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Videos a, b that repeats a, c that repeats b, and d."""
    dataset = Dataset(tmp_path)
    store_recipe(dataset.store, RECIPE)
    dataset.commit_chunk([video("a"), video("b", "a"), video("c", "b"), video("d")])
    dataset.publish()
    return dataset


def apply_splits(dataset: Dataset, splits: dict[str, Split | None]) -> SplitChanges:
    sources = [VideoSource(f"url:{name}", name, split) for name, split in splits.items()]
    changes = find_split_changes(dataset, sources)
    assert sum(change_splits(dataset, changes, "second")) == len(changes.splits)
    return changes


def published(dataset: Dataset) -> dict[str, str]:
    """Return the splits that training reads, by the name of the video."""
    snapshot = dataset.publish()
    assert snapshot is not None
    table = snapshot.table
    names = (source_id.removeprefix("url:") for source_id in table["source_id"].to_pylist())
    return dict(zip(names, table["split"].to_pylist(), strict=True))


def test_a_changed_split_is_applied_without_a_fetch(dataset: Dataset) -> None:
    apply_splits(dataset, {"d": Split.TEST})
    assert published(dataset) == {"a": "train", "b": "train", "c": "train", "d": "test"}
    apply_splits(dataset, {"d": Split.VAL})
    assert published(dataset)["d"] == "val"
    row = dataset.read_rows(["url:d"])["url:d"]
    assert (row.run_id, row.recipe, len(row.kept_clips)) == ("second", RECIPE.digest, 2)


def test_what_duplicates_a_video_follows_it(dataset: Dataset) -> None:
    apply_splits(dataset, {"a": Split.TEST})
    assert published(dataset) == {"a": "test", "b": "test", "c": "test", "d": "train"}


def test_a_duplicate_keeps_the_split_of_the_earlier_video(dataset: Dataset) -> None:
    changes = apply_splits(dataset, {"a": None, "b": Split.VAL, "c": Split.TEST})
    assert (changes.splits, changes.following) == ({}, 2)
    both = apply_splits(dataset, {"a": Split.TEST, "b": Split.VAL, "c": Split.TEST})
    assert both.following == 2
    assert published(dataset) == {"a": "test", "b": "test", "c": "test", "d": "train"}


def test_the_same_split_or_none_changes_nothing(dataset: Dataset) -> None:
    assert apply_splits(dataset, {"a": None, "b": Split.TRAIN, "new": Split.TEST}).splits == {}
    assert len(dataset.list_snapshots()) == 1


def test_a_plan_says_how_many_splits_change(dataset: Dataset) -> None:
    sources = [
        VideoSource("url:a", "a", Split.TEST),
        VideoSource("url:b", "b", Split.VAL),
        VideoSource("url:d", "d", Split.TRAIN),
    ]
    plan = plan_refresh(sources, dataset, RECIPE)
    assert plan.work == {}
    assert "3 to get another split" in str(plan)  # a, and b and c with it
    assert "1 to keep the split of the video that they duplicate" in str(plan)
