"""The entry point of jobs: a result in every case, and the exit status of its outcome."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from argus.errors import FetchError, InvalidInput, ServiceError
from argus.runs import RunFolder
from ray_jobs.entry import run_entry_point
from schemas.config import CurateConfig
from schemas.names import EXIT_CODES, JobKind, Outcome, Reason
from schemas.records import JobResult


class JobFixture:
    """A configuration file, and a function that runs a job with it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "job.json"
        self.run = RunFolder(folder / "home", JobKind.CURATE, "one")
        self.configure(catalogue="list.csv")

    def configure(self, **values: object) -> None:
        self.file.write_text(
            json.dumps({"home": str(self.run.path.parents[2]), "run_id": "one", **values})
        )

    def __call__(self, body) -> tuple[int, JobResult | None]:
        with pytest.raises(SystemExit) as exited:
            run_entry_point(JobKind.CURATE, CurateConfig, body, ["--config", str(self.file)])
        return exited.value.code, self.run.read_result()


@pytest.fixture
def job(tmp_path: Path) -> JobFixture:
    return JobFixture(tmp_path)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_each_outcome_has_its_exit_status(job: JobFixture, outcome: Outcome) -> None:
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
def test_an_argus_error_gives_its_outcome_and_message(
    job: JobFixture, error: BaseException, outcome: Outcome
) -> None:
    def body(config: CurateConfig, folder: RunFolder) -> JobResult:
        raise error

    status, result = job(body)
    assert (status, result.outcome) == (EXIT_CODES[outcome], outcome)
    assert result.reason == (str(error) or "interrupted")


def test_an_unexpected_error_is_a_failure_with_a_traceback_in_the_log(
    job: JobFixture, capsys
) -> None:
    status, result = job(lambda config, folder: 1 / 0)
    assert (status, result.outcome) == (1, Outcome.FAILED)
    assert "ZeroDivisionError" in result.reason
    assert "Traceback" in capsys.readouterr().err


def test_sigterm_writes_the_stop_marker_while_the_body_runs(job: JobFixture) -> None:
    def body(config: CurateConfig, folder: RunFolder) -> JobResult:
        os.kill(os.getpid(), signal.SIGTERM)
        return folder.finish(Outcome.CANCELLED if folder.is_stop_requested else Outcome.DONE)

    before = signal.getsignal(signal.SIGTERM)
    assert job(body)[0] == 130
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_submitted_job_that_was_stopped_before_its_start_does_nothing(
    job: JobFixture, monkeypatch
) -> None:
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    job.run.request_stop()
    status, result = job(lambda config, folder: folder.finish(Outcome.DONE))
    assert (status, result.outcome) == (130, Outcome.CANCELLED)


def test_a_job_started_by_hand_ignores_an_earlier_stop(job: JobFixture) -> None:
    job.run.request_stop()
    job.run.finish(Outcome.CANCELLED)

    def body(config: CurateConfig, folder: RunFolder) -> JobResult:
        assert folder.read_result() is None
        return folder.finish(Outcome.DONE)

    assert job(body)[1].outcome is Outcome.DONE


def test_an_invalid_configuration_is_an_error_that_names_the_field(job: JobFixture, capsys) -> None:
    for name, value in {"chunk_size": 0, "color": "red"}.items():
        job.configure(**{"catalogue": "list.csv", name: value})
        assert job(lambda config, folder: folder.finish(Outcome.DONE)) == (10, None)
        assert name in capsys.readouterr().err
    job.file.unlink()
    assert job(lambda config, folder: folder.finish(Outcome.DONE))[0] == 10
    assert str(job.file) in capsys.readouterr().err


def test_a_run_id_with_another_configuration_is_refused(job: JobFixture) -> None:
    job(lambda config, folder: folder.finish(Outcome.DONE))
    job.configure(catalogue="another.csv")
    status, result = job(lambda config, folder: folder.finish(Outcome.DONE))
    assert (status, result.outcome) == (10, Outcome.INVALID)
    assert "one" in result.reason


def test_generation_imports_no_ray() -> None:
    code = (
        "import sys, ray_jobs.generate, argus.diffusion, argus.infer; "
        "assert 'ray' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
