"""A refresh: `python -m ray_jobs.curate --config FILE`. Catalogue in, committed waves and one snapshot out.

What the dataset knows already costs nothing; what another recipe decided is decided again from stored scores as far as they go; the rest goes
through the pipeline. A wave is a fixed slice of the catalogue; when its videos are all decided it is committed in the catalogue's order, whatever
finished first. So a refresh that was killed, and is run again, ends with what an undisturbed one ends with.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from argus.curate import VideoSource, read_catalogue
from argus.curate.dedup.resolve import DuplicateResolver
from argus.curate.download.proxies import read_secrets
from argus.curate.plan import RefreshPlan, plan_refresh
from argus.curate.recipe import Recipe, WorkKind, store_recipe
from argus.curate.recompute import PriorResult
from argus.curate.results import Provenance, reevaluate_now
from argus.curate.staging import (
    StagedGone,
    clear_staged,
    clear_work,
    discard_staged,
    place_thumbnail,
    staged_name,
)
from argus.dataset import Commit, Dataset, DecidedVideo, SourceRow
from argus.errors import ServiceError
from argus.runs import RunFolder
from ray_jobs.entry import run_job, start_ray
from schemas.config import CurateConfig, LearnedThresholds
from schemas.names import Decision, JobKind, Outcome
from schemas.records import JobResult

if TYPE_CHECKING:
    from ray_jobs.curate.executor import WorkItem
    from ray_jobs.curate.scorer_pool import Scoring

COMMIT_ATTEMPTS = 5
DECIDED_AT_ONCE = (
    1024  # videos that are decided again in one commit, and of which rows are in memory
)


@dataclass
class Tally:
    """What a refresh has met so far."""

    considered: int
    known: int
    clips: int = 0
    redecided: int = 0  # from stored scores alone
    decisions: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)  # "dropped.seam", "failed.not_found"
    scored: Counter[str] = field(default_factory=Counter)  # by filter, the videos that it measured

    def add(self, row: SourceRow) -> None:
        self.decisions[row.decision] += 1
        self.clips += len(row.kept_clips)
        self.scored.update(row.scored or ())
        if row.reason:
            self.reasons[f"{row.decision}.{row.reason}"] += 1

    def amend(self, before: SourceRow, after: SourceRow) -> None:
        """Counts a row as it is committed in place of how it was decided."""
        self.decisions.subtract({before.decision: 1})
        self.decisions.update({after.decision: 1})
        self.clips += len(after.kept_clips) - len(before.kept_clips)
        self.reasons.subtract({f"{before.decision}.{before.reason}": 1} if before.reason else {})
        self.reasons.update({f"{after.decision}.{after.reason}": 1} if after.reason else {})

    @property
    def done(self) -> int:
        return sum(self.decisions.values())

    def metrics(self) -> dict[str, float]:
        """Flat, for the result: counts by name; `scored.FILTER` are the videos that a filter measured."""
        counts = {
            "considered": self.considered,
            "known": self.known,
            "clips": self.clips,
            "redecided": self.redecided,
        }
        decisions = {str(decision): self.decisions[decision] for decision in Decision}
        scored = {f"scored.{name}": count for name, count in self.scored.items()}
        return {
            name: float(value)
            for name, value in {**counts, **decisions, **+self.reasons, **scored}.items()
        }

    def __str__(self) -> str:
        most = ", ".join(
            f"{name.partition('.')[2]} {count}" for name, count in (+self.reasons).most_common(3)
        )
        return ", ".join(f"{self.decisions[decision]} {decision}" for decision in Decision) + (
            f" ({most})" if most else ""
        )


def run(config: CurateConfig, folder: RunFolder) -> JobResult:
    """Refreshes a dataset from a catalogue. Raises InvalidInput for a catalogue that cannot be read, or a policy whose scorers cannot run."""
    refresh = Refresh(config, folder, _learned(config))
    workers = refresh.run()
    snapshot = refresh.dataset.publish()
    tally, stamp = refresh.tally, refresh.stamp
    cancelled = folder.is_stop_requested and bool(refresh.plan.work)
    outcome = (
        Outcome.CANCELLED if cancelled else Outcome.DONE if refresh.committed else Outcome.NOTHING
    )
    reason = f"stopped after {tally}" if cancelled else ""
    outputs = {
        "dataset": refresh.dataset.store.uri,
        "run_id": stamp.run_id,
        "recipe": stamp.recipe,
        "snapshot": snapshot.version if snapshot else None,
        "digest": snapshot.digest if snapshot else None,
    }
    learned = {"learned": refresh.scoring.report()} if refresh.scoring else {}
    metrics = tally.metrics() | ({"workers": float(workers)} if workers else {})
    if refresh.committed:
        from argus.report.refresh import write_refresh_report

        page = folder.path / "report.html"
        write_refresh_report(refresh.dataset, stamp.run_id, metrics, page)
        outputs["report"] = str(page)
    return folder.finish(outcome, reason, {**outputs, **learned}, metrics)


class Refresh:
    """One refresh: its plan, and how far it is."""

    def __init__(self, config: CurateConfig, folder: RunFolder, scoring: "Scoring | None") -> None:
        self.config, self.folder, self.scoring = config, folder, scoring
        self.recipe = Recipe.of(config)
        read_secrets(
            config.fetch
        )  # a file that cannot be read is found here rather than by every video
        self.dataset = Dataset(config.dataset)
        self.stamp = Provenance(
            recipe=self.recipe.digest, run_id=folder.run_id, code_version=version("argus-360")
        )
        self.plan = plan_refresh(read_catalogue(Path(config.catalogue)), self.dataset, self.recipe)
        self.tally = Tally(considered=len(self.plan.sources), known=self.plan.known)
        self.committed = 0
        self._pending = len(self.plan.work)

    def run(self) -> int:
        """Does what is to be done, until all is or a stop is requested; returns how many videos were judged at once, 0 where none was."""
        self.folder.progress(0, self._pending, "video", str(self.plan))
        known = [
            source.source_id
            for source in self.plan.sources
            if source.source_id not in self.plan.work
        ]
        clear_work(self.config, known)
        clear_staged(self.dataset.store, self.stamp.recipe, known)
        if not self.plan.work:
            return 0
        store_recipe(self.dataset.store, self.recipe)
        settler = DuplicateResolver(self.dataset, self.plan.work, self.config.policy.duplicates)
        if any(work.kind is not WorkKind.EVERYTHING for work in self.plan.work.values()):
            self._decide_again(settler)
            self.plan = plan_refresh(
                self.plan.sources, self.dataset, self.recipe
            )  # what is left needs its video
        if not self.plan.work or self.folder.is_stop_requested:
            return 0
        return self._judge(settler)

    def _decide_again(self, settler: DuplicateResolver) -> None:
        """What stored scores suffice for."""
        kinds = {source_id: work.kind for source_id, work in self.plan.work.items()}
        familiar = [
            source
            for source in self.plan.sources
            if kinds.get(source.source_id, WorkKind.EVERYTHING) is not WorkKind.EVERYTHING
        ]
        for start in range(0, len(familiar), DECIDED_AT_ONCE):
            part = familiar[start : start + DECIDED_AT_ONCE]
            rows = self.dataset.rows([source.source_id for source in part])
            stored = [
                PriorResult(rows[source.source_id], self.plan.work[source.source_id].filters)
                for source in part
            ]
            decided = (
                reevaluate_now(one, source, self.recipe, self.stamp)
                for one, source in zip(stored, part, strict=True)
            )
            wave = [DecidedVideo(row) for row in decided if row]
            for row in self._commit(wave, settler):
                self.tally.add(row)
                self.tally.redecided += 1
            self.folder.progress(self.tally.done, self._pending, "video", str(self.tally))
            if self.folder.is_stop_requested:
                return

    def _judge(self, settler: DuplicateResolver) -> int:
        from ray_jobs.curate.executor import Pipeline
        from ray_jobs.curate.rate_limiter import ClusterRateLimiter

        start_ray()
        scoring = self.scoring and self.scoring.started(self.config.learned)
        pipeline = Pipeline(
            self.config, self.stamp, ClusterRateLimiter.started(), self._settled, scoring
        )
        for wave in pipeline.decided_waves(
            self._waves(), self._decided, lambda: self.folder.is_stop_requested
        ):
            committed = {row.source_id: row for row in self._commit(wave, settler)}
            for video in wave:
                self.tally.amend(video.row, committed.get(video.row.source_id, video.row))
        if not self.folder.is_stop_requested:
            clear_work(self.config, self.plan.work)
        return pipeline.judges

    def _waves(self) -> Iterator[list["WorkItem"]]:
        """Fixed slices of the catalogue, each without what is settled, and with what is stored; empty ones are left out."""
        from ray_jobs.curate.executor import WorkItem

        waves = iter(pending_waves(self.plan, self.config.chunk_size))
        while part := list(islice(waves, max(1, DECIDED_AT_ONCE // self.config.chunk_size))):
            familiar = {
                source.source_id
                for wave in part
                for source in wave
                if self.plan.work[source.source_id].kind is not WorkKind.EVERYTHING
            }
            rows = self.dataset.rows(familiar) if familiar else {}
            stored = {
                source_id: PriorResult(row, self.plan.work[source_id].filters)
                for source_id, row in rows.items()
            }
            yield from (
                [WorkItem(source, stored.get(source.source_id)) for source in wave] for wave in part
            )

    def _settled(self, source_ids: Collection[str]) -> set[str]:
        return self.dataset.settled(self.recipe.digest, source_ids)

    def _decided(self, row: SourceRow) -> None:
        self.tally.add(row)
        self.folder.progress(self.tally.done, self._pending, "video", str(self.tally))

    def _commit(
        self, wave: Sequence[DecidedVideo], settler: DuplicateResolver
    ) -> tuple[SourceRow, ...]:
        """Commits a wave and clears its staging; returns the rows that count now."""
        store, recipe = self.dataset.store, self.stamp.recipe
        for video in wave:
            place_thumbnail(store, staged_name(video.row.source_id, recipe), video.row)
        commit = self._committed(wave, settler) if wave else None
        discard_staged(store, recipe, (video.row.source_id for video in wave))
        self.committed += commit.sources if commit else 0
        return commit.rows if commit else ()

    def _committed(self, wave: Sequence[DecidedVideo], settler: DuplicateResolver) -> Commit | None:
        """Begins anew where another refresh has committed, and so discarded, what was staged: the next look finds it settled."""
        for _attempt in range(COMMIT_ATTEMPTS):
            try:
                return self.dataset.commit_chunk(wave, settler.settle)
            except StagedGone as error:
                gone = error
        raise ServiceError(
            f"the staged result {gone} is gone, but was committed by nobody; run the same refresh again"
        )


def pending_waves(plan: RefreshPlan, size: int) -> list[list[VideoSource]]:
    """Fixed slices of `size` sources of the catalogue, each without what is settled; empty ones are left out."""
    slices = (plan.sources[start : start + size] for start in range(0, len(plan.sources), size))
    waves = ([source for source in part if source.source_id in plan.work] for part in slices)
    return [wave for wave in waves if wave]


def _learned(config: CurateConfig) -> "Scoring | None":
    """The learned scorers, imported only where the configuration speaks of them."""
    if not config.learned.scorers and config.policy.learned == LearnedThresholds():
        return None
    from ray_jobs.curate.scorer_pool import plan

    return plan(config)


if __name__ == "__main__":
    run_job(JobKind.CURATE, CurateConfig, run)
