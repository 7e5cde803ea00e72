"""The curation job, `python -m ray_jobs.curate --config FILE`: refreshes a dataset."""

from collections import Counter
from typing import TYPE_CHECKING

from argus.runs import RunFolder
from ray_jobs.entry import run_entry_point
from schemas.config import CurateConfig
from schemas.names import JobKind, Outcome
from schemas.records import JobResult

if TYPE_CHECKING:
    from argus.curate import CurationRun, Executor
    from argus.dataset import Snapshot


def refresh(config: CurateConfig, folder: RunFolder) -> JobResult:
    """Refresh a dataset, publish a snapshot, and write the report.

    Raises:
        InvalidInput: the catalogue cannot be read, or a learned scorer cannot run as configured.
        ServiceError: a disk is full or the cluster failed; a repeated run continues.
    """
    executor = choose_executor(config)
    from argus.curate import CurationRun  # while the executor's processes start

    run = CurationRun(config, folder, executor)
    run.run()
    snapshot = run.dataset.publish()
    metrics = run.tally.metrics()
    if run.max_capacity:
        metrics["workers"] = float(run.max_capacity)
        metrics |= _count_cpus(config, run.max_capacity)
    outputs = _outputs(run, snapshot)
    if run.committed:
        from argus.report import write_refresh_report

        page = folder.path / "report.html"
        write_refresh_report(run.dataset, run.provenance.run_id, metrics, page)
        outputs["report"] = str(page)
    if run.is_stopped:
        return folder.finish(Outcome.CANCELLED, f"stopped after {run.tally}", outputs, metrics)
    if run.has_only_failures:
        is_passing = run.tally.retryable == run.tally.done
        outcome = Outcome.RETRY if is_passing else Outcome.FAILED
        return folder.finish(outcome, run.describe_failure(), outputs, metrics)
    outcome = Outcome.DONE if run.committed else Outcome.NOTHING
    return folder.finish(outcome, "", outputs, metrics)


def choose_executor(config: CurateConfig) -> "Executor":
    """Return the executor that the configuration names; import Ray only if it is that one."""
    if config.executor == "ray":
        from ray_jobs.curate.executor import RayExecutor

        return RayExecutor(config.max_concurrent_videos, config.cpus_per_video)
    from argus.curate import LocalExecutor

    return LocalExecutor(config.max_concurrent_videos, config.cpus_per_video)


def _count_cpus(config: CurateConfig, workers: int) -> dict[str, float]:
    """Return the CPUs of the machines as a metric; none where they are not known."""
    if config.executor == "local":
        from argus.curate import available_cpus

        return {"cpus": available_cpus()}
    if config.max_concurrent_videos:  # so the CPUs of the cluster were not counted
        return {}
    return {"cpus": workers * config.cpus_per_video}


def _outputs(run: "CurationRun", snapshot: "Snapshot | None") -> dict[str, object]:
    outputs: dict[str, object] = {
        "dataset": run.dataset.store.uri,
        "run_id": run.provenance.run_id,
        "recipe": run.provenance.recipe,
        "snapshot": snapshot.version if snapshot else None,
        "digest": snapshot.digest if snapshot else None,
    }
    if snapshot and (small := _describe_small_splits(snapshot)):
        outputs["small_splits"] = small
    return outputs | ({"learned": run.scorers.report()} if run.scorers else {})


def _describe_small_splits(snapshot: "Snapshot") -> str:
    from argus.report import describe_small_splits

    counts = snapshot.table.group_by("split").aggregate(
        [("source_id", "count"), ("source_id", "count_distinct")]
    )
    splits = counts["split"].to_pylist()
    clips, videos = (
        Counter(dict(zip(splits, counts[name].to_pylist(), strict=True)))
        for name in ("source_id_count", "source_id_count_distinct")
    )
    return describe_small_splits(clips, videos)


if __name__ == "__main__":
    run_entry_point(JobKind.CURATE, CurateConfig, refresh)
