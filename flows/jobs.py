"""How a flow runs a Ray job: one task that submits or attaches, follows, reports, and stops the job when the run is cancelled."""

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
from ray_jobs.client import JobClient, require
from schemas.config import JobConfig
from schemas.names import JobKind
from schemas.records import JobResult

REPORT_EVERY_S = 2.0
LOG_LINES = 100  # in one entry of Prefect's log; more are left out of the middle
STOP_WAIT_S = (
    20.0  # a cancelled flow run is killed after 30 s; the marker stays, and the job obeys it later
)

KINDS: dict[str, tuple[JobKind, ...]] = {
    "refresh": (JobKind.CURATE,),
    "train": (JobKind.TRAIN,),
    "evaluate": (JobKind.EVALUATE,),
    "generate": (JobKind.GENERATE,),
    "pipeline": (JobKind.CURATE, JobKind.TRAIN, JobKind.EVALUATE),
}
"""The jobs that a flow may have running, by the flow's name."""


def flow_run_id() -> str:
    """The id of the flow run that this is called in."""
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    return str(context.flow_run.id)


def is_stage() -> bool:
    """Whether this flow run is part of another one."""
    context = FlowRunContext.get()
    return bool(context and context.flow_run and context.flow_run.parent_task_run_id)


def may_pass(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed task is worth another try: only where a service was away."""
    return isinstance(state.result(raise_on_failure=False), ServiceError)


RETRIED: dict[str, Any] = {
    "cache_policy": NO_CACHE,
    "persist_result": False,
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(backoff_factor=5),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": may_pass,
}
"""Options of every task that talks to a server."""


@task(name="run-job", task_run_name="{kind}", **RETRIED)
def run_job(kind: JobKind, config: JobConfig) -> JobResult:
    """Submits a job or finds it again, and follows it to its end. Raises what a result other than done or nothing stands for."""
    client = JobClient()
    job = client.submit_or_attach(kind, config)
    logger = get_run_logger()
    logger.info(
        "%s %s as Ray job %s",
        "found" if job.attached else "started",
        config.run_id,
        job.submission_id,
    )
    reporter = Reporter(job.folder)
    try:
        return require(client.follow(job, on_progress=reporter.progress, on_log=reporter.log))
    except Exception:
        raise  # the job goes on, and the next try finds it
    except BaseException:
        logger.warning("cancelled: stopping Ray job %s", job.submission_id)
        client.stop(job, STOP_WAIT_S)
        raise
    finally:
        reporter.flush()


def stop_jobs(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001  Prefect names them
    """Stops the jobs of a cancelled flow run. It may run in another process: all it knows is the flow run."""
    form = flow_run.parameters.get("form") or {}
    run_id = (form.get("run_id") if isinstance(form, dict) else form.run_id) or str(flow_run.id)
    client = JobClient()
    for kind in KINDS[flow.name]:
        job = client.find(kind, run_id, argus_home())
        if job and client.status(job) in ("PENDING", "RUNNING"):
            client.stop(job, STOP_WAIT_S)


class Reporter:
    """Shows a job in Prefect while it goes: a progress artifact, its log, a link to its MLflow run; each at most every two seconds."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._artifact: UUID | None = None
        self._reported = 0.0
        self._logged = 0.0
        self._lines: list[str] = []
        self._linked = False

    def progress(self, step: int, total: int, unit: str, message: str) -> None:
        """A `ProgressHook`."""
        if time.monotonic() - self._reported < REPORT_EVERY_S and step < total:
            return
        self._reported = time.monotonic()
        share = 100.0 * min(step, total) / total if total else 0.0
        if self._artifact is None:
            made = create_progress_artifact(
                progress=share,
                key=f"{self._folder.kind}-progress",
                description=f"{step}/{total} {unit}s {message}",
            )
            self._artifact = made if isinstance(made, UUID) else None
        else:
            update_progress_artifact(
                artifact_id=self._artifact,
                progress=share,
                description=f"{step}/{total} {unit}s {message}",
            )
        self._link()

    def log(self, line: str) -> None:
        """A `LogHook`."""
        self._lines.append(line)
        if time.monotonic() - self._logged > REPORT_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Sends the lines that wait."""
        self._logged = time.monotonic()
        if self._lines:
            get_run_logger().info("%s", "\n".join(shortened(self._lines)))
            self._lines.clear()

    def _link(self) -> None:
        link = None if self._linked else mlflow_link(self._folder.path)
        if link:
            create_link_artifact(
                link=link,
                link_text="MLflow run",
                key=f"{self._folder.kind}-mlflow",
                description="Curves and samples",
            )
            self._linked = True


def shortened(lines: list[str]) -> list[str]:
    """The lines, or their beginning and end with a remark between."""
    if len(lines) <= LOG_LINES:
        return lines
    half = LOG_LINES // 2
    return [
        *lines[:half],
        f"… {len(lines) - 2 * half} lines, see the job's own log …",
        *lines[-half:],
    ]


def mlflow_link(run_folder: Path) -> str | None:
    """The page of a run in MLflow's user interface; None where it has none (yet), or no server shows it."""
    path = run_folder / "mlflow.json"
    if not path.exists():
        return None
    run = json.loads(path.read_text(encoding="utf-8"))
    if not run["tracking_uri"].startswith("http"):
        return None
    return f"{run['tracking_uri']}/#/experiments/{run['experiment_id']}/runs/{run['run_id']}"


def show_result(result: JobResult) -> None:
    """Artifacts of a job's end: its figures as a table, what it made as text."""
    show_table(f"{result.kind}-metrics", sorted(result.metrics.items()), ("figure", "value"))
    rows = "\n".join(f"- **{name}**: `{value}`" for name, value in result.outputs.items())
    reason = f"\n\n{result.reason}" if result.reason else ""
    create_markdown_artifact(
        key=f"{result.kind}-result",
        markdown=f"## {result.kind} {result.run_id}: {result.outcome}{reason}\n\n{rows}",
    )


def show_table(key: str, rows: Iterable[tuple[str, Any]], columns: tuple[str, str]) -> None:
    """A table artifact of two columns."""
    create_table_artifact(key=key, table=[dict(zip(columns, row, strict=True)) for row in rows])
