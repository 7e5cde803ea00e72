"""The index: one append-only Delta table with one row per source video and decision.

The latest row of a source counts. A row's `sequence` is the table version that its commit created,
so what a reader computes from the rows up to a sequence never changes, whatever is compacted later.
Small files are merged into larger ones as they accumulate, so that neither opening nor appending
grows with the number of commits.

An `Index` reads one version of the table until `refresh` is called. In lists of columns,
`clips.NAME` reads only that field of the clips, and `clips.clip_id`.
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

from argus.dataset.migration import check_columns, migrate_table, rename_column
from argus.dataset.records import SourceRow
from argus.dataset.rows import rows_to_arrow
from argus.dataset.store import Store
from argus.errors import InvalidInput, ServiceError
from schemas.arrow import INDEX_SCHEMA, INDEX_VERSION

FOLDER = "index"
MERGE_FILES = 64
"""Number of small files from which on a commit merges them."""
MERGED_BYTES = 32 << 20
"""Size from which on merging ignores a file, so that the work of one commit is bounded."""
COMPACTED_BYTES = 128 << 20
_PURGE_ATTEMPTS = 100

_PART_BYTES = 16 << 20
"""Size of the rows that are read at once; a row has up to 3 MB for each hour of its video."""

_PROPERTIES = {
    "delta.dataSkippingStatsColumns": "sequence",  # statistics of scores would not be used
    "delta.logRetentionDuration": "interval 7 days",
}


class Index:
    """The Delta table of a dataset, at the version of the last `refresh`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._table: DeltaTable | None = None
        self._spans: dict[str, tuple[int, int]] = {}  # by file: its first and last sequence

    @property
    def uri(self) -> str:
        """The table's address for `deltalake.DeltaTable`, to be used with `Store.options()`."""
        return self.store.uri_of(FOLDER)

    def refresh(self) -> int:
        """Move to the newest version of the table; return it, or -1 if there is no table."""
        if self._table is not None:
            with contextlib.suppress(DeltaError, OSError):
                self._table.update_incremental()
                return self.version
        with contextlib.suppress(TableNotFoundError):
            self._reopen()
        return self.version

    @property
    def version(self) -> int:
        """The version of the table at the last refresh; -1 if there was no table."""
        return -1 if self._table is None else int(self._table.version())

    @property
    def table_id(self) -> str | None:
        """The id that the table got when it was created; None if there is no table."""
        return None if self._table is None else str(self._table.metadata().id)

    @property
    def table(self) -> DeltaTable:
        """The table at the last refresh. Raises InvalidInput if there was none."""
        if self._table is None:
            raise InvalidInput(
                f"there is no index at {self.uri}; create a dataset with "
                f"`argus refresh CATALOGUE --dataset {self.store.uri}`"
            )
        return self._table

    def append(self, rows: Sequence[SourceRow], *, after: int) -> int | None:
        """Commit rows as the version that follows `after`; all rows count or none does.

        The object store or file system lets only one writer create a version.

        Returns:
            The new version, or None if another writer committed first.
        """
        if not rows:
            raise InvalidInput("a commit needs at least one row")
        if self._table is None:
            self._create()
        if self.version != max(after, 0):
            return None
        sequence = self.version + 1
        try:  # no retries inside: a rebased commit would carry the sequence of another
            write_deltalake(
                self.table,
                rows_to_arrow(rows, sequence),
                mode="append",
                schema_mode="merge",  # adds columns that a table of an older version lacks
                commit_properties=CommitProperties(max_commit_retries=0),
                storage_options=self.store.options(),
            )
        except CommitFailedError:
            return None
        return sequence

    def merge_files(self) -> None:
        """Merge the small files if there are many; a lost race leaves it to the next commit."""
        sizes = self._files().column("size_bytes").to_numpy()
        if (sizes < MERGED_BYTES).sum() >= MERGE_FILES:
            with contextlib.suppress(CommitFailedError):
                self.table.optimize.compact(
                    target_size=MERGED_BYTES,
                    max_concurrent_tasks=1,
                    commit_properties=CommitProperties(max_commit_retries=0),
                )
            self._reopen()

    def compact(self, *, grace_h: float, dry_run: bool) -> tuple[int, int, int]:
        """Merge all files into few and remove those of earlier versions.

        Args:
            grace_h: files that the table still needed within this many hours are kept, which is how
                long readers of earlier versions may go on.
            dry_run: only count.

        Returns:
            The number of files before, after, and removed (or to be removed).
        """
        if self._table is None:
            return 0, 0, 0
        before = len(self._files())
        if not dry_run:
            with contextlib.suppress(CommitFailedError):  # another writer compacts it too
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

    def purge(self, source_id: str, *, before: int) -> None:
        """Remove a source's rows of the commits before a sequence, from all files.

        Files of earlier versions of the table are removed at once: readers of these must begin
        again. A file that no version refers to is removed if it names the source; its writer cannot
        commit it any more, because a commit at `before` came first.
        """
        text = source_id.replace("'", "''")
        for _attempt in range(_PURGE_ATTEMPTS):
            try:
                self.table.delete(
                    f"source_id = '{text}' AND sequence < {before}",
                    commit_properties=CommitProperties(max_commit_retries=0),
                )
                break
            except CommitFailedError:
                self._reopen()
        else:
            raise ServiceError(f"other writers committed to {self.uri} again and again; try again")
        self._reopen()
        self.table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
        self._reopen()
        used = set(self._files().column("path").to_pylist())
        for name in self.store.list_names(FOLDER):
            is_used = name.removeprefix(f"{FOLDER}/") in used
            if not is_used and read_reasons(self.store, name, source_id):
                self.store.delete([name])

    def rows_after(self, sequence: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return all rows of the commits after `sequence`, in their order.

        The table is empty if there is no index. `sequence` is always among the columns.
        """
        parts = list(self.iter_parts_after(sequence, columns))
        if not parts:
            return _project_schema(columns).empty_table()
        return pa.concat_tables(parts).sort_by("sequence")

    def latest_after(self, sequence: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the latest row of each source among the commits after `sequence`.

        The rows are sorted by `source_id`, which is always among the columns.
        """
        wanted = None if columns is None else [*columns, "source_id"]
        return select_latest(self.rows_after(sequence, wanted))

    def iter_parts_after(
        self, sequence: int, columns: Sequence[str] | None = None
    ) -> Iterator[pa.Table]:
        """Yield the rows of the commits after `sequence` in parts of bounded size, in no order."""
        for part in self._iter_parts(columns, lambda _, last: last > sequence):
            yield part.filter(pc.greater(part["sequence"], sequence))

    def iter_parts_at(self, sequences: Iterable[int]) -> Iterator[pa.Table]:
        """Yield the rows of some commits in parts of bounded size, in no order."""
        wanted = sorted(set(sequences))

        def is_wanted(first: int, last: int) -> bool:
            return bisect_left(wanted, first) < bisect_right(wanted, last)

        for part in self._iter_parts(None, is_wanted):
            yield part.filter(pc.is_in(part["sequence"], pa.array(wanted, part["sequence"].type)))

    def _iter_parts(
        self, columns: Sequence[str] | None, is_wanted: Callable[[int, int], bool]
    ) -> Iterator[pa.Table]:
        """Yield the wanted files in parts of about `_PART_BYTES`.

        A file is wanted by its first and last sequence, which are read from its footer, and only
        once.
        """
        if self._table is None:
            return
        schema = _project_schema(columns)
        for name in self._files().column("path").to_pylist():
            if name in self._spans and not is_wanted(*self._spans[name]):
                continue
            with self.store.open(f"{FOLDER}/{name}") as file:
                parquet = pq.ParquetFile(file)
                self._spans[name] = _read_span(parquet)
                if is_wanted(*self._spans[name]):
                    check_columns(parquet.schema_arrow.names, self.store.uri_of(f"{FOLDER}/{name}"))
                    yield from _iter_parts_of(parquet, schema)

    def _create(self) -> None:
        with contextlib.suppress(CommitFailedError):  # another writer creates it too
            DeltaTable.create(
                self.uri,
                INDEX_SCHEMA.remove_metadata(),
                mode="ignore",
                name="argus.index",
                description=f"version {INDEX_VERSION}",
                configuration=_PROPERTIES,
                storage_options=self.store.options(),
            )
        self.refresh()

    def _reopen(self) -> None:
        with self.store.map_errors():
            self._table = DeltaTable(self.uri, storage_options=self.store.options())

    def _files(self) -> pa.Table:
        return pa.table(self.table.get_add_actions(flatten=True)).select(["path", "size_bytes"])


def read_reasons(store: Store, name: str, source_id: str) -> list[str | None]:
    """Return the reasons of a source's rows in one file of the folder, in use or not.

    The list is empty for a file that is not a part of the table, such as its log.
    """
    if not name.endswith(".parquet"):
        return []
    with store.open(name) as file:
        parquet = pq.ParquetFile(file)
        if "source_id" not in parquet.schema_arrow.names:  # a checkpoint of the log
            return []
        rows = parquet.read(columns=["source_id", "reason"])
    # Merged files have types of text that cannot be filtered.
    pairs = zip(rows["source_id"].to_pylist(), rows["reason"].to_pylist(), strict=True)
    return [reason for name, reason in pairs if name == source_id]


def select_latest(rows: pa.Table) -> pa.Table:
    """Return the row of each source with the largest sequence, sorted by `source_id`.

    The table needs both columns.
    """
    if not len(rows):
        return rows
    keys = rows.select(["source_id", "sequence"]).combine_chunks()
    order = pc.sort_indices(keys, sort_keys=[("source_id", "ascending"), ("sequence", "ascending")])
    names = keys["source_id"].take(order).combine_chunks()
    is_last = np.append(pc.not_equal(names[:-1], names[1:]).to_numpy(zero_copy_only=False), True)
    return rows.take(order.filter(pa.array(is_last)))


def _project_schema(columns: Sequence[str] | None) -> pa.Schema:
    """Return the schema of some columns of the index; `clips.NAME` is a field of the clips."""
    if columns is None:
        return INDEX_SCHEMA.remove_metadata()
    wanted: dict[str, set[str]] = {}
    for column in (*columns, "sequence"):
        name, _, part = column.partition(".")
        wanted.setdefault(name, set()).add(part)
    return pa.schema(
        [_project_field(INDEX_SCHEMA.field(name), parts) for name, parts in wanted.items()]
    )


def _project_field(field: pa.Field, parts: set[str]) -> pa.Field:
    """Return the field with some parts of its records, and always the first (the clip id).

    A file of an older version may lack all the others.
    """
    if "" in parts:
        return field
    first, *others = field.type.value_type
    kept = [first, *(part for part in others if part.name in parts)]
    return pa.field(field.name, pa.list_(pa.struct(kept)))


def _read_span(parquet: pq.ParquetFile) -> tuple[int, int]:
    """Return the first and the last sequence in a file."""
    footer = parquet.metadata
    column = [footer.schema.column(n).path for n in range(footer.num_columns)].index("sequence")
    found = [
        footer.row_group(number).column(column).statistics
        for number in range(footer.num_row_groups)
    ]
    if not all(one and one.has_min_max for one in found):
        span = pc.min_max(parquet.read(columns=["sequence"])["sequence"]).as_py()
        return span["min"] or 0, span["max"] or 0
    return min((one.min for one in found), default=0), max((one.max for one in found), default=0)


def _iter_parts_of(parquet: pq.ParquetFile, schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the columns of a file; those that an older version did not write are null."""
    leaves = [leaf for leaf in _list_leaves(parquet) if _is_wanted(leaf, schema)]
    footer = parquet.metadata
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    columns = [group.column(n) for group in groups for n in range(footer.num_columns)]
    size = sum(one.total_uncompressed_size for one in columns if one.path_in_schema in set(leaves))
    rows = max(1, footer.num_rows * _PART_BYTES // max(1, size))
    for batch in parquet.iter_batches(min(rows, 1 << 20), columns=leaves):
        yield migrate_table(pa.Table.from_batches([batch]), schema)


def _list_leaves(parquet: pq.ParquetFile) -> list[str]:
    """Return the paths of the stored columns, such as `clips.list.element.clip_id`."""
    return [parquet.schema.column(number).path for number in range(len(parquet.schema))]


def _is_wanted(leaf: str, schema: pa.Schema) -> bool:
    stored, *inner = leaf.split(".")
    name = rename_column(stored)
    if name not in schema.names:
        return False
    kind = schema.field(name).type
    is_records = pa.types.is_list(kind) and pa.types.is_struct(kind.value_type)
    return not is_records or inner[2] in {part.name for part in kind.value_type}
