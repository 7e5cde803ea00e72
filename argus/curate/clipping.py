"""Cuts a video into clips: which frames, and what each clip becomes. Holds the frames of one clip at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from argus.curate.dedup.fingerprint import clip_signature
from argus.curate.filters.base import clip_filters, judge
from argus.curate.frame_sampling import SIZE, Samples, resized, sample_clip
from argus.curate.layout.convert import EquirectReader
from argus.curate.quality import is_high_quality, numbers_of, quality
from argus.curate.records import CuratedClip, Score
from argus.curate.shot_detection import DetectedShot, detect_shots
from argus.curate.stage_timer import StageTimer
from argus.curate.thumbnails import CLIP_ROWS, Row, clip_row
from argus.dataset import format_clip_id
from argus.media import SphericalMetadata, encode_clip
from schemas.config import ClipSettings, FilterPolicy
from schemas.names import Decision


@dataclass(frozen=True)
class Span:
    """The source frames of one clip, in order, and its times in milliseconds from the video's first frame."""

    indices: NDArray[np.int64]
    start_ms: int
    end_ms: int


def stride(fps: Fraction, target: float) -> int:
    """n, where every n-th frame is kept: max(1, round(fps / target))."""
    return max(1, round(float(fps) / target))


def spans(timestamps: NDArray[np.float64], fps: Fraction, settings: ClipSettings) -> list[Span]:
    """Spans of at most `clip_s` of every n-th frame; the tail only when it is at least `min_clip_s` long.

    `timestamps` are seconds, one per source frame, at `fps`. A clip lasts until the next kept frame would come, or until the video ends.
    """
    step = stride(fps, settings.fps)
    kept = np.arange(0, len(timestamps), step)
    most = max(1, int(settings.clip_s * fps / step))
    times = timestamps - timestamps[0]
    video_end = times[-1] + float(1 / fps)
    found = []
    for first in range(0, len(kept), most):
        indices = kept[first : first + most]
        start_ms = round(times[indices[0]] * 1000)
        end_ms = round(min(times[indices[-1]] + float(step / fps), video_end) * 1000)
        if end_ms - start_ms >= settings.min_clip_s * 1000:
            found.append(Span(indices, start_ms, end_ms))
    return found


def parts(
    span: Span, shots: Sequence[DetectedShot], timestamps: NDArray[np.float64], min_clip_s: float
) -> list[tuple[Span, DetectedShot]]:
    """A span at the boundaries of its shots, each with its part of it, where that is at least `min_clip_s` long.

    `timestamps` as for `spans`. A part lasts until the frame after its last one would come.
    """
    starts = [round((timestamps[index] - timestamps[0]) * 1000) for index in span.indices]
    ends = [*starts[1:], span.end_ms]
    found = [
        (Span(span.indices[shot.start : shot.stop], starts[shot.start], ends[shot.stop - 1]), shot)
        for shot in shots
    ]
    return [
        (part, shot) for part, shot in found if part.end_ms - part.start_ms >= min_clip_s * 1000
    ]


@dataclass
class Cutter:
    """Cuts one video. Of it all one clip is in memory at a time: the mp4 of a kept one is written to the `folder` as soon as it is judged.

    Without a `folder` clips are judged only. What learned scorers see of the kept ones goes to the `samples_folder`, where there is one.
    """

    equirect: EquirectReader
    settings: ClipSettings
    policy: FilterPolicy
    folder: Path | None = None
    samples_folder: Path | None = None
    clock: StageTimer = field(default_factory=StageTimer)
    pictures: list[Row] = field(default_factory=list)  # of the contact sheet, grows with each clip
    weakest: float = 2.0  # the least score of a boundary at which the video was cut so far; 2, above all scores, where there was none

    @property
    def rate(self) -> Fraction:
        """Frames per second of the clips."""
        fps = self.equirect.reader.fps
        return fps / stride(fps, self.settings.fps)

    def clips(self, source_id: str) -> Iterator[CuratedClip]:
        """One after the other, each of one shot. Raises VideoError when frames cannot be decoded, ScorerFailed when a clip cannot be judged."""
        reader = self.equirect.reader
        for span in spans(reader.timestamps, reader.fps, self.settings):
            whole = self.frames(span.indices)
            with self.clock.of("filters"):
                shots = detect_shots(whole, self.policy.shot_boundary)
            self.weakest = min(self.weakest, *(shot.began for shot in shots))
            for part, shot in parts(span, shots, reader.timestamps, self.settings.min_clip_s):
                yield self._clip(source_id, part, shot, whole[shot.start : shot.stop])

    def frames(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Mono ERP frames [T, H, W, 3], at least as large as filters and the stored clip need them. Raises VideoError."""
        with self.clock.of("decode"):
            return self.equirect.frames(
                indices, max(SIZE, (self.settings.height, 2 * self.settings.height))
            )

    def write(self, frames: NDArray[np.uint8], start_ms: int, end_ms: int) -> str | None:
        """Encodes a clip's frames [T, H, W, 3]; the name of the file, None where there is no folder for it."""
        if self.folder is None:
            return None
        name = f"clips/{start_ms}-{end_ms}.mp4"
        with self.clock.of("encode"):
            (self.folder / "clips").mkdir(exist_ok=True)
            stored = resized(frames, (self.settings.height, 2 * self.settings.height))
            settings = {"crf": self.settings.crf, "gop": self.settings.gop}
            (self.folder / name).write_bytes(
                encode_clip(stored, self.rate, spherical=SphericalMetadata(), **settings)
            )
        return name

    def sign(self, frames: NDArray[np.uint8]) -> bytes:
        """By which duplicates of these frames [T, H, W, 3] are found."""
        with self.clock.of("filters"):
            return clip_signature(frames, float(self.rate), self.settings.clip_s).to_bytes()

    def save_samples(
        self, samples: Samples, frames: NDArray[np.uint8], start_ms: int, end_ms: int
    ) -> None:
        """For learned scorers, where there is a folder for it."""
        if self.samples_folder:
            from argus.curate.scorers import ClipSamples, samples_name

            ClipSamples.of(samples, frames, float(self.rate)).save(
                self.samples_folder / samples_name(start_ms, end_ms)
            )

    def _clip(
        self, source_id: str, part: Span, shot: DetectedShot, frames: NDArray[np.uint8]
    ) -> CuratedClip:
        with self.clock.of("filters"):
            samples = sample_clip(frames, float(self.rate))
            scores, dropped = judge(samples, clip_filters(), self.policy)
            if len(self.pictures) < CLIP_ROWS:
                self.pictures.append(clip_row(samples))
        if not dropped:
            self.save_samples(samples, frames, part.start_ms, part.end_ms)
        scores = (Score("shots", "worst", shot.worst, self.policy.shot_boundary, True), *scores)
        numbers = numbers_of(scores)
        return CuratedClip(
            clip_id=format_clip_id(source_id, part.start_ms, part.end_ms),
            start_ms=part.start_ms,
            end_ms=part.end_ms,
            frames=len(frames),
            height=self.settings.height,
            width=2 * self.settings.height,
            fps=self.rate,
            decision=Decision.DROPPED if dropped else Decision.KEPT,
            reason=dropped.reason if dropped else None,
            quality=quality(numbers),
            high_quality=dropped is None and is_high_quality(numbers, self.policy.high_quality),
            scores=scores,
            signature=None if dropped else self.sign(frames),
            video=None if dropped else self.write(frames, part.start_ms, part.end_ms),
        )
