"""The learned stage of curation on Ray: processes that hold the networks once, on shares of GPUs where there are some, and score batches of clips.

`plan` looks, before anything is started, at what can run; `Scoring.started` starts the processes; a curation task calls `Scoring.judge` with the
samples that its decoding process left in files. Nothing of this is used while no learned scorer is asked for.
"""

import os
import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from argus.curate import CuratedClip, CuratedVideo, ScorerFailed
from argus.curate.scorers import (
    ClipSamples,
    Measured,
    available,
    judged,
    load_scorers,
    measure,
    require,
    samples_name,
    scorer_class,
    scorer_key,
    unjudged,
    weights_folder,
)
from argus.errors import InvalidInput
from schemas.config import CurateConfig, LearnedSettings, LearnedThresholds
from schemas.names import Decision

IN_FLIGHT = 2  # batches of one video that are with the networks at once: one is scored, one waits
MAX_RESTARTS = 3  # of a process that died


@dataclass(frozen=True)
class Scoring:
    """The learned scorers of one refresh, ready for its tasks."""

    ready: tuple[str, ...]
    missing: Mapping[str, str]  # name → what it lacks, in words
    weights: Path
    thresholds: LearnedThresholds
    batch_clips: int
    keys: tuple[str, ...]  # of what is ready: `scorer_key`
    processes: tuple[Any, ...] = field(default=(), repr=False)  # Ray actors

    def report(self) -> dict[str, str]:
        """Each scorer that was asked for, in words, for the result of the refresh."""
        measured = {name: f"measured, version {scorer_class(name).version}" for name in self.ready}
        return {
            **measured,
            **{name: f"not measured: {lack}" for name, lack in self.missing.items()},
        }

    def started(self, settings: LearnedSettings) -> "Scoring":
        """With its processes started and their networks loaded; needs a running Ray.

        Raises InvalidInput where weights do not fit, or where more processes are asked for than the GPUs hold.
        """
        import ray

        if not self.ready:
            return self
        gpus = int(ray.cluster_resources().get("GPU", 0))
        share = settings.gpu_share if gpus else 0.0
        fitting = gpus * int(1 / share) if share else 1
        if share and settings.processes > fitting:
            raise InvalidInput(
                f"learned.processes is {settings.processes}, but {gpus} GPUs hold {fitting} with a share of {share:g} each"
            )
        actor = ray.remote(
            num_cpus=0, num_gpus=share, max_restarts=MAX_RESTARTS, max_task_retries=MAX_RESTARTS
        )(ScoringProcess)
        device = "cuda" if share else "cpu"
        processes = tuple(
            actor.remote(self.ready, self.weights, device)
            for _ in range(settings.processes or fitting)
        )
        try:
            ray.get([process.load.remote() for process in processes])
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error
        return replace(self, processes=processes)

    def judge(self, video: CuratedVideo, folder: Path) -> CuratedVideo:
        """The video with its kept clips measured and decided; `folder` holds their samples. A scorer that fails leaves it unjudged.

        One whose numbers are those of networks already was decided by them (`argus.curate.recompute`).
        """
        import ray

        if video.networks:
            return video
        kept = [clip for clip in video.clips if clip.decision is Decision.KEPT]
        try:
            measured = self._measure(kept, folder, zlib.crc32(video.source.source_id.encode()))
        except ray.exceptions.RayTaskError as error:
            return unjudged(video, str(error.cause))
        except (ScorerFailed, ray.exceptions.RayError) as error:
            return unjudged(
                video, f"the learned scorers failed, so the video is not judged: {error}"
            )
        scored = (*video.scored, *(self.ready if measured else ()))
        return replace(
            judged(video, measured, self.missing, self.thresholds),
            networks=self.keys,
            scored=scored,
        )

    def _measure(
        self, clips: Sequence[CuratedClip], folder: Path, turn: int
    ) -> dict[str, Measured]:
        """By clip id. Batches go round the processes, beginning with another one for each video."""
        import ray

        if not self.processes:
            return {}
        found: list[Measured] = []
        running: deque[Any] = deque()
        start = turn % len(self.processes)
        turns = islice(cycle(self.processes), start, None)
        for batch in self._batches(clips, folder):
            running.append(next(turns).score.remote(batch))
            if len(running) == IN_FLIGHT:
                found += ray.get(running.popleft())
        for reference in running:
            found += ray.get(reference)
        return {clip.clip_id: numbers for clip, numbers in zip(clips, found, strict=True)}

    def _batches(self, clips: Sequence[CuratedClip], folder: Path) -> Iterator[list[ClipSamples]]:
        """Read when they are needed, and deleted when they are read."""
        for first in range(0, len(clips), self.batch_clips):
            paths = [
                folder / samples_name(clip.start_ms, clip.end_ms)
                for clip in clips[first : first + self.batch_clips]
            ]
            try:
                yield [ClipSamples.load(path) for path in paths]
            except ValueError as error:
                raise ScorerFailed(str(error)) from error
            for path in paths:
                path.unlink()


class ScoringProcess:
    """The body of a Ray actor: loads the networks when they are first needed, in a process that Ray started again too."""

    def __init__(self, names: Sequence[str], weights: Path, device: str) -> None:
        self.names = names
        self.weights = weights
        self.device = device
        self.scorers: Any = None

    def load(self) -> None:
        """Raises InvalidInput where weights do not fit, or there is no GPU where there should be one."""
        import torch

        if self.device == "cpu":
            torch.set_num_threads(
                os.cpu_count() or 1
            )  # Ray sets one: the tasks that decode are waiting for this
        elif not torch.cuda.is_available():
            raise InvalidInput(
                "Ray has a GPU but torch sees none; install torch for CUDA, or set learned.gpu_share to 0"
            )
        self.scorers = load_scorers(self.names, self.weights, self.device)

    def score(self, clips: Sequence[ClipSamples]) -> list[Measured]:
        """The numbers of each clip. Raises ScorerFailed."""
        if self.scorers is None:
            self.load()
        return [measure(clip, self.scorers) for clip in clips]


def plan(config: CurateConfig) -> Scoring | None:
    """What a refresh can measure, or None where it asks for nothing. Raises InvalidInput for unknown names and thresholds without their scorer."""
    names = tuple(dict.fromkeys(config.learned.scorers))
    weights = weights_folder(config.learned, config.home)
    ready, missing = available(names, weights)
    require(config.policy.learned, names, missing)
    keys = tuple(scorer_key(name, weights) for name in ready)
    return (
        Scoring(ready, missing, weights, config.policy.learned, config.learned.batch_clips, keys)
        if names
        else None
    )
