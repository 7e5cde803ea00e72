"""Ids, resources, results and logs of jobs, without a cluster."""

import fcntl
from pathlib import Path

import pytest

from argus.errors import ArgusError, InvalidInput, ServiceError
from argus.runs import RunFolder
from ray_jobs.client import (
    JobClient,
    check_resources,
    forwarded_environment,
    parse_attempt,
    ray_auth_headers,
    required_resources,
    submission_prefix,
)
from ray_jobs.following import LogRelay, ProgressRelay, final_result, job_command, raise_for_outcome
from ray_jobs.local import run_locally
from schemas.config import CurateConfig, TrainConfig
from schemas.names import JobKind, Outcome


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path, JobKind.TRAIN, "a")
    folder.prepare()
    return folder


def invalid_refresh(folder: Path) -> CurateConfig:
    """Return a refresh whose catalogue does not exist."""
    return CurateConfig(
        run_id="r",
        home=str(folder),
        catalogue=str(folder / "absent.csv"),
        dataset=str(folder / "dataset"),
    )


@pytest.mark.parametrize(
    ("submission_id", "run_id", "attempt"),
    [
        ("argus-train-a-1", "a", 1),
        ("argus-train-a-12", "a", 12),
        ("argus-train-a-1-2", "a", None),
        ("argus-train-a-1-2", "a-1", 2),
        ("argus-train-a-0", "a", None),
        ("argus-train-ab-1", "a", None),
        ("argus-evaluate-a-1", "a", None),
        (None, "a", None),
    ],
)
def test_an_attempt_belongs_to_one_run(
    submission_id: str | None, run_id: str, attempt: int | None
) -> None:
    assert parse_attempt(submission_id, submission_prefix(JobKind.TRAIN, run_id)) == attempt


def test_a_credential_is_not_sent_to_a_cluster() -> None:
    plain = {"ARGUS_HOME": "/srv/argus", "MLFLOW_TRACKING_URI": "http://mlflow:5000"}
    assert forwarded_environment({**plain, "HOME": "/root"}) == plain
    for uri in ("http://user:s3cret@mlflow", "https://s3cret@mlflow", "mysql://db?password=s3cret"):
        environment = forwarded_environment(plain | {"MLFLOW_TRACKING_URI": uri})
        assert environment == {"ARGUS_HOME": "/srv/argus"}


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("http://user:s3cret@127.0.0.1:1", ServiceError),
        ("https://s3cret@127.0.0.1:1", ServiceError),
        ("ray://user:s3cret@127.0.0.1:1", InvalidInput),
    ],
)
def test_an_error_of_a_cluster_holds_no_password(address: str, error: type[ArgusError]) -> None:
    with pytest.raises(error) as caught:
        JobClient(address)
    assert "127.0.0.1:1" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_job_that_is_too_large_for_the_cluster_is_refused() -> None:
    required = required_resources(TrainConfig(workers=4, batch=4, gpus_per_worker=1))
    with pytest.raises(InvalidInput) as caught:
        check_resources(JobKind.TRAIN, required, {"CPU": 8, "GPU": 1})
    assert "4 GPUs" in str(caught.value)
    check_resources(JobKind.TRAIN, required, {"CPU": 4, "GPU": 4, "memory": 1})


def test_a_job_without_gpus_fits_a_cluster_without_gpus() -> None:
    check_resources(JobKind.TRAIN, required_resources(TrainConfig(workers=2)), {"CPU": 2})


def test_the_token_is_read_from_the_environment_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    mode = {"RAY_AUTH_MODE": "token"}
    assert ray_auth_headers({}) == {}
    assert ray_auth_headers({**mode, "RAY_AUTH_TOKEN": "t"}) == {"Authorization": "Bearer t"}
    headers = ray_auth_headers({**mode, "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")})
    assert headers == {"Authorization": "Bearer secret"}
    with pytest.raises(InvalidInput) as caught:
        ray_auth_headers({**mode, "RAY_AUTH_TOKEN_PATH": str(tmp_path / "none")})
    assert "RAY_AUTH_TOKEN" in str(caught.value)


def test_the_command_of_a_job_names_its_configuration_file(folder: RunFolder) -> None:
    expected = ["-m", "ray_jobs.train", "--config", str(folder.config_path)]
    assert job_command(folder)[1:] == expected


def test_each_line_of_a_growing_log_is_relayed_once() -> None:
    lines: list[str] = []
    log = LogRelay(lines.append)
    for text in ("a\nb", "a\nb\nc\nd", "a\nb\nc\nd"):
        log.update(text, is_complete=False)
    assert lines == ["a", "b", "c"]
    log.update("a\nb\nc\nd", is_complete=True)
    assert lines == ["a", "b", "c", "d"]


def test_only_changes_of_the_progress_are_relayed(folder: RunFolder) -> None:
    folder.progress(1, 9, "step")
    calls: list[tuple[int, int, str, str]] = []
    relay = ProgressRelay(folder, lambda *values: calls.append(values))
    relay.update()
    folder.progress(2, 9, "step", "loss 0.5")
    relay.update()
    relay.update()
    folder.phase("registering the model")
    relay.update()
    assert calls == [(2, 9, "step", "loss 0.5"), (0, 0, "", "registering the model")]


def test_a_job_that_died_has_failed_with_the_end_of_its_log(folder: RunFolder) -> None:
    log = "\n".join(f"line {number}" for number in range(100))
    result = final_result(folder, "FAILED", log)
    assert result.outcome is Outcome.FAILED
    assert result.reason.endswith("line 99")
    assert "line 50" not in result.reason


def test_the_status_takes_precedence_over_the_result(folder: RunFolder) -> None:
    folder.finish(Outcome.DONE)
    assert final_result(folder, "FAILED", "Segmentation fault").outcome is Outcome.FAILED
    assert final_result(folder, "SUCCEEDED", "").outcome is Outcome.DONE


def test_a_failed_job_has_the_outcome_and_reason_of_its_result(folder: RunFolder) -> None:
    folder.finish(Outcome.INVALID, "no such snapshot")
    result = final_result(folder, "FAILED", "")
    assert (result.outcome, result.reason) == (Outcome.INVALID, "no such snapshot")


def test_a_stopped_job_without_result_is_cancelled(folder: RunFolder) -> None:
    assert final_result(folder, "STOPPED", "").outcome is Outcome.CANCELLED


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (Outcome.INVALID, InvalidInput),
        (Outcome.RETRY, ServiceError),
        (Outcome.FAILED, ArgusError),
        (Outcome.CANCELLED, ArgusError),
    ],
)
def test_the_outcome_of_an_unsuccessful_job_is_raised(
    folder: RunFolder, outcome: Outcome, error: type[ArgusError]
) -> None:
    with pytest.raises(error) as caught:
        raise_for_outcome(folder.finish(outcome, "because"))
    assert str(caught.value) == "because"


def test_the_result_of_a_successful_job_is_returned(folder: RunFolder) -> None:
    result = folder.finish(Outcome.NOTHING)
    assert raise_for_outcome(result) is result


def test_only_one_process_works_on_a_run(tmp_path: Path) -> None:
    config = invalid_refresh(tmp_path)
    folder = RunFolder.of(config, JobKind.CURATE)
    folder.prepare()
    with (folder.path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InvalidInput) as caught:
            run_locally(JobKind.CURATE, config, lock_wait_s=0)
    assert "run r" in str(caught.value)
    assert folder.read_result() is None


def test_a_local_job_returns_its_result(tmp_path: Path) -> None:
    log: list[str] = []
    config = invalid_refresh(tmp_path)
    result = run_locally(JobKind.CURATE, config, on_log=log.append)
    assert result.outcome is Outcome.INVALID
    assert "absent.csv" in result.reason
    assert any("absent.csv" in line for line in log)
    assert RunFolder.of(config, JobKind.CURATE).read_result() == result
