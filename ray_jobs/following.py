"""Shared parts of following a job: its command, progress, log and result."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime

from argus.errors import ArgusError, InvalidInput, ServiceError
from argus.runs import ProgressHook, RunFolder
from schemas.names import EXIT_CODES, Outcome
from schemas.records import JobResult, Progress

LogHook = Callable[[str], None]
"""Callback for each new line of a job's log, without the line break."""

CANCELLED_REASON = "stopped; the same run id resumes it"
_TAIL_LINES = 15  # of the log, in the reason of a job that died


def job_command(folder: RunFolder) -> list[str]:
    """Return the command of a run's job: this interpreter, the module and the configuration file.

    The configuration is passed as a file, because a shell would change quotes in JSON.
    """
    return [sys.executable, "-m", f"ray_jobs.{folder.kind}", "--config", str(folder.config_path)]


class ProgressRelay:
    """Calls a hook whenever progress.json changes."""

    def __init__(self, folder: RunFolder, hook: ProgressHook | None) -> None:
        self._folder = folder
        self._hook = hook
        self._last: Progress | None = folder.read_progress()

    def update(self) -> None:
        """Read progress.json and call the hook if it changed."""
        progress = self._folder.read_progress()
        if progress and progress != self._last and self._hook:
            self._hook(progress.step, progress.total, progress.unit, progress.message)
        self._last = progress


class LogRelay:
    """Calls a hook once for each complete line of a growing text."""

    def __init__(self, hook: LogHook | None) -> None:
        self._hook = hook
        self._offset = 0
        self.text = ""

    def update(self, text: str, *, is_complete: bool) -> None:
        """Pass on the new lines of the text; `is_complete` includes a last line without break."""
        self.text = text
        end = len(text) if is_complete else text.rfind("\n") + 1
        for line in text[self._offset : end].splitlines():
            if self._hook:
                self._hook(line)
        self._offset = max(self._offset, end)


def final_result(folder: RunFolder, status: str, log: str) -> JobResult:
    """Return the result of an ended job. Ray's status takes precedence over result.json."""
    result = folder.read_result()
    if result and (status != "FAILED" or EXIT_CODES[result.outcome] != 0):
        return result
    if status == "STOPPED":
        return create_result(folder, Outcome.CANCELLED, CANCELLED_REASON)
    tail = "\n".join(log.splitlines()[-_TAIL_LINES:]) or "(the log is empty)"
    problem = "succeeded, but wrote no result" if status == "SUCCEEDED" else "died"
    return create_result(folder, Outcome.FAILED, f"the job {problem}; end of its log:\n{tail}")


def create_result(folder: RunFolder, outcome: Outcome, reason: str) -> JobResult:
    """Return a result for a job that wrote none."""
    return JobResult(
        kind=folder.kind,
        run_id=folder.run_id,
        outcome=outcome,
        reason=reason,
        started=folder.started,
        ended=datetime.now(UTC),
    )


def raise_for_outcome(result: JobResult) -> JobResult:
    """Return the result of a successful job; raise the error of any other.

    Raises:
        InvalidInput: The outcome is `invalid`.
        ServiceError: The outcome is `retry`.
        ArgusError: The outcome is `failed` or `cancelled`.
    """
    if EXIT_CODES[result.outcome] == 0:
        return result
    errors: dict[Outcome, type[ArgusError]] = {
        Outcome.INVALID: InvalidInput,
        Outcome.RETRY: ServiceError,
    }
    raise errors.get(result.outcome, ArgusError)(
        result.reason or f"{result.kind} {result.run_id}: {result.outcome}"
    )
