"""What is known of every source: its latest decision, kept up with the index at the cost of what is new."""

from collections.abc import Collection
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from argus.dataset.index import Index, latest_of
from schemas.arrow import INDEX_SCHEMA
from schemas.names import Decision, Reason

COLUMNS = ("source_id", "decision", "reason", "retryable", "recipe", "sequence")
_SCHEMA = pa.schema([INDEX_SCHEMA.field(name) for name in COLUMNS])
_CHUNKS = 64


@dataclass(frozen=True)
class Decided:
    """The latest decision on one source."""

    recipe: str
    settled: bool
    reason: Reason | None
    sequence: int  # of the commit


class Decisions:
    """The latest decisions of an index, as far as it was last looked at."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._rows = _SCHEMA.empty_table()  # of some sources several rows: the last is the latest
        self._sequence = 0

    def table(self) -> pa.Table:
        """One row per source, sorted by source_id (`COLUMNS`)."""
        self._catch_up()
        self._rows = latest_of(self._rows)
        return self._rows

    def of(self, source_ids: Collection[str]) -> dict[str, Decided]:
        """The latest decisions on some sources, by their ids; those that have none are not there."""
        self._catch_up()
        rows = self._rows.filter(
            pc.is_in(self._rows["source_id"], pa.array(list(source_ids), pa.string()))
        )
        return {
            row["source_id"]: Decided(
                row["recipe"],
                not (row["decision"] == Decision.FAILED and row["retryable"]),
                row["reason"],
                row["sequence"],
            )
            for row in latest_of(rows).to_pylist()
        }

    def _catch_up(self) -> None:
        new = self._index.rows_after(self._sequence, COLUMNS).select(list(COLUMNS))
        if not len(new):
            return
        self._sequence = pc.max(new["sequence"]).as_py()
        self._rows = pa.concat_tables([self._rows, new])
        if self._rows["source_id"].num_chunks > _CHUNKS:  # seldom, so that a look costs what is new
            self._rows = self._rows.combine_chunks()


def unsettled(rows: pa.Table) -> pa.ChunkedArray:
    """Of each row, whether it is a failure that may pass (`SourceRow.settled`)."""
    return pc.and_(
        pc.equal(rows["decision"], str(Decision.FAILED)), pc.fill_null(rows["retryable"], False)
    )
