"""The history of a dataset: its commits, and the differences between snapshots."""

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
from argus.dataset.snapshots import Snapshot, flatten_clips
from schemas.names import Decision

_KEYS = ["sequence", "run_id", "recipe", "decision"]
_COLUMNS = ("run_id", "recipe", "decision", "decided_at", "clips.decision")
_COMPARED = ("split", "quality", "high_quality", "frames", "checksum")  # not the clip's location


@dataclass(frozen=True)
class LoggedCommit:
    """One committed chunk."""

    sequence: int
    time: datetime  # UTC, of its last decision
    run_ids: tuple[str, ...]
    recipes: tuple[str, ...]
    decisions: Mapping[Decision, int]  # number of sources; has every decision as a key
    clips: int  # kept
    published: bool  # True if a snapshot ends with this commit


@dataclass(frozen=True)
class SnapshotDiff:
    """The differences between two snapshots by clip id, sorted."""

    before: int
    after: int
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]  # other bytes, another split or another quality


def list_commits(index: Index, published: set[int]) -> list[LoggedCommit]:
    """Return all commits, oldest first; `published` are the versions of the snapshots."""
    rows = index.rows_after(0, _COLUMNS)
    clips, parents = flatten_clips(rows)
    kept = parents.filter(pc.equal(clips.field("decision"), str(Decision.KEPT))).to_numpy()
    rows = rows.drop_columns("clips").append_column(
        "kept", pa.array(np.bincount(kept, minlength=len(rows)))
    )
    groups = (
        rows.group_by(_KEYS)
        .aggregate([("decided_at", "max"), ("kept", "sum"), ("kept", "count")])
        .sort_by("sequence")
        .to_pylist()
    )
    return [
        _summarize(sequence, list(parts), sequence in published)
        for sequence, parts in groupby(groups, key=itemgetter("sequence"))
    ]


def _summarize(sequence: int, groups: Sequence[Mapping[str, Any]], published: bool) -> LoggedCommit:
    """Combine the groups of a commit, which has one for each run, recipe and decision."""
    return LoggedCommit(
        sequence=sequence,
        time=max(group["decided_at_max"] for group in groups),
        run_ids=tuple(sorted({group["run_id"] for group in groups})),
        recipes=tuple(sorted({group["recipe"] for group in groups})),
        decisions={
            decision: sum(group["kept_count"] for group in groups if group["decision"] == decision)
            for decision in Decision
        },
        clips=sum(group["kept_sum"] for group in groups),
        published=published,
    )


def diff_snapshots(before: Snapshot, after: Snapshot) -> SnapshotDiff:
    """Compare the clips of two snapshots."""
    old, new = before.table, after.table
    both = new.filter(pc.is_in(new["clip_id"], old["clip_id"].combine_chunks()))
    own = old.take(pc.index_in(both["clip_id"], old["clip_id"].combine_chunks()))
    differs = [pc.not_equal(_as_text(both[name]), _as_text(own[name])) for name in _COMPARED]
    changed = differs[0]
    for one in differs[1:]:
        changed = pc.or_(changed, one)
    return SnapshotDiff(
        before.version,
        after.version,
        _subtract(new, old),
        _subtract(old, new),
        tuple(both["clip_id"].filter(changed).to_pylist()),
    )


def _subtract(clips: pa.Table, others: pa.Table) -> tuple[str, ...]:
    is_other = pc.is_in(clips["clip_id"], others["clip_id"].combine_chunks())
    return tuple(clips["clip_id"].filter(pc.invert(is_other)).to_pylist())


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the column as text, so that null, which older snapshots have, equals null."""
    return pc.fill_null(column.cast(pa.string()), "")
