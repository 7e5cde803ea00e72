"""Snapshots: immutable versions of a dataset, `snapshots/NNNNNN.parquet`.

NNNNNN is the sequence of the last commit in it. A snapshot is a pure function of the index's rows
up to that sequence, whoever publishes it and however often. For each source it holds the kept clips
of the latest final row; a failure that will be retried hides nothing (`CuratedVideo.is_final`).
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from argus.dataset.decisions import is_retryable_failure
from argus.dataset.index import Index, select_latest
from argus.dataset.store import Store
from schemas.arrow import SNAPSHOT_SCHEMA
from schemas.names import Decision, Split

FOLDER = "snapshots"
_CLIP_FIELDS = ("clip_id", "quality", "high_quality", "frames", "shard", "row", "checksum")
_COLUMNS = (
    "source_id",
    "split",
    "decision",
    "retryable",
    "sequence",
    "clips.decision",
    *(f"clips.{name}" for name in _CLIP_FIELDS),
)


@dataclass(frozen=True)
class Snapshot:
    """One immutable version of the dataset."""

    version: int
    store: Store

    @property
    def name(self) -> str:
        """Its name in the dataset."""
        return f"{FOLDER}/{self.version:06d}.parquet"

    @property
    def uri(self) -> str:
        """Its path or URI, for other programs."""
        return self.store.uri_of(self.name)

    @cached_property
    def digest(self) -> str:
        """The hexadecimal SHA-256 of the file."""
        return hashlib.sha256(self.store.read(self.name)).hexdigest()

    @cached_property
    def table(self) -> pa.Table:
        """The clips (`schemas.arrow.SNAPSHOT_SCHEMA`), sorted by clip_id."""
        with self.store.open(self.name) as file:
            return _conform(pq.ParquetFile(file).read())

    def counts(self) -> dict[Split, int]:
        """Return the number of clips by split; it has every split as a key."""
        counted = {
            item["values"]: item["counts"]
            for item in self.table["split"].value_counts().to_pylist()
        }
        return {split: counted.get(str(split), 0) for split in Split}


def list_snapshots(store: Store) -> list[Snapshot]:
    """Return all snapshots, oldest first."""
    stems = (
        name.removeprefix(f"{FOLDER}/").removesuffix(".parquet")
        for name in store.list_names(FOLDER)
    )
    return [
        Snapshot(version, store)
        for version in sorted(int(stem) for stem in stems if stem.isdigit())
    ]


def publish_snapshot(index: Index, store: Store) -> Snapshot | None:
    """Write the snapshot of all commits, if its clips differ from the newest snapshot's.

    Concurrent publishers write the same file, or one of them a later version.

    Returns:
        The newest snapshot, or None if there is none.
    """
    existing = list_snapshots(store)
    newest = existing[-1] if existing else None
    before = newest.table if newest else SNAPSHOT_SCHEMA.empty_table()
    rows = index.rows_after(newest.version if newest else 0, _COLUMNS)
    if not len(rows):
        return newest
    clips = update_clips(before, rows)
    if clips.equals(before):
        return newest
    snapshot = Snapshot(pc.max(rows["sequence"]).as_py(), store)
    write_snapshot(store, snapshot.name, clips)
    return snapshot


def write_snapshot(store: Store, name: str, clips: pa.Table) -> None:
    """Write the clips of a snapshot; equal clips give equal bytes."""
    with store.writing(name) as path:  # every setting that affects the bytes is given
        pq.write_table(
            clips,
            path,
            version="2.6",
            compression="zstd",
            compression_level=3,
            row_group_size=65536,
            data_page_version="1.0",
        )


def update_clips(clips: pa.Table, rows: pa.Table) -> pa.Table:
    """Return a snapshot's clips after further rows: those of their sources are replaced."""
    latest = select_latest(rows.filter(pc.invert(is_retryable_failure(rows))))
    others = clips.filter(
        pc.invert(pc.is_in(clips["source_id"], latest["source_id"].combine_chunks()))
    )
    table = pa.concat_tables([others, _select_kept_clips(latest)]).sort_by("clip_id")
    return table.combine_chunks().replace_schema_metadata(SNAPSHOT_SCHEMA.metadata)


def flatten_clips(rows: pa.Table) -> tuple[pa.StructArray, pa.Array]:
    """Return the clips of all rows in order, and the number of each one's row."""
    lists = rows["clips"].combine_chunks()
    lists = lists if isinstance(lists, pa.Array) else pa.concat_arrays(lists.chunks)
    return lists.flatten(), pc.list_parent_indices(lists)


def _select_kept_clips(rows: pa.Table) -> pa.Table:
    clips, parents = flatten_clips(rows)
    columns = {
        "source_id": rows["source_id"].combine_chunks().take(parents),
        "split": rows["split"].combine_chunks().take(parents),
        **{name: clips.field(name) for name in _CLIP_FIELDS},
    }
    table = pa.table({name: columns[name] for name in SNAPSHOT_SCHEMA.names})
    return _conform(table.filter(pc.equal(clips.field("decision"), str(Decision.KEPT))))


def _conform(table: pa.Table) -> pa.Table:
    """Return the table with all columns; those that an older snapshot lacks are null."""
    own = set(table.column_names)
    columns = [
        table[field.name] if field.name in own else pa.nulls(len(table), field.type)
        for field in SNAPSHOT_SCHEMA
    ]
    return pa.table(columns, names=SNAPSHOT_SCHEMA.names).cast(SNAPSHOT_SCHEMA)
