"""What happened to a dataset: its commits, and what one snapshot has that another has not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from argus.dataset.index import Index
from argus.dataset.snapshots import Snapshot, flat_clips
from schemas.names import Decision

_KEYS = ["sequence", "run_id", "recipe", "decision"]
_COLUMNS = ("run_id", "recipe", "decision", "decided", "clips.decision")
_SHOWN = (
    "split",
    "quality",
    "high_quality",
    "frames",
    "checksum",
)  # where a clip lies is no difference


@dataclass(frozen=True)
class LoggedCommit:
    """One wave that was committed."""

    sequence: int
    time: datetime  # UTC, of its last decision
    run_ids: tuple[str, ...]
    recipes: tuple[str, ...]
    decisions: Mapping[Decision, int]  # how many sources; every decision is named
    clips: int  # kept
    published: bool  # whether there is a snapshot that ends with it


@dataclass(frozen=True)
class SnapshotDiff:
    """What became of the clips between two snapshots, by clip_id, sorted."""

    before: int
    after: int
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]  # other bytes, another split or another quality


def logged_commits(index: Index, published: set[int]) -> list[LoggedCommit]:
    """All commits, oldest first."""
    rows = index.rows_after(0, _COLUMNS)
    clips, parents = flat_clips(rows)
    kept = parents.filter(pc.equal(clips.field("decision"), str(Decision.KEPT))).to_numpy()
    rows = rows.drop_columns("clips").append_column(
        "kept", pa.array(np.bincount(kept, minlength=len(rows)))
    )
    groups = (
        rows.group_by(_KEYS)
        .aggregate([("decided", "max"), ("kept", "sum"), ("kept", "count")])
        .sort_by("sequence")
        .to_pylist()
    )
    return [
        _logged(sequence, list(parts), sequence in published)
        for sequence, parts in groupby(groups, key=itemgetter("sequence"))
    ]


def _logged(sequence: int, groups: Sequence[Mapping[str, Any]], published: bool) -> LoggedCommit:
    """Of what a commit has in common by run, recipe and decision."""
    return LoggedCommit(
        sequence=sequence,
        time=max(group["decided_max"] for group in groups),
        run_ids=tuple(sorted({group["run_id"] for group in groups})),
        recipes=tuple(sorted({group["recipe"] for group in groups})),
        decisions={
            decision: sum(group["kept_count"] for group in groups if group["decision"] == decision)
            for decision in Decision
        },
        clips=sum(group["kept_sum"] for group in groups),
        published=published,
    )


def snapshot_diff(before: Snapshot, after: Snapshot) -> SnapshotDiff:
    """What `after` has that `before` has not, and the other way round."""
    old, new = before.table, after.table
    both = new.filter(pc.is_in(new["clip_id"], old["clip_id"].combine_chunks()))
    own = old.take(pc.index_in(both["clip_id"], old["clip_id"].combine_chunks()))
    differs = [pc.not_equal(_plain(both[name]), _plain(own[name])) for name in _SHOWN]
    changed = differs[0]
    for one in differs[1:]:
        changed = pc.or_(changed, one)
    return SnapshotDiff(
        before.version,
        after.version,
        _without(new, old),
        _without(old, new),
        tuple(both["clip_id"].filter(changed).to_pylist()),
    )


def _without(clips: pa.Table, others: pa.Table) -> tuple[str, ...]:
    return tuple(
        clips["clip_id"]
        .filter(pc.invert(pc.is_in(clips["clip_id"], others["clip_id"].combine_chunks())))
        .to_pylist()
    )


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """As text, so that null, which older snapshots have, is equal to null."""
    return pc.fill_null(column.cast(pa.string()), "")
