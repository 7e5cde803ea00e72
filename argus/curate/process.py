"""Processing of one video file: probe → layout → length → filters → clips.

Encoded clips and the contact sheet are written to a folder that the caller gives, so that memory
does not grow with the video.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from argus.curate.clipping import ClipCutter
from argus.curate.details import (
    add_reading,
    describe_clips,
    describe_drop,
    describe_no_shot,
    describe_too_long,
    describe_too_short,
)
from argus.curate.filters import ScorerFailed, apply_filters, clip_filters, video_filters
from argus.curate.frame_sampling import ERP_SIZE, NativeFrames, SampledFrames, sample_native_frames
from argus.curate.layout import EquirectReader, LayoutVerdict, convert_native_frames, detect_layout
from argus.curate.records import VideoSource
from argus.curate.stage_timer import StageTimer
from argus.curate.thumbnails import SheetRow, encode_contact_sheet, render_video_row
from argus.dataset import CuratedClip, CuratedVideo, Score
from argus.errors import VideoError
from argus.media import MediaInfo, VideoReader, open_video, run_sandboxed
from schemas.config import CurateConfig
from schemas.names import Decision, Layout, Reason

MEMORY_BYTES = 8 << 30
"""Limit on the address space of the process of one video."""

THUMBNAIL = "thumb.jpg"

_INTERNAL_FAILURES = {
    Reason.DECODER_CRASHED,
    Reason.TIMED_OUT,
    Reason.SCORER_FAILED,
    Reason.WORKER_DIED,
}  # nothing was decided about the video
_RETRYABLE = _INTERNAL_FAILURES - {Reason.DECODER_CRASHED}  # the same bytes would crash it again


def process_isolated(
    path: Path,
    source: VideoSource,
    config: CurateConfig,
    folder: Path | None = None,
    samples_folder: Path | None = None,
) -> CuratedVideo:
    """Run `process_video` in a child process, so that nothing hostile is decoded in this one.

    Every fault of the video or of a filter becomes a decision; an exception is a fault of the
    machine.
    """
    return run_isolated(
        process_video,
        path,
        source,
        config,
        folder,
        samples_folder,
        timeout_s=config.video_timeout_s,
    )


def run_isolated(
    function: Callable[..., CuratedVideo],
    path: Path,
    source: VideoSource,
    *args: Any,
    timeout_s: float,
) -> CuratedVideo:
    """Call `function(path, source, *args)` in a child process; its faults become decisions."""
    try:
        return run_sandboxed(
            function,
            path,
            source,
            *args,
            timeout_s=timeout_s,
            memory_bytes=MEMORY_BYTES,
            preload="argus.curate.preload",
        )
    except VideoError as error:
        remedy = " (video_timeout_s)" if error.reason is Reason.TIMED_OUT else ""
        return failed_video(source, error.reason, error.message + remedy)
    except RuntimeError as error:  # a bug; its last line is the message
        message = str(error).strip().splitlines()[-1]
        return failed_video(source, Reason.SCORER_FAILED, f"curation failed: {message}")


def process_video(
    path: Path,
    source: VideoSource,
    config: CurateConfig,
    folder: Path | None = None,
    samples_folder: Path | None = None,
) -> CuratedVideo:
    """Decide about a file and cut it into clips.

    Args:
        path: the file.
        source: the video's entry in the catalogue.
        config: settings of the refresh.
        folder: receives `clips/START-END.mp4` of each kept clip and `thumb.jpg`; without one,
            nothing is written.
        samples_folder: receives the input of the learned scorers for each kept clip.

    Returns:
        The decision. A fault of the video is a decision with a reason, never an exception.
    """
    draft = _Draft(source, folder)
    try:
        with draft.timer.measure("decode"):
            reader = open_video(path)
        with reader:
            return _process(reader, draft, config, samples_folder)
    except VideoError as error:
        if draft.native is None:  # no frame was decoded
            is_camera = error.reason is Reason.UNSUPPORTED_LAYOUT
            draft.layout = Layout.DUAL_FISHEYE if is_camera else Layout.NONE
        return draft.finish(error.reason, error.message.removeprefix(f"{path}: "))
    except ScorerFailed as error:
        return draft.finish(Reason.SCORER_FAILED, str(error))


def failed_video(source: VideoSource, reason: Reason, detail: str) -> CuratedVideo:
    """Return the result for a video of which only the reason is known."""
    return _Draft(source).finish(reason, detail)


@dataclass
class _Draft:
    """The facts about a video so far; `finish` records them at whichever step processing ends."""

    source: VideoSource
    folder: Path | None = None
    media: MediaInfo | None = None
    layout_declared: Layout | None = None
    layout: Layout = Layout.UNKNOWN
    conversion: str | None = None
    native: NativeFrames | None = None
    sampled: SampledFrames | None = None
    thumbnail_rows: list[SheetRow] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    measured_filters: list[str] = field(default_factory=list)
    timer: StageTimer = field(default_factory=StageTimer)

    def finish(
        self, reason: Reason | None, detail: str, clips: tuple[CuratedClip, ...] = ()
    ) -> CuratedVideo:
        """Return the result: kept without a reason, failed for an internal fault, else dropped."""
        if reason is None:
            decision = Decision.KEPT
        else:
            decision = Decision.FAILED if reason in _INTERNAL_FAILURES else Decision.DROPPED
        return CuratedVideo(
            source_id=self.source.source_id,
            url=self.source.url,
            split=self.source.assigned_split,
            decision=decision,
            reason=reason,
            detail=add_reading(detail, self.media),
            retryable=reason in _RETRYABLE,
            layout_declared=self.layout_declared,
            layout=self.layout,
            conversion=self.conversion,
            scores=tuple(self.scores),
            clips=clips,
            media=self.media,
            thumbnail=self._write_thumbnail(has_clips=bool(clips)),
            measured_filters=tuple(dict.fromkeys(self.measured_filters)),
            stage_seconds=self.timer.seconds,
        )

    def record_layout(self, verdict: LayoutVerdict, info: MediaInfo) -> None:
        """Add the detected layout and its scores."""
        self.layout_declared, self.layout = verdict.declared, verdict.layout
        self.scores += verdict.scores
        self.scores.append(Score("layout", "pixel_aspect", float(info.pixel_aspect)))
        self.measured_filters.append("layout")

    def _write_thumbnail(self, *, has_clips: bool) -> str | None:
        if self.native is None or self.folder is None:
            return None
        with self.timer.measure("encode"):
            rows = [render_video_row(self.native, self.sampled)]
            rows += self.thumbnail_rows if has_clips else []
            (self.folder / THUMBNAIL).write_bytes(encode_contact_sheet(rows))
        return THUMBNAIL


def _process(
    reader: VideoReader, draft: _Draft, config: CurateConfig, samples_folder: Path | None
) -> CuratedVideo:
    """Run the steps in order; each adds to the draft or finishes it."""
    draft.media = info = reader.info
    if info.duration_s > config.fetch.max_duration_s:  # the site did not state the duration
        limit = config.fetch.max_duration_s
        draft.scores.append(Score("length", "seconds", info.duration_s, limit, kept=False))
        detail = describe_too_long(info.duration_s, limit)
        return draft.finish(Reason.TOO_LONG, detail)
    with draft.timer.measure("decode"):
        clip_fps = reader.resample(config.clip.fps).fps
        native = draft.native = sample_native_frames(reader, clip_fps)
    with draft.timer.measure("filters"):
        layout = detect_layout(info, native, config.filters)
    draft.record_layout(layout, info)
    if layout.reason:
        return draft.finish(layout.reason, layout.detail)
    cutter = ClipCutter(
        EquirectReader(reader, layout.conversion),
        config.clip,
        config.filters,
        draft.folder,
        samples_folder,
        draft.timer,
    )
    is_long = bool(cutter.spans())
    draft.scores.append(
        Score("length", "seconds", info.duration_s, config.clip.min_clip_s, is_long)
    )
    if not is_long:
        return draft.finish(Reason.TOO_SHORT, describe_too_short(info.duration_s, config.clip))
    draft.conversion = str(layout.conversion)
    with draft.timer.measure("filters"):
        filters = video_filters(config.filters)
        sampled = draft.sampled = convert_native_frames(native, layout.conversion, ERP_SIZE)
        scores, verdict = apply_filters(sampled, filters, config.filters)
    draft.scores += scores
    draft.measured_filters += [one.name for one in filters]
    if verdict:
        return draft.finish(verdict.reason, describe_drop(verdict))
    return _cut(cutter, draft)


def _cut(cutter: ClipCutter, draft: _Draft) -> CuratedVideo:
    draft.thumbnail_rows = cutter.thumbnail_rows
    clips = tuple(cutter.clips(draft.source.source_id))
    limit = cutter.filters.shot_boundary
    draft.scores.append(
        Score("shots", "min_cut_score", cutter.min_cut_score, limit, kept=bool(clips))
    )
    draft.measured_filters += ["shots", *(one.name for one in clip_filters())]
    if not clips:
        return draft.finish(Reason.TOO_SHORT, describe_no_shot(cutter.settings))
    kept = sum(clip.decision == Decision.KEPT for clip in clips)
    detail = describe_clips(kept, len(clips))
    return draft.finish(None if kept else clips[0].reason, detail, clips)
