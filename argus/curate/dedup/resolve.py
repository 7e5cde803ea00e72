"""Resolution of duplicates in a chunk of decided videos, before the chunk is committed.

The earlier clip stays, in the order of commits and, within a chunk, of the catalogue. A source with
a clip that duplicates an earlier source's takes that source's split, so that nothing is both
trained on and held out. If duplicates are kept, those of sources in yet another split are dropped
nevertheless.
"""

from collections import ChainMap
from collections.abc import Collection, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from argus.curate.dedup.fingerprint import Signature
from argus.curate.dedup.index import (
    MIN_CHANGE_CORRELATION,
    MIN_SIMILARITY,
    Duplicate,
    DuplicateIndex,
    SignedClip,
)
from argus.dataset import (
    CuratedClip,
    Dataset,
    DecidedVideo,
    Score,
    ShardClip,
    SourceRow,
    is_retryable_failure,
    select_latest,
)
from schemas.names import Decision, Reason, Split

_STATE = ("source_id", "decision", "retryable")
_CLIPS = (*_STATE, "split", "clips.clip_id", "clips.start_ms", "clips.decision", "clips.signature")


@dataclass
class _KnownClips:
    """Clips to compare with, and the splits of their sources."""

    index: DuplicateIndex = field(default_factory=DuplicateIndex)
    splits: MutableMapping[str, Split] = field(default_factory=dict)

    def add(self, rows: pa.Table) -> None:
        """Add rows of the index, one per source, in place of what was known of these sources."""
        splits = zip(rows["source_id"].to_pylist(), rows["split"].to_pylist(), strict=True)
        for source_id, split in splits:
            self.index.discard(source_id)
            self.splits[source_id] = Split(split)
        self.index.add(_iter_signed_clips(rows))


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
        self, dataset: Dataset, pending: Collection[str], on_duplicate: Literal["drop", "keep"]
    ) -> None:
        self.unresolved: tuple[SourceRow, ...] = ()
        self._dataset = dataset
        self._on_duplicate = on_duplicate
        self._known = _KnownClips()
        self._sequence = 0
        self._read_committed(pending)

    def resolve(self, chunk: Sequence[DecidedVideo]) -> list[DecidedVideo]:
        """Return the chunk in its order, duplicates dropped or marked, without the `unresolved`."""
        self._catch_up()
        earlier = _KnownClips(splits=ChainMap({}, self._known.splits))
        resolved, unresolved = [], []
        for video in chunk:
            done = self._resolve_video(video, earlier)
            if _has_bytes(done):
                resolved.append(done)
            else:
                unresolved.append(done.row)
        self.unresolved = tuple(unresolved)
        return resolved

    def _read_committed(self, pending: Collection[str]) -> None:
        """Read the latest final row of each source, part by part."""
        parts = list(self._dataset.iter_parts_after(0, _STATE))
        if not parts:
            return
        states = pa.concat_tables(parts)
        self._sequence = pc.max(states["sequence"]).as_py()
        final = select_latest(states.filter(pc.invert(is_retryable_failure(states))))
        latest = dict(
            zip(final["source_id"].to_pylist(), final["sequence"].to_pylist(), strict=True)
        )
        for source_id in pending:
            latest.pop(source_id, None)
        for part in self._dataset.iter_parts_after(0, _CLIPS):
            rows = zip(part["source_id"].to_pylist(), part["sequence"].to_pylist(), strict=True)
            is_latest = [latest.get(source_id) == sequence for source_id, sequence in rows]
            self._known.add(part.filter(pa.array(is_latest, pa.bool_())))

    def _catch_up(self) -> None:
        """Add what any writer committed since."""
        rows = self._dataset.read_latest_after(self._sequence, _CLIPS)
        if len(rows):
            self._sequence = pc.max(rows["sequence"]).as_py()
            self._known.add(rows.filter(pc.invert(is_retryable_failure(rows))))

    def _resolve_video(self, video: DecidedVideo, earlier: _KnownClips) -> DecidedVideo:
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
            row = self._mark_duplicates(row, matches, earlier.splits)
            video = DecidedVideo(row, _select_shard_clips(video, row))
        if _has_bytes(video):
            kept = {clip.clip_id for clip in row.kept_clips}
            earlier.index.add(clip for clip in signed if clip.clip_id in kept)
            earlier.splits[row.source_id] = row.split
        return video

    def _find_match(self, clip: SignedClip, earlier: _KnownClips) -> Duplicate | None:
        matches = (known.index.find(clip) for known in (self._known, earlier))
        found = [match for match in matches if match]
        return max(found, key=lambda match: (match.similarity, match.earlier), default=None)

    def _mark_duplicates(
        self, row: SourceRow, matches: Mapping[str, Duplicate], splits: Mapping[str, Split]
    ) -> SourceRow:
        first = next(iter(matches.values()))
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


def _iter_signed_clips(rows: pa.Table) -> Iterator[SignedClip]:
    """Yield the kept clips with a signature, of rows that were read with only these columns."""
    lists = rows["clips"].combine_chunks()
    clips = lists.flatten()
    if clips.type.get_field_index("signature") < 0:
        return
    sources = rows["source_id"].take(pc.list_parent_indices(lists))
    names = ("clip_id", "start_ms", "signature")
    table = pa.table({"source_id": sources, **{name: clips.field(name) for name in names}})
    is_kept = pc.equal(clips.field("decision"), str(Decision.KEPT))
    has_signature = pc.is_valid(clips.field("signature"))
    for batch in table.filter(pc.and_(is_kept, has_signature)).to_batches():
        for row in batch.to_pylist():
            signature = Signature.from_bytes(row["signature"])
            yield SignedClip(row["clip_id"], row["source_id"], row["start_ms"], signature)


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
