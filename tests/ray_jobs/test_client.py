"""Ids, needs, results and logs of jobs: what needs no cluster."""

import fcntl
from pathlib import Path

import pytest

from argus.errors import ArgusError, InvalidInput, ServiceError
from argus.runs import RunFolder
from ray_jobs import client
from ray_jobs.client import (
    parse_attempt,
    check_resources,
    entrypoint,
    needs,
    ray_auth_headers,
    require,
    run_locally,
    submission_prefix,
)
from schemas.config import CurateConfig, TrainConfig
from schemas.names import JobKind, Outcome


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path, JobKind.TRAIN, "a")
    folder.prepare()
    return folder


@pytest.mark.parametrize(
    ("submission_id", "attempt"),
    [
        ("argus-train-a-1", 1),
        ("argus-train-a-12", 12),
        ("argus-train-a-1-2", None),
        ("argus-train-a-0", None),
        ("argus-train-ab-1", None),
        ("argus-evaluate-a-1", None),
        (None, None),
    ],
)
def test_an_attempt_belongs_to_one_run(submission_id: str | None, attempt: int | None) -> None:
    assert parse_attempt(submission_id, submission_prefix(JobKind.TRAIN, "a")) == attempt


def test_attempts_of_a_run_whose_name_ends_in_a_number() -> None:
    assert parse_attempt("argus-train-a-1-2", submission_prefix(JobKind.TRAIN, "a-1")) == 2


def test_a_job_that_the_cluster_can_never_hold_is_refused() -> None:
    wanted = required_resources(TrainConfig(workers=4, batch=4, gpus_per_worker=1))
    with pytest.raises(InvalidInput, match="train needs 4 GPUs, the cluster has 1"):
        check_resources(JobKind.TRAIN, wanted, {"CPU": 8, "GPU": 1})
    check_resources(JobKind.TRAIN, wanted, {"CPU": 4, "GPU": 4, "memory": 1})


def test_a_job_without_gpus_needs_no_gpu_in_the_cluster() -> None:
    check_resources(JobKind.TRAIN, required_resources(TrainConfig(workers=2)), {"CPU": 2})


def test_the_token_is_found_or_its_absence_said(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    assert ray_auth_headers({}) == {}
    assert ray_auth_headers({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "t"}) == {
        "Authorization": "Bearer t"
    }
    assert ray_auth_headers(
        {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}
    ) == {"Authorization": "Bearer secret"}
    with pytest.raises(InvalidInput, match="RAY_AUTH_TOKEN"):
        ray_auth_headers({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(tmp_path / "none")})


def test_the_entry_point_names_a_file_and_no_json(folder: RunFolder) -> None:
    assert entrypoint(folder)[1:] == ["-m", "ray_jobs.train", "--config", str(folder.config_path)]


def test_each_line_of_a_growing_log_is_told_once() -> None:
    told: list[str] = []
    lines = client._Lines(told.append)
    for text in ("a\nb", "a\nb\nc\nd", "a\nb\nc\nd"):
        lines.take(text)
    assert told == ["a", "b", "c"]
    lines.take("a\nb\nc\nd", last=True)
    assert told == ["a", "b", "c", "d"]


def test_a_job_that_died_is_failed_with_the_end_of_its_log(folder: RunFolder) -> None:
    result = client._judge(folder, "FAILED", "\n".join(f"line {number}" for number in range(100)))
    assert result.outcome is Outcome.FAILED
    assert result.reason.endswith("line 99")
    assert "line 50" not in result.reason


def test_the_status_is_the_truth_where_the_result_says_otherwise(folder: RunFolder) -> None:
    folder.finish(Outcome.DONE)
    assert client._judge(folder, "FAILED", "Segmentation fault").outcome is Outcome.FAILED
    assert client._judge(folder, "SUCCEEDED", "").outcome is Outcome.DONE


def test_a_job_that_left_its_reason_is_believed(folder: RunFolder) -> None:
    folder.finish(Outcome.INVALID, "no such snapshot")
    result = client._judge(folder, "FAILED", "")
    assert (result.outcome, result.reason) == (Outcome.INVALID, "no such snapshot")


def test_a_stopped_job_without_result_is_cancelled(folder: RunFolder) -> None:
    assert client._judge(folder, "STOPPED", "").outcome is Outcome.CANCELLED


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (Outcome.INVALID, InvalidInput),
        (Outcome.RETRY, ServiceError),
        (Outcome.FAILED, ArgusError),
        (Outcome.CANCELLED, ArgusError),
    ],
)
def test_a_result_that_is_not_good_is_an_error(
    folder: RunFolder, outcome: Outcome, error: type[ArgusError]
) -> None:
    with pytest.raises(error, match="because"):
        raise_for_outcome(folder.finish(outcome, "because"))


def test_a_result_that_is_good_passes(folder: RunFolder) -> None:
    result = folder.finish(Outcome.NOTHING)
    assert raise_for_outcome(result) is result


def test_one_process_at_a_time_works_on_a_run(folder: RunFolder) -> None:
    with (folder.path / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with (
            pytest.raises(InvalidInput, match="another process"),
            client._locked(folder, patience_s=0),
        ):
            pass
    with client._locked(folder, patience_s=0):
        pass


def test_a_local_job_answers_through_its_result(tmp_path: Path) -> None:
    log: list[str] = []
    config = CurateConfig(
        run_id="r",
        home=str(tmp_path),
        catalogue=str(tmp_path / "absent.csv"),
        dataset=str(tmp_path / "dataset"),
    )
    result = run_locally(JobKind.CURATE, config, on_log=log.append)
    assert result.outcome is Outcome.INVALID
    assert "absent.csv" in result.reason
    assert any("absent.csv" in line for line in log)
    assert RunFolder.of(config, JobKind.CURATE).read_result() == result
