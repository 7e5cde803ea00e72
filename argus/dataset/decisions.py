"""The latest decision on every source, updated at the cost of what is new in the index."""

from collections.abc import Collection
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from argus.dataset.index import Index, select_latest
from schemas.arrow import INDEX_SCHEMA
from schemas.names import Decision, Reason

COLUMNS = (
    "source_id",
    "decision",
    "reason",
    "retryable",
    "recipe",
    "failure_settings",
    "sequence",
)
_SCHEMA = pa.schema([INDEX_SCHEMA.field(name) for name in COLUMNS])
_MAX_CHUNKS = 64


@dataclass(frozen=True)
class LatestDecision:
    """The latest decision on one source."""

    recipe: str
    is_final: bool
    reason: Reason | None
    sequence: int  # of the commit

    def is_resolved(self, recipe: str) -> bool:
        """Return True if nothing is left to decide under a recipe, or the video was taken down."""
        return self.reason == Reason.FORGOTTEN or (self.is_final and self.recipe == recipe)


class DecisionCache:
    """The latest decisions of an index at the version of its last refresh."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._rows = _SCHEMA.empty_table()  # may hold several rows of a source
        self._sequence = 0

    def to_table(self) -> pa.Table:
        """Return one row per source, sorted by `source_id`, with the columns `COLUMNS`."""
        self._catch_up()
        self._rows = select_latest(self._rows)
        return self._rows

    def find(self, source_ids: Collection[str]) -> dict[str, LatestDecision]:
        """Return the latest decisions on some sources by their ids; unknown ids are left out."""
        self._catch_up()
        wanted = pa.array(list(source_ids), pa.string())
        rows = self._rows.filter(pc.is_in(self._rows["source_id"], wanted))
        return {
            row["source_id"]: LatestDecision(
                row["recipe"],
                not (row["decision"] == Decision.FAILED and row["retryable"]),
                row["reason"],
                row["sequence"],
            )
            for row in select_latest(rows).to_pylist()
        }

    def _catch_up(self) -> None:
        new = self._index.rows_after(self._sequence, COLUMNS).select(list(COLUMNS))
        if not len(new):
            return
        self._sequence = pc.max(new["sequence"]).as_py()
        self._rows = pa.concat_tables([self._rows, new])
        if self._rows["source_id"].num_chunks > _MAX_CHUNKS:  # rarely: each copy costs all rows
            self._rows = self._rows.combine_chunks()


def is_retryable_failure(rows: pa.Table) -> pa.ChunkedArray:
    """Return a mask of the rows that are not final (see `CuratedVideo.is_final`)."""
    return pc.and_(
        pc.equal(rows["decision"], str(Decision.FAILED)), pc.fill_null(rows["retryable"], False)
    )
