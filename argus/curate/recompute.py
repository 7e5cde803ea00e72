"""A video of which some filters measure again: it is opened once, its stored spans are looked at by these filters alone, and then it is decided.

No shot is searched and no other filter runs; only clips that are kept and lie in no shard yet are encoded. Where the stored row does not carry that
far (another file, a clip length or a conversion that it was not cut with), the whole judgement is made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from argus.curate.clipping import Cutter, stride
from argus.curate.filters.base import (
    Filter,
    Numbers,
    ScorerFailed,
    clip_filters,
    measure,
    video_filters,
)
from argus.curate.frame_sampling import SIZE, sample_clip, sample_stored
from argus.curate.layout.convert import Conversion, EquirectReader, samples_of
from argus.curate.layout.detect import decide_layout
from argus.curate.process import THUMBNAIL, failed_video, judge_isolated, process_video
from argus.curate.recipe import Recipe
from argus.curate.records import CuratedClip, CuratedVideo, Place, Score, VideoSource
from argus.curate.reevaluate import (
    MissingScores,
    decide_clip,
    decide_whole,
    numbers_of,
    own_filters,
    with_clips,
)
from argus.dataset import ClipRow, ScoreRow, SourceRow
from argus.errors import VideoError
from argus.files import sha256_file
from argus.media import VideoReader, open_video
from schemas.config import CurateConfig, LearnedThresholds
from schemas.names import Decision, Layout, Reason


@dataclass(frozen=True)
class PriorResult:
    """What is stored of a video, and the filters whose numbers in it do not count any more."""

    row: SourceRow
    stale: frozenset[str] = frozenset()


def recompute_isolated(
    path: Path,
    source: VideoSource,
    stored: PriorResult,
    config: CurateConfig,
    folder: Path,
    samples_folder: Path | None = None,
) -> CuratedVideo:
    """`recompute` in a process that may crash or be killed, as `process_isolated`."""
    return judge_isolated(
        recompute,
        path,
        source,
        stored,
        config,
        folder,
        samples_folder,
        timeout_s=config.video_timeout_s,
    )


def recompute(
    path: Path,
    source: VideoSource,
    stored: PriorResult,
    config: CurateConfig,
    folder: Path,
    samples_folder: Path | None = None,
) -> CuratedVideo:
    """Judges a file of which a row is stored, measuring by its stale filters alone; the other numbers are the row's.

    Clips that lie in a shard keep their places; the others of those kept are written to the `folder`, as `process_video` does. Where learned scorers
    are at hand (there is a `samples_folder`) and the row's numbers are not those of the recipe's networks, it receives what they see of all kept
    clips, and the result names no networks. `scored` are the filters that ran.
    """
    recipe, row = Recipe.of(config), stored.row
    try:
        if row.fetch is None or row.fetch.sha256 != sha256_file(path):
            raise MissingScores("it is another file")
        with open_video(path) as reader:
            cutter = Cutter(
                EquirectReader(reader, _conversion(reader, row, recipe)),
                recipe.clip,
                recipe.policy,
                folder,
                samples_folder,
            )
            return _Again(reader, row, recipe, stored.stale, samples_folder, cutter).judged(source)
    except (MissingScores, VideoError):
        return process_video(path, source, config, folder, samples_folder)
    except ScorerFailed as error:
        return failed_video(source, Reason.SCORER_FAILED, str(error))


def _conversion(reader: VideoReader, row: SourceRow, recipe: Recipe) -> Conversion:
    """Raises MissingScores."""
    try:
        return decide_layout(
            reader.info, numbers_of(row.scores)["layout"], recipe.policy
        ).conversion
    except KeyError as error:
        raise MissingScores(f"{row.source_id}: {error}") from error


@dataclass
class _Again:
    """One video that is open, with what is stored of it."""

    reader: VideoReader
    row: SourceRow
    recipe: Recipe
    stale: frozenset[str]
    samples_folder: Path | None
    cutter: Cutter
    scored: list[str] = field(default_factory=list)

    def judged(self, source: VideoSource) -> CuratedVideo:
        """Raises MissingScores, VideoError, ScorerFailed."""
        row, ended = decide_whole(self._measured_whole(), self.recipe)
        if ended:
            return self._video(source, _uncut(row) if self._named(clip_filters()) else row)
        clips = [self._measured_clip(clip) for clip in row.clips]
        recipe = self.recipe
        by_filters = _without_networks(recipe)
        kept = [
            clip
            for clip in (decide_clip(clip, by_filters, ()) for clip in clips)
            if clip.decision is Decision.KEPT
        ]
        again = self.samples_folder is not None and self._outdated(kept)
        if again:
            recipe, clips = by_filters, [_without_learned(clip) for clip in clips]
            row = row.model_copy(update={"networks": ()})
        row = with_clips(row, [decide_clip(clip, recipe, row.networks or ()) for clip in clips])
        made = {
            clip.clip_id: self._made(clip, samples=again)
            for clip in row.kept_clips
            if again or clip.shard is None
        }
        return self._video(source, row, made)

    def _measured_whole(self) -> SourceRow:
        """The row with what the named filters say of the whole video, or nothing of theirs where it would be converted in another way."""
        filters = self._named(video_filters(self.recipe.policy))
        if not filters or self.row.conversion is None:
            return self.row
        if str(self.cutter.equirect.conversion) != self.row.conversion:
            kept = tuple(score for score in self.row.scores if score.filter not in self.stale)
            return self.row.model_copy(update={"scores": kept})
        with self.cutter.clock.of("decode"):
            stored = sample_stored(self.reader, stride(self.reader.fps, self.recipe.clip.fps))
        with self.cutter.clock.of("filters"):
            numbers = measure(samples_of(stored, self.cutter.equirect.conversion, SIZE), filters)
        return self.row.model_copy(update={"scores": _merged(self.row.scores, numbers)})

    def _measured_clip(self, clip: ClipRow) -> ClipRow:
        filters = self._named(clip_filters())
        if not filters:
            return clip
        frames = self._frames(clip)
        with self.cutter.clock.of("filters"):
            numbers = measure(sample_clip(frames, float(self.cutter.rate)), filters)
        return clip.model_copy(update={"scores": _merged(clip.scores, numbers)})

    def _named(self, filters: Sequence[Filter]) -> list[Filter]:
        named = [one for one in filters if one.name in self.stale]
        self.scored += [one.name for one in named if one.name not in self.scored]
        return named

    def _outdated(self, kept: Sequence[ClipRow]) -> bool:
        """Whether networks must measure these clips: they never did, or by another version or other weights than the recipe's."""
        networks = set(self.row.networks or ())
        return (
            bool(self.stale & set(self.recipe.learned))
            or not networks.issuperset(self.recipe.learned.values())
            or not all(map(_learned, kept))
        )

    def _made(self, clip: ClipRow, *, samples: bool) -> CuratedClip:
        """With its file and signature where it has no place, and with samples."""
        frames = self._frames(clip)
        if samples:
            self.cutter.save_samples(
                sample_clip(frames, float(self.cutter.rate)), frames, clip.start_ms, clip.end_ms
            )
        made = self._clip(clip)
        if clip.shard is not None:
            return made
        return replace(
            made,
            signature=self.cutter.sign(frames),
            video=self.cutter.write(frames, clip.start_ms, clip.end_ms),
        )

    def _frames(self, clip: ClipRow) -> NDArray[np.uint8]:
        """Of a stored span, [T, H, W, 3]. Raises MissingScores where no frame begins where it begins."""
        kept = np.arange(0, len(self.reader), stride(self.reader.fps, self.recipe.clip.fps))
        times = self.reader.timestamps
        starts = np.rint((times[kept] - times[0]) * 1000)
        first = np.flatnonzero(starts == clip.start_ms)[:1].tolist()
        if not first or first[0] + clip.frames > len(kept):
            raise MissingScores(f"{clip.clip_id} is no span of this file")
        return self.cutter.frames(kept[first[0] : first[0] + clip.frames])

    def _video(
        self, source: VideoSource, row: SourceRow, made: Mapping[str, CuratedClip] | None = None
    ) -> CuratedVideo:
        return CuratedVideo(
            source=source,
            decision=row.decision,
            reason=row.reason,
            detail=row.detail or "",
            layout_declared=row.layout_declared,
            layout=row.layout or Layout.UNKNOWN,
            scores=tuple(map(_score, row.scores)),
            clips=tuple((made or {}).get(clip.clip_id) or self._clip(clip) for clip in row.clips),
            media=self.reader.info,
            thumbnail=THUMBNAIL if row.thumbnail else None,
            conversion=row.conversion,
            scored=tuple(self.scored),
            networks=row.networks or (),
            seconds=self.cutter.clock.seconds,
        )

    def _clip(self, clip: ClipRow) -> CuratedClip:
        place = (
            None
            if clip.shard is None or clip.row is None or clip.checksum is None
            else Place(clip.shard, clip.row, clip.checksum)
        )
        return CuratedClip(
            clip_id=clip.clip_id,
            start_ms=clip.start_ms,
            end_ms=clip.end_ms,
            frames=clip.frames,
            height=self.recipe.clip.height,
            width=2 * self.recipe.clip.height,
            fps=self.cutter.rate,
            decision=clip.decision,
            reason=clip.reason,
            quality=clip.quality or 0.0,
            scores=tuple(_score(score) for score in clip.scores if score.filter != "duplicate"),
            video=None,
            signature=clip.signature,
            high_quality=clip.high_quality,
            place=place,
        )


def _merged(scores: Sequence[ScoreRow], numbers: Numbers) -> tuple[ScoreRow, ...]:
    """With other numbers of some filters."""
    others = (score for score in scores if score.filter not in numbers)
    return (
        *others,
        *(
            ScoreRow(filter=name, name=score, value=value)
            for name, own in numbers.items()
            for score, value in own.items()
        ),
    )


def _score(row: ScoreRow) -> Score:
    return Score(row.filter, row.name, row.value, row.threshold, row.kept)


def _uncut(row: SourceRow) -> SourceRow:
    """Without its clips, of which some numbers do not count any more."""
    return row.model_copy(
        update={
            "clips": (),
            "scores": tuple(score for score in row.scores if score.filter != "shots"),
        }
    )


def _without_networks(recipe: Recipe) -> Recipe:
    return replace(
        recipe, learned={}, policy=recipe.policy.model_copy(update={"learned": LearnedThresholds()})
    )


def _learned(clip: ClipRow) -> bool:
    """Whether networks measured it."""
    return any(
        score.filter not in own_filters() and score.value is not None for score in clip.scores
    )


def _without_learned(clip: ClipRow) -> ClipRow:
    return clip.model_copy(
        update={"scores": tuple(score for score in clip.scores if score.filter in own_filters())}
    )
