"""A dataset's place: `shards/`, `index/` (Delta), `snapshots/`, `thumbs/`, `recipes/`.

A wave is committed in two steps: the shard, then the index, the marker that counts. A kill between them leaves a file that the next attempt
replaces with equal bytes. Snapshots are made of what is committed when they are asked for (`publish`), at the latest by the next refresh.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from argus.dataset.compaction import GRACE_H, CompactReport, compact_dataset
from argus.dataset.decisions import Decided, Decisions
from argus.dataset.index import Index
from argus.dataset.log import LoggedCommit, SnapshotDiff, logged_commits, snapshot_diff
from argus.dataset.records import ClipRow, ShardClip, SourceRow
from argus.dataset.shard import ShardReader, place_shard
from argus.dataset.snapshots import Snapshot, list_snapshots, publish_snapshot
from argus.dataset.store import Store
from argus.errors import InvalidInput, ServiceError
from schemas.names import Decision

_ATTEMPTS = 100  # each lost race means that another writer committed, so this many are never met in practice


@dataclass(frozen=True)
class DecidedVideo:
    """One source of a wave: what was decided, and, in the order of `row.kept_clips`, those that have no place in a shard yet.

    The clips are read when the shard is written, and again when the commit has to begin anew: an iterator that can be used once does not do.
    """

    row: SourceRow
    clips: Iterable[ShardClip] = ()


Settle = Callable[[Sequence[DecidedVideo]], Sequence[DecidedVideo]]
"""What becomes of a wave beside all that is committed already; called anew with the same videos after a lost race."""


@dataclass(frozen=True)
class Commit:
    """A wave that counts now."""

    sequence: int  # of its rows in the index
    rows: tuple[
        SourceRow, ...
    ]  # as they were committed; not those that another writer had settled already

    @property
    def sources(self) -> int:
        """How many sources were newly decided."""
        return len(self.rows)


class Dataset:
    """Opens a dataset in a folder or an object store; nothing is made before the first commit."""

    def __init__(self, place: Store | Path | str) -> None:
        self.store = Store.of(place)
        self.index = Index(self.store)
        self.index.refresh()
        self._decisions = Decisions(self.index)

    @property
    def exists(self) -> bool:
        """Whether anything was ever committed."""
        return self.index.refresh() > 0

    def commit_chunk(
        self, videos: Sequence[DecidedVideo], settle: Settle | None = None
    ) -> Commit | None:
        """Commits what was decided about a wave's sources, in the order given; all or none of it counts.

        What another writer has settled under the same recipe is left as it is, and so is a failure that is known; `settle` then sees the wave
        beside all earlier commits. Where another writer commits meanwhile, all of this is done again. Costs the same, however large the
        dataset is. Returns None when nothing new was decided.
        """
        if len({video.row.recipe for video in videos}) > 1:
            raise InvalidInput("a wave has one recipe")
        for _attempt in range(_ATTEMPTS):
            version = self.index.refresh()
            news = self._news(videos)
            if not news:
                return None
            settled = settle(news) if settle else news
            if not settled:
                return None
            rows = self._write_shard(settled)
            sequence = self.index.append(rows, after=version)
            if sequence is not None:
                self.index.fold()
                return Commit(sequence, tuple(rows))
        raise ServiceError(
            f"the index {self.index.uri} was committed to by others {_ATTEMPTS} times in a row; try again"
        )

    def decisions(self) -> pa.Table:
        """The latest decision on each source: (source_id, decision, reason, retryable, recipe, sequence), sorted by source_id."""
        self.index.refresh()
        return self._decisions.table()

    def settled(self, recipe: str, source_ids: Collection[str]) -> set[str]:
        """Those of some sources that are settled under a recipe."""
        self.index.refresh()
        return {
            source_id
            for source_id, decided in self._decisions.of(source_ids).items()
            if decided.recipe == recipe and decided.settled
        }

    def rows(self, source_ids: Collection[str]) -> dict[str, SourceRow]:
        """The latest rows of some sources, whole, by their ids; those that have none are not there."""
        self.index.refresh()
        latest = {
            source_id: decided.sequence
            for source_id, decided in self._decisions.of(source_ids).items()
        }
        wanted = pa.array(latest, pa.string())
        parts = (
            part.filter(pc.is_in(part["source_id"], wanted))
            for part in self.index.parts_at(latest.values())
        )
        every = (values for part in parts for values in part.to_pylist())
        return {
            values["source_id"]: SourceRow.of(values)
            for values in every
            if values["sequence"] == latest[values["source_id"]]
        }

    def latest_rows(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The index, latest row of each source, sorted by source_id (`schemas.arrow.INDEX_SCHEMA`).

        `clips.NAME` among the columns reads only those parts of the clips.
        """
        self._require()
        rows = self.index.latest_after(0, columns)
        return (
            rows
            if columns is None
            else rows.select(list(dict.fromkeys(column.partition(".")[0] for column in columns)))
        )

    def latest_after(self, sequence: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Of the commits after `sequence` (0: of all), the latest row of each source, sorted by source_id; no rows where there is no dataset.

        source_id and sequence are always among the columns; `clips.NAME` are parts of the clips.
        """
        self.index.refresh()
        return self.index.latest_after(sequence, columns)

    def parts_after(
        self, sequence: int, columns: Sequence[str] | None = None
    ) -> Iterator[pa.Table]:
        """The rows of the commits after `sequence` in parts, in no order, so that not all are in memory at once."""
        self.index.refresh()
        return self.index.parts_after(sequence, columns)

    def publish(self) -> Snapshot | None:
        """Makes a snapshot of what is committed, where the clips changed since the newest; returns the newest then, None while none was ever kept."""
        self.index.refresh()
        return publish_snapshot(self.index, self.store)

    def log(self) -> list[LoggedCommit]:
        """All commits, oldest first."""
        self.index.refresh()
        return logged_commits(self.index, {snapshot.version for snapshot in self.snapshots()})

    def diff(self, before: int, after: int | None = None) -> SnapshotDiff:
        """What became of the clips from one snapshot to another, or to the newest. Raises InvalidInput, naming those that exist."""
        return snapshot_diff(self.snapshot(before), self.snapshot(after))

    def compact(
        self,
        keep_snapshots: int | None = None,
        keep_days: float | None = None,
        *,
        dry_run: bool = False,
        grace_h: float = GRACE_H,
    ) -> CompactReport:
        """Makes few files of the index's many, and removes what nothing names any more; may run beside refreshes and training runs.

        Snapshots are removed only where a bound is given: kept are the newest `keep_snapshots` and those published within `keep_days`, and the
        newest always. Shards stay that such a snapshot or the latest decision on a source names, and thumbnails likewise. Apart from snapshots,
        nothing younger than `grace_h` is removed; 0 is for when nobody else is at work. With `dry_run`, only says what it would do.
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

    def snapshots(self) -> list[Snapshot]:
        """All snapshots, oldest first."""
        return list_snapshots(self.store)

    def snapshot(self, version: int | None = None) -> Snapshot:
        """A snapshot by its version; None is the newest. Raises InvalidInput, naming those that exist."""
        self._require()
        known = {snapshot.version: snapshot for snapshot in self.snapshots()}
        if not known:
            raise InvalidInput(
                f"dataset {self.store.uri} has no snapshot: no clip was ever kept, or its refresh was killed before it published one"
            )
        chosen = max(known) if version is None else version
        if chosen not in known:
            raise InvalidInput(
                f"dataset {self.store.uri} has no snapshot {chosen}; it has {', '.join(map(str, known))}"
            )
        return known[chosen]

    def shard(self, name: str) -> ShardReader:
        """Opens a shard, as snapshots name them. A context manager. Raises InvalidInput."""
        return ShardReader(name, self.store)

    def _require(self) -> None:
        if not self.exists:
            raise InvalidInput(
                f"there is no dataset at {self.store.uri}; `argus refresh CATALOGUE --dataset {self.store.uri}` makes one"
            )

    def _news(self, videos: Sequence[DecidedVideo]) -> list[DecidedVideo]:
        before = self._decisions.of([video.row.source_id for video in videos])
        return [
            video for video in videos if not _repeats(video.row, before.get(video.row.source_id))
        ]

    def _write_shard(self, videos: Sequence[DecidedVideo]) -> list[SourceRow]:
        """Writes the wave's shard, if it has a kept clip without a place, and returns the rows with their clips' places."""
        rows = [video.row for video in videos]
        new = [clip.clip_id for row in rows for clip in _placeless(row)]
        if not new:
            return rows
        name, checksums = place_shard(
            self.store, (clip for video in videos for clip in _checked(video))
        )
        places = {
            clip_id: (position, checksum)
            for position, (clip_id, checksum) in enumerate(zip(new, checksums, strict=True))
        }
        return [
            row.model_copy(
                update={"clips": tuple(_placed(clip, name, places) for clip in row.clips)}
            )
            for row in rows
        ]


def _placeless(row: SourceRow) -> Iterator[ClipRow]:
    return (clip for clip in row.kept_clips if clip.shard is None)


def _checked(video: DecidedVideo) -> Iterator[ShardClip]:
    for row, clip in zip(_placeless(video.row), video.clips, strict=True):
        if clip.clip_id != row.clip_id:
            raise InvalidInput(
                f"clip {clip.clip_id} was given where the row of {video.row.source_id} has {row.clip_id}"
            )
        yield clip


def _placed(clip: ClipRow, shard: str, places: Mapping[str, tuple[int, str]]) -> ClipRow:
    if clip.clip_id not in places or clip.shard is not None:
        return clip
    row, checksum = places[clip.clip_id]
    return clip.model_copy(update={"shard": shard, "row": row, "checksum": checksum})


def _repeats(row: SourceRow, before: Decided | None) -> bool:
    """Whether the index knows as much already: a settled row of the same recipe, or the same failure."""
    if before is None or before.recipe != row.recipe:
        return False
    return before.settled or (row.decision is Decision.FAILED and before.reason == row.reason)
