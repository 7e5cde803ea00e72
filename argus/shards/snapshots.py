"""Snapshots: immutable versions of the dataset, `snapshots/NNNNNN.parquet`, NNNNNN being the sequence of the commit.

A snapshot is a pure function of the index's rows up to its sequence: a missing one (killed between the commit and the
file) is made again with equal bytes. They are written in ascending order, so that none is missing below the newest.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from argus.files import replacing, sha256_file
from argus.shards.index import Index, latest_of
from schemas.arrow import SNAPSHOT_SCHEMA
from schemas.names import Decision, Split


@dataclass(frozen=True)
class Snapshot:
    """One immutable version of the dataset."""

    version: int
    path: Path

    @cached_property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of the file."""
        return sha256_file(self.path)

    @cached_property
    def table(self) -> pa.Table:
        """The clips (`schemas.arrow.SNAPSHOT_SCHEMA`), sorted by clip_id."""
        return pq.read_table(self.path, schema=SNAPSHOT_SCHEMA)

    def counts(self) -> dict[Split, int]:
        """Clips by split; every split is named."""
        splits = self.table["split"].to_pylist()
        return {split: splits.count(split) for split in Split}


def list_snapshots(folder: Path) -> list[Snapshot]:
    """All snapshots of `folder`, oldest first."""
    return [Snapshot(int(path.stem), path) for path in sorted(folder.glob("[0-9]*.parquet"), key=lambda path: int(path.stem))]


def publish_snapshots(index: Index, folder: Path) -> None:
    """Writes the snapshot of every commit that has none yet and that changed the clips."""
    existing = list_snapshots(folder)
    newest = existing[-1].version if existing else 0
    clips = existing[-1].table if existing else SNAPSHOT_SCHEMA.empty_table()
    rows = index.rows_after(newest, ["source_id", "split", "clips", "sequence"])
    sequences = rows["sequence"].to_numpy()
    for sequence in sorted(set(sequences.tolist())):
        changed = _apply(clips, rows.filter(pa.array(sequences == sequence)))
        if not changed.equals(clips):
            _write(folder / f"{sequence:06d}.parquet", changed)
            clips = changed


def _apply(clips: pa.Table, rows: pa.Table) -> pa.Table:
    """The clips after one more commit: those of the sources it decided are replaced."""
    rows = latest_of(rows)
    decided = set(rows["source_id"].to_pylist())
    others = [row for row in clips.to_pylist() if row["source_id"] not in decided]
    new = [_snapshot_row(row, clip) for row in rows.to_pylist() for clip in row["clips"] or () if clip["decision"] == Decision.KEPT]
    return pa.Table.from_pylist(sorted(others + new, key=lambda row: row["clip_id"]), schema=SNAPSHOT_SCHEMA)


def _snapshot_row(row: dict[str, object], clip: dict[str, object]) -> dict[str, object]:
    values = {**clip, "source_id": row["source_id"], "split": row["split"]}
    return {name: values[name] for name in SNAPSHOT_SCHEMA.names}


def _write(path: Path, clips: pa.Table) -> None:
    with replacing(path) as beside:  # every setting that shapes the bytes is named here
        pq.write_table(clips, beside, version="2.6", compression="zstd", compression_level=3, row_group_size=65536, data_page_version="1.0")
