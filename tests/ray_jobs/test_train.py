"""The training job: checks before Ray starts, its summary, and the cause of a failure."""

import json
from pathlib import Path

import pytest
from ray.exceptions import RayTaskError
from ray.train import ControllerError, WorkerGroupError

from argus.errors import ArgusError, InvalidInput
from argus.runs import RunFolder
from argus.train import TrainSummary
from ray_jobs import train
from ray_jobs.entry import submission_tags
from schemas.config import TrainConfig
from schemas.names import JobKind


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path, JobKind.TRAIN, "r")
    folder.path.mkdir(parents=True)
    return folder


def test_a_missing_dataset_is_an_error_before_anything_starts(
    tmp_path: Path, folder: RunFolder
) -> None:
    dataset = str(tmp_path / "none")
    config = TrainConfig(run_id="r", home=str(tmp_path), dataset=dataset)
    with pytest.raises(InvalidInput) as caught:
        train.run(config, folder)
    assert dataset in str(caught.value)
    assert list(folder.path.iterdir()) == []


def test_a_stopped_training_is_not_finished(folder: RunFolder) -> None:
    assert train.read_summary(folder) is None
    for stopped in (True, False):
        pipeline = None if stopped else folder.path / "pipeline"
        summary = TrainSummary(
            7, stopped, 1.0, 0.5, folder.path / "untrained", pipeline, 3, "ab", 0.25
        )
        train.write_summary(folder, summary)
        assert train.read_summary(folder, include_stopped=True) == summary
        assert train.read_summary(folder) == (None if stopped else summary)


def test_the_error_of_a_worker_is_the_cause_of_a_failure() -> None:
    error = InvalidInput("no such clip")
    wrapped = RayTaskError("train_worker", "traceback", error)
    failures = {0: RuntimeError("connection reset"), 1: wrapped}
    assert train.find_cause(WorkerGroupError("text", failures)) is error
    other = train.find_cause(
        WorkerGroupError("text", {1: RuntimeError("first line\nout of memory")})
    )
    assert type(other) is ArgusError
    assert str(other).endswith("out of memory")
    controller = train.find_cause(ControllerError(RuntimeError("lost the controller")))
    assert "lost the controller" in str(controller)


def test_a_submitted_job_has_its_submission_id_as_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    assert submission_tags() == {}
    job_config = json.dumps({"metadata": {"job_submission_id": "argus-train-r-1"}})
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", job_config)
    assert submission_tags() == {"job_id": "argus-train-r-1"}
