"""The index: one append-only Delta table; a row per source video and decision; the latest row of a source wins.

A row's `sequence` is the version of the table that its commit made. What a reader computes from rows up to a sequence is therefore fixed for
ever, whatever is compacted later. The table's small files are folded into larger ones as they become many, so that neither opening nor
appending grows with the number of commits.

An `Index` looks at one version of the table until it is told to `refresh`. Parts of clips are named `clips.quality`: only they, and
`clips.clip_id`, are read then.
"""

import contextlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from argus.dataset.records import SourceRow
from argus.dataset.store import Store
from argus.errors import InvalidInput
from schemas.arrow import INDEX_SCHEMA

FOLDER = "index"
FOLD_FILES = 64
"""So many small files are made one."""
FOLDED_BYTES = 32 << 20
"""A file of at least this size is left alone by folding: a commit's share of the work is bounded."""
COMPACTED_BYTES = 128 << 20

_PROPERTIES = {
    "delta.dataSkippingStatsColumns": "sequence",
    "delta.logRetentionDuration": "interval 7 days",
}  # statistics of scores are of no use


class Index:
    """The Delta table of a dataset, as it was when last looked at."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._table: DeltaTable | None = None
        self._spans: dict[
            str, tuple[int, int]
        ] = {}  # by file, which never change: the earliest and the latest sequence in it

    @property
    def uri(self) -> str:
        """What `deltalake.DeltaTable` opens, with the store's `options()`."""
        return self.store.uri_of(FOLDER)

    def refresh(self) -> int:
        """Looks again; returns the version of the table, -1 where there is none."""
        if self._table is not None:
            with contextlib.suppress(DeltaError, OSError):
                self._table.update_incremental()
                return self.version
        with contextlib.suppress(TableNotFoundError):
            self._reopen()
        return self.version

    @property
    def version(self) -> int:
        """The version of the table as last looked at; -1 where there was none."""
        return -1 if self._table is None else int(self._table.version())

    @property
    def table(self) -> DeltaTable:
        """The table as last looked at. Raises InvalidInput where there is none."""
        if self._table is None:
            raise InvalidInput(
                f"there is no index at {self.uri}; `argus refresh CATALOGUE --dataset {self.store.uri}` makes a dataset"
            )
        return self._table

    def append(self, rows: Sequence[SourceRow], *, after: int) -> int | None:
        """Commits rows, all or none, as the version that follows `after`; returns it, or None where another writer was faster.

        The object store or file system lets only one writer make a version.
        """
        if not rows:
            raise InvalidInput("a commit needs at least one row")
        if self._table is None:
            with contextlib.suppress(CommitFailedError):  # another writer was faster
                DeltaTable.create(
                    self.uri,
                    INDEX_SCHEMA.remove_metadata(),
                    mode="ignore",
                    name="argus.index",
                    description="version 1",
                    configuration=_PROPERTIES,
                    storage_options=self.store.options(),
                )
            self.refresh()
        if self.version != max(after, 0):
            return None
        sequence = self.version + 1
        try:  # without retries inside: a rebased commit would carry another's sequence. Merging adds the columns that an older table has not
            write_deltalake(
                self.table,
                _to_arrow(rows, sequence),
                mode="append",
                schema_mode="merge",
                commit_properties=CommitProperties(max_commit_retries=0),
                storage_options=self.store.options(),
            )
        except CommitFailedError:
            return None
        return sequence

    def fold(self) -> None:
        """Makes larger files of the small ones, where they are many. Losing against another writer is no matter: the next commit tries again."""
        sizes = self._files().column("size_bytes").to_numpy()
        if (sizes < FOLDED_BYTES).sum() >= FOLD_FILES:
            with contextlib.suppress(CommitFailedError):
                self.table.optimize.compact(
                    target_size=FOLDED_BYTES,
                    max_concurrent_tasks=1,
                    commit_properties=CommitProperties(max_commit_retries=0),
                )
            self._reopen()

    def compact(self, *, grace_h: float, dry_run: bool) -> tuple[int, int, int]:
        """Makes few files of many and forgets earlier versions; returns how many files there were, are, and were removed (or would be).

        Files that the table has not needed for `grace_h` are removed, so that readers of earlier versions have that long.
        """
        if self._table is None:
            return 0, 0, 0
        before = len(self._files())
        if not dry_run:
            with contextlib.suppress(CommitFailedError):  # another writer does the same
                self.table.optimize.compact(target_size=COMPACTED_BYTES, max_concurrent_tasks=1)
            self._reopen()
            self.table.create_checkpoint()
            self.table.cleanup_metadata()
        removed = self.table.vacuum(
            retention_hours=int(grace_h),
            enforce_retention_duration=False,
            dry_run=dry_run,
            full=True,
        )
        self._reopen()
        return before, len(self._files()), len(removed)

    def rows_after(self, sequence: int, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows of later commits, in their order; none where there is no table. `sequence` is always among the columns."""
        parts = list(self.parts_after(sequence, columns))
        return (
            pa.concat_tables(parts).sort_by("sequence")
            if parts
            else _projected(columns).empty_table()
        )

    def latest_after(self, sequence: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Of later commits, the latest row of each source, sorted by source_id, which is always among the columns."""
        return latest_of(
            self.rows_after(sequence, None if columns is None else [*columns, "source_id"])
        )

    def parts_after(
        self, sequence: int, columns: Sequence[str] | None = None
    ) -> Iterator[pa.Table]:
        """The rows of later commits file by file, in no order: for what need not be in memory at once."""
        for part in self._parts(columns, lambda _, latest: latest > sequence):
            yield part.filter(pc.greater(part["sequence"], sequence))

    def parts_at(self, sequences: Iterable[int]) -> Iterator[pa.Table]:
        """The rows of some commits file by file, in no order; other files are not read, once they have been."""
        wanted = sorted(set(sequences))
        for part in self._parts(
            None,
            lambda earliest, latest: bisect_left(wanted, earliest) < bisect_right(wanted, latest),
        ):
            yield part.filter(pc.is_in(part["sequence"], pa.array(wanted, part["sequence"].type)))

    def _parts(
        self, columns: Sequence[str] | None, is_wanted: Callable[[int, int], bool]
    ) -> Iterator[pa.Table]:
        """The files of which the earliest and the latest sequence are wanted."""
        if self._table is None:
            return
        schema = _projected(columns)
        for name in self._files().column("path").to_pylist():
            if name in self._spans and not is_wanted(*self._spans[name]):
                continue
            part = self._read(name, schema)
            span = pc.min_max(part["sequence"]).as_py()
            self._spans[name] = span["min"] or 0, span["max"] or 0
            if is_wanted(*self._spans[name]):
                yield part

    def _read(self, name: str, schema: pa.Schema) -> pa.Table:
        """The columns of a file; those that it has not, because it is older, are null."""
        with self.store.open(f"{FOLDER}/{name}") as file:
            parquet = pq.ParquetFile(file)
            table = parquet.read(
                columns=[leaf for leaf in _leaves(parquet) if _is_wanted(leaf, schema)]
            )
        nulls = {field.name: pa.nulls(len(table), field.type) for field in schema}
        return pa.table(
            {
                field.name: table[field.name]
                if field.name in table.column_names
                else nulls[field.name]
                for field in schema
            }
        ).cast(schema)

    def _reopen(self) -> None:
        with self.store.answers():
            self._table = DeltaTable(self.uri, storage_options=self.store.options())

    def _files(self) -> pa.Table:
        return pa.table(self.table.get_add_actions(flatten=True)).select(["path", "size_bytes"])


def latest_of(rows: pa.Table) -> pa.Table:
    """The latest row of each source, sorted by source_id; the table must have both columns."""
    if not len(rows):
        return rows
    keys = rows.select(["source_id", "sequence"]).combine_chunks()
    order = pc.sort_indices(keys, sort_keys=[("source_id", "ascending"), ("sequence", "ascending")])
    names = keys["source_id"].take(order).combine_chunks()
    last = np.append(pc.not_equal(names[:-1], names[1:]).to_numpy(zero_copy_only=False), True)
    return rows.take(order.filter(pa.array(last)))


def _projected(columns: Sequence[str] | None) -> pa.Schema:
    """The schema of some columns of the index; `clips.NAME` are some of a clip's."""
    if columns is None:
        return INDEX_SCHEMA.remove_metadata()
    wanted: dict[str, set[str]] = {}
    for column in (*columns, "sequence"):
        name, _, part = column.partition(".")
        wanted.setdefault(name, set()).add(part)
    return pa.schema([_field(INDEX_SCHEMA.field(name), parts) for name, parts in wanted.items()])


def _field(field: pa.Field, parts: set[str]) -> pa.Field:
    """With some parts of its records, the first (a clip's id) always among them: an older file may have no other."""
    if "" in parts:
        return field
    first, *others = field.type.value_type
    return pa.field(
        field.name, pa.list_(pa.struct([first, *(part for part in others if part.name in parts)]))
    )


def _leaves(parquet: pq.ParquetFile) -> list[str]:
    """Such as `clips.list.element.clip_id`."""
    return [parquet.schema.column(place).path for place in range(len(parquet.schema))]


def _is_wanted(leaf: str, schema: pa.Schema) -> bool:
    name, *inner = leaf.split(".")
    if name not in schema.names:
        return False
    kind = schema.field(name).type
    is_records = pa.types.is_list(kind) and pa.types.is_struct(kind.value_type)
    return not is_records or inner[2] in {part.name for part in kind.value_type}


def _to_arrow(rows: Sequence[SourceRow], sequence: int) -> pa.Table:
    return pa.Table.from_pylist(
        [{**row.model_dump(), "sequence": sequence} for row in rows], schema=INDEX_SCHEMA
    ).replace_schema_metadata(None)
