"""Compaction: merges the files of the index and removes files that nothing refers to.

Safe beside refreshes and training runs: files younger than a grace period are kept, because a
refresh may not have committed them yet, or a reader may use an earlier version of the index. A kept
snapshot keeps its shards, whatever the index says now.
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow.compute as pc

from argus.dataset.decisions import is_retryable_failure
from argus.dataset.index import Index, select_latest
from argus.dataset.snapshots import Snapshot, flatten_clips, list_snapshots
from argus.dataset.store import Store, StoredFile
from argus.errors import InvalidInput

GRACE_H = 24.0
_COLUMNS = ("source_id", "decision", "retryable", "thumbnail", "clips.shard")
_FOLDERS = ("snapshots", "shards", "thumbs", "staging")


@dataclass(frozen=True)
class CompactReport:
    """The files that compaction removed, or would remove."""

    dry_run: bool
    index_files: tuple[int, int]  # of the index before and after; equal in a dry run
    index_removed: int  # files of earlier versions of the index
    snapshots: tuple[int, ...]  # versions
    shards: tuple[str, ...]  # names
    thumbnails: tuple[str, ...]
    staged: tuple[str, ...]  # files of results that were never committed
    bytes: int  # of snapshots, shards, thumbnails and staged files


def compact_dataset(
    store: Store,
    index: Index,
    *,
    keep_snapshots: int | None = None,
    keep_days: float | None = None,
    dry_run: bool = False,
    grace_h: float = GRACE_H,
) -> CompactReport:
    """Compact a dataset; see `Dataset.compact`."""
    _check_bounds(keep_snapshots, keep_days, grace_h)
    before = datetime.now(UTC) - timedelta(hours=grace_h)
    files = {folder: store.list_files(folder) for folder in _FOLDERS}  # before the index is read
    kept, old = _split_snapshots(
        list_snapshots(store), files["snapshots"], keep_snapshots, keep_days
    )
    index.refresh()
    shards, thumbnails = _collect_references(index, kept)
    old_names = {snapshot.name for snapshot in old}
    removed = {
        "snapshots": [file for file in files["snapshots"] if file.name in old_names],
        "shards": _select_unused(files["shards"], shards, before),
        "thumbs": _select_unused(files["thumbs"], thumbnails, before),
        "staging": _select_leftovers(files["staging"], before),
    }
    merged = index.compact(grace_h=grace_h, dry_run=dry_run)
    if not dry_run:
        for folder in ("snapshots", "thumbs", "staging", "shards"):  # a snapshot before its shards
            store.delete(file.name for file in removed[folder])
        _remove_temporary(store, before)
    names = {folder: tuple(file.name for file in found) for folder, found in removed.items()}
    return CompactReport(
        dry_run=dry_run,
        index_files=merged[:2],
        index_removed=merged[2],
        snapshots=tuple(snapshot.version for snapshot in old),
        shards=names["shards"],
        thumbnails=names["thumbs"],
        staged=names["staging"],
        bytes=sum(file.bytes for found in removed.values() for file in found),
    )


def _check_bounds(keep_snapshots: int | None, keep_days: float | None, grace_h: float) -> None:
    is_valid = (
        (keep_snapshots is None or keep_snapshots >= 1)
        and (keep_days is None or keep_days >= 0)
        and grace_h >= 0
    )
    if not is_valid:
        raise InvalidInput(
            "keep_snapshots must be at least 1, keep_days and grace_h at least 0; "
            f"got {keep_snapshots=}, {keep_days=}, {grace_h=}"
        )


def _split_snapshots(
    snapshots: list[Snapshot], files: Iterable[StoredFile], count: int | None, days: float | None
) -> tuple[list[Snapshot], list[Snapshot]]:
    """Return the snapshots to keep and those to remove (see `Dataset.compact`)."""
    if count is None and days is None:
        return snapshots, []
    published = {file.name: file.modified for file in files}
    since = datetime.now(UTC) - timedelta(days=days) if days is not None else None
    newest = {snapshot.version for snapshot in snapshots[-(count or 1) :]}
    young = {
        one.version
        for one in snapshots
        if since is not None and (one.name not in published or published[one.name] >= since)
    }
    kept = newest | young
    return (
        [one for one in snapshots if one.version in kept],
        [one for one in snapshots if one.version not in kept],
    )


def _collect_references(index: Index, snapshots: Iterable[Snapshot]) -> tuple[set[str], set[str]]:
    """Return the shards and thumbnails in use.

    They are those of the latest row of each source, and of its latest final row, which counts while
    the latest one is a failure that will be retried.
    """
    shards = {
        name for snapshot in snapshots for name in snapshot.table["shard"].unique().to_pylist()
    }
    thumbnails: set[str] = set()
    rows = index.rows_after(0, _COLUMNS)
    final = rows.filter(pc.invert(is_retryable_failure(rows)))
    for latest in (select_latest(rows), select_latest(final)):
        shards |= set(flatten_clips(latest)[0].field("shard").unique().to_pylist())
        thumbnails |= set(latest["thumbnail"].unique().to_pylist())
    return shards, thumbnails


def _select_unused(
    files: Iterable[StoredFile], used: set[str], before: datetime
) -> list[StoredFile]:
    return [file for file in files if file.name not in used and file.modified <= before]


def _select_leftovers(staged: Iterable[StoredFile], before: datetime) -> list[StoredFile]:
    """Return the files of those staged results that have no young file."""
    young = {_result_name(file) for file in staged if file.modified > before}
    return [file for file in staged if _result_name(file) not in young]


def _result_name(file: StoredFile) -> str:
    """Return `staging/NAME`."""
    return "/".join(file.name.split("/")[:2])


def _remove_temporary(store: Store, before: datetime) -> None:
    """Remove what killed writers left in a folder, and empty staging folders.

    The name of a file that is being written begins with a dot.
    """
    if store.local is None:
        return
    for folder in (
        ".",
        "shards",
        "snapshots",
        "thumbs",
        "staging",
        "recipes",
        "fetched",
        "forgotten",
    ):
        for path in (store.local / folder).glob(".*"):
            if datetime.fromtimestamp(path.stat().st_mtime, UTC) <= before:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for path in (store.local / "staging").glob("*"):
        if path.is_dir() and not any(path.rglob("*")):
            path.rmdir()
