"""Starts, finds again, follows and stops the jobs of `ray_jobs`, through Ray's Jobs API or in a process of this machine.

A job is `python -m ray_jobs.KIND --config FILE`. It answers in its run folder (progress.json, result.json) and obeys the `stop` marker there;
nobody parses logs. On a cluster its id is `argus-{kind}-{run_id}-{attempt}`, so that whoever knows the run finds the job.
"""

import contextlib
import fcntl
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from argus.errors import ArgusError, InvalidInput, ServiceError
from argus.runs import ProgressHook, RunFolder, with_run_id
from ray_jobs.supervisor import SupervisedProcess
from schemas.config import JobConfig, TrainConfig
from schemas.names import EXIT_CODES, JobKind, Outcome
from schemas.records import JobResult, Progress

T = TypeVar("T")
LogHook = Callable[[str], None]
"""Called with each new line of the job's log, without its line end."""

POLL_S = 0.5
LOG_EVERY_S = 2.0
STOP_WAIT_S = 60.0
TAIL_LINES = 15
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
FORWARDED = ("ARGUS_HOME", "MLFLOW_TRACKING_URI")


@dataclass(frozen=True)
class Job:
    """One attempt of a run on a cluster."""

    folder: RunFolder
    submission_id: str
    attached: bool  # found, not started by this call


def submission_prefix(kind: JobKind, run_id: str) -> str:
    """What the ids of all attempts of a run begin with."""
    return f"argus-{kind}-{run_id}-"


def attempt_of(submission_id: str | None, prefix: str) -> int | None:
    """The attempt's number, or None where the id is not of this run: run `a` does not own `argus-train-a-1-2`."""
    match = re.fullmatch(re.escape(prefix) + r"([1-9]\d*)", submission_id or "")
    return int(match[1]) if match else None


def needs(config: JobConfig) -> dict[str, float]:
    """What a job must be able to reserve at once, by Ray's resource names."""
    if isinstance(config, TrainConfig):
        return {"CPU": config.workers, "GPU": config.workers * config.gpus_per_worker}
    return {"CPU": 1}


def check_needs(kind: JobKind, wanted: Mapping[str, float], available: Mapping[str, float]) -> None:
    """Raises InvalidInput where the cluster can never hold the job."""
    for name, amount in wanted.items():
        if amount > available.get(name, 0):
            raise InvalidInput(
                f"{kind} needs {amount:g} {name}s, the cluster has {available.get(name, 0):g}; ask for fewer workers or add nodes"
            )


def ray_headers(environ: Mapping[str, str]) -> dict[str, str]:
    """The authorization header with the cluster's token: RAY_AUTH_TOKEN, the file RAY_AUTH_TOKEN_PATH, or Ray's own in the home folder."""
    if environ.get("RAY_AUTH_MODE", "").lower() != "token":
        return {}
    token = environ.get("RAY_AUTH_TOKEN")
    if not token:
        path = Path(environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
        if not path.exists():
            raise InvalidInput(
                f"RAY_AUTH_MODE is token, but there is no token: set RAY_AUTH_TOKEN, or write it to {path}"
            )
        token = path.read_text().strip()
    return {"Authorization": f"Bearer {token}"}


class JobClient:
    """A cluster's Jobs API. `address` is the dashboard's (http://host:8265); by default ARGUS_RAY_ADDRESS, then what Ray itself looks at.

    Raises ServiceError where the cluster does not answer.
    """

    def __init__(self, address: str | None = None, *, patience_s: float = 60.0) -> None:
        from ray.job_submission import JobSubmissionClient

        self.patience_s = patience_s
        self._headers = ray_headers(os.environ)
        self._address = address or os.environ.get("ARGUS_RAY_ADDRESS")
        with _service_errors(self._address):
            self._api = JobSubmissionClient(self._address, headers=dict(self._headers))

    def submit_or_attach(self, kind: JobKind, config: JobConfig) -> Job:
        """The run's newest job while it runs or when it succeeded (or was told that its input is invalid); otherwise a new attempt.

        Raises InvalidInput where the run id holds another configuration, or the cluster is too small.
        """
        config = with_run_id(config)
        folder = RunFolder.of(config, kind)
        folder.write_config(config)
        prefix = submission_prefix(kind, folder.run_id)
        for _ in range(3):
            newest, status = self._newest(prefix)
            if newest and (status not in ("FAILED", "STOPPED") or _is_invalid(folder)):
                return Job(folder, f"{prefix}{newest}", attached=True)
            check_needs(kind, needs(config), self.resources())
            folder.prepare()
            with contextlib.suppress(_Taken):  # somebody else was faster: look again
                return self._submit(folder, f"{prefix}{newest + 1}")
        raise ServiceError(f"could not submit {prefix}*: every attempt's id was taken meanwhile")

    def find(self, kind: JobKind, run_id: str, home: str | Path) -> Job | None:
        """The newest job of a run, whatever became of it."""
        prefix = submission_prefix(kind, run_id)
        newest, _ = self._newest(prefix)
        return (
            Job(RunFolder(home, kind, run_id), f"{prefix}{newest}", attached=True)
            if newest
            else None
        )

    def status(self, job: Job) -> str:
        """PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED."""
        with _service_errors(self._address):
            return str(self._api.get_job_status(job.submission_id).value)

    def resources(self) -> dict[str, float]:
        """What the living nodes have together, by Ray's resource names."""
        from ray.util.state.api import StateApiClient
        from ray.util.state.common import ListApiOptions, StateResource

        with _service_errors(self._address):
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
        self, job: Job, on_progress: ProgressHook | None = None, on_log: LogHook | None = None
    ) -> JobResult:
        """Waits for the job's end and gives its result. A cluster that is away longer than `patience_s` is a ServiceError; the job goes on."""
        teller = _Teller(job.folder, on_progress)
        log = _Lines(on_log)
        looked = 0.0
        while True:
            status = self._patiently(lambda: self.status(job))
            teller.tell()
            if status in ENDED or (on_log and time.monotonic() - looked > LOG_EVERY_S):
                log.take(self._patiently(lambda: self._log(job)), last=status in ENDED)
                looked = time.monotonic()
            if status in ENDED:
                return _judge(job.folder, status, log.text)
            time.sleep(POLL_S)

    def stop(self, job: Job, wait_s: float = STOP_WAIT_S) -> JobResult:
        """Stops the job: the marker first (a pending job ignores everything else), then the signal. Waits at most so long."""
        job.folder.request_stop()
        with _service_errors(self._address):
            self._api.stop_job(job.submission_id)
        end = time.monotonic() + wait_s
        while (status := self.status(job)) not in ENDED:
            if time.monotonic() > end:
                return _result(
                    job.folder,
                    Outcome.CANCELLED,
                    f"{job.submission_id} was told to stop and is still {status}; the marker will end it",
                )
            time.sleep(POLL_S)
        return _judge(job.folder, status, self._log(job))

    def _newest(self, prefix: str) -> tuple[int, str]:
        with _service_errors(self._address):
            jobs = self._api.list_jobs()
        attempts = {
            number: job.status.value
            for job in jobs
            if (number := attempt_of(job.submission_id, prefix))
        }
        newest = max(attempts, default=0)
        return newest, attempts.get(newest, "")

    def _submit(self, folder: RunFolder, submission_id: str) -> Job:
        environment = {name: os.environ[name] for name in FORWARDED if name in os.environ}
        with _service_errors(self._address):
            self._api.submit_job(
                entrypoint=shlex.join(entrypoint(folder)),
                submission_id=submission_id,
                runtime_env={"env_vars": environment} if environment else None,
                metadata={"argus.kind": str(folder.kind), "argus.run_id": folder.run_id},
            )
        return Job(folder, submission_id, attached=False)

    def _log(self, job: Job) -> str:
        with _service_errors(self._address):
            return str(self._api.get_job_logs(job.submission_id))

    def _patiently(self, ask: Callable[[], T]) -> T:
        end = time.monotonic() + self.patience_s
        while True:
            try:
                return ask()
            except ServiceError:
                if time.monotonic() > end:
                    raise
                time.sleep(2 * POLL_S)


def entrypoint(folder: RunFolder) -> list[str]:
    """The command of a run: the interpreter of this environment, a module, a file; never JSON in a shell line."""
    return [sys.executable, "-m", f"ray_jobs.{folder.kind}", "--config", str(folder.config_path)]


def run_locally(
    kind: JobKind,
    config: JobConfig,
    on_progress: ProgressHook | None = None,
    on_log: LogHook | None = None,
) -> JobResult:
    """Runs the same job on this machine, in a child process that starts its own Ray; follows it to its end.

    KeyboardInterrupt (or any other BaseException) stops it in good order and gives a `cancelled` result; a second one does not wait. The child ends
    with this process, even when that is killed. One process at a time works on a run: another one waits for the first one's last steps, then refuses.
    """
    config = with_run_id(config)
    folder = RunFolder.of(config, kind)
    folder.write_config(config)
    with _locked(folder) as lock:
        folder.prepare()
        log = folder.path / "log.txt"
        log.unlink(missing_ok=True)
        child = SupervisedProcess(entrypoint(folder), log, grace_s=STOP_WAIT_S, keep_fds=(lock,))
        try:
            return _watch(child, folder, _Teller(folder, on_progress), _Lines(on_log))
        except KeyboardInterrupt:
            folder.request_stop()
            child.stop()
            return folder.read_result() or _result(
                folder, Outcome.CANCELLED, "stopped; the same run id continues it"
            )
        finally:
            child.ask()


def _watch(
    child: SupervisedProcess, folder: RunFolder, teller: "_Teller", lines: "_Lines"
) -> JobResult:
    while True:
        code = child.wait(POLL_S)
        teller.tell()
        lines.take(child.log.read_text(errors="replace"), last=code is not None)
        if code is not None:
            return _judge(folder, "SUCCEEDED" if code == 0 else "FAILED", lines.text)


@contextlib.contextmanager
def _locked(folder: RunFolder, patience_s: float = 30.0) -> Iterator[int]:
    """The run's lock as a file descriptor; whoever inherits it holds it too, so that it lasts as long as the job."""
    folder.path.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + patience_s
    with (folder.path / "lock").open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise InvalidInput(
                        f"run {folder.run_id} is being worked on by another process; wait for it, or choose another run_id"
                    ) from None
                time.sleep(POLL_S)
        yield file.fileno()


class _Teller:
    """Hands on progress.json when it changed."""

    def __init__(self, folder: RunFolder, hook: ProgressHook | None) -> None:
        self.folder = folder
        self.hook = hook
        self.last: Progress | None = folder.read_progress()

    def tell(self) -> None:
        progress = self.folder.read_progress()
        if progress and progress != self.last and self.hook:
            self.hook(progress.step, progress.total, progress.unit, progress.message)
        self.last = progress


class _Lines:
    """Hands on the whole lines of a growing text once each: re-reading a log starts at its beginning."""

    def __init__(self, hook: LogHook | None) -> None:
        self.hook = hook
        self.offset = 0
        self.text = ""

    def take(self, text: str, *, last: bool = False) -> None:
        self.text = text
        end = len(text) if last else text.rfind("\n") + 1
        for line in text[self.offset : end].splitlines():
            if self.hook:
                self.hook(line)
        self.offset = max(self.offset, end)


class _Taken(Exception):
    """The submission id is in use."""


@contextlib.contextmanager
def _service_errors(address: str | None) -> Iterator[None]:
    """Maps what Ray's HTTP clients raise."""
    from ray.exceptions import AuthenticationError
    from ray.util.state.exception import RayStateApiException
    from requests import RequestException

    where = address or "the default address"
    try:
        yield
    except (RequestException, ConnectionError, RayStateApiException) as error:
        raise ServiceError(
            f"the Ray cluster at {where} does not answer: {error}; start one with `argus up`, or set ARGUS_RAY_ADDRESS"
        ) from error
    except AuthenticationError as error:
        raise InvalidInput(
            f"the Ray cluster at {where} refuses the token; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN to the cluster's"
        ) from error
    except RuntimeError as error:
        if "already exist" in str(error):
            raise _Taken(str(error)) from error
        raise ServiceError(f"the Ray cluster at {where} refused: {error}") from error


def _is_invalid(folder: RunFolder) -> bool:
    result = folder.read_result()
    return result is not None and result.outcome is Outcome.INVALID


def _judge(folder: RunFolder, status: str, log: str) -> JobResult:
    """What became of an ended job. The status is the truth; the result says the rest."""
    result = folder.read_result()
    if result and (status != "FAILED" or EXIT_CODES[result.outcome] != 0):
        return result
    if status == "STOPPED":
        return _result(folder, Outcome.CANCELLED, "stopped; the same run id continues it")
    tail = "\n".join(log.splitlines()[-TAIL_LINES:]) or "(the log is empty)"
    what = "ended well, but wrote no result" if status == "SUCCEEDED" else "died"
    return _result(folder, Outcome.FAILED, f"the job {what}; the end of its log:\n{tail}")


def _result(folder: RunFolder, outcome: Outcome, reason: str) -> JobResult:
    now = datetime.now(UTC)
    return JobResult(
        kind=folder.kind,
        run_id=folder.run_id,
        outcome=outcome,
        reason=reason,
        started=folder.started,
        ended=now,
    )


def require(result: JobResult) -> JobResult:
    """The result of a job that went well; otherwise the error that it stands for."""
    errors: dict[Outcome, type[ArgusError]] = {
        Outcome.INVALID: InvalidInput,
        Outcome.RETRY: ServiceError,
    }
    if EXIT_CODES[result.outcome] == 0:
        return result
    raise errors.get(result.outcome, ArgusError)(
        result.reason or f"{result.kind} {result.run_id}: {result.outcome}"
    )
