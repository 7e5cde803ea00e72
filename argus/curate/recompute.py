"""Recomputing the scores of some filters, without processing a video from scratch.

The file is opened once, the stale filters measure its stored spans, and the video is decided again.
No shots are detected and no other filter runs; a clip is encoded only if it is kept and in no shard
yet. The contact sheet is drawn anew. If the stored row does not suffice (another file, a clip
length or a conversion that it was not cut with), the video is processed from scratch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from argus.curate.clipping import ClipCutter
from argus.curate.filters import (
    Filter,
    ScorerFailed,
    ScoreTable,
    clip_filters,
    compute_scores,
    video_filters,
)
from argus.curate.frame_sampling import (
    ERP_SIZE,
    NativeFrames,
    SampledFrames,
    evenly_spaced,
    sample_clip_frames,
    sample_native_frames,
)
from argus.curate.layout import (
    Conversion,
    EquirectReader,
    convert_native_frames,
    decide_layout,
)
from argus.curate.process import THUMBNAIL, failed_video, process_video, run_isolated
from argus.curate.recipe import Recipe
from argus.curate.records import PriorResult, VideoSource
from argus.curate.reevaluate import (
    MissingScores,
    decide_clip,
    decide_whole,
    own_filters,
    tabulate,
    with_clips,
)
from argus.curate.thumbnails import (
    MAX_CLIP_ROWS,
    encode_contact_sheet,
    render_clip_row,
    render_video_row,
)
from argus.dataset import CuratedClip, CuratedVideo, Score, SourceRow
from argus.errors import VideoError
from argus.files import sha256_file
from argus.media import VideoReader, open_video
from schemas.config import CurateConfig, LearnedThresholds
from schemas.names import Decision, Reason


def recompute_isolated(
    path: Path,
    source: VideoSource,
    prior: PriorResult,
    config: CurateConfig,
    folder: Path,
    samples_folder: Path | None = None,
) -> CuratedVideo:
    """Run `recompute` in a child process, as `process_isolated` does."""
    return run_isolated(
        recompute,
        path,
        source,
        prior,
        config,
        folder,
        samples_folder,
        timeout_s=config.video_timeout_s,
    )


def recompute(
    path: Path,
    source: VideoSource,
    prior: PriorResult,
    config: CurateConfig,
    folder: Path,
    samples_folder: Path | None = None,
) -> CuratedVideo:
    """Decide about a file that has a stored row, computing only the scores of the stale filters.

    Clips in a shard keep their locations. Other kept clips are written to the folder, as by
    `process_video`.

    Args:
        path: the file.
        source: the video's entry in the catalogue.
        prior: the stored row and its stale filters.
        config: settings of the refresh.
        folder: receives the clips that are in no shard, and the contact sheet.
        samples_folder: given if learned scorers follow. If the row's learned scores are not those
            of the recipe, it receives the scorers' input for all kept clips, and the result names
            no networks.
    """
    recipe, row = Recipe.from_config(config), prior.row
    try:
        if row.fetch is None or row.fetch.sha256 != sha256_file(path):
            raise MissingScores("the file has changed")
        with open_video(path) as reader:
            cutter = ClipCutter(
                EquirectReader(reader, _decide_conversion(reader, row, recipe)),
                recipe.clip,
                recipe.filters,
                folder,
                samples_folder,
            )
            return _Recomputation(reader, prior, recipe, samples_folder, cutter).run(source)
    except (MissingScores, VideoError):
        return process_video(path, source, config, folder, samples_folder)
    except ScorerFailed as error:
        return failed_video(source, Reason.SCORER_FAILED, str(error))


def _decide_conversion(reader: VideoReader, row: SourceRow, recipe: Recipe) -> Conversion:
    try:
        scores = tabulate(row.scores)["layout"]
        return decide_layout(reader.info, scores, recipe.filters).conversion
    except KeyError as error:
        raise MissingScores(f"{row.source_id}: {error}") from error


@dataclass
class _Recomputation:
    """One open video with its stored row."""

    reader: VideoReader
    prior: PriorResult
    recipe: Recipe
    samples_folder: Path | None
    cutter: ClipCutter
    measured_filters: list[str] = field(default_factory=list)

    def run(self, source: VideoSource) -> CuratedVideo:
        """Measure and decide. Raises MissingScores, VideoError or ScorerFailed."""
        row, is_decided = decide_whole(self._measure_whole(), self.recipe)
        if is_decided:
            return self._finish(source, _without_clips(row) if self._stale(clip_filters()) else row)
        clips = [self._measure_clip(clip) for clip in row.clips]
        recipe = self.recipe
        by_filters = _without_networks(recipe)
        decided = (decide_clip(clip, by_filters, ()) for clip in clips)
        kept = [clip for clip in decided if clip.decision is Decision.KEPT]
        needs_samples = self.samples_folder is not None and self._needs_networks(kept)
        if needs_samples:
            recipe, clips = by_filters, [_without_learned(clip) for clip in clips]
            row = replace(row, networks=())
        row = with_clips(row, [decide_clip(clip, recipe, row.networks) for clip in clips])
        made = [
            self._make_files(clip, needs_samples=needs_samples)
            if clip.decision is Decision.KEPT
            else clip
            for clip in row.clips
        ]
        return self._finish(source, replace(row, clips=tuple(made)))

    def _measure_whole(self) -> SourceRow:
        """Return the row with new scores of the stale filters of whole videos.

        They are removed if the video would be converted differently now.
        """
        row, conversion = self.prior.row, self.cutter.equirect.conversion
        filters = self._stale(video_filters(self.recipe.filters))
        if not filters or row.conversion is None:
            return row
        if str(conversion) != row.conversion:
            stale = self.prior.stale_filters
            return replace(row, scores=tuple(one for one in row.scores if one.filter not in stale))
        with self.cutter.timer.measure("filters"):
            scores = compute_scores(self._sampled, filters)
        return replace(row, scores=_merge(row.scores, scores))

    @cached_property
    def _native(self) -> NativeFrames:
        """The sampled frames of the whole video, as it stores them."""
        with self.cutter.timer.measure("decode"):
            return sample_native_frames(self.reader, self.cutter.clip_fps)

    @cached_property
    def _sampled(self) -> SampledFrames:
        """The sampled frames of the whole video as mono ERP."""
        native = self._native
        with self.cutter.timer.measure("filters"):
            return convert_native_frames(native, self.cutter.equirect.conversion, ERP_SIZE)

    def _measure_clip(self, clip: CuratedClip) -> CuratedClip:
        filters = self._stale(clip_filters())
        if not filters:
            return clip
        frames = self._read_frames(clip)
        with self.cutter.timer.measure("filters"):
            sampled = sample_clip_frames(frames, float(self.cutter.clip_fps))
            scores = compute_scores(sampled, filters)
        return replace(clip, scores=_merge(clip.scores, scores))

    def _stale(self, filters: Sequence[Filter]) -> list[Filter]:
        """Return the stale ones of some filters, and record that they measure."""
        stale = [one for one in filters if one.name in self.prior.stale_filters]
        self.measured_filters += [
            one.name for one in stale if one.name not in self.measured_filters
        ]
        return stale

    def _needs_networks(self, kept: Sequence[CuratedClip]) -> bool:
        """Return True unless the recipe's learned scorers measured all kept clips."""
        networks = set(self.prior.row.networks)
        return (
            bool(self.prior.stale_filters & set(self.recipe.learned))
            or not networks.issuperset(self.recipe.learned.values())
            or not all(map(_has_learned, kept))
        )

    def _make_files(self, clip: CuratedClip, *, needs_samples: bool) -> CuratedClip:
        """Write the samples of a kept clip, and its mp4 if it is in no shard."""
        if not needs_samples and clip.shard is not None:
            return clip
        frames = self._read_frames(clip)
        if needs_samples:
            sampled = sample_clip_frames(frames, float(self.cutter.clip_fps))
            self.cutter.save_samples(sampled, frames, clip.start_ms, clip.end_ms)
        if clip.shard is not None:
            return clip
        return replace(
            clip,
            signature=self.cutter.compute_signature(frames),
            file=self.cutter.write_clip(frames, clip.start_ms, clip.end_ms),
        )

    def _write_thumbnail(self, row: SourceRow) -> str | None:
        """Write the contact sheet that processing from scratch would write for the clips of a row.

        Of each clip only the frame is decoded that its row shows.
        """
        if self.cutter.folder is None:
            return None
        sampled = self._sampled if row.conversion else None
        rows = [render_video_row(self._native, sampled)]
        for clip in row.clips[:MAX_CLIP_ROWS]:
            frame = self.cutter.read_frames(self._find_frames(clip)[_shown_frame(clip.frames)])
            rows.append(render_clip_row(sample_clip_frames(frame, 1.0)))
        with self.cutter.timer.measure("encode"):
            (self.cutter.folder / THUMBNAIL).write_bytes(encode_contact_sheet(rows))
        return THUMBNAIL

    def _read_frames(self, clip: CuratedClip) -> NDArray[np.uint8]:
        """Return the frames of a stored span, [T, H, W, 3]. Raises as `_find_frames` does."""
        return self.cutter.read_frames(self._find_frames(clip))

    def _find_frames(self, clip: CuratedClip) -> NDArray[np.int64]:
        """Return the numbers of the frames of a stored span.

        Raises:
            MissingScores: no frame starts where the span starts.
        """
        indices = self.cutter.sampling.indices
        starts = np.rint(self.cutter.sampling.times * 1000)
        first = np.flatnonzero(starts == clip.start_ms)[:1].tolist()
        if not first or first[0] + clip.frames > len(indices):
            raise MissingScores(f"{clip.clip_id} is not a span of this file")
        return indices[first[0] : first[0] + clip.frames]

    def _finish(self, source: VideoSource, row: SourceRow) -> CuratedVideo:
        """Return the result; marks of duplicates are removed (`DuplicateResolver` sets them)."""
        return replace(
            row,
            url=source.url,
            split=source.assigned_split,
            retryable=False,
            clips=tuple(map(_without_duplicate_marks, row.clips)),
            media=self.reader.info,
            thumbnail=self._write_thumbnail(row),
            measured_filters=tuple(self.measured_filters),
            stage_seconds=self.cutter.timer.seconds,
        )


def _shown_frame(count: int) -> slice:
    """Return the place of the frame that the row of a clip with `count` frames shows."""
    samples = evenly_spaced(count)
    shown = int(samples[len(samples) // 2])
    return slice(shown, shown + 1)


def _merge(scores: Sequence[Score], computed: ScoreTable) -> tuple[Score, ...]:
    """Replace the scores of some filters."""
    others = (score for score in scores if score.filter not in computed)
    new = (
        Score(name, score, value)
        for name, values in computed.items()
        for score, value in values.items()
    )
    return (*others, *new)


def _without_clips(row: SourceRow) -> SourceRow:
    """Remove the clips, some scores of which no longer count, and the record of the cut."""
    return replace(
        row, clips=(), scores=tuple(score for score in row.scores if score.filter != "shots")
    )


def _without_networks(recipe: Recipe) -> Recipe:
    filters = recipe.filters.model_copy(update={"learned": LearnedThresholds()})
    return replace(recipe, learned={}, filters=filters)


def _has_learned(clip: CuratedClip) -> bool:
    """Return True if a network measured the clip."""
    return any(
        score.filter not in own_filters() and score.value is not None for score in clip.scores
    )


def _without_learned(clip: CuratedClip) -> CuratedClip:
    return replace(
        clip, scores=tuple(score for score in clip.scores if score.filter in own_filters())
    )


def _without_duplicate_marks(clip: CuratedClip) -> CuratedClip:
    scores = tuple(score for score in clip.scores if score.filter != "duplicate")
    return replace(clip, scores=scores, duplicate_of=None)
