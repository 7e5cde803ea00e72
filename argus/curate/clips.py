"""Cuts a video into clips: which frames, and what each clip becomes. Holds the frames of one clip at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from argus.curate.cascade import clip_filters, judge
from argus.curate.footage import Footage
from argus.curate.quality import is_high_quality, numbers_of, quality
from argus.curate.records import CuratedClip, Score, clip_id
from argus.curate.samples import SIZE, resized, sample_clip
from argus.curate.sheet import clip_row
from argus.curate.shots import Shot, find_shots
from argus.curate.signature import clip_signature
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


def parts(span: Span, shots: Sequence[Shot], timestamps: NDArray[np.float64], min_clip_s: float) -> list[tuple[Span, Shot]]:
    """A span at the boundaries of its shots, each with its part of it, where that is at least `min_clip_s` long.

    `timestamps` as for `spans`. A part lasts until the frame after its last one would come.
    """
    starts = [round((timestamps[index] - timestamps[0]) * 1000) for index in span.indices]
    ends = [*starts[1:], span.end_ms]
    found = [(Span(span.indices[shot.start : shot.stop], starts[shot.start], ends[shot.stop - 1]), shot) for shot in shots]
    return [(part, shot) for part, shot in found if part.end_ms - part.start_ms >= min_clip_s * 1000]


def cut(footage: Footage, source_id: str, settings: ClipSettings, policy: FilterPolicy, samples_folder: Path | None = None) -> Iterator[CuratedClip]:
    """The clips of a video, one after the other, each of one shot; those that are dropped are not encoded.

    What learned scorers see of the kept ones is written to the `samples_folder`, where there is one.
    Raises VideoError when frames cannot be decoded, ScorerFailed when a clip cannot be judged.
    """
    reader = footage.reader
    rate = reader.fps / stride(reader.fps, settings.fps)
    decoded = max(SIZE, (settings.height, 2 * settings.height))
    for span in spans(reader.timestamps, reader.fps, settings):
        whole = footage.frames(span.indices, decoded)
        for part, shot in parts(span, find_shots(whole, policy.shot_boundary), reader.timestamps, settings.min_clip_s):
            frames = whole[shot.start : shot.stop]
            samples = sample_clip(frames, float(rate))
            scores, dropped = judge(samples, clip_filters(), policy)
            if samples_folder and not dropped:
                from argus.curate.learned import ClipSamples, samples_name

                ClipSamples.of(samples, frames, float(rate)).save(samples_folder / samples_name(part.start_ms, part.end_ms))
            scores = (Score("shots", "worst", shot.worst, policy.shot_boundary, True), *scores)
            numbers = numbers_of(scores)
            yield CuratedClip(
                clip_id=clip_id(source_id, part.start_ms, part.end_ms),
                start_ms=part.start_ms,
                end_ms=part.end_ms,
                frames=len(frames),
                height=settings.height,
                width=2 * settings.height,
                fps=rate,
                decision=Decision.DROPPED if dropped else Decision.KEPT,
                reason=dropped.reason if dropped else None,
                quality=quality(numbers),
                high_quality=dropped is None and is_high_quality(numbers, policy.high_quality),
                scores=scores,
                picture=clip_row(samples),
                signature=None if dropped else clip_signature(frames, float(rate), settings.clip_s).to_bytes(),
                video=None if dropped else _encoded(frames, rate, settings),
            )


def _encoded(frames: NDArray[np.uint8], rate: Fraction, settings: ClipSettings) -> bytes:
    """The stored mp4 of ERP frames [T, H, W, 3]."""
    stored = resized(frames, (settings.height, 2 * settings.height))
    return encode_clip(stored, rate, crf=settings.crf, gop=settings.gop, spherical=SphericalMetadata())
