"""Run a job on this machine, in a child process, without a cluster."""

import contextlib
import fcntl
import time
from collections.abc import Iterator

from argus.errors import InvalidInput
from argus.runs import ProgressHook, RunFolder, with_run_id
from ray_jobs.following import (
    CANCELLED_REASON,
    LogHook,
    LogRelay,
    ProgressRelay,
    create_result,
    final_result,
    job_command,
)
from ray_jobs.supervisor import SupervisedProcess
from schemas.config import JobConfig
from schemas.names import JobKind, Outcome
from schemas.records import JobResult

_POLL_S = 0.5
_STOP_WAIT_S = 60.0
_LOCK_WAIT_S = 30.0


def run_locally(
    kind: JobKind,
    config: JobConfig,
    on_progress: ProgressHook | None = None,
    on_log: LogHook | None = None,
    *,
    lock_wait_s: float = _LOCK_WAIT_S,
) -> JobResult:
    """Run a job in a child process on this machine, without a cluster, and follow it to its end.

    KeyboardInterrupt stops the job cleanly and gives a `cancelled` result; a second one does not
    wait. The child process ends with this process, even if this process is killed.

    Args:
        kind: The kind of the job.
        config: Its configuration; without a run id it gets a new one.
        on_progress: Called whenever the job's progress changes.
        on_log: Called with each new line of its log.
        lock_wait_s: Time to wait for another process that works on the run, in seconds.

    Raises:
        InvalidInput: The run exists with another configuration, or another process still works
            on it after `lock_wait_s`.
    """
    config = with_run_id(config)
    folder = RunFolder.of(config, kind)
    from argus.dataset import migrate_config

    folder.write_config(config, migrate=migrate_config)
    with _lock_run(folder, lock_wait_s) as lock:
        folder.prepare()
        log = folder.path / "log.txt"
        log.unlink(missing_ok=True)
        child = SupervisedProcess(job_command(folder), log, grace_s=_STOP_WAIT_S, keep_fds=(lock,))
        try:
            return _follow_child(child, folder, ProgressRelay(folder, on_progress), on_log)
        except KeyboardInterrupt:
            folder.request_stop()
            child.stop()
            return folder.read_result() or create_result(
                folder, Outcome.CANCELLED, CANCELLED_REASON
            )
        finally:
            child.request_end()


def _follow_child(
    child: SupervisedProcess,
    folder: RunFolder,
    progress: ProgressRelay,
    on_log: LogHook | None,
) -> JobResult:
    log = LogRelay(on_log)
    while True:
        status = child.wait(_POLL_S)
        progress.update()
        log.update(child.log.read_text(errors="replace"), is_complete=status is not None)
        if status is not None:
            return final_result(folder, "SUCCEEDED" if status == 0 else "FAILED", log.text)


@contextlib.contextmanager
def _lock_run(folder: RunFolder, wait_s: float) -> Iterator[int]:
    """Lock a run, and yield the lock's file descriptor.

    A child process that inherits the descriptor holds the lock as well, until the job ends.
    """
    folder.path.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_s
    with (folder.path / "lock").open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise InvalidInput(
                        f"run {folder.run_id} is in use by another process; "
                        "wait until it ends, or choose another run_id"
                    ) from None
                time.sleep(_POLL_S)
        yield file.fileno()
