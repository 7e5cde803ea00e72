"""A dataset: `shards/`, `index/` (Delta), `snapshots/`, `thumbs/` and `recipes/` in one place.

A chunk is committed in two steps: its shard, then its rows in the index, which make it count. A
kill in between leaves a file that the next attempt replaces with equal bytes. `publish` makes a
snapshot of what is committed; every refresh calls it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from argus.dataset.compaction import GRACE_H, CompactReport, compact_dataset
from argus.dataset.decisions import DecisionCache, LatestDecision
from argus.dataset.forgetting import (
    Tombstone,
    block_source,
    describe_source,
    find_traces,
    purge,
    write_tombstone,
)
from argus.dataset.index import Index
from argus.dataset.log import LoggedCommit, SnapshotDiff, diff_snapshots, list_commits
from argus.dataset.records import CuratedClip, ShardClip, SourceRow
from argus.dataset.rows import row_from_values
from argus.dataset.shard import ShardReader, store_shard
from argus.dataset.snapshots import Snapshot, list_snapshots, publish_snapshot
from argus.dataset.store import Store
from argus.errors import InvalidInput, ServiceError
from schemas.names import Decision

_MAX_ATTEMPTS = 100  # a lost race means that another writer committed, so this is never reached


@dataclass(frozen=True)
class DecidedVideo:
    """One source of a chunk: its row, and those of its kept clips that are in no shard yet.

    Attributes:
        row: the row to commit.
        clips: in the order of `row.kept_clips`. It is iterated again if a commit is repeated, so a
            one-time iterator does not suffice.
    """

    row: SourceRow
    clips: Iterable[ShardClip] = ()


ResolveChunk = Callable[[Sequence[DecidedVideo]], Sequence[DecidedVideo]]
"""Adapts a chunk to everything that is committed; called again, with the same videos, after a lost
race."""


@dataclass(frozen=True)
class Commit:
    """A committed chunk."""

    sequence: int  # of its rows in the index
    rows: tuple[SourceRow, ...]  # as committed, without those that another writer had committed

    @property
    def sources(self) -> int:
        """The number of newly decided sources."""
        return len(self.rows)


class Dataset:
    """A dataset in a folder or an object store. Nothing is created before the first commit."""

    def __init__(self, place: Store | Path | str) -> None:
        self.store = Store.of(place)
        self.index = Index(self.store)
        self.index.refresh()
        self._decisions = DecisionCache(self.index)

    @property
    def exists(self) -> bool:
        """True if anything was ever committed."""
        return self.index.refresh() > 0

    def commit_chunk(
        self,
        videos: Sequence[DecidedVideo],
        resolve: ResolveChunk | None = None,
        *,
        replaced: Mapping[str, int] | None = None,
    ) -> Commit | None:
        """Commit the decisions about a chunk's sources; all of them count or none does.

        A source is left out if its latest row is final under the same recipe, or is the same
        failure. If another writer commits meanwhile, everything is done again. The cost does not
        depend on the size of the dataset.

        Args:
            videos: the chunk in its order, all of one recipe.
            resolve: called with what is new, to handle duplicates of earlier commits.
            replaced: sequences of rows, by source, that do not count as known, nor any before.

        Returns:
            The commit, or None if nothing was new.

        Raises:
            InvalidInput: several recipes, or clips that do not match their rows.
            ServiceError: other writers committed again and again.
        """
        if len({video.row.recipe for video in videos}) > 1:
            raise InvalidInput("the videos of a chunk have several recipes; commit them separately")
        for _attempt in range(_MAX_ATTEMPTS):
            version = self.index.refresh()
            new = self._select_new(videos, replaced or {})
            if not new:
                return None
            resolved = resolve(new) if resolve else new
            if not resolved:
                return None
            rows = self._write_shard(resolved)
            sequence = self.index.append(rows, after=version)
            if sequence is not None:
                self.index.merge_files()
                return Commit(sequence, tuple(rows))
        raise ServiceError(
            f"other writers committed to {self.index.uri} {_MAX_ATTEMPTS} times in a row; try again"
        )

    def read_decisions(self) -> pa.Table:
        """Return the latest decision on each source, sorted by `source_id`.

        Columns: source_id, decision, reason, retryable, recipe, failure_settings, sequence.
        """
        self.index.refresh()
        return self._decisions.to_table()

    def find_final(
        self, recipe: str, source_ids: Collection[str], replaced: Mapping[str, int] | None = None
    ) -> set[str]:
        """Return those of some sources that are resolved under a recipe, or were taken down.

        Args:
            recipe: its digest.
            source_ids: the sources.
            replaced: sequences of rows, by source, that do not count, nor any before.
        """
        self.index.refresh()
        replaced = replaced or {}
        return {
            source_id
            for source_id, latest in self._decisions.find(source_ids).items()
            if latest.is_resolved(recipe) and latest.sequence > replaced.get(source_id, 0)
        }

    def read_rows(self, source_ids: Collection[str]) -> dict[str, SourceRow]:
        """Return the latest rows of some sources by their ids; unknown ids are left out."""
        self.index.refresh()
        latest = {
            source_id: decision.sequence
            for source_id, decision in self._decisions.find(source_ids).items()
        }
        wanted = pa.array(latest, pa.string())
        parts = (
            part.filter(pc.is_in(part["source_id"], wanted))
            for part in self.index.iter_parts_at(latest.values())
        )
        return {
            values["source_id"]: row_from_values(values)
            for part in parts
            for values in part.to_pylist()
            if values["sequence"] == latest[values["source_id"]]
        }

    def read_latest(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the latest row of each source, sorted by `source_id`.

        Args:
            columns: of `schemas.arrow.INDEX_SCHEMA`; `clips.NAME` reads only that field of clips.

        Raises:
            InvalidInput: there is no dataset.
        """
        self._require()
        rows = self.index.latest_after(0, columns)
        if columns is None:
            return rows
        return rows.select(list(dict.fromkeys(column.partition(".")[0] for column in columns)))

    def read_latest_after(self, sequence: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the latest row of each source among the commits after `sequence`.

        The rows are sorted by `source_id`; it and `sequence` are always among the columns. The
        table is empty if there is no dataset.
        """
        self.index.refresh()
        return self.index.latest_after(sequence, columns)

    def iter_parts_after(
        self, sequence: int, columns: Sequence[str] | None = None
    ) -> Iterator[pa.Table]:
        """Return an iterator over the rows of the commits after `sequence`, in parts without order.

        So not all rows are in memory at once.
        """
        self.index.refresh()
        return self.index.iter_parts_after(sequence, columns)

    def publish(self) -> Snapshot | None:
        """Publish a snapshot of what is committed, if its clips differ from the newest snapshot's.

        Returns:
            The newest snapshot, or None if no clip was ever kept.
        """
        self.index.refresh()
        return publish_snapshot(self.index, self.store)

    def list_commits(self) -> list[LoggedCommit]:
        """Return all commits, oldest first.

        Raises:
            InvalidInput: there is no dataset.
        """
        self._require()
        self.index.refresh()
        return list_commits(self.index, {snapshot.version for snapshot in self.list_snapshots()})

    def diff_snapshots(self, before: int, after: int | None = None) -> SnapshotDiff:
        """Compare the clips of two snapshots; None is the newest.

        Raises:
            InvalidInput: there is no such snapshot.
        """
        return diff_snapshots(self.get_snapshot(before), self.get_snapshot(after))

    def compact(
        self,
        keep_snapshots: int | None = None,
        keep_days: float | None = None,
        *,
        dry_run: bool = False,
        grace_h: float = GRACE_H,
    ) -> CompactReport:
        """Merge the files of the index and remove files that nothing refers to.

        May run beside refreshes and training runs. Shards and thumbnails stay while the latest
        decision on a source, or a kept snapshot, refers to them.

        Args:
            keep_snapshots: number of newest snapshots to keep. Without any bound all are kept; with
                two, a snapshot is kept if either bound keeps it, and the newest always is.
            keep_days: keep the snapshots that were published within so many days.
            dry_run: remove nothing, only report.
            grace_h: other files younger than this are kept; 0 only if nobody else uses the dataset.
        """
        self._require()
        return compact_dataset(
            self.store,
            self.index,
            keep_snapshots=keep_snapshots,
            keep_days=keep_days,
            dry_run=dry_run,
            grace_h=grace_h,
        )

    def describe_source(self, source_id: str, url: str, why: str) -> Tombstone:
        """Return the tombstone that `forget` would write for a video; change nothing."""
        self._require()
        self.index.refresh()
        return describe_source(self.index, self.store, source_id, url, why)

    def forget(self, source_id: str, url: str, why: str) -> Tombstone:
        """Take a video down: block it, and remove everything that shows it.

        No refresh may be reading meanwhile: one that is fails, and continues when repeated. A kill
        at any moment leaves a video that is blocked or untouched; repeat the call to finish.

        Args:
            source_id: the video, known or not.
            url: its URL, if it is known.
            why: the reason, for people.

        Returns:
            The tombstone, which names the snapshots that held its clips.
        """
        tombstone = self.describe_source(source_id, url, why)
        write_tombstone(self.store, tombstone)
        sequence = block_source(self.index, tombstone)
        tombstone = self.describe_source(source_id, url, why)  # with what was committed meanwhile
        write_tombstone(self.store, tombstone)
        self.publish()  # before older snapshots change, so that readers can move on
        purge(self.index, self.store, tombstone, sequence)
        return tombstone

    def find_traces(self, source_id: str) -> list[str]:
        """Return the places that still hold something of a video that was taken down."""
        self._require()
        return list(find_traces(self.store, source_id))

    def list_snapshots(self) -> list[Snapshot]:
        """Return all snapshots, oldest first."""
        return list_snapshots(self.store)

    def get_snapshot(self, version: int | None = None) -> Snapshot:
        """Return a snapshot by its version; None is the newest.

        Raises:
            InvalidInput: there is no such snapshot; the message lists those that exist.
        """
        self._require()
        known = {snapshot.version: snapshot for snapshot in self.list_snapshots()}
        if not known:
            raise InvalidInput(
                f"dataset {self.store.uri} has no snapshot: either no clip was ever kept, or its "
                "refresh was killed before it published one; run the refresh again"
            )
        chosen = max(known) if version is None else version
        if chosen not in known:
            raise InvalidInput(
                f"dataset {self.store.uri} has no snapshot {chosen}; "
                f"its snapshots: {', '.join(map(str, known))}"
            )
        return known[chosen]

    def open_shard(self, name: str) -> ShardReader:
        """Open a shard by the name that snapshots give. Raises InvalidInput if it is missing."""
        return ShardReader(name, self.store)

    def _require(self) -> None:
        if not self.exists:
            raise InvalidInput(
                f"there is no dataset at {self.store.uri}; create it with "
                f"`argus refresh CATALOGUE --dataset {self.store.uri}`"
            )

    def _select_new(
        self, videos: Sequence[DecidedVideo], replaced: Mapping[str, int]
    ) -> list[DecidedVideo]:
        before = self._decisions.find([video.row.source_id for video in videos])
        known = {
            source_id: latest
            for source_id, latest in before.items()
            if latest.sequence > replaced.get(source_id, 0)
        }
        return [
            video for video in videos if not _repeats(video.row, known.get(video.row.source_id))
        ]

    def _write_shard(self, videos: Sequence[DecidedVideo]) -> list[SourceRow]:
        """Write the shard of the chunk's new clips, and return the rows with their locations."""
        rows = [video.row for video in videos]
        new = [clip.clip_id for row in rows for clip in _iter_new_clips(row)]
        if not new:
            return rows
        name, checksums = store_shard(
            self.store, (clip for video in videos for clip in _iter_shard_clips(video))
        )
        locations = {
            clip_id: (number, checksum)
            for number, (clip_id, checksum) in enumerate(zip(new, checksums, strict=True))
        }
        return [
            replace(row, clips=tuple(_locate(clip, name, locations) for clip in row.clips))
            for row in rows
        ]


def _iter_new_clips(row: SourceRow) -> Iterator[CuratedClip]:
    return (clip for clip in row.kept_clips if clip.shard is None)


def _iter_shard_clips(video: DecidedVideo) -> Iterator[ShardClip]:
    for expected, clip in zip(_iter_new_clips(video.row), video.clips, strict=True):
        if clip.clip_id != expected.clip_id:
            raise InvalidInput(
                f"the clips of {video.row.source_id} do not match its row: "
                f"got {clip.clip_id}, expected {expected.clip_id}"
            )
        yield clip


def _locate(clip: CuratedClip, shard: str, locations: Mapping[str, tuple[int, str]]) -> CuratedClip:
    if clip.clip_id not in locations or clip.shard is not None:
        return clip
    row, checksum = locations[clip.clip_id]
    return replace(clip, shard=shard, row=row, checksum=checksum)


def _repeats(row: SourceRow, before: LatestDecision | None) -> bool:
    """Return True if the index knows it: a resolved source, or the same failure."""
    if before is None:
        return False
    is_same_failure = before.recipe == row.recipe and before.reason == row.reason
    return before.is_resolved(row.recipe) or (row.decision is Decision.FAILED and is_same_failure)
