"""The whole judgement of one video file: probe → layout → length → filters → clips. Which video, where and when is decided elsewhere.

What it writes (the mp4 of each kept clip, the contact sheet) goes into a folder that the caller gives, so that memory does not grow with the video.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from argus.curate.clipping import ClipCutter, clip_spans
from argus.curate.filters import ScorerFailed, apply_filters, clip_filters, video_filters
from argus.curate.frame_sampling import ERP_SIZE, SampledFrames, NativeFrames, sample_native_frames
from argus.curate.layout.convert import EquirectReader, convert_native_frames
from argus.curate.layout.detect import detect_layout
from argus.curate.records import CuratedClip, CuratedVideo, Score, Verdict, VideoSource
from argus.curate.stage_timer import StageTimer
from argus.curate.thumbnails import SheetRow, encode_contact_sheet, render_video_row
from argus.errors import VideoError
from argus.media import MediaInfo, VideoReader, frame_stride, open_video, run_sandboxed
from schemas.config import ClipSettings, CurateConfig
from schemas.names import Decision, Layout, Reason

MEMORY_BYTES = 8 << 30
THUMBNAIL = "thumb.jpg"
_OURS = {
    Reason.DECODER_CRASHED,
    Reason.TIMED_OUT,
    Reason.SCORER_FAILED,
    Reason.WORKER_DIED,
}  # not judged: never a judgement on the video
_MAY_PASS = _OURS - {Reason.DECODER_CRASHED}  # the same bytes would crash it again


def process_isolated(
    path: Path,
    source: VideoSource,
    config: CurateConfig,
    folder: Path | None = None,
    samples_folder: Path | None = None,
) -> CuratedVideo:
    """`process_video` in a process that may crash or be killed: the whole judgement runs there, so nothing hostile is decoded here.

    This is what a job calls. Every fault of the video or of a filter becomes a decision; what is raised is a fault of the machine.
    """
    return judge_isolated(
        process_video,
        path,
        source,
        config,
        folder,
        samples_folder,
        timeout_s=config.video_timeout_s,
    )


def judge_isolated(
    judge: Callable[..., CuratedVideo],
    path: Path,
    source: VideoSource,
    *args: Any,
    timeout_s: float,
) -> CuratedVideo:
    """`judge(path, source, *args)` in a child process; its faults are decisions."""
    try:
        return run_sandboxed(
            judge,
            path,
            source,
            *args,
            timeout_s=timeout_s,
            memory_bytes=MEMORY_BYTES,
            preload="argus.curate.preload",
        )
    except VideoError as error:
        return failed_video(
            source,
            error.reason,
            error.message + (" (video_timeout_s)" if error.reason is Reason.TIMED_OUT else ""),
        )
    except RuntimeError as error:  # what the child did not foresee
        return failed_video(
            source, Reason.SCORER_FAILED, f"curation failed: {str(error).strip().splitlines()[-1]}"
        )


def process_video(
    path: Path,
    source: VideoSource,
    config: CurateConfig,
    folder: Path | None = None,
    samples_folder: Path | None = None,
) -> CuratedVideo:
    """Judges a file and cuts it into clips. Never raises for what the video holds: that is a decision with a reason.

    The `folder` receives `clips/START-END.mp4` of each kept clip and thumb.jpg; without one the video is judged only. Where there is a
    `samples_folder`, it receives what learned scorers see of each kept clip (`argus.curate.scorers`).
    """
    sheet = _Sheet(source, folder)
    try:
        with sheet.timer.measure("decode"):
            reader = open_video(path)
        with reader:
            return _judge(reader, sheet, config, samples_folder)
    except VideoError as error:
        if sheet.stored is None:
            sheet.layout = Layout.NONE  # no picture was seen
        return sheet.ends(error.reason, error.message.removeprefix(f"{path}: "))
    except ScorerFailed as error:
        return sheet.ends(Reason.SCORER_FAILED, str(error))


def failed_video(source: VideoSource, reason: Reason, detail: str) -> CuratedVideo:
    """A video of which nothing is known but why."""
    return _Sheet(source).ends(reason, detail)


def dropped_detail(dropped: Verdict) -> str:
    """Why a filter of whole videos dropped one, in words."""
    return f"{dropped.filter}: {dropped.name} is {dropped.value:.4g}, the threshold is {dropped.threshold:g}"


def too_long_detail(seconds: float, most: float) -> str:
    """For one that would take too long."""
    return f"{seconds:.0f} s long, but at most {most:.0f} s are accepted (fetch.max_duration_s)"


def too_short_detail(seconds: float, settings: ClipSettings) -> str:
    """Why a video has no clip, in words."""
    return f"it is {seconds:.2f} s long, but a clip needs {settings.min_clip_s:g} s"


def no_shot_detail(settings: ClipSettings) -> str:
    """Why a video was cut and yet has no clip, in words."""
    return f"none of its shots is {settings.min_clip_s:g} s long"


def clips_detail(kept: int, count: int) -> str:
    """How many of a video's clips, of which there is at least one, are kept, in words."""
    return f"{kept} of {count} clips kept" if kept else f"none of its {count} clips is kept"


@dataclass
class _Sheet:
    """What is known of a video so far; whatever ends the judgement, this much is recorded."""

    source: VideoSource
    folder: Path | None = None
    media: MediaInfo | None = None
    declared: Layout | None = None
    layout: Layout = Layout.UNKNOWN
    conversion: str | None = None
    stored: NativeFrames | None = None
    samples: SampledFrames | None = None
    thumbnail_rows: list[SheetRow] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    scored: list[str] = field(default_factory=list)
    timer: StageTimer = field(default_factory=StageTimer)

    def ends(
        self, reason: Reason | None, detail: str, clips: tuple[CuratedClip, ...] = ()
    ) -> CuratedVideo:
        """The decision: kept without a reason; FAILED for faults of ours; else dropped."""
        decision = (
            Decision.KEPT
            if reason is None
            else Decision.FAILED
            if reason in _OURS
            else Decision.DROPPED
        )
        return CuratedVideo(
            source=self.source,
            decision=decision,
            reason=reason,
            detail=detail,
            layout_declared=self.declared,
            layout=self.layout,
            scores=tuple(self.scores),
            clips=clips,
            media=self.media,
            thumbnail=self._thumbnail(clips),
            retryable=reason in _MAY_PASS,
            conversion=self.conversion,
            scored=tuple(dict.fromkeys(self.scored)),
            seconds=self.timer.seconds,
        )

    def _thumbnail(self, clips: tuple[CuratedClip, ...]) -> str | None:
        if self.stored is None or self.folder is None:
            return None
        with self.timer.measure("encode"):
            rows = [render_video_row(self.stored, self.samples), *(self.thumbnail_rows if clips else ())]
            (self.folder / THUMBNAIL).write_bytes(encode_contact_sheet(rows))
        return THUMBNAIL


def _judge(
    reader: VideoReader, sheet: _Sheet, config: CurateConfig, samples_folder: Path | None
) -> CuratedVideo:
    """Each step adds to the sheet, or ends it."""
    sheet.media = info = reader.info
    if info.duration_s > config.fetch.max_duration_s:  # its site did not say
        return sheet.ends(
            Reason.TOO_LONG, too_long_detail(info.duration_s, config.fetch.max_duration_s)
        )
    with sheet.timer.measure("decode"):
        stored = sheet.stored = sample_native_frames(reader, frame_stride(reader.fps, config.clip.fps))
    with sheet.timer.measure("filters"):
        verdict = detect_layout(info, stored, config.filters)
    sheet.declared, sheet.layout = verdict.declared, verdict.layout
    aspect = info.pixel_aspect if info.rotation % 180 == 0 else 1 / info.pixel_aspect
    sheet.scores += (*verdict.scores, Score("layout", "pixel_aspect", float(aspect), None, True))
    sheet.scored.append("layout")
    if verdict.reason:
        return sheet.ends(verdict.reason, verdict.detail)
    enough = bool(clip_spans(reader.timestamps, reader.fps, config.clip))
    sheet.scores.append(Score("length", "seconds", info.duration_s, config.clip.min_clip_s, enough))
    if not enough:
        return sheet.ends(Reason.TOO_SHORT, too_short_detail(info.duration_s, config.clip))
    sheet.conversion = str(verdict.conversion)
    with sheet.timer.measure("filters"):
        filters = video_filters(config.filters)
        samples = sheet.samples = convert_native_frames(stored, verdict.conversion, ERP_SIZE)
        scores, dropped = apply_filters(samples, filters, config.filters)
    sheet.scores += scores
    sheet.scored += [one.name for one in filters]
    if dropped:
        return sheet.ends(dropped.reason, dropped_detail(dropped))
    return _cut(
        ClipCutter(
            EquirectReader(reader, verdict.conversion),
            config.clip,
            config.filters,
            sheet.folder,
            samples_folder,
            sheet.timer,
        ),
        sheet,
    )


def _cut(cutter: ClipCutter, sheet: _Sheet) -> CuratedVideo:
    sheet.thumbnail_rows = cutter.thumbnail_rows
    clips = tuple(cutter.clips(sheet.source.source_id))
    sheet.scores.append(
        Score("shots", "min_cut_score", cutter.min_cut_score, cutter.filters.shot_boundary, True)
    )
    sheet.scored += ["shots", *(one.name for one in clip_filters())]
    if not clips:
        return sheet.ends(Reason.TOO_SHORT, no_shot_detail(cutter.settings))
    kept = sum(clip.decision == Decision.KEPT for clip in clips)
    return sheet.ends(None if kept else clips[0].reason, clips_detail(kept, len(clips)), clips)
