"""Learned scorers of one curation run: which can run, and the pool that measures kept clips."""

import threading
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from argus.curate.filters import ScorerFailed, ScoreTable
from argus.curate.scorers.base import (
    find_scorers,
    load_scorers,
    score_clip,
    scorer_class,
    scorer_key,
    weights_folder,
)
from argus.curate.scorers.clip_samples import ClipSamples, clip_samples_filename
from argus.curate.scorers.thresholds import (
    apply_learned_thresholds,
    check_thresholds,
    mark_scorer_failed,
)
from argus.dataset import CuratedClip, CuratedVideo
from schemas.config import CurateConfig, LearnedSettings, LearnedThresholds
from schemas.names import Decision


@dataclass(frozen=True)
class ScorerPlan:
    """The learned scorers of one run: those that can run, and what the others lack."""

    ready: tuple[str, ...]
    missing: Mapping[str, str]  # name -> what the scorer lacks
    keys: tuple[str, ...]  # `scorer_key` of each ready scorer
    weights: Path
    thresholds: LearnedThresholds
    settings: LearnedSettings

    def report(self) -> dict[str, str]:
        """Return one sentence per requested scorer, for the result of the run."""
        measured = {name: f"measured, version {scorer_class(name).version}" for name in self.ready}
        return measured | {name: f"not measured: {lack}" for name, lack in self.missing.items()}


def plan_scorers(config: CurateConfig) -> ScorerPlan | None:
    """Find out which learned scorers of a configuration can run, without loading any.

    Returns:
        The plan, or None if the configuration names no scorer.

    Raises:
        InvalidInput: a name is unknown, or a threshold is set for a scorer that cannot run.
    """
    names = tuple(dict.fromkeys(config.learned.scorers))
    weights = weights_folder(config.learned, config.home)
    ready, missing = find_scorers(names, weights)
    check_thresholds(config.filters.learned, names, missing)
    if not names:
        return None
    keys = tuple(scorer_key(name, weights) for name in ready)
    return ScorerPlan(ready, missing, keys, weights, config.filters.learned, config.learned)


class ScorerPool(ABC):
    """Loaded scorers, shared by all processing tasks of a run.

    A subclass says where the networks are held: in this process, or in processes of a cluster.
    """

    def __init__(self, plan: ScorerPlan) -> None:
        self.plan = plan

    @property
    def needs_samples(self) -> bool:
        """True if at least one scorer is loaded, so that clip samples must be written."""
        return bool(self.plan.ready)

    @abstractmethod
    def measure_batches(self, batches: Iterator[list[ClipSamples]], seed: int) -> list[ScoreTable]:
        """Measure batches of clips.

        Args:
            batches: lazily read from disk; at most two should be held at once.
            seed: a number that spreads videos over the pool's processes.

        Returns:
            The scores of each clip, in order.

        Raises:
            ScorerFailed: a scorer raised, or returned a non-finite score.
        """

    def score_video(self, video: CuratedVideo, folder: Path) -> CuratedVideo:
        """Measure a video's kept clips and apply the learned thresholds.

        A scorer that fails leaves the video undecided. A video whose scores are from these networks
        already was decided by them (`argus.curate.recompute`) and is returned unchanged.

        Args:
            video: the processed video.
            folder: holds the samples of its kept clips; each file is deleted after it was read.
        """
        if video.networks:
            return video
        kept = [clip for clip in video.clips if clip.decision is Decision.KEPT]
        try:
            measured = self._measure_clips(kept, folder, zlib.crc32(video.source_id.encode()))
        except ScorerFailed as error:
            return mark_scorer_failed(video, str(error))
        plan = self.plan
        filters = (*video.measured_filters, *(plan.ready if measured else ()))
        decided = apply_learned_thresholds(video, measured, plan.missing, plan.thresholds)
        return replace(decided, networks=plan.keys, measured_filters=filters)

    def _measure_clips(
        self, clips: Sequence[CuratedClip], folder: Path, seed: int
    ) -> dict[str, ScoreTable]:
        if not self.needs_samples:
            return {}
        batches = _read_batches(clips, folder, self.plan.settings.batch_clips)
        measured = self.measure_batches(batches, seed)
        return {clip.clip_id: scores for clip, scores in zip(clips, measured, strict=True)}


class LocalScorerPool(ScorerPool):
    """Scorers that are loaded once in this process and measure one batch at a time."""

    def __init__(self, plan: ScorerPlan) -> None:
        """Load the networks.

        Raises:
            InvalidInput: weights do not fit a network.
        """
        super().__init__(plan)
        self._lock = threading.Lock()
        self._scorers = load_scorers(plan.ready, plan.weights, _device(plan), keys=plan.keys)

    def measure_batches(
        self,
        batches: Iterator[list[ClipSamples]],
        seed: int,  # noqa: ARG002  there is one process
    ) -> list[ScoreTable]:
        """Measure batches of clips in the calling thread."""
        found: list[ScoreTable] = []
        for batch in batches:
            with self._lock:
                found += [score_clip(clip, self._scorers) for clip in batch]
        return found


def _device(plan: ScorerPlan) -> str:
    import torch

    return "cuda" if plan.settings.gpu_share > 0 and torch.cuda.is_available() else "cpu"


def _read_batches(
    clips: Sequence[CuratedClip], folder: Path, size: int
) -> Iterator[list[ClipSamples]]:
    """Yield the samples of `size` clips at a time; delete each file after it was read."""
    for first in range(0, len(clips), size):
        paths = [
            folder / clip_samples_filename(clip.start_ms, clip.end_ms)
            for clip in clips[first : first + size]
        ]
        try:
            yield [ClipSamples.load(path) for path in paths]
        except ValueError as error:
            raise ScorerFailed(str(error)) from error
        for path in paths:
            path.unlink()
