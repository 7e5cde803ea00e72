"""What becomes of the duplicates in a wave of decided sources, before it is committed.

The earlier clip in the order of commits, and within a wave of the catalogue, stays. A source of which a clip equals an earlier source's takes that
source's split, so that nothing is trained on and held out at once; where the policy keeps duplicates, those of sources in yet another split go.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from argus.curate.duplicates import CHANGE, LIKENESS, Duplicate, DuplicateIndex, SignedClip
from argus.curate.signature import Signature
from argus.shards import ClipRow, Dataset, DecidedVideo, ScoreRow, ShardClip, SourceRow
from schemas.names import Decision, Reason, Split

_COLUMNS = ("source_id", "split", "clips", "sequence")


class DuplicateSettler:
    """Knows the kept clips of a dataset, also those that others commit meanwhile, and of the waves that it has settled.

    What a dataset says of `pending` sources, which this refresh decides anew, counts from their new rows on. So a refresh that was killed and
    begins again settles every wave as one that was not.
    """

    def __init__(self, dataset: Dataset, pending: Collection[str], policy: Literal["drop", "keep"]) -> None:
        self._dataset = dataset
        self._policy = policy
        self._index = DuplicateIndex()
        self._splits: dict[str, Split] = {}
        self._sequence = 0
        self._catch_up(frozenset(pending))

    def settle(self, wave: Sequence[DecidedVideo]) -> list[DecidedVideo]:
        """The wave in its order, duplicates dropped or marked."""
        self._catch_up(frozenset())
        return [self._settled(video) for video in wave]

    def _catch_up(self, pending: Collection[str]) -> None:
        """Adds what was committed since, by whomever."""
        rows = self._dataset.latest_after(self._sequence, _COLUMNS)
        if not len(rows):
            return
        self._sequence = pc.max(rows["sequence"]).as_py()
        rows = rows.filter(pc.invert(pc.is_in(rows["source_id"], pa.array(list(pending), pa.string()))))
        for source_id, split in zip(rows["source_id"].to_pylist(), rows["split"].to_pylist(), strict=True):
            self._index.discard(source_id)
            self._splits[source_id] = Split(split)
        self._index.add(_signed_clips(rows))

    def _settled(self, video: DecidedVideo) -> DecidedVideo:
        row = video.row
        signed = [
            SignedClip(clip.clip_id, row.source_id, clip.start_ms, Signature.from_bytes(clip.signature)) for clip in row.kept_clips if clip.signature
        ]
        matches = {match.clip_id: match for match in map(self._index.find, signed) if match}
        if matches:
            row = self._marked(row, matches)
            video = DecidedVideo(row, _kept(video, row))
        kept = {clip.clip_id for clip in row.kept_clips}
        self._index.discard(row.source_id)
        self._index.add(clip for clip in signed if clip.clip_id in kept)
        self._splits[row.source_id] = row.split
        return video

    def _marked(self, row: SourceRow, matches: Mapping[str, Duplicate]) -> SourceRow:
        first = next(iter(matches.values()))
        split = self._splits[first.source_id]
        dropped = {match.clip_id for match in matches.values() if self._policy == "drop" or self._splits[match.source_id] != split}
        clips = tuple(_with_match(clip, matches.get(clip.clip_id), clip.clip_id in dropped) for clip in row.clips)
        turned = f"{first.clip_id} shows what {first.earlier} shows, turned by {first.yaw_deg:.0f}°"
        news: dict[str, object] = {"split": split, "clips": clips}
        if len(dropped) == len(row.kept_clips):
            news |= {"decision": Decision.DROPPED, "reason": Reason.DUPLICATE, "detail": f"every clip that it could give is there already: {turned}"}
        else:
            news["detail"] = f"{row.detail}; {len(dropped)} of these dropped and {len(matches) - len(dropped)} marked as duplicates: {turned}"
        return row.model_copy(update=news)


def _signed_clips(rows: pa.Table) -> Iterator[SignedClip]:
    """The kept clips with a signature (one from before there were any has none) of rows of the index, read without their other columns."""
    lists = rows["clips"].combine_chunks()
    clips = lists.flatten()
    if clips.type.get_field_index("signature") < 0:
        return
    sources = rows["source_id"].take(pc.list_parent_indices(lists))
    names = ("clip_id", "start_ms", "signature")
    table = pa.table({"source_id": sources, **{name: clips.field(name) for name in names}})
    kept = pc.and_(pc.equal(clips.field("decision"), str(Decision.KEPT)), pc.is_valid(clips.field("signature")))
    for batch in table.filter(kept).to_batches():
        for row in batch.to_pylist():
            yield SignedClip(row["clip_id"], row["source_id"], row["start_ms"], Signature.from_bytes(row["signature"]))


def _with_match(clip: ClipRow, match: Duplicate | None, dropped: bool) -> ClipRow:
    if match is None:
        return clip
    scores = (
        ScoreRow(filter="duplicate", name="likeness", value=match.likeness, threshold=LIKENESS, kept=not dropped),
        ScoreRow(filter="duplicate", name="change", value=match.change, threshold=CHANGE, kept=not dropped),
        ScoreRow(filter="duplicate", name="yaw_deg", value=match.yaw_deg),
        ScoreRow(filter="duplicate", name="offset_s", value=match.offset_s),
    )
    news: dict[str, object] = {"scores": clip.scores + scores, "duplicate_of": match.earlier}
    return clip.model_copy(update=news | ({"decision": Decision.DROPPED, "reason": Reason.DUPLICATE} if dropped else {}))


def _kept(video: DecidedVideo, row: SourceRow) -> Iterator[ShardClip]:
    """The clips that the marked row still keeps, in its split."""
    kept = {clip.clip_id for clip in row.kept_clips}
    return (replace(clip, split=row.split) for clip in video.clips if clip.clip_id in kept)
