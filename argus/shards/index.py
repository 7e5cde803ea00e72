"""The index: one append-only Delta table; a row per source video and decision; the latest row of a source wins.

A row's `sequence` is the version of the table that its commit made. What a reader computes from rows up to a sequence
is therefore fixed for ever, whatever is compacted later.
"""

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, TableNotFoundError

from argus.errors import InvalidInput, ServiceError
from argus.shards.records import SourceRow
from schemas.arrow import INDEX_SCHEMA

_ATTEMPTS = 50  # each lost race means that another writer committed, so this many are never met in practice


class Index:
    """The Delta table of a dataset."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def exists(self) -> bool:
        return DeltaTable.is_deltatable(str(self.folder))

    def append(self, rows: Sequence[SourceRow]) -> int:
        """Commits rows, all or none; returns their sequence. A lost race against another writer is tried again."""
        if not rows:
            raise InvalidInput("a commit needs at least one row")
        for _attempt in range(_ATTEMPTS):
            with contextlib.suppress(CommitFailedError):
                return self._try_append(rows)
        raise ServiceError(f"the index {self.folder} was committed to by others {_ATTEMPTS} times in a row; try again")

    def _try_append(self, rows: Sequence[SourceRow]) -> int:
        if not self.exists:
            DeltaTable.create(str(self.folder), INDEX_SCHEMA.remove_metadata(), mode="ignore", name="argus.index", description="version 1")
        table = DeltaTable(str(self.folder))
        sequence = table.version() + 1
        # Without retries inside: a rebased commit would carry the sequence of another. Merging adds the columns that an older table has not.
        write_deltalake(
            table, _to_arrow(rows, sequence), mode="append", schema_mode="merge", commit_properties=CommitProperties(max_commit_retries=0)
        )
        return sequence

    def rows_after(self, sequence: int, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows of later commits, in the order of commits."""
        table = self._open().to_pyarrow_table(columns=list(columns) if columns else None, filters=[("sequence", ">", sequence)])
        return table.sort_by("sequence") if "sequence" in table.column_names else table

    def latest(self, columns: Sequence[str] | None = None) -> pa.Table:
        """One row per source, the latest, sorted by source_id."""
        wanted = list(columns) if columns else INDEX_SCHEMA.names
        table = self._open().to_pyarrow_table(columns=list(dict.fromkeys([*wanted, "source_id", "sequence"])))
        return latest_of(table).select(wanted)

    def _open(self) -> DeltaTable:
        try:
            return DeltaTable(str(self.folder))
        except TableNotFoundError as error:
            raise InvalidInput(f"there is no index at {self.folder}; `argus refresh CATALOGUE --dataset DIR` makes a dataset") from error


def latest_of(rows: pa.Table) -> pa.Table:
    """The latest row of each source, sorted by source_id; the table must have both columns."""
    sequences = rows["sequence"].to_pylist()
    winners: dict[str, int] = {}
    for position, source in enumerate(rows["source_id"].to_pylist()):
        if source not in winners or sequences[position] >= sequences[winners[source]]:
            winners[source] = position
    return rows.take(_positions(winners[source] for source in sorted(winners)))


def _positions(values: Iterable[int]) -> pa.Array:
    return pa.array(list(values), pa.int64())


def _to_arrow(rows: Sequence[SourceRow], sequence: int) -> pa.Table:
    return pa.Table.from_pylist([{**row.model_dump(), "sequence": sequence} for row in rows], schema=INDEX_SCHEMA).replace_schema_metadata(None)
