"""Runs in a real MLflow server."""

import json
import logging
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from argus.errors import ServiceError
from argus.registry.server import connect
from argus.registry.tracking import (
    RunLogger,
    TrackedData,
    TrackedRun,
    close_run,
    code_tags,
    flattened,
    open_run,
)
from schemas.config import OptimSettings, TrainConfig

DATA = TrackedData("dataset", "/data/dataset", 4, "cd" * 32)


def begin(folder: Path, uri: str) -> TrackedRun:
    config = TrainConfig(run_id="r", optim=OptimSettings(lr=0.25))
    return open_run(
        folder,
        config,
        experiment="tracking",
        name="r",
        tracking_uri=uri,
        data=DATA,
        tags={"job_id": "argus-train-r-1"},
    )


def test_run_holds_configuration_data_and_code(tmp_path: Path, mlflow_server) -> None:
    run = begin(tmp_path, mlflow_server.uri)
    close_run(run)
    found = connect(mlflow_server.uri).get_run(run.run_id)
    assert found.data.params["optim.lr"] == "0.25"
    assert found.data.tags["job_id"] == "argus-train-r-1"
    assert (found.data.tags["snapshot"], found.data.tags["snapshot_digest"]) == ("4", "cd" * 32)
    assert found.data.tags["code_version"]
    assert found.inputs.dataset_inputs[0].dataset.digest == ("cd" * 32)[:36]
    assert found.info.status == "FINISHED"
    assert [file.path for file in connect(mlflow_server.uri).list_artifacts(run.run_id)] == [
        "config.json"
    ]


def test_resumed_job_continues_its_run(tmp_path: Path, mlflow_server) -> None:
    first = begin(tmp_path, mlflow_server.uri)
    RunLogger(first).log_metrics(1, {"loss": 3.0})
    close_run(first, status="KILLED")
    second = begin(tmp_path, mlflow_server.uri)
    RunLogger(second).log_metrics(2, {"loss": 2.0})
    assert second == first
    client = connect(mlflow_server.uri)
    assert [
        (entry.step, entry.value) for entry in client.get_metric_history(first.run_id, "loss")
    ] == [(1, 3.0), (2, 2.0)]
    assert client.get_run(first.run_id).info.status == "RUNNING"


def test_run_that_its_server_forgot_is_begun_anew(tmp_path: Path, mlflow_server) -> None:
    gone = TrackedRun(mlflow_server.uri, "0" * 32, "1")
    (tmp_path / "mlflow.json").write_text(json.dumps(gone.__dict__))
    run = begin(tmp_path, mlflow_server.uri)
    assert run.run_id != gone.run_id
    assert json.loads((tmp_path / "mlflow.json").read_text())["run_id"] == run.run_id


def test_pictures_are_kept_by_name_and_step(tmp_path: Path, mlflow_server) -> None:
    run = begin(tmp_path, mlflow_server.uri)
    RunLogger(run).log_image(7, "sample", np.full((8, 16, 3), 200, np.uint8))
    files = [file.path for file in connect(mlflow_server.uri).list_artifacts(run.run_id, "images")]
    assert any("sample" in file and "step" in file and file.endswith(".png") for file in files)


def test_entries_wait_while_the_server_is_away(
    tmp_path: Path, mlflow_server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = begin(tmp_path, mlflow_server.uri)
    logger = RunLogger(run)
    here, logger._client = logger._client, connect("http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with caplog.at_level(logging.WARNING):
        logger.log_metrics(1, {"loss": 3.0})
        logger.log_metrics(2, {"loss": 2.0})  # not tried again so soon
    assert sum("entries wait" in record.message for record in caplog.records) == 1
    with pytest.raises(ServiceError, match="does not answer"):
        logger.flush()
    logger._client = here
    logger.flush()
    assert [(entry.step, entry.value) for entry in here.get_metric_history(run.run_id, "loss")] == [
        (1, 3.0),
        (2, 2.0),
    ]


def test_files_of_a_plain_database_lie_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "mlflow").mkdir()
    run = begin(tmp_path / "run", f"sqlite:///{tmp_path}/mlflow/mlflow.db")
    assert list((tmp_path / "mlflow" / "artifacts").rglob(f"{run.run_id}/artifacts/config.json"))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_server_that_is_away_begins_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ServiceError, match="start it, or correct MLFLOW_TRACKING_URI"):
        begin(tmp_path, "http://127.0.0.1:9")
    assert not (tmp_path / "mlflow.json").exists()


def test_code_is_named_by_its_commit_where_there_is_git(monkeypatch: pytest.MonkeyPatch) -> None:
    named = code_tags()
    if (Path(__file__).parents[2] / ".git").exists() and shutil.which("git"):
        assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", named["git_sha"])
    monkeypatch.setenv("PATH", "")
    assert code_tags() == {"code_version": named["code_version"]}


def test_nested_groups_become_dotted_names() -> None:
    assert flattened({"a": {"b": {"c": 1}, "d": [1, 2]}, "e": None, "f": "text"}) == {
        "a.b.c": "1",
        "a.d": "[1, 2]",
        "e": "null",
        "f": "text",
    }
