"""Keeping a dataset small: fewer files in the index, and none elsewhere that no snapshot and no decision names any more.

Safe beside refreshes and training runs. What is younger than a grace period is left alone: a refresh may not have committed it yet, or a reader
may look at an earlier version of the index. A snapshot that is kept keeps its shards, whatever the index says now.
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow.compute as pc

from argus.dataset.decisions import unsettled
from argus.dataset.index import Index, latest_of
from argus.dataset.snapshots import Snapshot, flat_clips, list_snapshots
from argus.dataset.store import Store, StoredFile
from argus.errors import InvalidInput

GRACE_H = 24.0
_COLUMNS = ("source_id", "decision", "retryable", "thumbnail", "clips.shard")


@dataclass(frozen=True)
class CompactReport:
    """What was removed, or would be."""

    dry_run: bool
    index_files: tuple[int, int]  # that the index is made of, before and after; equal in a dry run
    index_removed: int  # files of earlier versions of the index
    snapshots: tuple[int, ...]  # versions
    shards: tuple[str, ...]  # names, as of the others
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
    """See `Dataset.compact`."""
    if (
        (keep_snapshots is not None and keep_snapshots < 1)
        or (keep_days is not None and keep_days < 0)
        or grace_h < 0
    ):
        raise InvalidInput(
            f"at least 1 snapshot, 0 days and 0 hours must be kept; got {keep_snapshots=}, {keep_days=}, {grace_h=}"
        )
    before = datetime.now(UTC) - timedelta(hours=grace_h)
    files = {
        folder: store.files(folder) for folder in ("snapshots", "shards", "thumbs", "staging")
    }  # listed before the index is read
    kept, old = _retained(list_snapshots(store), files["snapshots"], keep_snapshots, keep_days)
    index.refresh()
    shards, thumbnails = _named(index, kept)
    removed = {
        "snapshots": [
            file for file in files["snapshots"] if file.name in {snapshot.name for snapshot in old}
        ],
        "shards": [
            file for file in files["shards"] if file.name not in shards and file.modified <= before
        ],
        "thumbs": [
            file
            for file in files["thumbs"]
            if file.name not in thumbnails and file.modified <= before
        ],
        "staging": _left_over(files["staging"], before),
    }
    tidied = index.compact(grace_h=grace_h, dry_run=dry_run)
    if not dry_run:
        for folder in (
            "snapshots",
            "thumbs",
            "staging",
            "shards",
        ):  # a kill between leaves no snapshot without its shards
            store.delete(file.name for file in removed[folder])
        _remove_torn(store, before)
    names = {folder: tuple(file.name for file in found) for folder, found in removed.items()}
    return CompactReport(
        dry_run=dry_run,
        index_files=tidied[:2],
        index_removed=tidied[2],
        snapshots=tuple(snapshot.version for snapshot in old),
        shards=names["shards"],
        thumbnails=names["thumbs"],
        staged=names["staging"],
        bytes=sum(file.bytes for found in removed.values() for file in found),
    )


def _retained(
    snapshots: list[Snapshot], files: Iterable[StoredFile], count: int | None, days: float | None
) -> tuple[list[Snapshot], list[Snapshot]]:
    """Those to keep, and the others. Kept is what either bound keeps; the newest always, and all without a bound."""
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
    return [one for one in snapshots if one.version in kept], [
        one for one in snapshots if one.version not in kept
    ]


def _named(index: Index, snapshots: Iterable[Snapshot]) -> tuple[set[str], set[str]]:
    """The shards and thumbnails that count: of each source the latest row names some, and so does the one before that a failure does not hide."""
    shards = {
        name for snapshot in snapshots for name in snapshot.table["shard"].unique().to_pylist()
    }
    thumbnails: set[str] = set()
    rows = index.rows_after(0, _COLUMNS)
    for latest in (latest_of(rows), latest_of(rows.filter(pc.invert(unsettled(rows))))):
        shards |= set(flat_clips(latest)[0].field("shard").unique().to_pylist())
        thumbnails |= set(latest["thumbnail"].unique().to_pylist())
    return shards, thumbnails


def _left_over(staged: Iterable[StoredFile], before: datetime) -> list[StoredFile]:
    """The files of staged results of which none is young."""
    young = {_result(file) for file in staged if file.modified > before}
    return [file for file in staged if _result(file) not in young]


def _result(file: StoredFile) -> str:
    """`staging/NAME`."""
    return "/".join(file.name.split("/")[:2])


def _remove_torn(store: Store, before: datetime) -> None:
    """Removes what was being written in a folder when its writer was killed: its name begins with a dot. And folders that staging left empty."""
    if store.local is None:
        return
    for folder in (".", "shards", "snapshots", "thumbs", "staging", "recipes"):
        for path in (store.local / folder).glob(".*"):
            if datetime.fromtimestamp(path.stat().st_mtime, UTC) <= before:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for path in (store.local / "staging").glob("*"):
        if path.is_dir() and not any(path.rglob("*")):
            path.rmdir()
