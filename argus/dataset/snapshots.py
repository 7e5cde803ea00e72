"""Snapshots: immutable versions of the dataset, `snapshots/NNNNNN.parquet`, NNNNNN being the sequence of the last commit that it knows.

A snapshot is a pure function of the index's rows up to its sequence, whichever are published, by whom and how often: of each source it holds the
kept clips of the latest row that settled it. A failure that may pass (`SourceRow.settled`) hides nothing.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from argus.dataset.decisions import unsettled
from argus.dataset.index import Index, latest_of
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
        """Where it lies in the dataset."""
        return f"{FOLDER}/{self.version:06d}.parquet"

    @property
    def uri(self) -> str:
        """Its path or uri, for other programs."""
        return self.store.uri_of(self.name)

    @cached_property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of the file."""
        return hashlib.sha256(self.store.read(self.name)).hexdigest()

    @cached_property
    def table(self) -> pa.Table:
        """The clips (`schemas.arrow.SNAPSHOT_SCHEMA`), sorted by clip_id."""
        with self.store.open(self.name) as file:
            return _conform(pq.ParquetFile(file).read())

    def counts(self) -> dict[Split, int]:
        """Clips by split; every split is named."""
        counted = {
            item["values"]: item["counts"]
            for item in self.table["split"].value_counts().to_pylist()
        }
        return {split: counted.get(str(split), 0) for split in Split}


def list_snapshots(store: Store) -> list[Snapshot]:
    """All snapshots, oldest first."""
    stems = (
        name.removeprefix(f"{FOLDER}/").removesuffix(".parquet") for name in store.names(FOLDER)
    )
    return [
        Snapshot(version, store)
        for version in sorted(int(stem) for stem in stems if stem.isdigit())
    ]


def publish_snapshot(index: Index, store: Store) -> Snapshot | None:
    """Writes the snapshot of the commits so far where their clips are other than the newest one's; returns the newest then, None without any.

    Publishers at once write the same, or one a later version; none overtakes what is not committed.
    """
    existing = list_snapshots(store)
    newest = existing[-1] if existing else None
    before = newest.table if newest else SNAPSHOT_SCHEMA.empty_table()
    rows = index.rows_after(newest.version if newest else 0, _COLUMNS)
    if not len(rows):
        return newest
    clips = clips_after(before, rows)
    if clips.equals(before):
        return newest
    snapshot = Snapshot(pc.max(rows["sequence"]).as_py(), store)
    with store.writing(snapshot.name) as path:  # every setting that shapes the bytes is named here
        pq.write_table(
            clips,
            path,
            version="2.6",
            compression="zstd",
            compression_level=3,
            row_group_size=65536,
            data_page_version="1.0",
        )
    return snapshot


def clips_after(clips: pa.Table, rows: pa.Table) -> pa.Table:
    """A snapshot's clips after further rows of the index: those of the sources that these settle are replaced."""
    latest = latest_of(rows.filter(pc.invert(unsettled(rows))))
    others = clips.filter(
        pc.invert(pc.is_in(clips["source_id"], latest["source_id"].combine_chunks()))
    )
    table = pa.concat_tables([others, _kept_clips(latest)]).sort_by("clip_id")
    return table.combine_chunks().replace_schema_metadata(SNAPSHOT_SCHEMA.metadata)


def flat_clips(rows: pa.Table) -> tuple[pa.StructArray, pa.Array]:
    """The clips of rows one after the other, and the position of each one's row."""
    lists = rows["clips"].combine_chunks()
    lists = lists if isinstance(lists, pa.Array) else pa.concat_arrays(lists.chunks)
    return lists.flatten(), pc.list_parent_indices(lists)


def _kept_clips(rows: pa.Table) -> pa.Table:
    clips, parents = flat_clips(rows)
    columns = {
        "source_id": rows["source_id"].combine_chunks().take(parents),
        "split": rows["split"].combine_chunks().take(parents),
        **{name: clips.field(name) for name in _CLIP_FIELDS},
    }
    table = pa.table({name: columns[name] for name in SNAPSHOT_SCHEMA.names})
    return _conform(table.filter(pc.equal(clips.field("decision"), str(Decision.KEPT))))


def _conform(table: pa.Table) -> pa.Table:
    """Older snapshots have fewer columns: those are null."""
    own = set(table.column_names)
    columns = [
        table[field.name] if field.name in own else pa.nulls(len(table), field.type)
        for field in SNAPSHOT_SCHEMA
    ]
    return pa.table(columns, names=SNAPSHOT_SCHEMA.names).cast(SNAPSHOT_SCHEMA)
