"""Steps of a command: resolve a job's configuration, run the job and print its result."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.text import Text

from argus.cli.console import (
    escape_controls,
    new_table,
    open_stdout,
    print_facts,
    print_next,
    print_note,
    stderr,
)
from argus.cli.options import require_folder
from argus.cli.progress import ProgressDisplay
from argus.config import resolve_config
from argus.errors import InvalidInput
from argus.runs import argus_home, with_run_id
from schemas.config import CurateConfig, JobConfig
from schemas.names import EXIT_CODES, JobKind, Reason
from schemas.records import JobResult

C = TypeVar("C", bound=BaseModel)

_UNITS = {
    "batch": "clips",
    "clips": "clips",
    "empty_entries": "entries",
    "frames": "frames",
    "height": "px",
    "seconds": "s",
    "seconds_per_step": "s/step",
    "steps": "steps",
    "width": "px",
    "windows": "windows",
    "workers": "processes",
}
_DETAIL = "scored."  # videos by filter; only the JSON has them
_VIDEO_COUNTS = frozenset(
    {"considered", "known", "kept", "dropped", "failed", "redecided", "reevaluated", "resplit"}
    | {str(reason) for reason in Reason}
)


def resolve_job_config(
    model: type[C],
    kind: str,
    fields: Mapping[str, Any],
    *,
    file: Path | None = None,
    sets: list[str] | None = None,
    preset: str | None = None,
) -> C:
    """Return the configuration of a command; the home is `ARGUS_HOME`.

    Raises:
        InvalidInput: a setting is unknown or out of range.
    """
    home = {"home": str(argus_home())} if "home" in model.model_fields else {}
    return resolve_config(
        model, kind, preset=preset, file=file, sets=sets or (), fields={**home, **fields}
    )


def print_dry_run(config: BaseModel, summary: str) -> None:
    """Print what would happen on standard error, then the configuration as JSON."""
    print_note(summary)
    typer.echo(config.model_dump_json(indent=2))


def named_cluster() -> str | None:
    """Return the address of the Ray cluster that ARGUS_RAY_ADDRESS names, or None."""
    return os.environ.get("ARGUS_RAY_ADDRESS") or None


def choose_cluster(
    config: CurateConfig, ray_address: str | None = None
) -> tuple[CurateConfig, str | None]:
    """Choose where a refresh runs.

    A named cluster makes `ray` the executor unless a setting names one. The local executor ignores
    ARGUS_RAY_ADDRESS.

    Args:
        config: the configuration.
        ray_address: the dashboard of a cluster; by default that of ARGUS_RAY_ADDRESS.

    Returns:
        The configuration, and the cluster that the job is submitted to; None runs it here.

    Raises:
        InvalidInput: the executor is local, but `ray_address` is given.
    """
    cluster = ray_address or named_cluster()
    if cluster and "executor" not in config.model_fields_set:
        config = config.model_copy(update={"executor": "ray"})
    if ray_address and config.executor != "ray":
        raise InvalidInput(
            f"executor is {config.executor}, but --ray-address names a cluster; "
            "leave one of them out"
        )
    return config, cluster if config.executor == "ray" else None


def run_job(
    kind: JobKind, config: JobConfig, *, ray_address: str | None, as_json: bool = False
) -> JobResult:
    """Run a job with a progress display, and print how it ended.

    Args:
        kind: the kind of job.
        config: its configuration.
        ray_address: the dashboard of the Ray cluster that the job is submitted to; None runs it
            on this machine.
        as_json: also print the result of a failed job as JSON on standard output.

    Raises:
        typer.Exit: the outcome is neither `done` nor `nothing`; with its exit status.
    """
    config = with_run_id(config)
    if not ray_address:
        require_folder(config.home, "home")
    with ProgressDisplay(f"{kind} {config.run_id}") as display:
        if ray_address:
            from ray_jobs.client import JobClient

            client = JobClient(ray_address)
            job = client.submit_or_attach(kind, config)
            result = client.follow(job, on_progress=display.update)
        else:
            from ray_jobs.local import run_locally

            result = run_locally(kind, config, on_progress=display.update)
    _print_outcome(result)
    if EXIT_CODES[result.outcome]:
        if as_json:
            print_result(result, as_json=True)
        raise typer.Exit(EXIT_CODES[result.outcome])
    return result


def print_result(result: JobResult, *commands: str, as_json: bool = False) -> None:
    """Print the metrics and outputs of a job, and the commands that come next.

    The keys of the JSON are those of `schemas.records.JobResult`.
    """
    if as_json:
        typer.echo(result.model_dump_json(indent=2, by_alias=True))
        return
    out = open_stdout()
    if result.metrics:
        if result.kind is JobKind.EVALUATE:
            _print_methods(out, result.metrics)
        else:
            _print_metrics(out, result.metrics)
    print_facts(out, "", dict(_list_outputs(result.outputs)))
    if commands:
        print_next(*commands)


def require_registered(model: str) -> None:
    """Raise InvalidInput for a registered model if the registry of this machine does not exist."""
    if model.startswith("models:") and not has_registry():
        raise InvalidInput(
            f"no model is registered below {argus_home()}; run `argus train`, "
            "or name a server with MLFLOW_TRACKING_URI"
        )


def has_registry() -> bool:
    """Return True if a tracking server is named, or the registry of this machine exists."""
    is_named = bool(os.environ.get("MLFLOW_TRACKING_URI"))
    return is_named or (argus_home() / "mlflow" / "mlflow.db").exists()


def use_local_registry() -> None:
    """Keep runs and models in the database below ARGUS_HOME unless a tracking server is named.

    It is the database that the MLflow server of `argus up` serves.
    """
    from flows.local import mlflow_database_uri

    if not os.environ.get("MLFLOW_TRACKING_URI"):
        os.environ["MLFLOW_TRACKING_URI"] = mlflow_database_uri(argus_home())


def metric_unit(name: str) -> str:
    """Return the unit of a job's metric, or an empty string for a ratio or a loss."""
    leaf = name.rpartition(".")[2]
    if name.startswith("scored.") or leaf in _VIDEO_COUNTS:
        return "clips" if name.startswith("clips.") else "videos"
    if "psnr" in leaf:
        return "dB"
    return _UNITS.get(leaf, "")


def _print_outcome(result: JobResult) -> None:
    color = "green" if EXIT_CODES[result.outcome] == 0 else "red"
    title = f"{result.kind} {result.run_id}: {result.outcome}"
    reason = f": {escape_controls(result.reason)}" if result.reason else ""
    stderr.print(Text.assemble((title, color), reason), soft_wrap=True, highlight=False)


def _print_metrics(out: Console, metrics: Mapping[str, float]) -> None:
    table = new_table(out, "result", "value", "unit", left=["unit"])
    for name, value in metrics.items():
        if not name.startswith(_DETAIL):
            table.add_row(name, f"{value:.6g}", metric_unit(name))
    out.print(table)


def _print_methods(out: Console, metrics: Mapping[str, float]) -> None:
    """Print metrics that are named METHOD.METRIC with one column per method."""
    methods = list(dict.fromkeys(name.partition(".")[0] for name in metrics if "." in name))
    names = dict.fromkeys(name.partition(".")[2] for name in metrics if "." in name)
    table = new_table(out, "metric", *methods, "unit", left=["unit"])
    for name in names:
        values = (metrics.get(f"{method}.{name}") for method in methods)
        cells = ("" if value is None else f"{value:.4f}" for value in values)
        table.add_row(name, *cells, metric_unit(name))
    for name, value in metrics.items():
        if "." not in name:
            table.add_row(name, f"{value:.6g}", *[""] * (len(methods) - 1), metric_unit(name))
    out.print(table)


def _list_outputs(outputs: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in outputs.items():
        if isinstance(value, Mapping):
            value = [f"{key}: {one}" for key, one in value.items()]
        yield name, "; ".join(map(str, value)) if isinstance(value, list) else value
