"""The duplicate index of a dataset on disk, derived from the dataset's rows.

It lies in `duplicates/` of ARGUS_HOME, in one folder per dataset, and may be deleted at any time.
Segments are written first, then the marker `index.json`, which makes them count: it names the
dataset's table, the last sequence that was read and the files of each segment. What does not fit
the dataset or this code, or was changed, is built anew from the dataset; what no marker names is
removed. One process writes at a time; the others keep what they mapped.
"""

import errno
import hashlib
import json
import logging
import math
import re
import secrets
import shutil
import tempfile
import weakref
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from argus.curate.dedup.fingerprint import VERSION, Signature
from argus.curate.dedup.index import DuplicateIndex
from argus.curate.dedup.matching import SignedClip
from argus.curate.dedup.segment import (
    Segment,
    SignedSource,
    hash_source,
    stat_files,
    write_merged,
)
from argus.dataset import Dataset, is_retryable_failure
from argus.errors import ServiceError
from argus.files import is_disk_full, lock_folder, write_text
from schemas.names import Decision, Reason

FORMAT = 2
"""Version of the files; part of what the marker must name."""

FLUSH_MOMENTS = 1 << 16
"""Moments in memory from which on they are written, about 30 MB."""

_MERGED = 8  # segments of similar size that are merged into one
_MARKER = "index.json"
_SEGMENT = re.compile(r"[0-9a-f]{16}")
_COLUMNS = (
    *("source_id", "split", "decision", "reason", "retryable"),
    *("clips.clip_id", "clips.start_ms", "clips.decision", "clips.signature"),
)
_BYTES = 420  # of a moment with its keys, rounded up
_RESERVE = 64 << 20  # bytes that stay free on the disk
_ROWS = 256  # of the dataset's index that are converted at once
_UNUSABLE = {
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOLCK,
    errno.EOPNOTSUPP,
    errno.ENOTDIR,
    errno.EEXIST,
}

logger = logging.getLogger(__name__)


class StoredDuplicateIndex(DuplicateIndex):
    """The kept clips of a dataset: mapped segments, and what was committed since in memory.

    Args:
        dataset: the dataset.
        home: the folder ARGUS_HOME. If nothing can be written there, a temporary folder is used
            until the process ends, and a warning is logged.
        on_read: receives the number of videos read so far while the index is built.

    Raises:
        ServiceError: no folder has room for the index.
    """

    def __init__(
        self, dataset: Dataset, home: Path | str, on_read: Callable[[int], None] | None = None
    ) -> None:
        super().__init__()
        self._on_read = on_read
        self._dataset = dataset
        self._folder = _folder_of(dataset, home)
        self._stored: dict[str, Segment] = {}
        self._files: dict[str, dict[str, tuple[int, int]]] = {}  # by segment, see `stat_files`
        self._marked: set[str] = set()  # segments that the stored marker names
        try:
            self._synchronize(is_waiting=True)
        except OSError as error:
            self._use_temporary_folder(error)

    @classmethod
    def exists_for(cls, dataset: Dataset, home: Path | str) -> bool:
        """Return True if the index of a dataset is stored on this machine, whole or in part."""
        return _folder_of(dataset, home).is_dir()

    @staticmethod
    def list_others(dataset: Dataset, home: Path | str) -> list[Path]:
        """Return the folders with indexes of the same dataset under other paths or URIs."""
        own = _folder_of(dataset, home)
        return [
            marker.parent
            for marker in sorted(own.parent.glob(f"*/{_MARKER}"))
            if marker.parent != own and _names_table(marker, dataset.index.table_id)
        ]

    @property
    def sequence(self) -> int:
        """The last sequence of the dataset that the index holds."""
        return self._sequence

    def update(self) -> None:
        """Add what any writer committed since; write it if it is much."""
        self._read_new()
        if sum(map(len, self._recent)) >= FLUSH_MOMENTS:
            try:
                self._synchronize(is_waiting=False)
            except OSError as error:
                if not is_disk_full(error):
                    raise
                logger.warning("the duplicate index stays in memory: %s", error)
                self._read_new()

    def holds(self, source_id: str) -> bool:
        """Return True if there is a row of the source, with clips or without."""
        source_hash = hash_source(source_id)
        return any(segment.find_latest(source_hash) for segment in self._segments)

    @property
    def _segments(self) -> Sequence[Segment]:
        return [*self._stored.values(), *self._recent]

    def _synchronize(self, *, is_waiting: bool) -> None:
        """Load what is stored, and store what is new; do nothing if another process does it."""
        if self._dataset.index.refresh() < 0:
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with lock_folder(self._folder, is_waiting=is_waiting) as is_locked:
            if not is_locked:
                return
            self._load()
            self._remove_others()
            before = self._sequence
            forgotten = self._read_new(self._write_recent)
            if self._sequence > before:
                self._write_recent()
                self._forget(forgotten)
                self._write_marker()
                self._remove_others()

    def _load(self) -> None:
        """Take over the stored segments, or none if they do not fit the dataset and this code."""
        before = self._stored
        self._recent, self._stored, self._files, self._sequence = [], {}, {}, 0
        try:
            marker = self._read_marker()
            files = {
                name: {key: (size, time) for key, (size, time) in own.items()}
                for name, own in marker["segments"].items()
            }
            for name, own in files.items():
                if not _SEGMENT.fullmatch(name) or stat_files(self._folder / name) != own:
                    raise ValueError(f"the files of {name} were changed")
            self._stored = {
                name: before.get(name) or Segment.open(self._folder / name) for name in files
            }
            self._files, self._sequence = files, marker["sequence"]
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            logger.warning("the duplicate index %s is built anew: %s", self._folder, error)
            self._stored = {}
        self._marked = set(self._files)

    def _read_marker(self) -> dict[str, Any]:
        """Return the marker; raise an error if it does not fit the dataset and this code."""
        marker: dict[str, Any] = json.loads((self._folder / _MARKER).read_bytes())
        if {name: marker.get(name) for name in self._identity} != self._identity:
            raise ValueError("it belongs to another dataset or version")
        if not 0 <= marker["sequence"] <= self._dataset.index.version:
            raise ValueError("the dataset was replaced by an earlier version")
        return marker

    def _write_marker(self) -> None:
        marker = {**self._identity, "sequence": self._sequence, "segments": self._files}
        write_text(self._folder / _MARKER, json.dumps(marker))
        self._marked = set(self._files)

    @property
    def _identity(self) -> dict[str, object]:
        return {
            "format": FORMAT,
            "signature": VERSION,
            "dataset": self._dataset.store.uri,
            "table": self._dataset.index.table_id,
        }

    def _read_new(self, write: Callable[[], None] | None = None) -> set[int]:
        """Read what was committed since; return the hashes of sources that were taken down."""
        forgotten: set[int] = set()
        batch: list[SignedSource] = []
        last, moments, count = self._sequence, 0, 0
        for part in self._dataset.iter_parts_after(self._sequence, _COLUMNS):
            last = max(last, pc.max(part["sequence"]).as_py() or 0)
            rows = part.filter(pc.invert(is_retryable_failure(part)))
            forgotten.update(map(hash_source, _list_forgotten(rows)))
            for source in _iter_sources(rows):
                batch.append(source)
                moments += sum(len(clip.signature.moments) for clip in source.clips)
                if moments >= FLUSH_MOMENTS and write:
                    self.add_sources(batch)
                    write()
                    count += len(batch)
                    batch, moments = [], 0
                    if self._on_read:
                        self._on_read(count)
        self.add_sources(batch)
        self._sequence = last
        return forgotten

    def _write_recent(self) -> None:
        """Move what is in memory to the disk."""
        if self._recent:
            self._write(self._recent)
            self._recent = []
            self._merge()

    def _merge(self) -> None:
        """Merge segments of similar size while there are many, so that few must be searched."""
        tiers: dict[int, list[str]] = {}
        for name, segment in self._stored.items():
            tier = int(math.log(max(1, len(segment) / FLUSH_MOMENTS), _MERGED))
            tiers.setdefault(tier, []).append(name)
        names = next((names for names in tiers.values() if len(names) >= _MERGED), [])
        if names and self._has_room([self._stored[name] for name in names]):
            self._replace(names)
            self._merge()

    def _forget(self, hashes: Collection[int]) -> None:
        """Remove sources that were taken down; no byte of them stays in a file."""
        for name, segment in list(self._stored.items()):
            if any(segment.find_latest(one) for one in hashes):
                self._replace([name], hashes)

    def _replace(self, names: Sequence[str], forget: Collection[int] = ()) -> None:
        """Write one segment in place of some."""
        self._write([self._stored[name] for name in names], forget)
        for name in names:
            del self._stored[name], self._files[name]
        self._remove_others()

    def _write(self, segments: Sequence[Segment], forget: Collection[int] = ()) -> None:
        if not self._has_room(segments):
            raise OSError(errno.ENOSPC, "no room for the duplicate index", str(self._folder))
        name = secrets.token_hex(8)
        self._files[name] = write_merged(segments, self._folder / name, forget)
        self._stored[name] = Segment.open(self._folder / name)

    def _has_room(self, segments: Sequence[Segment]) -> bool:
        size = _BYTES * sum(map(len, segments)) + _RESERVE
        return shutil.disk_usage(self._folder).free >= size

    def _remove_others(self) -> None:
        """Remove segments that neither this process nor the marker names."""
        kept = {*self._files, *self._marked}
        for path in self._folder.iterdir():
            if path.is_dir() and path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)

    def _use_temporary_folder(self, error: OSError) -> None:
        """Build the index in a temporary folder, if the disk or its permissions are at fault."""
        if error.errno not in _UNUSABLE and not is_disk_full(error):
            raise error
        logger.warning(
            "the duplicate index cannot be stored in %s (%s); it is built in a temporary folder, "
            "and built again at the next start",
            self._folder,
            error,
        )
        self._folder = Path(tempfile.mkdtemp(prefix="argus-duplicates-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        try:
            self._synchronize(is_waiting=True)
        except OSError as again:
            raise ServiceError(
                f"there is no room for the duplicate index, 4 KB per clip: {again}; free space "
                "below ARGUS_HOME or in the folder of temporary files (TMPDIR)"
            ) from again


def _folder_of(dataset: Dataset, home: Path | str) -> Path:
    name = hashlib.sha256(dataset.store.uri.encode()).hexdigest()[:16]
    return Path(home).absolute() / "duplicates" / name


def _names_table(marker: Path, table_id: str | None) -> bool:
    try:
        return bool(json.loads(marker.read_bytes())["table"] == table_id)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _list_forgotten(rows: pa.Table) -> list[str]:
    """Return the ids of sources that were taken down."""
    is_forgotten = pc.fill_null(pc.equal(rows["reason"], str(Reason.FORGOTTEN)), False)
    return rows["source_id"].filter(is_forgotten).to_pylist()


def _iter_sources(rows: pa.Table) -> Iterator[SignedSource]:
    """Yield the rows of a dataset's index, with the kept clips that have a signature."""
    for batch in rows.to_batches(max_chunksize=_ROWS):
        for row in batch.to_pylist():
            yield SignedSource(
                row["source_id"],
                row["sequence"],
                row["split"],
                [
                    SignedClip(
                        clip["clip_id"],
                        row["source_id"],
                        clip["start_ms"],
                        Signature.from_bytes(clip["signature"]),
                    )
                    for clip in row["clips"] or ()
                    if clip["decision"] == Decision.KEPT and clip.get("signature")
                ],
            )
