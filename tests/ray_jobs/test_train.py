"""What the training job decides before and after Ray works."""

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
    made = RunFolder(tmp_path, JobKind.TRAIN, "r")
    made.path.mkdir(parents=True)
    return made


def test_dataset_that_is_not_there_is_said_before_anything_starts(
    tmp_path: Path, folder: RunFolder
) -> None:
    with pytest.raises(InvalidInput, match=r"there is no dataset at .*; `argus refresh"):
        train.run(
            TrainConfig(run_id="r", home=str(tmp_path), dataset=str(tmp_path / "none")), folder
        )
    assert list(folder.path.iterdir()) == []


def test_only_a_whole_training_counts_as_over(folder: RunFolder) -> None:
    assert train.read_summary(folder) is None
    for stopped in (True, False):
        pipeline = None if stopped else folder.path / "pipeline"
        summary = TrainSummary(
            7, stopped, 1.0, 0.5, folder.path / "untrained", pipeline, 3, "ab", 0.25
        )
        (folder.path / train.TRAINED).write_bytes(train._SUMMARY.dump_json(summary))
        assert train.read_summary(folder, stopped=True) == summary
        assert train.read_summary(folder) == (None if stopped else summary)


def test_our_own_error_comes_back_out_of_a_failed_group() -> None:
    ours = InvalidInput("no such clip")
    wrapped = RayTaskError("train_worker", "traceback", ours)
    assert (
        train._cause(WorkerGroupError("text", {0: RuntimeError("connection reset"), 1: wrapped}))
        is ours
    )
    other = train._cause(WorkerGroupError("text", {1: RuntimeError("first line\nout of memory")}))
    assert (type(other), str(other)) == (ArgusError, "training failed: out of memory")
    assert "lost the controller" in str(
        train._cause(ControllerError(RuntimeError("lost the controller")))
    )


def test_job_id_is_the_submission(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    assert submission_tags() == {}
    monkeypatch.setenv(
        "RAY_JOB_CONFIG_JSON_ENV_VAR",
        json.dumps({"metadata": {"job_submission_id": "argus-train-r-1"}}),
    )
    assert submission_tags() == {"job_id": "argus-train-r-1"}
