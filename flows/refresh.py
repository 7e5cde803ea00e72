"""Flow that adds the new videos of a catalogue to the dataset."""

from hashlib import blake2b
from pathlib import Path

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event

from argus.runs import RunFolder
from flows.forms import refresh_config
from flows.jobs import flow_run_id, is_subflow, run_ray_job, show_result, show_table, stop_jobs
from schemas.forms import RefreshForm
from schemas.names import JobKind, Outcome
from schemas.records import JobResult

PUBLISHED_EVENT = "argus.dataset.published"


@flow(name="refresh", persist_result=False, on_cancellation=[stop_jobs])
def refresh(form: RefreshForm) -> JobResult:
    """Download and process the new videos of a catalogue, and commit their clips.

    Emits the event `argus.dataset.published` if there is a new snapshot.
    """
    config = refresh_config(form, flow_run_id())
    result = run_ray_job(JobKind.CURATE, config)
    show_result(result)
    show_table("curate-reasons", count_reasons(result), ("decision and reason", "videos"))
    show_refresh_report(RunFolder.of(config, JobKind.CURATE).path)
    if has_new_clips(result):
        emit_published_event(config.dataset, result)
    return result


def show_refresh_report(folder: Path) -> None:
    """Create an artifact of the job's report. A job that was stopped early has none."""
    path = folder / "report.md"
    if path.exists():
        create_markdown_artifact(
            key="curate-report",
            markdown=path.read_text(encoding="utf-8"),
            description=f"`{path.with_suffix('.html')}`",
        )


def count_reasons(result: JobResult) -> list[tuple[str, int]]:
    """Return the numbers of dropped and failed videos by reason, the most frequent first."""
    counts = [
        (name, int(value))
        for name, value in result.metrics.items()
        if name.startswith(("dropped.", "failed."))
    ]
    return sorted(counts, key=lambda pair: (-pair[1], pair[0]))


def has_new_clips(result: JobResult) -> bool:
    """Return whether a refresh added clips. Otherwise no training must start."""
    return result.outcome is Outcome.DONE and result.metrics.get("clips", 0) > 0


def emit_published_event(dataset: str, result: JobResult) -> None:
    """Emit the event that a snapshot was published, for triggers of other deployments.

    `argus.origin` is "pipeline" if the refresh is part of a pipeline, which trains by itself, so
    that triggers can ignore the event.
    """
    digest = blake2b(dataset.encode(), digest_size=8).hexdigest()
    emit_event(
        event=PUBLISHED_EVENT,
        resource={
            "prefect.resource.id": f"argus.dataset.{digest}",
            "prefect.resource.name": dataset,
            "argus.origin": "pipeline" if is_subflow() else "refresh",
        },
        payload={
            "dataset": dataset,
            "snapshot": result.outputs.get("snapshot"),
            "digest": result.outputs.get("digest"),
        },
    )
