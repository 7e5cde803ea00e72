"""From the result of processing a video to its row in the index and the shard of its clips."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from argus.curate.records import VideoSource
from argus.dataset import (
    CuratedVideo,
    FetchedFile,
    Provenance,
    ShardClip,
    SourceRow,
    StageSeconds,
    add_provenance,
    hash_source_id,
    write_shard,
)
from argus.errors import FetchError
from schemas.names import Decision, Reason

_LOST_NOTE = "; stays as an earlier recipe decided, because the video is "


def stage_result(
    folder: Path,
    video: CuratedVideo,
    fetched: FetchedFile,
    provenance: Provenance,
    fetch_s: float | None = None,
) -> SourceRow:
    """Return the row of a processed video, and write its new clips to `clips.arrow` in the folder.

    Args:
        folder: the folder that `process_video` wrote to.
        video: the result of processing.
        fetched: the file that was processed.
        provenance: of the refresh.
        fetch_s: seconds that fetching took.
    """
    name = f"thumbs/{hash_source_id(video.source_id)}.jpg" if video.thumbnail else None
    row = replace(
        add_provenance(video, provenance, datetime.now(UTC)),
        clips=tuple(replace(clip, file=None) for clip in video.clips),
        fetch=fetched.info,
        thumbnail=name,
        stage_seconds=_join_seconds(video.stage_seconds, fetched.seconds, fetch_s),
    )
    if any(clip.shard is None for clip in row.kept_clips):
        write_shard(folder / "clips.arrow", _iter_shard_clips(folder, video))
    return row


def _join_seconds(
    processing: StageSeconds | None, fetching: StageSeconds | None, fetch_s: float | None
) -> StageSeconds:
    fetching = fetching or StageSeconds()
    return replace(
        processing or StageSeconds(),
        fetch=fetch_s,
        wait=fetching.wait,
        startup=fetching.startup,
        transfer=fetching.transfer,
        fetch_cpu=fetching.fetch_cpu,
    )


def failed_row(
    source: VideoSource, provenance: Provenance, reason: Reason, detail: str, *, retryable: bool
) -> SourceRow:
    """Return the row of a video that could not be processed."""
    return SourceRow(
        source_id=source.source_id,
        url=source.url,
        split=source.assigned_split,
        decision=Decision.FAILED,
        reason=reason,
        detail=detail,
        retryable=retryable,
        **vars(provenance),
        decided_at=datetime.now(UTC),
    )


def keep_lost_row(
    row: SourceRow, source: VideoSource, provenance: Provenance, error: FetchError
) -> SourceRow:
    """Return the row of a kept video that is gone for good: its decision and clips stay.

    It must be decided anew, because versions of filters have changed, but its clips are as good as
    they were.
    """
    earlier = (row.detail or "").partition(_LOST_NOTE)[0]
    kept = replace(row, detail=f"{earlier}{_LOST_NOTE}{error.reason}")
    return renew_row(kept, source, provenance)


def renew_row(row: SourceRow, source: VideoSource, provenance: Provenance) -> SourceRow:
    """Return a row that is decided in this refresh without reading the video.

    The split is the catalogue's; if it names none, the stored one.
    """
    return replace(
        row,
        url=source.url,
        split=source.split or row.split,
        measured_filters=(),
        stage_seconds=None,
        decided_at=datetime.now(UTC),
        **vars(provenance),
    )


def _iter_shard_clips(folder: Path, video: CuratedVideo) -> Iterator[ShardClip]:
    """Yield the kept clips that are in no shard yet."""
    for clip in video.kept_clips:
        if clip.shard is None:
            assert clip.file is not None, "a new clip has a file"
            assert clip.quality is not None, "a new clip has a quality"
            yield ShardClip(
                clip_id=clip.clip_id,
                source_id=video.source_id,
                split=video.split,
                start_ms=clip.start_ms,
                end_ms=clip.end_ms,
                frames=clip.frames,
                height=clip.file.height,
                width=clip.file.width,
                fps=clip.file.fps,
                quality=clip.quality,
                video=(folder / clip.file.name).read_bytes(),
            )
