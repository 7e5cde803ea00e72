"""Refresh: a catalogue's new videos become clips of a new snapshot."""

from hashlib import blake2b
from pathlib import Path

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event

from argus.runs import RunFolder
from flows.forms import refresh_config
from flows.jobs import flow_run_id, is_stage, run_job, show_result, show_table, stop_jobs
from schemas.forms import RefreshForm
from schemas.names import JobKind, Outcome
from schemas.records import JobResult

PUBLISHED = "argus.dataset.published"


@flow(name="refresh", persist_result=False, on_cancellation=[stop_jobs])
def refresh(form: RefreshForm) -> JobResult:
    """Fetches and judges what is new in a catalogue and commits it.

    Emits `argus.dataset.published` when there is a new snapshot, and only then.
    """
    config = refresh_config(form, flow_run_id())
    result = run_job(JobKind.CURATE, config)
    show_result(result)
    show_table("curate-reasons", reasons(result), ("decision and reason", "videos"))
    show_report(RunFolder.of(config, JobKind.CURATE).path)
    if published(result):
        announce(config.dataset, result)
    return result


def show_report(folder: Path) -> None:
    """The report that the job has written, with its pictures; one that was stopped early has none."""
    path = folder / "report.md"
    if path.exists():
        create_markdown_artifact(
            key="curate-report",
            markdown=path.read_text(encoding="utf-8"),
            description=f"`{path.with_suffix('.html')}`",
        )


def reasons(result: JobResult) -> list[tuple[str, int]]:
    """How many videos were dropped or failed for which reason, the most frequent first."""
    counts = [
        (name, int(value))
        for name, value in result.metrics.items()
        if name.startswith(("dropped.", "failed."))
    ]
    return sorted(counts, key=lambda pair: (-pair[1], pair[0]))


def published(result: JobResult) -> bool:
    """Whether there is a new snapshot: a refresh that found nothing, or nothing worth keeping, must start no training."""
    return result.outcome is Outcome.DONE and result.metrics.get("clips", 0) > 0


def announce(dataset: str, result: JobResult) -> None:
    """The event that other deployments can wait for."""
    emit_event(
        event=PUBLISHED,
        resource={
            "prefect.resource.id": f"argus.dataset.{blake2b(dataset.encode(), digest_size=8).hexdigest()}",
            "prefect.resource.name": dataset,
            "argus.origin": "pipeline"
            if is_stage()
            else "refresh",  # a pipeline trains by itself: triggers leave its events alone
        },
        payload={
            "dataset": dataset,
            "snapshot": result.outputs.get("snapshot"),
            "digest": result.outputs.get("digest"),
        },
    )
