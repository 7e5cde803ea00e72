"""Ray jobs in flows: a task that submits a job, follows it and stops it on cancellation."""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import get_run_logger, task
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import FlowRun, State, TaskRun
from prefect.context import FlowRunContext
from prefect.flows import Flow
from prefect.tasks import Task, exponential_backoff

from argus.errors import ServiceError
from argus.runs import RunFolder, argus_home
from ray_jobs.client import JobClient
from ray_jobs.following import raise_for_outcome
from schemas.config import JobConfig
from schemas.credentials import redact, redact_logs, to_public_uri
from schemas.names import JobKind
from schemas.records import JobResult

MAX_LOG_LINES = 100  # in one entry of Prefect's log
_REPORT_INTERVAL_S = 2.0
_STOP_WAIT_S = 20.0  # Prefect kills a cancelled flow run after 30 s; the stop marker remains

redact_logs()  # Prefect starts the processes of flow runs and imports this module

JOB_KINDS: dict[str, tuple[JobKind, ...]] = {
    "refresh": (JobKind.CURATE,),
    "train": (JobKind.TRAIN,),
    "evaluate": (JobKind.EVALUATE,),
    "generate": (JobKind.GENERATE,),
    "pipeline": (JobKind.CURATE, JobKind.TRAIN, JobKind.EVALUATE),
}
"""Kinds of the jobs that a flow starts, by the flow's name."""


def flow_run_id() -> str:
    """Return the id of the current flow run."""
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    return str(context.flow_run.id)


def is_subflow() -> bool:
    """Return whether the current flow run was started by another one."""
    context = FlowRunContext.get()
    return bool(context and context.flow_run and context.flow_run.parent_task_run_id)


def is_retryable(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Return whether a failed task may be retried: only after a ServiceError."""
    return isinstance(state.result(raise_on_failure=False), ServiceError)


RETRY_OPTIONS: dict[str, Any] = {
    "cache_policy": NO_CACHE,
    "persist_result": False,
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(backoff_factor=5),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": is_retryable,
}
"""Options of tasks that send requests to a server."""


@task(name="run-job", task_run_name="{kind}", **RETRY_OPTIONS)
def run_ray_job(kind: JobKind, config: JobConfig) -> JobResult:
    """Submit a job, or attach to it if it exists, and follow it to its end.

    Args:
        kind: The kind of the job.
        config: Its configuration, with a run id.

    Raises:
        ArgusError: The job did not succeed (see `raise_for_outcome`).
    """
    client = JobClient()
    job = client.submit_or_attach(kind, config)
    logger = get_run_logger()
    action = "attached to" if job.attached else "submitted"
    logger.info("%s Ray job %s (run %s)", action, job.submission_id, config.run_id)
    reporter = JobReporter(job.folder)
    try:
        result = client.follow(job, on_progress=reporter.update_progress, on_log=reporter.add_line)
        return raise_for_outcome(result)
    except Exception:
        raise  # the job continues, and the next attempt of the task attaches to it
    except BaseException:
        logger.warning("cancelled: stopping Ray job %s", job.submission_id)
        client.stop(job, _STOP_WAIT_S)
        raise
    finally:
        reporter.flush()


def stop_jobs(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001  Prefect passes them by name
    """Stop the jobs of a cancelled flow run.

    Prefect may call this in another process, so the jobs are found by the flow run alone.
    """
    form = flow_run.parameters.get("form") or {}
    run_id = (form.get("run_id") if isinstance(form, dict) else form.run_id) or str(flow_run.id)
    client = JobClient()
    for kind in JOB_KINDS[flow.name]:
        job = client.find_job(kind, run_id, argus_home())
        if job and client.status(job) in ("PENDING", "RUNNING"):
            client.stop(job, _STOP_WAIT_S)


class JobReporter:
    """Reports a running job to Prefect: progress, log, and a link to its MLflow run.

    Updates are sent at most every two seconds.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._artifact: UUID | None = None
        self._percent = 0.0
        self._progress_sent_at = 0.0
        self._log_sent_at = 0.0
        self._lines: list[str] = []
        self._is_linked = False

    def update_progress(self, step: int, total: int, unit: str, message: str) -> None:
        """Update the progress artifact (a `ProgressHook`); a phase without steps has total 0."""
        if time.monotonic() - self._progress_sent_at < _REPORT_INTERVAL_S and step < total:
            return
        self._progress_sent_at = time.monotonic()
        description = message
        if total:
            self._percent = 100.0 * min(step, total) / total
            description = f"{step}/{total} {unit}s {message}"
        if self._artifact is None:
            artifact = create_progress_artifact(
                progress=self._percent,
                key=f"{self._folder.kind}-progress",
                description=description,
            )
            self._artifact = artifact if isinstance(artifact, UUID) else None
        else:
            update_progress_artifact(
                artifact_id=self._artifact, progress=self._percent, description=description
            )
        self._create_link()

    def add_line(self, line: str) -> None:
        """Add a line to the log (a `LogHook`)."""
        self._lines.append(redact(line))
        if time.monotonic() - self._log_sent_at > _REPORT_INTERVAL_S:
            self.flush()

    def flush(self) -> None:
        """Send the lines that were not sent yet."""
        self._log_sent_at = time.monotonic()
        if self._lines:
            get_run_logger().info("%s", "\n".join(shorten_log(self._lines)))
            self._lines.clear()

    def _create_link(self) -> None:
        url = None if self._is_linked else mlflow_run_url(self._folder.path)
        if url:
            create_link_artifact(
                link=url,
                link_text="MLflow run",
                key=f"{self._folder.kind}-mlflow",
                description="Metrics and sample images",
            )
            self._is_linked = True


def shorten_log(lines: list[str]) -> list[str]:
    """Return at most `MAX_LOG_LINES` lines, with a note in place of omitted ones."""
    if len(lines) <= MAX_LOG_LINES:
        return lines
    half = MAX_LOG_LINES // 2
    note = f"… {len(lines) - 2 * half} lines omitted; see the job's log …"
    return [*lines[:half], note, *lines[-half:]]


def mlflow_run_url(run_folder: Path) -> str | None:
    """Return the URL of a run in MLflow's user interface, or None if it has none (yet)."""
    path = run_folder / "mlflow.json"
    if not path.exists():
        return None
    run = json.loads(path.read_text(encoding="utf-8"))
    if not run["tracking_uri"].startswith("http"):
        return None
    server = to_public_uri(run["tracking_uri"]).rstrip("/")
    return f"{server}/#/experiments/{run['experiment_id']}/runs/{run['run_id']}"


def show_result(result: JobResult) -> None:
    """Create artifacts of a job's metrics (a table) and outputs (Markdown)."""
    show_table(f"{result.kind}-metrics", sorted(result.metrics.items()), ("metric", "value"))
    rows = "\n".join(f"- **{name}**: `{value}`" for name, value in result.outputs.items())
    reason = f"\n\n{result.reason}" if result.reason else ""
    create_markdown_artifact(
        key=f"{result.kind}-result",
        markdown=f"## {result.kind} {result.run_id}: {result.outcome}{reason}\n\n{rows}",
    )


def show_table(key: str, rows: Iterable[tuple[str, Any]], columns: tuple[str, str]) -> None:
    """Create a table artifact with two columns."""
    create_table_artifact(key=key, table=[dict(zip(columns, row, strict=True)) for row in rows])
