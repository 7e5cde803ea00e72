"""A dataset's folder: `shards/`, `index/` (Delta), `snapshots/`, `thumbs/`.

A wave is committed in three steps: the shard, the index (the marker that counts), the snapshot. A kill after the first
leaves a file that the next attempt replaces with equal bytes; a kill after the second is repaired by the next open.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from argus.errors import InvalidInput
from argus.shards.index import Index, latest_of
from argus.shards.records import ClipRow, ShardClip, SourceRow
from argus.shards.shard import shard_name, write_shard
from argus.shards.snapshots import Snapshot, list_snapshots, publish_snapshots
from schemas.arrow import INDEX_SCHEMA
from schemas.names import Decision, Split


@dataclass(frozen=True)
class DecidedVideo:
    """One source of a wave: what was decided, and its kept clips in the order of `row.kept_clips` (read when the shard is written)."""

    row: SourceRow
    clips: Iterable[ShardClip] = ()


@dataclass(frozen=True)
class Commit:
    """A wave that counts now."""

    sequence: int  # of its rows in the index
    sources: int  # how many were newly decided
    snapshot: Snapshot | None  # the newest; None while no clip was ever kept


class Dataset:
    """Opens a dataset's folder; nothing is made before the first commit."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder).absolute()
        self.index = Index(self.folder / "index")
        if self.index.exists:
            publish_snapshots(self.index, self._snapshots)

    @property
    def exists(self) -> bool:
        """Whether anything was ever committed."""
        return self.index.exists

    def commit_wave(self, videos: Sequence[DecidedVideo]) -> Commit | None:
        """Commits what was decided about a wave's sources, in the order given; all or none of it counts.

        A failure decides nothing where the index already has the same failure or a settled row under the same recipe.
        Returns None when nothing new was decided.
        """
        news = self._news(videos)
        if not news:
            return None
        if len({video.row.recipe for video in news}) > 1:
            raise InvalidInput("a wave has one recipe")
        sequence = self.index.append(self._write_shard(news))
        publish_snapshots(self.index, self._snapshots)
        snapshots = self.snapshots()
        return Commit(sequence, len(news), snapshots[-1] if snapshots else None)

    def decided(self, recipe: str) -> dict[str, bool]:
        """By source_id, for sources whose latest row is of this recipe: settled (True), or to be tried again (False)."""
        if not self.exists:
            return {}
        rows = self.index.latest(["source_id", "decision", "retryable", "recipe"]).to_pylist()
        return {row["source_id"]: not (row["decision"] == Decision.FAILED and row["retryable"]) for row in rows if row["recipe"] == recipe}

    def latest_rows(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The index, latest row of each source, sorted by source_id (`schemas.arrow.INDEX_SCHEMA`)."""
        self._require()
        return self.index.latest(columns)

    def latest_after(self, sequence: int, columns: Sequence[str]) -> pa.Table:
        """Of the commits after `sequence` (0: of all), the latest row of each source, sorted by source_id; no rows where there is no dataset.

        `columns` must name source_id and sequence.
        """
        return latest_of(self.index.rows_after(sequence, columns)) if self.exists else INDEX_SCHEMA.empty_table().select(list(columns))

    def snapshots(self) -> list[Snapshot]:
        """All snapshots, oldest first."""
        return list_snapshots(self._snapshots)

    def snapshot(self, version: int | None = None) -> Snapshot:
        """A snapshot by its version; None is the newest. Raises InvalidInput, naming those that exist."""
        self._require()
        known = {snapshot.version: snapshot for snapshot in self.snapshots()}
        if not known:
            raise InvalidInput(f"dataset {self.folder} has no snapshot: no clip was ever kept")
        chosen = max(known) if version is None else version
        if chosen not in known:
            raise InvalidInput(f"dataset {self.folder} has no snapshot {chosen}; it has {', '.join(map(str, known))}")
        return known[chosen]

    def clip_counts(self) -> Mapping[Split, int]:
        """Clips of the newest snapshot by split; zeros where there is none."""
        snapshots = self.snapshots()
        return snapshots[-1].counts() if snapshots else dict.fromkeys(Split, 0)

    @property
    def _snapshots(self) -> Path:
        return self.folder / "snapshots"

    def _require(self) -> None:
        if not self.exists:
            raise InvalidInput(f"there is no dataset at {self.folder}; `argus refresh CATALOGUE --dataset {self.folder}` makes one")

    def _news(self, videos: Sequence[DecidedVideo]) -> list[DecidedVideo]:
        before = {row["source_id"]: row for row in self._decisions()}
        return [video for video in videos if not _repeats(video.row, before.get(video.row.source_id))]

    def _decisions(self) -> list[dict[str, object]]:
        return self.index.latest(["source_id", "decision", "reason", "retryable", "recipe"]).to_pylist() if self.exists else []

    def _write_shard(self, videos: Sequence[DecidedVideo]) -> list[SourceRow]:
        """Writes the wave's shard, if it has a kept clip, and returns the rows with their clips' places."""
        rows = [video.row for video in videos]
        kept = [clip.clip_id for row in rows for clip in row.kept_clips]
        if not kept:
            return rows
        name = shard_name(kept, rows[0].recipe)
        checksums = write_shard(self.folder / name, (clip for video in videos for clip in _checked(video)))
        places = {clip_id: (position, checksum) for position, (clip_id, checksum) in enumerate(zip(kept, checksums, strict=True))}
        return [row.model_copy(update={"clips": tuple(_placed(clip, name, places) for clip in row.clips)}) for row in rows]


def _checked(video: DecidedVideo) -> Iterator[ShardClip]:
    for row, clip in zip(video.row.kept_clips, video.clips, strict=True):
        if clip.clip_id != row.clip_id:
            raise InvalidInput(f"clip {clip.clip_id} was given where the row of {video.row.source_id} has {row.clip_id}")
        yield clip


def _placed(clip: ClipRow, shard: str, places: Mapping[str, tuple[int, str]]) -> ClipRow:
    if clip.decision is not Decision.KEPT:
        return clip
    row, checksum = places[clip.clip_id]
    return clip.model_copy(update={"shard": shard, "row": row, "checksum": checksum})


def _repeats(row: SourceRow, before: dict[str, object] | None) -> bool:
    if row.decision is not Decision.FAILED or before is None or before["recipe"] != row.recipe:
        return False
    settled = not (before["decision"] == Decision.FAILED and before["retryable"])
    return settled or before["reason"] == row.reason
