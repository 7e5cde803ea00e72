"""A refresh: `python -m ray_jobs.curate --config FILE`. Catalogue in, committed waves out.

A wave is a fixed slice of the catalogue. Each video that is not settled under the recipe is one Ray task, at most
`in_flight` at once; a wave whose videos are all decided is committed in the catalogue's order, whatever finished first.
"""

import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argus.curate import Recipe, VideoSource, read_catalogue, store_recipe
from argus.curate.waves import DuplicateSettler
from argus.runs import RunFolder
from argus.shards import Dataset, DecidedVideo, SourceRow
from ray_jobs.entry import run_job, start_ray
from ray_jobs.staging import Stamp, discard_staged, failed_row, place_thumbnail, read_staged, stage_video, staged_folder
from schemas.config import CurateConfig, LearnedThresholds
from schemas.names import Decision, JobKind, Outcome, Reason
from schemas.records import JobResult

if TYPE_CHECKING:
    from ray_jobs.scoring import Scoring

MAX_RETRIES = 2  # of a task whose worker process died
POLL_S = 0.5  # how soon a stop marker is seen


@dataclass
class Tally:
    """What a refresh has met so far."""

    considered: int
    known: int
    clips: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)  # "dropped.seam", "failed.not_found"

    def add(self, row: SourceRow) -> None:
        self.decisions[row.decision] += 1
        self.clips += len(row.kept_clips)
        if row.reason:
            self.reasons[f"{row.decision}.{row.reason}"] += 1

    def amend(self, before: SourceRow, after: SourceRow) -> None:
        """Counts a row as it is committed in place of how it was decided."""
        self.decisions[before.decision] -= 1
        self.clips -= len(before.kept_clips)
        if before.reason:
            self.reasons[f"{before.decision}.{before.reason}"] -= 1
        self.add(after)

    def metrics(self) -> dict[str, float]:
        counts = {"considered": self.considered, "known": self.known, "clips": self.clips}
        decisions = {str(decision): self.decisions[decision] for decision in Decision}
        return {name: float(value) for name, value in {**counts, **decisions, **self.reasons}.items()}

    def __str__(self) -> str:
        return ", ".join(f"{self.decisions[decision]} {decision}" for decision in Decision)


def run(config: CurateConfig, folder: RunFolder) -> JobResult:
    """Refreshes a dataset from a catalogue. Raises InvalidInput for a catalogue that cannot be read, or a policy whose scorers cannot run."""
    scoring = _learned(config)
    sources = read_catalogue(Path(config.catalogue))
    dataset = Dataset(config.dataset)
    recipe = Recipe.of(config)
    stamp = Stamp(recipe=recipe.digest, run_id=folder.run_id, code_version=version("argus-360"))
    settled = {source_id for source_id, done in dataset.decided(stamp.recipe).items() if done}
    discard_staged(dataset.folder, stamp.recipe, settled)  # left by a kill between commit and clean-up
    waves = pending_waves(sources, settled, config.wave_size)
    pending = sum(map(len, waves))
    tally = Tally(considered=len(sources), known=len(sources) - pending)
    committed = 0

    def decided(row: SourceRow) -> None:
        tally.add(row)
        folder.progress(sum(tally.decisions.values()), pending, "video", str(tally))

    folder.progress(0, pending, "video", f"{tally.known} of {tally.considered} videos are known")
    if pending:
        store_recipe(dataset.folder, recipe)
        start_ray()
        scoring = scoring and scoring.started(config.learned)
        settler = DuplicateSettler(dataset, {source.source_id for wave in waves for source in wave}, config.policy.duplicates)
        for wave in decided_waves(waves, config, stamp, decided, lambda: folder.stop_requested, scoring):
            settled_wave = settler.settle(wave)
            for before, after in zip(wave, settled_wave, strict=True):
                tally.amend(before.row, after.row)
            committed += commit(dataset, settled_wave, stamp)
    cancelled = folder.stop_requested and sum(tally.decisions.values()) < pending
    outcome = Outcome.CANCELLED if cancelled else Outcome.DONE if committed else Outcome.NOTHING
    reason = f"stopped after {tally}" if cancelled else ""
    learned = {"learned": scoring.report()} if scoring else {}
    return folder.finish(outcome, reason, {**_outputs(dataset, stamp), **learned}, tally.metrics())


def pending_waves(sources: Sequence[VideoSource], settled: set[str], size: int) -> list[list[VideoSource]]:
    """Fixed slices of `size` sources of the catalogue, each without what is settled; empty ones are left out."""
    slices = (sources[start : start + size] for start in range(0, len(sources), size))
    waves = ([source for source in part if source.source_id not in settled] for part in slices)
    return [wave for wave in waves if wave]


def decided_waves(
    waves: Sequence[Sequence[VideoSource]],
    config: CurateConfig,
    stamp: Stamp,
    decided: Callable[[SourceRow], None],
    stopped: Callable[[], bool],
    scoring: "Scoring | None" = None,
) -> Iterator[list[DecidedVideo]]:
    """Works on the waves with Ray and yields each when all its videos are decided, in order; ends early when stopped.

    While the last videos of a wave run, those of the next one are begun, never those of a later one.
    """
    import ray

    task = ray.remote(num_cpus=1, max_retries=MAX_RETRIES)(stage)
    limit = config.in_flight or max(1, int(ray.cluster_resources().get("CPU", 1)))
    queue = deque((number, source) for number, wave in enumerate(waves) for source in wave)
    running: dict[Any, VideoSource] = {}
    done: dict[str, DecidedVideo] = {}
    current = 0
    while current < len(waves) and not stopped():
        while queue and len(running) < limit and queue[0][0] <= current + 1:
            source = queue.popleft()[1]
            running[task.remote(source, config, stamp, scoring)] = source
        for reference in ray.wait(list(running), timeout=POLL_S)[0]:
            source = running.pop(reference)
            done[source.source_id] = _outcome(reference, source, stamp)
            decided(done[source.source_id].row)
        while current < len(waves) and all(source.source_id in done for source in waves[current]):
            yield [done.pop(source.source_id) for source in waves[current]]
            current += 1
    for reference in running:
        ray.cancel(reference, force=True)


def stage(source: VideoSource, config: CurateConfig, stamp: Stamp, scoring: "Scoring | None" = None) -> str:
    """The task: only the path of the staged folder goes through the object store."""
    return str(stage_video(source, config, stamp, scoring))


def commit(dataset: Dataset, wave: Sequence[DecidedVideo], stamp: Stamp) -> int:
    """Commits a wave and clears its staging; returns how many sources were newly decided."""
    for video in wave:
        place_thumbnail(staged_folder(dataset.folder, video.row.source_id, stamp.recipe), dataset.folder, video.row)
    commit = dataset.commit_wave(wave)
    discard_staged(dataset.folder, stamp.recipe, (video.row.source_id for video in wave))
    return commit.sources if commit else 0


def _outcome(reference: Any, source: VideoSource, stamp: Stamp) -> DecidedVideo:
    """The staged result, or a failure that a later refresh tries again where the task raised or its worker died."""
    import ray

    try:
        return read_staged(Path(ray.get(reference)))
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None)
        detail = f"{type(cause).__name__}: {cause}" if cause else f"the worker process died {1 + MAX_RETRIES} times"
        print(f"{source.source_id}: {error}", file=sys.stderr, flush=True)  # noqa: T201  the job's log
        return DecidedVideo(failed_row(source, stamp, Reason.WORKER_DIED, detail, retryable=True))


def _learned(config: CurateConfig) -> "Scoring | None":
    """The learned scorers, imported only where the configuration speaks of them."""
    if not config.learned.scorers and config.policy.learned == LearnedThresholds():
        return None
    from ray_jobs.scoring import plan

    return plan(config)


def _outputs(dataset: Dataset, stamp: Stamp) -> dict[str, Any]:
    snapshots = dataset.snapshots()
    newest = {"snapshot": snapshots[-1].version, "digest": snapshots[-1].digest} if snapshots else {"snapshot": None, "digest": None}
    return {"dataset": str(dataset.folder), "run_id": stamp.run_id, "recipe": stamp.recipe, **newest}


if __name__ == "__main__":
    run_job(JobKind.CURATE, CurateConfig, run)
