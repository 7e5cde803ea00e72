"""What becomes of the duplicates in a wave of decided sources, before it is committed.

The earlier clip in the order of commits, and within a wave of the catalogue, stays. A source of which a clip equals an earlier source's takes that
source's split, so that nothing is trained on and held out at once; where the policy keeps duplicates, those of sources in yet another split go.
"""

from collections import ChainMap
from collections.abc import Collection, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from argus.curate.dedup.fingerprint import Signature
from argus.curate.dedup.index import CHANGE, LIKENESS, Duplicate, DuplicateIndex, SignedClip
from argus.dataset import ClipRow, Dataset, DecidedVideo, ScoreRow, ShardClip, SourceRow
from argus.dataset.decisions import unsettled
from argus.dataset.index import latest_of
from schemas.names import Decision, Reason, Split

_STATE = ("source_id", "decision", "retryable")
_CLIPS = (*_STATE, "split", "clips.clip_id", "clips.start_ms", "clips.decision", "clips.signature")


@dataclass
class _Known:
    """Clips to compare with, and the splits of their sources."""

    index: DuplicateIndex = field(default_factory=DuplicateIndex)
    splits: MutableMapping[str, Split] = field(default_factory=dict)

    def add(self, rows: pa.Table) -> None:
        """Rows of the index, one of each source, in place of what was known of these."""
        for source_id, split in zip(
            rows["source_id"].to_pylist(), rows["split"].to_pylist(), strict=True
        ):
            self.index.discard(source_id)
            self.splits[source_id] = Split(split)
        self.index.add(_signed_clips(rows))


class DuplicateResolver:
    """Knows the kept clips of a dataset, also those that others commit meanwhile.

    What a dataset says of `pending` sources, which this refresh decides anew, counts from their new rows on. So a refresh that was killed and
    begins again settles every wave as one that was not. Settling remembers nothing of a wave: what counts is what is committed, so that a wave
    whose commit lost a race is settled again as if for the first time. `left_out` are the videos of the wave that was settled last which keep,
    after all, a clip that has neither a place nor bytes (decided again from stored numbers): they must be fetched.
    """

    def __init__(
        self, dataset: Dataset, pending: Collection[str], policy: Literal["drop", "keep"]
    ) -> None:
        self.left_out: tuple[SourceRow, ...] = ()
        self._dataset = dataset
        self._policy = policy
        self._known = _Known()
        self._sequence = 0
        self._begin(pending)

    def settle(self, wave: Sequence[DecidedVideo]) -> list[DecidedVideo]:
        """The wave in its order, duplicates dropped or marked, without what is `left_out`."""
        self._catch_up()
        before = _Known(splits=ChainMap({}, self._known.splits))
        settled, left_out = [], []
        for video in wave:
            done = self._settled(video, before)
            if _is_written(done):
                settled.append(done)
            else:
                left_out.append(done.row)
        self.left_out = tuple(left_out)
        return settled

    def _begin(self, pending: Collection[str]) -> None:
        """Reads what is committed part by part: of each source the latest row that says something of its clips."""
        parts = list(self._dataset.parts_after(0, _STATE))
        if not parts:
            return
        states = pa.concat_tables(parts)
        self._sequence = pc.max(states["sequence"]).as_py()
        settled = latest_of(states.filter(pc.invert(unsettled(states))))
        latest = dict(
            zip(settled["source_id"].to_pylist(), settled["sequence"].to_pylist(), strict=True)
        )
        for source_id in pending:
            latest.pop(source_id, None)
        for part in self._dataset.parts_after(0, _CLIPS):
            rows = zip(part["source_id"].to_pylist(), part["sequence"].to_pylist(), strict=True)
            self._known.add(
                part.filter(
                    pa.array(
                        [latest.get(source_id) == sequence for source_id, sequence in rows],
                        pa.bool_(),
                    )
                )
            )

    def _catch_up(self) -> None:
        """Adds what was committed since, by whomever."""
        rows = self._dataset.latest_after(self._sequence, _CLIPS)
        if len(rows):
            self._sequence = pc.max(rows["sequence"]).as_py()
            self._known.add(rows.filter(pc.invert(unsettled(rows))))

    def _settled(self, video: DecidedVideo, before: _Known) -> DecidedVideo:
        """Beside the dataset and what comes `before` it in the wave, to which it is added."""
        row = video.row
        signed = [
            SignedClip(
                clip.clip_id, row.source_id, clip.start_ms, Signature.from_bytes(clip.signature)
            )
            for clip in row.kept_clips
            if clip.signature
        ]
        matches = {clip.clip_id: match for clip in signed if (match := self._match(clip, before))}
        if matches:
            row = self._marked(row, matches, before.splits)
            video = DecidedVideo(row, _kept(video, row))
        if _is_written(video):
            kept = {clip.clip_id for clip in row.kept_clips}
            before.index.add(clip for clip in signed if clip.clip_id in kept)
            before.splits[row.source_id] = row.split
        return video

    def _match(self, clip: SignedClip, before: _Known) -> Duplicate | None:
        found = [
            match for match in (known.index.find(clip) for known in (self._known, before)) if match
        ]
        return max(found, key=lambda match: (match.likeness, match.earlier), default=None)

    def _marked(
        self, row: SourceRow, matches: Mapping[str, Duplicate], splits: Mapping[str, Split]
    ) -> SourceRow:
        first = next(iter(matches.values()))
        split = splits[first.source_id]
        dropped = {
            match.clip_id
            for match in matches.values()
            if self._policy == "drop" or splits[match.source_id] != split
        }
        clips = tuple(
            _with_match(clip, matches.get(clip.clip_id), clip.clip_id in dropped)
            for clip in row.clips
        )
        turned = f"{first.clip_id} shows what {first.earlier} shows, turned by {first.yaw_deg:.0f}°"
        news: dict[str, object] = {"split": split, "clips": clips}
        if len(dropped) == len(row.kept_clips):
            news |= {
                "decision": Decision.DROPPED,
                "reason": Reason.DUPLICATE,
                "detail": f"every clip that it could give is there already: {turned}",
            }
        else:
            news["detail"] = (
                f"{row.detail}; {len(dropped)} of these dropped and {len(matches) - len(dropped)} marked as duplicates: {turned}"
            )
        return row.model_copy(update=news)


def _is_written(video: DecidedVideo) -> bool:
    """Whether each kept clip has a place, or bytes to be written. Rows that were decided from stored numbers come without any clips."""
    return video.clips != () or all(clip.shard is not None for clip in video.row.kept_clips)


def _signed_clips(rows: pa.Table) -> Iterator[SignedClip]:
    """The kept clips with a signature (one from before there were any has none) of rows of the index, read without their other columns."""
    lists = rows["clips"].combine_chunks()
    clips = lists.flatten()
    if clips.type.get_field_index("signature") < 0:
        return
    sources = rows["source_id"].take(pc.list_parent_indices(lists))
    names = ("clip_id", "start_ms", "signature")
    table = pa.table({"source_id": sources, **{name: clips.field(name) for name in names}})
    kept = pc.and_(
        pc.equal(clips.field("decision"), str(Decision.KEPT)), pc.is_valid(clips.field("signature"))
    )
    for batch in table.filter(kept).to_batches():
        for row in batch.to_pylist():
            yield SignedClip(
                row["clip_id"],
                row["source_id"],
                row["start_ms"],
                Signature.from_bytes(row["signature"]),
            )


def _with_match(clip: ClipRow, match: Duplicate | None, dropped: bool) -> ClipRow:
    if match is None:
        return clip
    scores = (
        ScoreRow(
            filter="duplicate",
            name="likeness",
            value=match.likeness,
            threshold=LIKENESS,
            kept=not dropped,
        ),
        ScoreRow(
            filter="duplicate",
            name="change",
            value=match.change,
            threshold=CHANGE,
            kept=not dropped,
        ),
        ScoreRow(filter="duplicate", name="yaw_deg", value=match.yaw_deg),
        ScoreRow(filter="duplicate", name="offset_s", value=match.offset_s),
    )
    news: dict[str, object] = {"scores": clip.scores + scores, "duplicate_of": match.earlier}
    return clip.model_copy(
        update=news
        | ({"decision": Decision.DROPPED, "reason": Reason.DUPLICATE} if dropped else {})
    )


def _kept(video: DecidedVideo, row: SourceRow) -> Iterator[ShardClip] | tuple[()]:
    """The clips to be written that the marked row still keeps, in its split."""
    if video.clips == ():
        return ()
    kept = {clip.clip_id for clip in row.kept_clips}
    return (replace(clip, split=row.split) for clip in video.clips if clip.clip_id in kept)
