"""Entry point of a Ray job: configuration, run folder, stop request, result and exit status.

Ray is imported only by `start_ray`.
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
from schemas.credentials import redact, redact_logs
from schemas.names import EXIT_CODES, TELEMETRY_OFF, JobKind, Outcome
from schemas.records import JobResult

ConfigT = TypeVar("ConfigT", bound=JobConfig)
Body = Callable[[ConfigT, RunFolder], JobResult]
"""The work of a job: checks `is_stop_requested` between steps, returns `folder.finish(…)`."""

_SUBMITTED_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # set by Ray for entry points of submitted jobs


def run_entry_point(
    kind: JobKind,
    config_model: type[ConfigT],
    body: Body[ConfigT],
    argv: Sequence[str] | None = None,
) -> NoReturn:
    """Run a job and exit with the status of its outcome (`schemas.names.EXIT_CODES`).

    The process logs no credential of a URI.

    SIGTERM writes the run's stop marker, so that the body ends at its next step.

    Args:
        kind: The kind of the job.
        config_model: The class of its configuration.
        body: Its work.
        argv: Command-line arguments (default: those of the process).
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m ray_jobs.{kind}", description=config_model.__doc__
    )
    parser.add_argument(
        "--config", required=True, type=Path, metavar="FILE", help="configuration, JSON or YAML"
    )
    file = parser.parse_args(argv).config
    redact_logs()
    try:
        folder, config = _open_run(kind, config_model, file)
    except ArgusError as error:
        _print_error(f"{error.outcome}: {error}")  # there is no run folder for a result
        sys.exit(EXIT_CODES[error.outcome])
    sys.exit(EXIT_CODES[run_body(config, folder, body).outcome])


def run_body(config: ConfigT, folder: RunFolder, body: Body[ConfigT]) -> JobResult:
    """Run the body and return its result; map exceptions to results.

    An ArgusError gives its own outcome, a full disk `retry`, and any other exception `failed`, with
    the traceback on standard error. result.json is written in every case.
    """
    try:
        from argus.dataset import migrate_config

        folder.write_config(config, migrate=migrate_config)
        if folder.is_stop_requested:
            return folder.finish(Outcome.CANCELLED, "stopped before the job started")
        with _stop_on_sigterm(folder):
            return body(config, folder)
    except KeyboardInterrupt:
        return folder.finish(Outcome.CANCELLED, "interrupted")
    except ArgusError as error:
        _print_error(f"{error.outcome}: {error}")
        return folder.finish(error.outcome, str(error))
    except Exception as error:  # noqa: BLE001  process boundary: every error becomes a result
        if is_disk_full(error):
            return folder.finish(
                Outcome.RETRY, f"the disk is full ({error}); free space, then run the job again"
            )
        _print_error(redact(traceback.format_exc()).rstrip("\n"))
        return folder.finish(
            Outcome.FAILED, f"{type(error).__name__}: {error}; the job's log has the traceback"
        )


def start_ray() -> None:
    """Connect to the cluster of the submitted job or of RAY_ADDRESS, or start Ray on loopback.

    Raises:
        ServiceError: Ray does not start, or the cluster does not answer.
    """
    # Otherwise Ray replaces a loopback address with the machine's address, and binds to that.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    for name, value in TELEMETRY_OFF.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        return

    handler = signal.getsignal(signal.SIGTERM)
    is_submitted = bool(os.environ.get(_SUBMITTED_JOB))
    try:
        if is_submitted or os.environ.get("RAY_ADDRESS"):
            ray.init(address="auto" if is_submitted else None, log_to_driver=False)
        else:
            ray.init(
                address="local",
                include_dashboard=False,
                log_to_driver=False,
                _node_ip_address="127.0.0.1",
            )
    except Exception as error:
        raise ServiceError(
            f"Ray did not start: {error}; "
            "try again when the machine is less busy, or check RAY_ADDRESS"
        ) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # ray.init() replaces the handler


def submission_tags() -> dict[str, str]:
    """Return the tag `job_id` with the submission id; empty if this is no submitted job."""
    submitted = json.loads(os.environ.get(_SUBMITTED_JOB, "{}"))
    job_id = submitted.get("metadata", {}).get("job_submission_id")
    return {"job_id": job_id} if job_id else {}


def _open_run(kind: JobKind, config_model: type[ConfigT], file: Path) -> tuple[RunFolder, ConfigT]:
    config = with_run_id(_read_config(kind, config_model, file))
    folder = RunFolder.of(config, kind)
    if os.environ.get(_SUBMITTED_JOB):
        # The submitter has prepared the folder; a stop marker there is meant for this attempt.
        (folder.path / "result.json").unlink(missing_ok=True)
    else:
        folder.prepare()
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
            f"{file} contains a {type(values).__name__}; it must contain an object of settings"
        )
    return validate_config(config_model, values)


@contextlib.contextmanager
def _stop_on_sigterm(folder: RunFolder) -> Iterator[None]:
    """Write the stop marker on SIGTERM within this context, if this is the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: folder.request_stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print_error(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201  a job's log is its standard error
