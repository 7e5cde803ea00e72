"""What every job's entry point promises: a result in every case, and the exit status that its outcome means."""

import json
import os
import signal
from pathlib import Path

import pytest

from argus.errors import FetchError, InvalidInput, ServiceError
from argus.runs import RunFolder
from ray_jobs.entry import run_entry_point
from schemas.config import CurateConfig
from schemas.names import EXIT_CODES, JobKind, Outcome, Reason
from schemas.records import JobResult


class Job:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "job.json"
        self.run = RunFolder(folder / "home", JobKind.CURATE, "one")
        self.configure(catalogue="list.csv")

    def configure(self, **values: object) -> None:
        self.file.write_text(
            json.dumps({"home": str(self.run.path.parents[2]), "run_id": "one", **values})
        )

    def __call__(self, body) -> tuple[int, JobResult | None]:
        with pytest.raises(SystemExit) as leaving:
            run_entry_point(JobKind.CURATE, CurateConfig, body, ["--config", str(self.file)])
        return leaving.value.code, self.run.read_result()


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_the_exit_status_says_the_outcome(job: Job, outcome: Outcome) -> None:
    status, result = job(
        lambda config, folder: folder.finish(outcome, outputs={"catalogue": config.catalogue})
    )
    assert (status, result.outcome, result.outputs) == (
        EXIT_CODES[outcome],
        outcome,
        {"catalogue": "list.csv"},
    )


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (InvalidInput("no such catalogue"), Outcome.INVALID),
        (ServiceError("no such catalogue"), Outcome.RETRY),
        (FetchError(Reason.NOT_FOUND, "no such catalogue", retryable=False), Outcome.FAILED),
        (KeyboardInterrupt(), Outcome.CANCELLED),
    ],
)
def test_an_error_of_ours_becomes_its_outcome_and_message(
    job: Job, error: BaseException, outcome: Outcome
) -> None:
    def body(config: CurateConfig, folder: RunFolder) -> JobResult:
        raise error

    status, result = job(body)
    assert (status, result.outcome) == (EXIT_CODES[outcome], outcome)
    assert result.reason == (str(error) or "interrupted")


def test_anything_unexpected_is_a_failure_with_a_traceback_in_the_log(job: Job, capsys) -> None:
    status, result = job(lambda config, folder: 1 / 0)
    assert (status, result.outcome) == (1, Outcome.FAILED)
    assert result.reason.startswith("ZeroDivisionError: division by zero")
    assert "Traceback" in capsys.readouterr().err


def test_sigterm_becomes_the_stop_marker_only_while_the_body_runs(job: Job) -> None:
    def body(config: CurateConfig, folder: RunFolder) -> JobResult:
        os.kill(os.getpid(), signal.SIGTERM)
        return folder.finish(Outcome.CANCELLED if folder.is_stop_requested else Outcome.DONE)

    before = signal.getsignal(signal.SIGTERM)
    assert job(body)[0] == 130
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_submitted_job_that_was_stopped_before_it_began_does_nothing(
    job: Job, monkeypatch
) -> None:
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    job.run.request_stop()
    status, result = job(lambda config, folder: folder.finish(Outcome.DONE))
    assert (status, result.outcome) == (130, Outcome.CANCELLED)


def test_run_by_hand_again_it_starts_afresh(job: Job) -> None:
    job.run.request_stop()
    job.run.finish(Outcome.CANCELLED)

    def body(config: CurateConfig, folder: RunFolder) -> JobResult:
        assert folder.read_result() is None
        return folder.finish(Outcome.DONE)

    assert job(body)[1].outcome is Outcome.DONE


def test_a_bad_configuration_is_invalid_input_and_names_the_field(job: Job, capsys) -> None:
    job.configure(catalogue="list.csv", chunk_size=0, colour="red")
    assert job(lambda config, folder: folder.finish(Outcome.DONE)) == (10, None)
    message = capsys.readouterr().err
    assert "chunk_size" in message
    assert "colour" in message
    job.file.unlink()
    assert job(lambda config, folder: folder.finish(Outcome.DONE))[0] == 10
    assert "does not exist" in capsys.readouterr().err


def test_a_run_id_with_another_configuration_is_refused(job: Job) -> None:
    job(lambda config, folder: folder.finish(Outcome.DONE))
    job.configure(catalogue="another.csv")
    status, result = job(lambda config, folder: folder.finish(Outcome.DONE))
    assert (status, result.outcome) == (10, Outcome.INVALID)
    assert "another configuration" in result.reason
