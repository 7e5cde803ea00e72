"""Rows of the index from the results of processing, and the shard of a staged result."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from argus.curate.recipe import Recipe
from argus.curate.recompute import PriorResult
from argus.curate.records import CuratedClip, CuratedVideo, Fetched, VideoSource
from argus.curate.reevaluate import reevaluate
from argus.dataset import (
    ClipRow,
    FetchRow,
    MediaRow,
    ScoreRow,
    SecondsRow,
    ShardClip,
    SourceRow,
    write_shard,
)
from argus.dataset.ids import assign_split, hash_source_id
from argus.media import MediaInfo
from schemas.names import Decision, Reason


@dataclass(frozen=True)
class Provenance:
    """What all rows of one refresh have in common."""

    recipe: str
    run_id: str
    code_version: str


def failed_row(
    source: VideoSource, stamp: Provenance, reason: Reason, detail: str, *, retryable: bool
) -> SourceRow:
    """The row of a video that could not be judged."""
    return _row(
        source, stamp, decision=Decision.FAILED, reason=reason, detail=detail, retryable=retryable
    )


def reevaluate_now(
    stored: PriorResult,
    source: VideoSource,
    recipe: Recipe,
    stamp: Provenance,
    lost: Reason | None = None,
) -> SourceRow | None:
    """Reevaluate a prior result in a refresh. `lost` is why the video cannot be had any more."""
    run_id, code_version, now = stamp.run_id, stamp.code_version, datetime.now(UTC)
    return reevaluate(
        stored.row,
        source,
        recipe,
        run_id=run_id,
        code_version=code_version,
        decided=now,
        stale=stored.stale,
        lost=lost,
    )


def stage_result(
    folder: Path,
    video: CuratedVideo,
    fetched: Fetched,
    stamp: Provenance,
    fetch_s: float | None = None,
) -> SourceRow:
    """The row of what was judged into a folder that is being staged; the clips that were written there become clips.arrow.

    `fetch_s` are the seconds that fetching took.
    """
    thumbnail = f"thumbs/{hash_source_id(video.source.source_id)}.jpg" if video.thumbnail else None
    row = _row(
        video.source,
        stamp,
        **_judged(video, fetch_s),
        fetch=fetch_row(fetched),
        thumbnail=thumbnail,
    )
    if any(clip.shard is None for clip in row.kept_clips):
        write_shard(folder / "clips.arrow", _shard_clips(folder, video, row))
    return row


def _row(source: VideoSource, stamp: Provenance, **values: Any) -> SourceRow:
    split = source.split or assign_split(source.source_id)
    fixed = {
        "source_id": source.source_id,
        "url": source.url,
        "split": split,
        "decided": datetime.now(UTC),
    }
    return SourceRow.model_validate({**fixed, **asdict(stamp), **values})


def _judged(video: CuratedVideo, fetch_s: float | None) -> dict[str, Any]:
    return {
        "decision": video.decision,
        "reason": video.reason,
        "detail": video.detail,
        "retryable": video.retryable,
        "layout_declared": video.layout_declared,
        "layout": video.layout,
        "conversion": video.conversion,
        "scores": tuple(ScoreRow(**asdict(score)) for score in video.scores),
        "clips": tuple(map(_clip_row, video.clips)),
        "media": _media_row(video.media) if video.media else None,
        "scored": video.scored,
        "networks": video.networks,
        "seconds": SecondsRow(fetch=fetch_s, **(asdict(video.seconds) if video.seconds else {})),
    }


def _clip_row(clip: CuratedClip) -> ClipRow:
    return ClipRow(
        clip_id=clip.clip_id,
        start_ms=clip.start_ms,
        end_ms=clip.end_ms,
        frames=clip.frames,
        decision=clip.decision,
        reason=clip.reason,
        quality=clip.quality,
        high_quality=clip.high_quality,
        scores=tuple(ScoreRow(**asdict(score)) for score in clip.scores),
        signature=clip.signature,
        **(asdict(clip.place) if clip.place else {}),
    )


def fetch_row(fetched: Fetched) -> FetchRow:
    return FetchRow.model_validate(
        {name: value for name, value in asdict(fetched).items() if name != "path"}
    )


def _media_row(media: MediaInfo) -> MediaRow:
    return MediaRow(
        width=media.width,
        height=media.height,
        fps_num=media.fps.numerator,
        fps_den=media.fps.denominator,
        frames=media.frames,
        codec=media.codec,
        container=media.container,
    )


def _shard_clips(folder: Path, video: CuratedVideo, row: SourceRow) -> Iterator[ShardClip]:
    """Those that lie in no shard yet."""
    for clip in video.clips:
        if clip.decision is Decision.KEPT and clip.place is None:
            assert clip.video is not None, "a kept clip has its video"
            yield ShardClip(
                clip_id=clip.clip_id,
                source_id=row.source_id,
                split=row.split,
                start_ms=clip.start_ms,
                end_ms=clip.end_ms,
                frames=clip.frames,
                height=clip.height,
                width=clip.width,
                fps=clip.fps,
                quality=clip.quality,
                video=(folder / clip.video).read_bytes(),
            )
