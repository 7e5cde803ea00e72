"""Client that submits, follows and stops the jobs of `ray_jobs` on a cluster.

A job is `python -m ray_jobs.KIND --config FILE`. It reports through its run folder (progress.json,
result.json) and stops when it finds the `stop` marker there; logs are never parsed. Its submission
id is `argus-{kind}-{run_id}-{attempt}`, so that a job can be found by its run id.
"""

import contextlib
import logging
import os
import re
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from argus.errors import InvalidInput, ServiceError
from argus.runs import ProgressHook, RunFolder, with_run_id
from ray_jobs.following import (
    LogHook,
    LogRelay,
    ProgressRelay,
    create_result,
    final_result,
    job_command,
)
from schemas.config import JobConfig, TrainConfig
from schemas.credentials import has_credential
from schemas.names import JobKind, Outcome
from schemas.records import JobResult

T = TypeVar("T")
FINAL_STATUSES = ("SUCCEEDED", "FAILED", "STOPPED")

_POLL_S = 0.5
_LOG_INTERVAL_S = 2.0
_STOP_WAIT_S = 60.0
_SUBMIT_ATTEMPTS = 3
_FORWARDED_VARIABLES = ("ARGUS_HOME", "MLFLOW_TRACKING_URI")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClusterJob:
    """One attempt of a run on a cluster."""

    folder: RunFolder
    submission_id: str
    attached: bool  # True if the job existed before this call


def submission_prefix(kind: JobKind, run_id: str) -> str:
    """Return the prefix of the submission ids of a run's attempts."""
    return f"argus-{kind}-{run_id}-"


def parse_attempt(submission_id: str | None, prefix: str) -> int | None:
    """Return the attempt number of a submission id, or None if it belongs to another run.

    For example, `argus-train-a-1-2` belongs to run `a-1`, not to run `a`.
    """
    match = re.fullmatch(re.escape(prefix) + r"([1-9]\d*)", submission_id or "")
    return int(match[1]) if match else None


def required_resources(config: JobConfig) -> dict[str, float]:
    """Return the resources that a job reserves at the same time, by Ray's resource names."""
    if isinstance(config, TrainConfig):
        return {"CPU": config.workers, "GPU": config.workers * config.gpus_per_worker}
    return {"CPU": 1}


def check_resources(
    kind: JobKind, required: Mapping[str, float], available: Mapping[str, float]
) -> None:
    """Check that a cluster is large enough for a job.

    Raises:
        InvalidInput: A resource does not suffice.
    """
    for name, amount in required.items():
        if amount > available.get(name, 0):
            raise InvalidInput(
                f"{kind} needs {amount:g} {name}s, but the cluster has "
                f"{available.get(name, 0):g}; reduce the number of workers, or add nodes"
            )


def forwarded_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables that a job takes along to a cluster.

    The dashboard of a cluster shows them to all of its users. A variable with a credential is left
    out: the machines of the cluster need it in their own environment.
    """
    return {
        name: environ[name]
        for name in _FORWARDED_VARIABLES
        if name in environ and not has_credential(environ[name])
    }


def ray_auth_headers(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the authorization header for a Ray cluster; empty without token authentication.

    The token is that of RAY_AUTH_TOKEN, of the file RAY_AUTH_TOKEN_PATH, or of Ray's own file in
    the home folder.

    Raises:
        InvalidInput: RAY_AUTH_MODE is `token`, but there is no token.
    """
    if environ.get("RAY_AUTH_MODE", "").lower() != "token":
        return {}
    token = environ.get("RAY_AUTH_TOKEN")
    if not token:
        path = Path(environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
        if not path.exists():
            raise InvalidInput(
                "RAY_AUTH_MODE is token, but there is no token; "
                f"set RAY_AUTH_TOKEN, or write the token to {path}"
            )
        token = path.read_text().strip()
    return {"Authorization": f"Bearer {token}"}


class JobClient:
    """Client of a cluster's Jobs API.

    Every method raises ServiceError if the cluster does not answer.

    Args:
        address: Address of the dashboard (`http://host:8265`). Defaults to ARGUS_RAY_ADDRESS, then
            to Ray's own defaults.
        patience_s: Time in seconds for which `follow` tolerates a cluster that does not answer.

    Raises:
        InvalidInput: The address is not a URL.
    """

    def __init__(self, address: str | None = None, *, patience_s: float = 60.0) -> None:
        from ray.job_submission import JobSubmissionClient

        self.patience_s = patience_s
        self._headers = ray_auth_headers(os.environ)
        self._address = address or os.environ.get("ARGUS_RAY_ADDRESS")
        if self._address and not self._address.startswith(("http://", "https://")):
            raise InvalidInput(
                f"the Ray address is {self._address!r}, but must be that of the dashboard, "
                "such as http://head:8265"
            )
        with _map_ray_errors(self._address):
            self._api = JobSubmissionClient(self._address, headers=dict(self._headers))

    def submit_or_attach(self, kind: JobKind, config: JobConfig) -> ClusterJob:
        """Attach to the run's newest job, or submit a new attempt if it failed or was stopped.

        A job that failed because its input is invalid is not submitted again.

        Args:
            kind: The kind of the job.
            config: Its configuration; without a run id it gets a new one.

        Raises:
            InvalidInput: The run exists with another configuration, or the cluster is too small.
        """
        config = with_run_id(config)
        folder = RunFolder.of(config, kind)
        from argus.dataset import migrate_config

        folder.write_config(config, migrate=migrate_config)
        prefix = submission_prefix(kind, folder.run_id)
        for _ in range(_SUBMIT_ATTEMPTS):
            newest, status = self._newest_attempt(prefix)
            if newest and (status not in ("FAILED", "STOPPED") or _has_invalid_input(folder)):
                return ClusterJob(folder, f"{prefix}{newest}", attached=True)
            check_resources(kind, required_resources(config), self.resources())
            folder.prepare()
            with contextlib.suppress(_IdTaken):  # another process submitted first: look again
                return self._submit(folder, f"{prefix}{newest + 1}")
        raise ServiceError(f"could not submit {prefix}*: other processes took the ids; try again")

    def find_job(self, kind: JobKind, run_id: str, home: str | Path) -> ClusterJob | None:
        """Return the newest job of a run in any state, or None."""
        prefix = submission_prefix(kind, run_id)
        newest, _ = self._newest_attempt(prefix)
        if not newest:
            return None
        return ClusterJob(RunFolder(home, kind, run_id), f"{prefix}{newest}", attached=True)

    def status(self, job: ClusterJob) -> str:
        """Return PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED."""
        with _map_ray_errors(self._address):
            return str(self._api.get_job_status(job.submission_id).value)

    def resources(self) -> dict[str, float]:
        """Return the total resources of the living nodes, by Ray's resource names."""
        from ray.util.state.api import StateApiClient
        from ray.util.state.common import ListApiOptions, StateResource

        with _map_ray_errors(self._address):
            client = StateApiClient(
                self._address, headers={"Content-Type": "application/json", **self._headers}
            )
            nodes = client.list(
                StateResource.NODES, ListApiOptions(), raise_on_missing_output=False
            )
        total: dict[str, float] = {}
        for node in nodes:
            if node.state == "ALIVE":
                for name, amount in node.resources_total.items():
                    total[name] = total.get(name, 0) + amount
        return total

    def follow(
        self,
        job: ClusterJob,
        on_progress: ProgressHook | None = None,
        on_log: LogHook | None = None,
    ) -> JobResult:
        """Wait for a job's end and return its result.

        Args:
            job: The job.
            on_progress: Called whenever the job's progress changes.
            on_log: Called with each new line of its log.

        Raises:
            ServiceError: The cluster does not answer for `patience_s`. The job continues.
        """
        progress = ProgressRelay(job.folder, on_progress)
        log = LogRelay(on_log)
        log_read_at = 0.0
        while True:
            status = self._retry(lambda: self.status(job))
            progress.update()
            is_final = status in FINAL_STATUSES
            if is_final or (on_log and time.monotonic() - log_read_at > _LOG_INTERVAL_S):
                log.update(self._retry(lambda: self._read_log(job)), is_complete=is_final)
                log_read_at = time.monotonic()
            if is_final:
                return final_result(job.folder, status, log.text)
            time.sleep(_POLL_S)

    def stop(self, job: ClusterJob, wait_s: float = _STOP_WAIT_S) -> JobResult:
        """Stop a job and return its result.

        The stop marker is written first, because a pending job ignores Ray's stop request.

        Args:
            job: The job.
            wait_s: Maximum time to wait for its end, in seconds.
        """
        job.folder.request_stop()
        with _map_ray_errors(self._address):
            self._api.stop_job(job.submission_id)
        deadline = time.monotonic() + wait_s
        while (status := self.status(job)) not in FINAL_STATUSES:
            if time.monotonic() > deadline:
                reason = (
                    f"a stop of {job.submission_id} was requested, but it is still {status}; "
                    "it ends when it finds the stop marker"
                )
                return create_result(job.folder, Outcome.CANCELLED, reason)
            time.sleep(_POLL_S)
        return final_result(job.folder, status, self._read_log(job))

    def _newest_attempt(self, prefix: str) -> tuple[int, str]:
        """Return number and status of the newest attempt; (0, "") if there is none."""
        with _map_ray_errors(self._address):
            jobs = self._api.list_jobs()
        attempts = {
            number: job.status.value
            for job in jobs
            if (number := parse_attempt(job.submission_id, prefix))
        }
        newest = max(attempts, default=0)
        return newest, attempts.get(newest, "")

    def _submit(self, folder: RunFolder, submission_id: str) -> ClusterJob:
        environment = forwarded_environment(os.environ)
        for name in _FORWARDED_VARIABLES:
            if name in os.environ and name not in environment:
                _log.warning(
                    "%s holds a credential and is not sent to the Ray cluster; "
                    "set it in the environment of the cluster's machines",
                    name,
                )
        with _map_ray_errors(self._address):
            self._api.submit_job(
                entrypoint=shlex.join(job_command(folder)),
                submission_id=submission_id,
                runtime_env={"env_vars": environment} if environment else None,
                metadata={"argus.kind": str(folder.kind), "argus.run_id": folder.run_id},
            )
        return ClusterJob(folder, submission_id, attached=False)

    def _read_log(self, job: ClusterJob) -> str:
        with _map_ray_errors(self._address):
            return str(self._api.get_job_logs(job.submission_id))

    def _retry(self, request: Callable[[], T]) -> T:
        """Repeat a request that fails with a ServiceError, for at most `patience_s`."""
        deadline = time.monotonic() + self.patience_s
        while True:
            try:
                return request()
            except ServiceError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(2 * _POLL_S)


class _IdTaken(Exception):
    """The submission id is in use."""


@contextlib.contextmanager
def _map_ray_errors(address: str | None) -> Iterator[None]:
    """Raise ServiceError or InvalidInput for the errors of Ray's HTTP clients."""
    from ray.exceptions import AuthenticationError
    from ray.util.state.exception import RayStateApiException
    from requests import RequestException

    cluster = f"the Ray cluster at {address or 'the default address'}"
    try:
        yield
    except (RequestException, ConnectionError, RayStateApiException) as error:
        raise ServiceError(
            f"{cluster} does not answer: {error}; "
            "start a cluster with `argus up`, or set ARGUS_RAY_ADDRESS"
        ) from error
    except AuthenticationError as error:
        raise InvalidInput(
            f"{cluster} rejected the token; "
            "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to the cluster's token"
        ) from error
    except RuntimeError as error:
        if "already exist" in str(error):
            raise _IdTaken(str(error)) from error
        raise ServiceError(f"{cluster} rejected the request: {error}") from error


def _has_invalid_input(folder: RunFolder) -> bool:
    result = folder.read_result()
    return result is not None and result.outcome is Outcome.INVALID
