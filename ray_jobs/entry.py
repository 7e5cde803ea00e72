"""What every `python -m ray_jobs.X --config FILE` does around its body: configuration, run folder, stop, result, exit status.

Nothing heavy is imported here until `start_ray` is called.
"""

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

from argus.config import resolve_config, validate_config
from argus.errors import ArgusError, InvalidInput, ServiceError
from argus.files import is_disk_full
from argus.runs import RunFolder, with_run_id
from schemas.config import JobConfig
from schemas.names import EXIT_CODES, JobKind, Outcome
from schemas.records import JobResult

ConfigT = TypeVar("ConfigT", bound=JobConfig)
Body = Callable[[ConfigT, RunFolder], JobResult]
"""A job's body: returns what `RunFolder.finish` returned to it. Looks at `RunFolder.is_stop_requested` between its steps."""

_SUBMITTED = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # Ray sets this for the entry points of submitted jobs


def run_job(
    kind: JobKind,
    config_model: type[ConfigT],
    body: Body[ConfigT],
    argv: Sequence[str] | None = None,
) -> NoReturn:
    """Runs a job's body and leaves with the exit status of its outcome (`schemas.names.EXIT_CODES`).

    SIGTERM becomes the run's stop marker, so that the body leaves at its next step. An ArgusError becomes a result with
    its outcome and message; anything unexpected becomes `failed`, with the traceback on standard error.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m ray_jobs.{kind}", description=config_model.__doc__
    )
    parser.add_argument(
        "--config", required=True, type=Path, metavar="FILE", help="configuration, JSON or YAML"
    )
    file = parser.parse_args(argv).config
    try:
        folder, config = _open_run(kind, config_model, file)
    except ArgusError as error:
        _say(f"{error.outcome}: {error}")  # no run folder is known yet
        sys.exit(EXIT_CODES[error.outcome])
    sys.exit(EXIT_CODES[run_body(config, folder, body).outcome])


def run_body(config: ConfigT, folder: RunFolder, body: Body[ConfigT]) -> JobResult:
    """The body's result, or the result that its error means; result.json is written in every case."""
    try:
        folder.write_config(config)
        if folder.is_stop_requested:
            return folder.finish(Outcome.CANCELLED, "stopped before it began")
        with _stopped_by_sigterm(folder):
            return body(config, folder)
    except KeyboardInterrupt:
        return folder.finish(Outcome.CANCELLED, "interrupted")
    except ArgusError as error:
        _say(f"{error.outcome}: {error}")
        return folder.finish(error.outcome, str(error))
    except Exception as error:  # noqa: BLE001  the boundary of the process: every error becomes a result
        if is_disk_full(error):
            return folder.finish(
                Outcome.RETRY, f"the disk is full ({error}); make room, then run it again"
            )
        traceback.print_exc()
        return folder.finish(
            Outcome.FAILED, f"{type(error).__name__}: {error}; the traceback is in the job's log"
        )


def start_ray() -> None:
    """Joins the cluster of the submitted job or of RAY_ADDRESS; else starts a local Ray on loopback.

    Raises ServiceError where Ray does not start or the cluster does not answer: a busy machine may have more luck later.
    """
    os.environ.setdefault(
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0"
    )  # otherwise Ray replaces a loopback address by the machine's own, and binds that
    import ray

    handler = signal.getsignal(signal.SIGTERM)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        if os.environ.get(_SUBMITTED) or os.environ.get("RAY_ADDRESS"):
            ray.init(address="auto" if os.environ.get(_SUBMITTED) else None, log_to_driver=False)
        else:
            ray.init(
                address="local",
                include_dashboard=False,
                log_to_driver=False,
                _node_ip_address="127.0.0.1",
            )
    except Exception as error:
        raise ServiceError(
            f"Ray did not start: {error}; try again when the machine is less busy, or check RAY_ADDRESS"
        ) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # ray.init() puts its own in place


def _open_run(kind: JobKind, config_model: type[ConfigT], file: Path) -> tuple[RunFolder, ConfigT]:
    config = with_run_id(_read_config(kind, config_model, file))
    folder = RunFolder.of(config, kind)
    if os.environ.get(_SUBMITTED):
        (folder.path / "result.json").unlink(
            missing_ok=True
        )  # the submitter prepared; a stop marker is meant for us
    else:
        folder.prepare()  # run by hand: nobody else prepares
    return folder, config


def _read_config(kind: JobKind, config_model: type[ConfigT], file: Path) -> ConfigT:
    if file.suffix != ".json" or not file.exists():
        return resolve_config(config_model, kind, file=file, environ={})
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise InvalidInput(f"{file} is not valid JSON: {error}") from error
    if not isinstance(values, dict):
        raise InvalidInput(
            f"{file} holds a {type(values).__name__}, but must hold names and values"
        )
    return validate_config(config_model, values)


@contextlib.contextmanager
def _stopped_by_sigterm(folder: RunFolder) -> Iterator[None]:
    """Within it SIGTERM writes the stop marker; in another thread than the main one, nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: folder.request_stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201  the log of a Ray job is its standard error
