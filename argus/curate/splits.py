"""Splits that a catalogue sets for videos which the dataset already holds.

A clip's split is a column of its source's row, so it changes without a fetch. A source with a
duplicate of an earlier source's clip follows that source (`argus.curate.dedup`), so that nothing is
both trained on and held out.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from argus.curate.records import VideoSource
from argus.dataset import Dataset, DecidedVideo
from schemas.names import Decision, Split

_BATCH = 1024  # rows in memory


@dataclass(frozen=True)
class SplitChanges:
    """The kept videos whose split changes.

    Attributes:
        splits: new splits by source id, also of videos that follow one in the catalogue.
        sequences: sequence of the row of each.
        following: number of videos that keep the split of an earlier one which they duplicate,
            although the catalogue sets another.
    """

    splits: Mapping[str, Split] = field(default_factory=dict)
    sequences: Mapping[str, int] = field(default_factory=dict)
    following: int = 0


def find_split_changes(dataset: Dataset, sources: Iterable[VideoSource]) -> SplitChanges:
    """Compare the splits of a catalogue with those of a dataset's kept videos."""
    wanted = [(source.source_id, source.split) for source in sources if source.split]
    if not wanted:
        return SplitChanges()
    rows = dataset.read_latest_after(0, ["decision", "split"])
    kept = rows.filter(pc.equal(rows["decision"], str(Decision.KEPT)))
    found = pc.index_in(kept["source_id"], pa.array([one for one, _ in wanted], pa.string()))
    splits = pa.array([str(split) for _, split in wanted]).take(found.combine_chunks())
    is_changed = pc.fill_null(pc.not_equal(kept["split"].combine_chunks(), splits), False)
    changed = dict(
        zip(
            kept["source_id"].filter(is_changed).to_pylist(),
            map(Split, splits.filter(is_changed).to_pylist()),
            strict=True,
        )
    )
    if not changed:
        return SplitChanges()
    followers = _find_followers(dataset)
    following = changed.keys() & {one for ones in followers.values() for one in ones}
    new = {
        one: split
        for source_id, split in changed.items()
        if source_id not in following
        for one in (source_id, *_iter_followers(source_id, followers))
    }
    affected = kept.filter(pc.is_in(kept["source_id"], pa.array(new, pa.string())))
    rows_by_id = {row["source_id"]: row for row in affected.to_pylist()}
    new = {one: split for one, split in new.items() if rows_by_id[one]["split"] != split}
    return SplitChanges(new, {one: rows_by_id[one]["sequence"] for one in new}, len(following))


def change_splits(dataset: Dataset, changes: SplitChanges, run_id: str) -> Iterator[int]:
    """Commit the rows with their new splits; yield the number of videos after each commit."""
    names = iter(changes.splits)
    while part := list(islice(names, _BATCH)):
        by_recipe: dict[str, list[DecidedVideo]] = defaultdict(list)
        for source_id, row in dataset.read_rows(part).items():
            changed = replace(
                row,
                split=changes.splits[source_id],
                run_id=run_id,
                decided_at=datetime.now(UTC),
                measured_filters=(),
                stage_seconds=None,
            )
            by_recipe[row.recipe].append(DecidedVideo(changed))
        for videos in by_recipe.values():
            commit = dataset.commit_chunk(videos, replaced=changes.sequences)
            yield commit.sources if commit else 0


def _find_followers(dataset: Dataset) -> dict[str, list[str]]:
    """Return the kept sources that follow another one, by that one's id."""
    rows = dataset.read_latest_after(0, ["decision", "clips.clip_id", "clips.duplicate_of"])
    rows = rows.filter(pc.equal(rows["decision"], str(Decision.KEPT)))
    lists = rows["clips"].combine_chunks()
    clips = lists.flatten()
    table = pa.table(
        {
            "source_id": rows["source_id"].take(pc.list_parent_indices(lists)),
            "duplicate_of": clips.field("duplicate_of"),
        }
    )
    table = table.filter(pc.is_valid(table["duplicate_of"]))
    followers: dict[str, list[str]] = defaultdict(list)
    seen: set[str] = set()
    for source_id, earlier in zip(*(column.to_pylist() for column in table.columns), strict=True):
        if source_id not in seen:  # the first duplicate decided
            seen.add(source_id)
            followers[earlier.rpartition("@")[0]].append(source_id)
    return followers


def _iter_followers(source_id: str, followers: Mapping[str, list[str]]) -> Iterator[str]:
    """Yield the sources that follow one, directly or not; each once."""
    pending, seen = [source_id], {source_id}
    while pending:
        for one in followers.get(pending.pop(), ()):
            if one not in seen:
                seen.add(one)
                pending.append(one)
                yield one
