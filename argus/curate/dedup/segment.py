"""Segments of the duplicate index: immutable sets of sources with sorted hash keys.

A segment is in memory, or a folder of raw arrays that are mapped into memory: little-endian, each
in a file of its own, beside the names in an Arrow file. Merging streams from files to files.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from argus.curate.dedup.fingerprint import BANDS, HARMONICS
from argus.curate.dedup.hashing import TABLES, compute_keys
from argus.curate.dedup.matching import Series, SignedClip
from argus.dataset import hash_source_id

_MOMENT = np.dtype(
    [("time_ms", "<f8"), ("clip", "<i4"), ("values", "i1", (BANDS, HARMONICS, 2))]
)  # `clip` is an index in the clips of its source
_ARRAYS: dict[str, np.dtype[Any]] = {
    "starts": np.dtype("<i8"),  # [s + 1] first moment of each source, and their number
    "sequences": np.dtype("<i8"),  # [s]
    "spacings_ms": np.dtype("<f8"),  # [s] of the moments
    "hashes": np.dtype("<u8"),  # [s] of the source ids, sorted
    "hashed": np.dtype("<i4"),  # [s] the row of each hash
    "moments": _MOMENT,  # [m] source by source, in order of time
    "keys": np.dtype("<u4"),  # [m·TABLES] sorted; the high bits are the number of the table
    "numbers": np.dtype("<u4"),  # [m·TABLES] the moment of each key
}
_NAMES = pa.schema(
    [("source_id", pa.string()), ("split", pa.string()), ("clips", pa.list_(pa.string()))]
)
_NAMES_FILE = "names.arrow"
_STEP = 1 << 17  # moments or sources that are copied at once
_KEY_STEP = 1 << 21  # keys that are sorted at once


@dataclass(frozen=True)
class SignedSource:
    """The kept clips of a source as one commit decided; none hide those of earlier commits."""

    source_id: str
    sequence: int  # of the commit; the latest one of a source counts
    split: str = ""
    clips: Sequence[SignedClip] = ()


@dataclass(frozen=True, eq=False)
class Segment:
    """Sources with their moments and hash keys; the arrays are those of `_ARRAYS`."""

    names: pa.Table
    starts: NDArray[np.int64]
    sequences: NDArray[np.int64]
    spacings_ms: NDArray[np.float64]
    hashes: NDArray[np.uint64]
    hashed: NDArray[np.int32]
    moments: NDArray[np.void]
    keys: NDArray[np.uint32]
    numbers: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.moments)

    @classmethod
    def build(cls, sources: Sequence[SignedSource]) -> "Segment":
        """Return the segment of some sources, in memory."""
        series = [Series.from_clips(source.source_id, source.clips) for source in sources]
        starts = np.cumsum([0, *(len(one.moments) for one in series)])
        moments = np.empty(starts[-1], _MOMENT)
        for one, start, stop in zip(series, starts[:-1], starts[1:], strict=True):
            moments["time_ms"][start:stop] = one.times_ms
            moments["clip"][start:stop] = one.clip
            moments["values"][start:stop] = one.moments
        keys = compute_keys(moments["values"]).reshape(-1)
        order = np.argsort(keys, kind="stable")
        hashes = np.array([hash_source(source.source_id) for source in sources], np.uint64)
        hashed = np.argsort(hashes, kind="stable").astype(np.int32)
        values = {
            "source_id": [source.source_id for source in sources],
            "split": [source.split for source in sources],
            "clips": [one.clips for one in series],
        }
        return cls(
            names=pa.table(values, schema=_NAMES),
            starts=starts,
            sequences=np.array([source.sequence for source in sources], np.int64),
            spacings_ms=np.array([one.spacing_ms for one in series], np.float64),
            hashes=hashes[hashed],
            hashed=hashed,
            moments=moments,
            keys=keys[order],
            numbers=(order // TABLES).astype(np.uint32),
        )

    @classmethod
    def open(cls, folder: Path) -> "Segment":
        """Map the segment of a folder into memory. Raises OSError or ValueError if it cannot."""
        with pa.memory_map(str(folder / _NAMES_FILE)) as file:
            names = pa.ipc.open_file(file).read_all()
        arrays = {name: _map_array(folder / name, kind) for name, kind in _ARRAYS.items()}
        return cls(names=names, **arrays)

    def lookup(self, keys: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return, for every hit of the keys [m, TABLES], the querying and the found moment."""
        flat = keys.reshape(-1)
        first = np.searchsorted(self.keys, flat, side="left")
        counts = np.searchsorted(self.keys, flat, side="right") - first
        asked = np.repeat(np.arange(len(flat)) // TABLES, counts)
        places = np.arange(counts.sum()) + np.repeat(first - np.cumsum(counts) + counts, counts)
        hits = np.unique(np.stack([asked, self.numbers[places].astype(np.int64)]), axis=1)
        return hits[0], hits[1]

    def find_rows(self, moments: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the row of the source of each moment."""
        return np.searchsorted(self.starts, moments, side="right") - 1

    def find_latest(self, source_hash: int) -> tuple[int, int] | None:
        """Return the sequence and the row of a source; None if it is not in the segment."""
        wanted = np.uint64(source_hash)
        first = np.searchsorted(self.hashes, wanted, side="left")
        last = np.searchsorted(self.hashes, wanted, side="right")
        rows = self.hashed[first:last]
        return max(((int(self.sequences[row]), int(row)) for row in rows), default=None)

    def source_id(self, row: int) -> str:
        """Return the id of a source."""
        return str(self.names["source_id"][row])

    def split(self, row: int) -> str:
        """Return the split of a source."""
        return str(self.names["split"][row])

    def read_series(self, row: int) -> Series:
        """Return the moments of a source."""
        own = self.moments[self.starts[row] : self.starts[row + 1]]
        clips = tuple(self.names["clips"][row].as_py())
        spacing_ms = float(self.spacings_ms[row])
        return Series(
            self.source_id(row), clips, own["clip"], own["time_ms"], spacing_ms, own["values"]
        )


def merge_segments(segments: Sequence[Segment], forget: Collection[int] = ()) -> Segment:
    """Return the latest rows of the sources of some segments, in memory.

    Args:
        segments: the segments in any order.
        forget: hashes of sources that are left out.
    """
    kept = _select_rows(segments, forget)
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in _ARRAYS}
    for name, part in _iter_arrays(segments, kept):
        parts[name].append(part)
    arrays = {name: _concatenate(parts[name], kind) for name, kind in _ARRAYS.items()}
    return Segment(names=pa.concat_tables(_iter_names(segments, kept)), **arrays)


def write_merged(
    segments: Sequence[Segment], folder: Path, forget: Collection[int] = ()
) -> dict[str, tuple[int, int]]:
    """Write what `merge_segments` returns to a new folder, with little memory.

    Returns:
        The size in bytes and the time of modification in ns of each file.
    """
    folder.mkdir(parents=True)
    kept = _select_rows(segments, forget)
    files = {name: (folder / name).open("wb") for name in _ARRAYS}
    try:
        for name, part in _iter_arrays(segments, kept):
            files[name].write(part.tobytes())
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
    finally:
        for file in files.values():
            file.close()
    with (folder / _NAMES_FILE).open("wb") as file:
        with pa.ipc.new_file(file, _NAMES) as writer:
            for table in _iter_names(segments, kept):
                writer.write_table(table)
        file.flush()
        os.fsync(file.fileno())
    return stat_files(folder)


def stat_files(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the size in bytes and the time of modification in ns of each file of a segment."""
    stats = {path.name: path.stat() for path in folder.iterdir()}
    return {name: (stats[name].st_size, stats[name].st_mtime_ns) for name in sorted(stats)}


def hash_source(source_id: str) -> int:
    """Return the 64 bits of `hash_source_id`, by which sources are told apart."""
    return int(hash_source_id(source_id), 16)


def _select_rows(segments: Sequence[Segment], forget: Collection[int]) -> list[NDArray[np.bool_]]:
    """Return for each segment which rows are the latest of their source, and not forgotten."""
    hashes = np.concatenate([one.hashes for one in segments])
    sequences = np.concatenate([one.sequences[one.hashed] for one in segments])
    order = np.lexsort((sequences, hashes))
    ordered = hashes[order]
    is_kept = np.append(ordered[:-1] != ordered[1:], np.ones(min(1, len(ordered)), bool))
    is_kept &= ~np.isin(ordered, np.array(sorted(forget), np.uint64))
    by_hash = np.empty(len(order), bool)
    by_hash[order] = is_kept
    ends = np.cumsum([len(one.hashes) for one in segments])
    kept = []
    for one, flags in zip(segments, np.split(by_hash, ends[:-1]), strict=True):
        rows = np.empty(len(flags), bool)
        rows[one.hashed] = flags
        kept.append(rows)
    return kept


def _iter_arrays(
    segments: Sequence[Segment], kept: Sequence[NDArray[np.bool_]]
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the arrays of the merged segment by name, in parts."""
    counts = np.concatenate(
        [np.diff(one.starts)[rows] for one, rows in zip(segments, kept, strict=True)]
    )
    yield "starts", np.cumsum([0, *counts], dtype=np.int64)
    for name in ("sequences", "spacings_ms"):
        for one, rows in zip(segments, kept, strict=True):
            yield name, getattr(one, name)[rows]
    hashes = np.concatenate([_unsort(one)[rows] for one, rows in zip(segments, kept, strict=True)])
    hashed = np.argsort(hashes, kind="stable").astype(np.int32)
    yield "hashes", hashes[hashed]
    yield "hashed", hashed
    masks = [np.repeat(rows, np.diff(one.starts)) for one, rows in zip(segments, kept, strict=True)]
    for one, mask in zip(segments, masks, strict=True):
        for first in range(0, len(one), _STEP):
            yield "moments", one.moments[first : first + _STEP][mask[first : first + _STEP]]
    yield from _iter_keys(segments, masks)


def _iter_keys(
    segments: Sequence[Segment], masks: Sequence[NDArray[np.bool_]]
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the sorted keys and their renumbered moments, range by range of the keys."""
    bases = np.cumsum([0, *(mask.sum() for mask in masks)])
    numberings = [
        (np.cumsum(mask) - 1 + base).astype(np.uint32)
        for mask, base in zip(masks, bases[:-1], strict=True)
    ]
    for first, last in _split_keys(segments):
        keys, numbers = [], []
        for one, mask, numbering in zip(segments, masks, numberings, strict=True):
            span = slice(*np.searchsorted(one.keys, np.array([first, last], np.uint32)))
            old = one.numbers[span]
            keys.append(one.keys[span][mask[old]])
            numbers.append(numbering[old[mask[old]]])
        joined = np.concatenate(keys)
        order = np.argsort(joined, kind="stable")
        yield "keys", joined[order]
        yield "numbers", np.concatenate(numbers)[order]


def _split_keys(segments: Sequence[Segment]) -> Iterator[tuple[np.uint32, np.uint32]]:
    """Yield ranges of keys that hold about `_KEY_STEP` keys each, in order."""
    largest = max(segments, key=len)
    step = max(1, _KEY_STEP * len(largest) // max(1, sum(map(len, segments))))
    inner = np.unique(largest.keys[::step])
    bounds = np.concatenate([[0], inner, [np.iinfo(np.uint32).max]]).astype(np.uint32)
    yield from pairwise(bounds)


def _iter_names(
    segments: Sequence[Segment], kept: Sequence[NDArray[np.bool_]]
) -> Iterator[pa.Table]:
    for one, rows in zip(segments, kept, strict=True):
        for first in range(0, max(1, len(rows)), _STEP):
            part = one.names.slice(first, _STEP).filter(pa.array(rows[first : first + _STEP]))
            yield part.combine_chunks()


def _unsort(segment: Segment) -> NDArray[np.uint64]:
    """Return the hash of each row."""
    hashes = np.empty(len(segment.hashes), np.uint64)
    hashes[segment.hashed] = segment.hashes
    return hashes


def _concatenate(parts: Sequence[NDArray[Any]], kind: np.dtype[Any]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, kind)


def _map_array(path: Path, kind: np.dtype[Any]) -> NDArray[Any]:
    if not path.stat().st_size:
        return np.empty(0, kind)
    return np.memmap(path, kind, mode="r").view(np.ndarray)
