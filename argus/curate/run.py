"""A curation run: catalogue in, committed chunks out.

Videos that the dataset knows cost nothing; those decided under another recipe are decided again
from stored scores as far as these suffice; the rest is fetched and processed by an executor. A
chunk is a fixed slice of the catalogue, committed in the catalogue's order when all its videos are
decided. So a run that was killed, and is repeated, ends with the dataset of an undisturbed one.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from argus.curate.dedup.resolve import DuplicateResolver
from argus.curate.download import find_runtime_fault
from argus.curate.executor import Executor
from argus.curate.failures import FAILURE_SETTINGS, AccessSettings
from argus.curate.outcomes import WorkItem
from argus.curate.plan import (
    RefreshPlan,
    RetryRules,
    describe_reasons,
    pending_chunks,
    plan_refresh,
)
from argus.curate.recipe import Recipe, load_recipe, store_recipe
from argus.curate.records import PriorResult, VideoSource
from argus.curate.reevaluate import reevaluate_video
from argus.curate.scheduler import Scheduler
from argus.curate.sources import read_catalogue
from argus.curate.splits import change_splits
from argus.curate.staging import StagedResultGone, StagingArea
from argus.curate.tasks import VideoTasks
from argus.dataset import Commit, Dataset, DecidedVideo, Provenance, SourceRow
from argus.errors import InvalidInput, ServiceError
from argus.runs import RunFolder
from schemas.config import CurateConfig, LearnedThresholds
from schemas.names import Decision, Reason

if TYPE_CHECKING:
    from argus.curate.scorers import ScorerPlan

COMMIT_ATTEMPTS = 5
ROWS_IN_MEMORY = 1024
"""Stored rows that are read at once; also the largest chunk of re-evaluated videos."""


@dataclass
class RunTally:
    """Counts of what a run has decided so far."""

    considered: int
    known: int
    clips: int = 0
    reevaluated: int = 0  # decided from stored scores alone
    resplit: int = 0  # known videos with another split
    retryable: int = 0  # failed videos that the next refresh tries again
    empty_entries: int = 0  # of the catalogue
    known_failures: Mapping[str, int] = field(default_factory=dict)  # by reason
    decisions: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)  # "dropped.seam", "failed.not_found"
    scored: Counter[str] = field(default_factory=Counter)  # videos that each filter measured

    def add(self, row: SourceRow) -> None:
        """Count a decided video."""
        self.decisions[row.decision] += 1
        self.retryable += not row.is_final
        self.clips += len(row.kept_clips)
        self.scored.update(row.measured_filters)
        if row.reason:
            self.reasons[f"{row.decision}.{row.reason}"] += 1

    def replace(self, before: SourceRow, after: SourceRow) -> None:
        """Count a row as it was committed in place of how it was decided."""
        self.decisions.subtract({before.decision: 1})
        self.decisions.update({after.decision: 1})
        self.retryable += before.is_final - after.is_final
        self.clips += len(after.kept_clips) - len(before.kept_clips)
        self.reasons.subtract({f"{before.decision}.{before.reason}": 1} if before.reason else {})
        self.reasons.update({f"{after.decision}.{after.reason}": 1} if after.reason else {})

    @property
    def done(self) -> int:
        """Number of videos decided."""
        return sum(self.decisions.values())

    def metrics(self) -> dict[str, float]:
        """Return all counts by name.

        `scored.FILTER` counts the videos that a filter measured, and `known.REASON` those that
        failed before. Counts of rare things are left out if they are zero.
        """
        counts = {
            "considered": self.considered,
            "known": self.known,
            "clips": self.clips,
            "reevaluated": self.reevaluated,
        }
        decisions = {str(decision): self.decisions[decision] for decision in Decision}
        scored = {f"scored.{name}": count for name, count in self.scored.items()}
        rare = {"resplit": self.resplit, "empty_entries": self.empty_entries}
        rare |= {f"known.{reason}": count for reason, count in self.known_failures.items()}
        every = {**counts, **decisions, **+self.reasons, **+Counter(rare), **scored}
        return {name: float(value) for name, value in every.items()}

    def __str__(self) -> str:
        """Return the count of each decision, with its most frequent reasons, in one line."""
        return ", ".join(self._describe(decision) for decision in Decision)

    def _describe(self, decision: Decision) -> str:
        reasons = {
            name.partition(".")[2]: count
            for name, count in (+self.reasons).most_common()
            if name.partition(".")[0] == decision
        }
        shown = ", ".join(f"{reason} {count}" for reason, count in list(reasons.items())[:2])
        return f"{self.decisions[decision]} {decision}" + (f" ({shown})" if shown else "")


class CurationRun:
    """One refresh of a dataset from a catalogue.

    Args:
        config: configuration of the refresh.
        folder: receives progress, and is asked for the stop marker.
        executor: runs the tasks; started only if a video must be fetched.

    Raises:
        InvalidInput: the catalogue or a file of secrets cannot be read, a threshold is set for a
            learned scorer that cannot run, or all videos must be fetched from YouTube by this
            machine, which has no JavaScript runtime.
    """

    def __init__(self, config: CurateConfig, folder: RunFolder, executor: Executor) -> None:
        self.scorers = _plan_scorers(config)
        self.recipe = Recipe.from_config(config)
        self._access = AccessSettings.read(config.fetch)  # fail here rather than once per video
        self._rules = RetryRules(self._access, config.retry, folder.run_id)
        self.dataset = Dataset(config.dataset)
        self.provenance = Provenance(
            recipe=self.recipe.digest, run_id=folder.run_id, code_version=version("argus-360")
        )
        catalogue = read_catalogue(Path(config.catalogue))
        self.plan = self._plan(catalogue.sources, catalogue.empty_entries)
        self.tally = RunTally(
            considered=len(self.plan.sources),
            known=self.plan.known,
            empty_entries=catalogue.empty_entries,
            known_failures=self.plan.failures,
        )
        self.committed = 0  # videos newly decided in the dataset
        self.max_capacity = 0  # videos that were processed at once; 0 if none was
        self._config, self._folder, self._executor = config, folder, executor
        self._staging = StagingArea.of(config, self.recipe.digest)
        self._pending = len(self.plan.work)
        self._check_runtime()

    @property
    def is_stopped(self) -> bool:
        """True if the run was asked to stop before all its work was done."""
        return self._folder.is_stop_requested and bool(self.plan.work)

    @property
    def has_only_failures(self) -> bool:
        """True if every video that was tried failed.

        Failures of earlier refreshes that repeat do not count, if the catalogue has other videos.
        """
        tally = self.tally
        failed = tally.decisions[Decision.FAILED]
        return 0 < failed == tally.done and bool(self.committed or not tally.known)

    def describe_failure(self) -> str:
        """Return how many videos failed, why, and what makes a refresh try them again."""
        failures = {
            name.partition(".")[2]: count
            for name, count in (+self.tally.reasons).items()
            if name.startswith(f"{Decision.FAILED}.")
        }
        failed = f"no video could be fetched: {describe_reasons(failures)}"
        if self.tally.retryable == self.tally.done:
            return f"{failed}; all may pass, so the same refresh tries again"
        settings = {
            f"fetch.{name}"
            for reason in failures
            for name in FAILURE_SETTINGS.get(Reason(reason), ())
        }
        mend = f", or change {' or '.join(sorted(settings))}" if settings else ""
        again = " ".join(f"--retry {reason}" for reason in failures)
        return (
            f"{failed}; `argus dataset why VIDEO` says more; once the cause is gone, "
            f"add `{again}`{mend}"
        )

    def run(self) -> None:
        """Work until every video is decided and committed, or a stop is requested.

        Raises:
            ServiceError: a disk is full or the executor failed; a repeated run continues.
        """
        self._folder.progress(0, self._pending, "video", str(self.plan))
        for count in change_splits(self.dataset, self.plan.splits, self.provenance.run_id):
            self.tally.resplit += count
            self.committed += count
        known = self.plan.known_ids
        self._staging.clear_work(known)
        self._staging.discard_committed(known)
        if not self.plan.work:
            return
        store_recipe(self.dataset.store, self.recipe)
        resolver = DuplicateResolver(
            self.dataset,
            self.plan.work,
            self._config.filters.duplicates,
            self._config.home,
            self._report_indexing,
        )
        if any(map(self.plan.has_prior, self.plan.work)):
            self._reevaluate(resolver)
            # The videos that are left must be fetched.
            self.plan = self._plan(self.plan.sources)
        if self.plan.work and not self._folder.is_stop_requested:
            self._process(resolver)

    def _check_runtime(self) -> None:
        """Fail early, rather than once per video, if nothing could be fetched.

        The workers of a cluster are not checked: each fetch does so.
        """
        work = self.plan.work if self._config.executor == "local" else {}
        is_needed = bool(work) and all(
            source_id.startswith("youtube:") and not self.plan.has_prior(source_id)
            for source_id in work
        )
        if is_needed and (fault := find_runtime_fault()):
            raise InvalidInput(fault)

    def _plan(self, sources: Sequence[VideoSource], empty_entries: int = 0) -> RefreshPlan:
        plan = plan_refresh(sources, self.dataset, self.recipe, self._rules, empty_entries)
        pa.default_memory_pool().release_unused()  # 150 MB after a million rows
        return plan

    def _reevaluate(self, resolver: DuplicateResolver) -> None:
        """Decide and commit the videos whose stored scores suffice."""
        known = [source for source in self.plan.sources if self.plan.has_prior(source.source_id)]
        for start in range(0, len(known), ROWS_IN_MEMORY):
            part = known[start : start + ROWS_IN_MEMORY]
            rows_by_id = self.dataset.read_rows([source.source_id for source in part])
            priors = self._make_priors(rows_by_id)
            rows = (
                reevaluate_video(priors[source.source_id], source, self.recipe, self.provenance)
                for source in part
            )
            for row in self._commit([DecidedVideo(row) for row in rows if row], resolver):
                self.tally.add(row)
                self.tally.reevaluated += 1
            self._report_progress()
            if self._folder.is_stop_requested:
                return

    def _process(self, resolver: DuplicateResolver) -> None:
        """Fetch and process the remaining videos, and commit them chunk by chunk."""
        tasks = VideoTasks(self._config, self.provenance, self._staging)
        self._executor.start(tasks, self.scorers)
        scheduler = Scheduler(
            self._executor,
            staging=self._staging,
            recipe=self.recipe,
            provenance=self.provenance,
            access=self._access,
            find_resolved=self._find_resolved,
        )
        for chunk in scheduler.run_chunks(
            self._chunks(), self._count, lambda: self._folder.is_stop_requested
        ):
            committed = {row.source_id: row for row in self._commit(chunk, resolver)}
            for video in chunk:
                self.tally.replace(video.row, committed.get(video.row.source_id, video.row))
        self.max_capacity = scheduler.max_capacity
        if not self._folder.is_stop_requested:
            self._staging.clear_work(self.plan.work)

    def _chunks(self) -> Iterator[list[WorkItem]]:
        """Yield the pending chunks, with the stored results of their videos."""
        chunks = iter(pending_chunks(self.plan, self._config.chunk_size))
        while part := list(islice(chunks, max(1, ROWS_IN_MEMORY // self._config.chunk_size))):
            ids = [source.source_id for chunk in part for source in chunk]
            rows = self.dataset.read_rows(ids)
            priors = self._make_priors(rows)
            kept = self._select_kept(rows)
            yield from (
                [
                    WorkItem(source, priors.get(source.source_id), kept.get(source.source_id))
                    for source in chunk
                ]
                for chunk in part
            )

    def _select_kept(self, rows: Mapping[str, SourceRow]) -> dict[str, SourceRow]:
        """Return the rows of kept videos whose clips were cut with the same settings."""
        recipes = {
            digest: load_recipe(self.dataset.store, digest)
            for digest in {row.recipe for row in rows.values()}
        }
        same = {digest for digest, one in recipes.items() if one and one.clip == self.recipe.clip}
        return {
            source_id: row
            for source_id, row in rows.items()
            if row.decision is Decision.KEPT and row.recipe in same
        }

    def _make_priors(self, rows: Mapping[str, SourceRow]) -> dict[str, PriorResult]:
        """Return what the plan reuses of stored rows."""
        return {
            source_id: PriorResult(row, self.plan.work[source_id].filters)
            for source_id, row in rows.items()
            if self.plan.has_prior(source_id)
        }

    def _find_resolved(self, source_ids: Collection[str]) -> set[str]:
        return self.dataset.find_final(self.recipe.digest, source_ids, self.plan.replaced)

    def _count(self, row: SourceRow) -> None:
        self.tally.add(row)
        self._report_progress()

    def _report_indexing(self, videos: int) -> None:
        message = f"indexing signatures: {videos:,} videos read"
        self._folder.progress(self.tally.done, self._pending, "video", message)

    def _report_progress(self) -> None:
        self._folder.progress(self.tally.done, self._pending, "video", str(self.tally))

    def _commit(
        self, chunk: Sequence[DecidedVideo], resolver: DuplicateResolver
    ) -> tuple[SourceRow, ...]:
        """Commit a chunk and clear its staged results; return the rows that count now."""
        for video in chunk:
            self._staging.publish_thumbnail(video.row, is_committed=False)
        commit = self._commit_staged(chunk, resolver) if chunk else None
        for row in commit.rows if commit else ():
            self._staging.publish_thumbnail(row, is_committed=True)
        self._staging.discard(video.row.source_id for video in chunk)
        self.committed += commit.sources if commit else 0
        return commit.rows if commit else ()

    def _commit_staged(
        self, chunk: Sequence[DecidedVideo], resolver: DuplicateResolver
    ) -> Commit | None:
        """Commit a chunk; begin again if another run committed and discarded a staged result."""
        for _attempt in range(COMMIT_ATTEMPTS):
            try:
                return self.dataset.commit_chunk(
                    chunk, resolver.resolve, replaced=self.plan.replaced
                )
            except StagedResultGone as error:
                gone = error
        raise ServiceError(
            f"the staged result {gone} is gone, but no run committed it; "
            "run the same refresh again to process the video anew"
        )


def _plan_scorers(config: CurateConfig) -> "ScorerPlan | None":
    """Plan the learned scorers; import them only if the configuration mentions any."""
    if not config.learned.scorers and config.filters.learned == LearnedThresholds():
        return None
    from argus.curate.scorers import plan_scorers

    return plan_scorers(config)
