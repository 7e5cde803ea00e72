"""Cutting a video into clips. Frames of one clip at a time are in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from argus.curate.dedup.fingerprint import compute_signature
from argus.curate.filters import (
    RateFilter,
    apply_thresholds,
    clip_deciders,
    clip_filters,
    compute_scores,
)
from argus.curate.frame_sampling import (
    ERP_SIZE,
    SampledFrames,
    resize_frames,
    sample_clip_frames,
)
from argus.curate.layout.convert import EquirectReader
from argus.curate.quality import compute_quality, is_high_quality, score_values
from argus.curate.shot_detection import NO_BOUNDARY, DetectedShot, detect_shots
from argus.curate.stage_timer import StageTimer
from argus.curate.thumbnails import MAX_CLIP_ROWS, SheetRow, render_clip_row
from argus.dataset import ClipFile, CuratedClip, Score, format_clip_id
from argus.media import FrameSampling, SphericalMetadata, encode_clip
from schemas.config import ClipSettings, FilterSettings
from schemas.names import Decision

UNEVEN_S = 1.0
"""Seconds of repeated frames from which on they have clips of their own."""


@dataclass(frozen=True, eq=False)
class ClipSpan:
    """Source frames of one clip.

    Attributes:
        indices: source frames in order; one that the video shows for long repeats.
        times: seconds from the first frame of the video at which each one is shown.
        start_ms: start, in milliseconds from the first frame of the video.
        end_ms: end, in milliseconds from the first frame of the video.
    """

    indices: NDArray[np.int64]
    times: NDArray[np.float64]
    start_ms: int
    end_ms: int


def clip_spans(
    sampling: FrameSampling, video_end_s: float, settings: ClipSettings
) -> list[ClipSpan]:
    """Divide a video into spans of at most `clip_s`.

    A span lasts until the next selected frame would come, or until the video ends. A span that is
    shorter than `min_clip_s` is left out. Stretches in which frames repeat have spans of their own,
    so that only these are dropped.

    Args:
        sampling: the frames that are selected at the rate of clips.
        video_end_s: seconds from the first frame of the video to the end of its last.
        settings: lengths of clips.
    """
    max_frames = max(1, int(settings.clip_s * sampling.fps))
    spans = []
    for start, stop in _divide_by_regularity(sampling, settings.min_clip_s):
        for first in range(start, stop, max_frames):
            part = slice(first, min(first + max_frames, stop))
            times = sampling.times[part]
            end_s = min(times[-1] + float(1 / sampling.fps), video_end_s)
            start_ms, end_ms = round(times[0] * 1000), round(end_s * 1000)
            if end_ms - start_ms >= settings.min_clip_s * 1000:
                spans.append(ClipSpan(sampling.indices[part], times, start_ms, end_ms))
    return spans


def _divide_by_regularity(sampling: FrameSampling, min_clip_s: float) -> list[tuple[int, int]]:
    """Divide a selection where stretches of repeated frames begin and end.

    A stretch lasts at least `UNEVEN_S`, with less than that between its repeats. It includes parts
    beside it that are too short for a clip.

    Returns:
        First and last (excluded) selected frame of each part, in order.
    """
    count, fps = len(sampling.indices), float(sampling.fps)
    repeats = np.flatnonzero(np.diff(sampling.indices) == 0) + 1
    groups = np.split(repeats, np.flatnonzero(np.diff(repeats) > UNEVEN_S * fps) + 1)
    stretches: list[tuple[int, int]] = []
    for group in groups:
        if not group.size or group[-1] + 1 - group[0] < UNEVEN_S * fps:
            continue
        start, stop = int(group[0]), int(group[-1]) + 1
        before = stretches[-1][1] if stretches else 0
        if start - before < min_clip_s * fps:
            start = stretches.pop()[0] if stretches else 0
        stretches.append((start, count if count - stop < min_clip_s * fps else stop))
    bounds = sorted({0, count, *(bound for stretch in stretches for bound in stretch)})
    return list(pairwise(bounds))


def split_at_shots(
    span: ClipSpan, shots: Sequence[DetectedShot], min_clip_s: float
) -> list[tuple[ClipSpan, DetectedShot]]:
    """Split a span at the boundaries of its shots.

    Args:
        span: the span in which the shots were detected.
        shots: shots with frame numbers within the span.
        min_clip_s: shorter parts are left out.

    Returns:
        Parts with their shots. A part lasts until the frame after its last one would come.
    """
    starts = [round(time * 1000) for time in span.times]
    ends = [*starts[1:], span.end_ms]
    parts = [
        (
            ClipSpan(
                span.indices[shot.start : shot.stop],
                span.times[shot.start : shot.stop],
                starts[shot.start],
                ends[shot.stop - 1],
            ),
            shot,
        )
        for shot in shots
    ]
    return [
        (part, shot) for part, shot in parts if part.end_ms - part.start_ms >= min_clip_s * 1000
    ]


@dataclass
class ClipCutter:
    """Cutter of one video into clips, each of one shot.

    The mp4 of a kept clip is written as soon as it is decided, so that memory does not grow with
    the video.

    Attributes:
        equirect: reader of mono ERP frames.
        settings: how clips are cut and stored.
        filters: thresholds of filters and shots.
        folder: destination of clips; without one no clip is written.
        samples_folder: destination of the samples for learned scorers; without one none are
            written.
        timer: seconds per stage.
        thumbnail_rows: rows of the contact sheet, one per clip so far.
        min_cut_score: least score of a boundary at which the video was cut so far;
            `NO_BOUNDARY` if there was none.
    """

    equirect: EquirectReader
    settings: ClipSettings
    filters: FilterSettings
    folder: Path | None = None
    samples_folder: Path | None = None
    timer: StageTimer = field(default_factory=StageTimer)
    thumbnail_rows: list[SheetRow] = field(default_factory=list)
    min_cut_score: float = NO_BOUNDARY

    @cached_property
    def sampling(self) -> FrameSampling:
        """The frames of the video at the rate of clips."""
        return self.equirect.reader.resample(self.settings.fps)

    @property
    def clip_fps(self) -> Fraction:
        """Frame rate of the clips."""
        return self.sampling.fps

    def spans(self) -> list[ClipSpan]:
        """Return the spans of the video, before shots are detected."""
        reader = self.equirect.reader
        end_s = reader.info.duration_s
        if not reader.info.is_variable_rate:  # names of clips depend on how this is rounded
            end_s = float(reader.timestamps[-1] + float(1 / reader.fps))
        return clip_spans(self.sampling, end_s, self.settings)

    def clips(self, source_id: str) -> Iterator[CuratedClip]:
        """Yield the clips of the video in order.

        Raises:
            VideoError: frames cannot be decoded.
            ScorerFailed: a filter failed.
        """
        for span in self.spans():
            frames = self.read_frames(span.indices)
            with self.timer.measure("filters"):
                shots = detect_shots(frames, self.filters.shot_boundary)
            self.min_cut_score = min(self.min_cut_score, *(shot.start_score for shot in shots))
            for part, shot in split_at_shots(span, shots, self.settings.min_clip_s):
                yield self._make_clip(source_id, part, shot, frames[shot.start : shot.stop])

    def read_frames(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Read mono ERP frames, large enough for filters and for the stored clip.

        Returns:
            uint8 [T, H, W, 3].

        Raises:
            VideoError: a frame cannot be decoded.
        """
        with self.timer.measure("decode"):
            return self.equirect.frames(indices, max(ERP_SIZE, self._stored_size))

    def write_clip(self, frames: NDArray[np.uint8], start_ms: int, end_ms: int) -> ClipFile | None:
        """Encode frames [T, H, W, 3] into the folder.

        Returns:
            The written file, or None without a folder.
        """
        if self.folder is None:
            return None
        name = f"clips/{start_ms}-{end_ms}.mp4"
        with self.timer.measure("encode"):
            (self.folder / "clips").mkdir(exist_ok=True)
            (self.folder / name).write_bytes(
                encode_clip(
                    resize_frames(frames, self._stored_size),
                    self.clip_fps,
                    spherical=SphericalMetadata(),
                    crf=self.settings.crf,
                    gop=self.settings.gop,
                )
            )
        return ClipFile(name, *self._stored_size, self.clip_fps)

    def compute_signature(self, frames: NDArray[np.uint8]) -> bytes:
        """Compute the signature by which duplicates of frames [T, H, W, 3] are found."""
        with self.timer.measure("filters"):
            signature = compute_signature(frames, float(self.clip_fps), self.settings.clip_s)
            return signature.to_bytes()

    def save_samples(
        self, sampled: SampledFrames, frames: NDArray[np.uint8], start_ms: int, end_ms: int
    ) -> None:
        """Write the samples of a clip for learned scorers, if there is a folder for them."""
        if self.samples_folder:
            from argus.curate.scorers import ClipSamples, clip_samples_filename

            ClipSamples.from_frames(sampled, frames, float(self.clip_fps)).save(
                self.samples_folder / clip_samples_filename(start_ms, end_ms)
            )

    @property
    def _stored_size(self) -> tuple[int, int]:
        """Size (H, W) of stored clips."""
        return self.settings.height, 2 * self.settings.height

    def _make_clip(
        self, source_id: str, span: ClipSpan, shot: DetectedShot, frames: NDArray[np.uint8]
    ) -> CuratedClip:
        with self.timer.measure("filters"):
            sampled = sample_clip_frames(frames, float(self.clip_fps))
            table = compute_scores(sampled, clip_filters())
            if self.equirect.reader.info.is_variable_rate:
                table[RateFilter.name] = RateFilter().score_indices(span.indices)
            scores, verdict = apply_thresholds(table, clip_deciders(table), self.filters)
            if len(self.thumbnail_rows) < MAX_CLIP_ROWS:
                self.thumbnail_rows.append(render_clip_row(sampled))
        kept = verdict is None
        if kept:
            self.save_samples(sampled, frames, span.start_ms, span.end_ms)
        boundary = Score("shots", "max_score", shot.max_score, self.filters.shot_boundary, True)
        scores = (boundary, *scores)
        values = score_values(scores)
        return CuratedClip(
            clip_id=format_clip_id(source_id, span.start_ms, span.end_ms),
            start_ms=span.start_ms,
            end_ms=span.end_ms,
            frames=len(frames),
            decision=Decision.KEPT if kept else Decision.DROPPED,
            reason=verdict.reason if verdict else None,
            quality=compute_quality(values),
            high_quality=kept and is_high_quality(values, self.filters),
            scores=scores,
            signature=self.compute_signature(frames) if kept else None,
            file=self.write_clip(frames, span.start_ms, span.end_ms) if kept else None,
        )
