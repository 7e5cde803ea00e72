"""Resolution of duplicates in a chunk of decided videos, before the chunk is committed.

The earlier clip stays, in the order of commits and, within a chunk, of the catalogue. A source with
a clip that duplicates an earlier source's takes that source's split, so that nothing is both
trained on and held out. If duplicates are kept, those of sources in yet another split are dropped
nevertheless.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from argus.curate.dedup.fingerprint import Signature
from argus.curate.dedup.index import DuplicateIndex
from argus.curate.dedup.matching import (
    MIN_CHANGE_CORRELATION,
    MIN_SIMILARITY,
    Duplicate,
    SignedClip,
)
from argus.curate.dedup.stored import StoredDuplicateIndex
from argus.dataset import (
    CuratedClip,
    Dataset,
    DecidedVideo,
    Score,
    ShardClip,
    SourceRow,
)
from schemas.names import Decision, Reason, Split


@dataclass
class _EarlierVideos:
    """The earlier videos of a chunk, and their splits."""

    index: DuplicateIndex = field(default_factory=DuplicateIndex)
    splits: dict[str, Split] = field(default_factory=dict)


class DuplicateResolver:
    """Resolver of the duplicates of one refresh; knows the kept clips of the whole dataset.

    Clips that other writers commit meanwhile are included. Pending sources, which the refresh
    decides anew, count only from their new rows on, so that a refresh that was killed and repeated
    resolves every chunk in the same way. `resolve` remembers nothing of a chunk: only what is
    committed counts, so a chunk whose commit lost a race may be resolved again.

    Attributes:
        unresolved: rows of the last chunk that keep a clip after all which has neither a location
            nor bytes, because it was decided from stored scores. Their videos must be fetched.
    """

    def __init__(
        self,
        dataset: Dataset,
        pending: Collection[str],
        on_duplicate: Literal["drop", "keep"],
        home: Path | str,
        on_read: Callable[[int], None] | None = None,
    ) -> None:
        self.unresolved: tuple[SourceRow, ...] = ()
        self._pending = pending
        self._on_duplicate = on_duplicate
        self._known = StoredDuplicateIndex(dataset, home, on_read)
        self._started = self._known.sequence

    def resolve(self, chunk: Sequence[DecidedVideo]) -> list[DecidedVideo]:
        """Return the chunk in its order, duplicates dropped or marked, without the `unresolved`."""
        self._known.update()
        earlier = _EarlierVideos()
        resolved, unresolved = [], []
        for video in chunk:
            done = self._resolve_video(video, earlier)
            if _has_bytes(done):
                resolved.append(done)
            else:
                unresolved.append(done.row)
        self.unresolved = tuple(unresolved)
        return resolved

    def _is_hidden(self, source_id: str, sequence: int) -> bool:
        """Return True for a row that the refresh decides anew."""
        return sequence <= self._started and source_id in self._pending

    def _resolve_video(self, video: DecidedVideo, earlier: _EarlierVideos) -> DecidedVideo:
        """Resolve a video against the dataset and the chunk's earlier videos; add it to them."""
        row = video.row
        signed = [
            SignedClip(
                clip.clip_id, row.source_id, clip.start_ms, Signature.from_bytes(clip.signature)
            )
            for clip in row.kept_clips
            if clip.signature
        ]
        matches = {
            clip.clip_id: match for clip in signed if (match := self._find_match(clip, earlier))
        }
        if matches:
            row = self._mark_duplicates(row, matches, earlier)
            video = DecidedVideo(row, _select_shard_clips(video, row))
        if _has_bytes(video):
            kept = {clip.clip_id for clip in row.kept_clips}
            earlier.index.add(clip for clip in signed if clip.clip_id in kept)
            earlier.splits[row.source_id] = row.split
        return video

    def _find_match(self, clip: SignedClip, earlier: _EarlierVideos) -> Duplicate | None:
        matches = (self._known.find(clip, self._is_hidden), earlier.index.find(clip))
        found = [match for match in matches if match]
        return max(found, key=lambda match: (match.similarity, match.earlier), default=None)

    def _mark_duplicates(
        self, row: SourceRow, matches: Mapping[str, Duplicate], earlier: _EarlierVideos
    ) -> SourceRow:
        first = next(iter(matches.values()))
        splits = {
            source_id: earlier.splits.get(source_id) or Split(self._known.find_split(source_id))
            for source_id in {match.source_id for match in matches.values()}
        }
        split = splits[first.source_id]
        dropped = {
            match.clip_id
            for match in matches.values()
            if self._on_duplicate == "drop" or splits[match.source_id] != split
        }
        clips = tuple(
            _mark_clip(clip, matches.get(clip.clip_id), clip.clip_id in dropped)
            for clip in row.clips
        )
        turned = f"{first.clip_id} shows what {first.earlier} shows, turned by {first.yaw_deg:.0f}°"
        if len(dropped) < len(row.kept_clips):
            marked = len(matches) - len(dropped)
            detail = (
                f"{row.detail}; {len(dropped)} of these dropped and {marked} marked as duplicates: "
                f"{turned}"
            )
            return replace(row, split=split, clips=clips, detail=detail)
        return replace(
            row,
            split=split,
            clips=clips,
            decision=Decision.DROPPED,
            reason=Reason.DUPLICATE,
            detail=f"every clip that it could give is there already: {turned}",
        )


def _has_bytes(video: DecidedVideo) -> bool:
    """Return True if each kept clip has a location, or bytes to be written.

    A row that was decided from stored scores comes without any clips.
    """
    return video.clips != () or all(clip.shard is not None for clip in video.row.kept_clips)


def _mark_clip(clip: CuratedClip, match: Duplicate | None, is_dropped: bool) -> CuratedClip:
    if match is None:
        return clip
    kept = not is_dropped
    scores = (
        Score("duplicate", "likeness", match.similarity, MIN_SIMILARITY, kept),
        Score("duplicate", "change", match.change_correlation, MIN_CHANGE_CORRELATION, kept),
        Score("duplicate", "yaw_deg", match.yaw_deg),
        Score("duplicate", "offset_s", match.offset_s),
    )
    marked = replace(clip, scores=clip.scores + scores, duplicate_of=match.earlier)
    if not is_dropped:
        return marked
    return replace(marked, decision=Decision.DROPPED, reason=Reason.DUPLICATE)


def _select_shard_clips(video: DecidedVideo, row: SourceRow) -> Iterator[ShardClip] | tuple[()]:
    """Return the clips to write that the marked row still keeps, in its split."""
    if video.clips == ():
        return ()
    kept = {clip.clip_id for clip in row.kept_clips}
    return (replace(clip, split=row.split) for clip in video.clips if clip.clip_id in kept)
