"""How the command line runs a job: under a progress bar with its rate, the time that is left and what it has met, until its result."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from argus.cli.errors import console
from argus.runs import ProgressHook, with_run_id
from schemas.config import JobConfig
from schemas.names import EXIT_CODES, JobKind
from schemas.records import JobResult

ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="YAML configuration")
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="One setting, such as clip.height=256; may be repeated"
    ),
]
RunId = Annotated[str | None, typer.Option(help="Name of the run; the same name resumes it")]
PrivateHosts = Annotated[
    bool, typer.Option("--allow-private-hosts", help="Allow urls at loopback and private addresses")
]

RATE_OVER_S = 600.0
"""The rate is that of the last ten minutes: videos take minutes, and come in waves."""

_SPANS = ((1, "s"), (60, "min"), (3600, "h"))


def run_job(kind: JobKind, config: JobConfig, *, figures: bool = True) -> JobResult:
    """Runs a job on the cluster that ARGUS_RAY_ADDRESS names, or else on this machine, and tells its result.

    Its figures and places go to standard output, or nowhere. Leaves with the exit status of any outcome but done and nothing.
    """
    from ray_jobs.client import JobClient, run_locally

    config = with_run_id(config)
    with job_bar(f"{kind} {config.run_id}") as told:
        if os.environ.get("ARGUS_RAY_ADDRESS"):
            client = JobClient()
            result = client.follow(client.submit_or_attach(kind, config), on_progress=told)
        else:
            result = run_locally(kind, config, on_progress=told)
    _report(result, figures=figures)
    if EXIT_CODES[result.outcome]:
        raise typer.Exit(EXIT_CODES[result.outcome])
    return result


@contextlib.contextmanager
def job_bar(title: str) -> Iterator[ProgressHook]:
    """Two lines on standard error: bar, rate, time passed and left; and below it the job's own words."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with _TwoLines(*columns, console=console, speed_estimate_period=RATE_OVER_S) as progress:
        task = progress.add_task(title, total=None, unit="", message="starting")

        def told(step: int, total: int, unit: str, message: str) -> None:
            progress.update(task, completed=step, total=total or None, unit=unit, message=message)

        yield told


def rate_text(per_second: float, unit: str) -> str:
    """A rate in the unit of time that gives at least one, such as "2.5 videos/min"."""
    seconds, name = next((span for span in _SPANS if per_second * span[0] >= 1), _SPANS[-1])
    return f"{per_second * seconds:.3g} {unit}s/{name}"


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(
            rate_text(speed, task.fields["unit"]) if speed else "", style="progress.data.speed"
        )


class _TwoLines(Progress):
    def get_renderables(self) -> Iterable[RenderableType]:
        for task in self.tasks:
            yield self.make_tasks_table([task])
            yield Text(
                f"  {task.fields['message']}", style="dim", no_wrap=True, overflow="ellipsis"
            )


def _report(result: JobResult, *, figures: bool) -> None:
    """What came of a job: figures and places on standard output, anything else on standard error."""
    colour = "green" if EXIT_CODES[result.outcome] == 0 else "red"
    reason = f": {escape(result.reason)}" if result.reason else ""
    console.print(
        f"[{colour}]{result.kind} {result.run_id}: {result.outcome}[/{colour}]{reason}",
        soft_wrap=True,
        highlight=False,
    )
    values: dict[str, Any] = {**result.metrics, **result.outputs} if figures else {}
    for name, value in values.items():
        for part in value if isinstance(value, list) else [value]:
            typer.echo(f"{name}: {part:.6g}" if isinstance(part, float) else f"{name}: {part}")
