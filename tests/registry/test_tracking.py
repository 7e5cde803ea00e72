"""MLflow runs, with a real server."""

import json
import logging
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from argus.errors import ServiceError
from argus.registry import (
    RunLogger,
    TrackedData,
    TrackedRun,
    close_run,
    code_tags,
    connect,
    find_data_uses,
    flatten_settings,
    open_run,
    read_logged_pictures,
    read_metric_history,
    register_model,
)
from schemas.config import OptimSettings, TrainConfig
from tests.support.forwarding import find_free_port, forward

DATA = TrackedData("dataset", "/data/dataset", 4, "cd" * 32)


def open_test_run(folder: Path, uri: str) -> TrackedRun:
    return open_run(
        folder,
        TrainConfig(run_id="r", optim=OptimSettings(lr=0.25)),
        experiment="tracking",
        name="r",
        tracking_uri=uri,
        data=DATA,
        tags={"job_id": "argus-train-r-1"},
    )


def test_a_run_has_configuration_dataset_and_code_version(tmp_path: Path, mlflow_server) -> None:
    run = open_test_run(tmp_path, mlflow_server.uri)
    close_run(run)
    client = connect(mlflow_server.uri)
    stored = client.get_run(run.run_id)
    assert stored.data.params["optim.lr"] == "0.25"
    assert stored.data.tags["job_id"] == "argus-train-r-1"
    assert (stored.data.tags["snapshot"], stored.data.tags["snapshot_digest"]) == ("4", "cd" * 32)
    assert stored.data.tags["code_version"]
    assert stored.inputs.dataset_inputs[0].dataset.digest == ("cd" * 32)[:36]
    assert stored.info.status == "FINISHED"
    assert [file.path for file in client.list_artifacts(run.run_id)] == ["config.json"]


def test_a_resumed_job_continues_its_run(tmp_path: Path, mlflow_server) -> None:
    first = open_test_run(tmp_path, mlflow_server.uri)
    RunLogger(first).log_metrics(1, {"loss": 3.0})
    close_run(first, status="KILLED")
    second = open_test_run(tmp_path, mlflow_server.uri)
    RunLogger(second).log_metrics(2, {"loss": 2.0})
    assert second == first
    history = read_metric_history(first.run_id, "loss", tracking_uri=mlflow_server.uri)
    assert history == ((1, 3.0), (2, 2.0))
    assert connect(mlflow_server.uri).get_run(first.run_id).info.status == "RUNNING"


def test_a_run_folder_holds_no_password(tmp_path: Path, mlflow_server) -> None:
    uri = mlflow_server.uri.replace("://", "://user:hunter2@")
    run = open_test_run(tmp_path, uri)
    assert json.loads((tmp_path / "mlflow.json").read_text()) == asdict(
        replace(run, tracking_uri=mlflow_server.uri)
    )
    assert open_test_run(tmp_path, uri) == run


def test_a_run_unknown_to_the_server_is_created_anew(tmp_path: Path, mlflow_server) -> None:
    unknown = TrackedRun(mlflow_server.uri, "0" * 32, "1")
    (tmp_path / "mlflow.json").write_text(json.dumps(asdict(unknown)))
    run = open_test_run(tmp_path, mlflow_server.uri)
    assert run.run_id != unknown.run_id
    assert json.loads((tmp_path / "mlflow.json").read_text())["run_id"] == run.run_id


def test_pictures_are_read_back_by_name_and_step(tmp_path: Path, mlflow_server) -> None:
    run = open_test_run(tmp_path, mlflow_server.uri)
    RunLogger(run).log_image(7, "sample", np.full((8, 16, 3), 200, np.uint8))
    (picture,) = read_logged_pictures(run.run_id, tracking_uri=mlflow_server.uri)
    assert (picture.name, picture.step) == ("sample", 7)
    assert picture.png.startswith(b"\x89PNG")


def test_entries_are_queued_while_the_server_is_unreachable(
    tmp_path: Path, mlflow_server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = open_test_run(tmp_path, mlflow_server.uri)
    port = find_free_port()
    logger = RunLogger(replace(run, tracking_uri=f"http://127.0.0.1:{port}"))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with caplog.at_level(logging.WARNING, logger="argus"):
        logger.log_metrics(1, {"loss": 3.0})
        logger.log_metrics(2, {"loss": 2.0})  # queued without another attempt
    assert len([record for record in caplog.records if record.name.startswith("argus")]) == 1
    with pytest.raises(ServiceError):
        logger.flush()
    with forward(port, mlflow_server.port):
        logger.flush()
    history = read_metric_history(run.run_id, "loss", tracking_uri=mlflow_server.uri)
    assert history == ((1, 3.0), (2, 2.0))


def test_artifacts_of_a_database_without_a_server_are_stored_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "mlflow").mkdir()
    run = open_test_run(tmp_path / "run", f"sqlite:///{tmp_path}/mlflow/mlflow.db")
    assert list((tmp_path / "mlflow" / "artifacts").rglob(f"{run.run_id}/artifacts/config.json"))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_an_unreachable_server_leaves_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ServiceError):
        open_test_run(tmp_path, "http://127.0.0.1:9")
    assert not (tmp_path / "mlflow.json").exists()


def test_the_code_version_includes_the_commit_of_a_checkout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tags = code_tags()
    if (Path(__file__).parents[2] / ".git").exists() and shutil.which("git"):
        assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", tags["git_sha"])
    monkeypatch.setenv("PATH", "")
    assert code_tags() == {"code_version": tags["code_version"]}


def test_nested_settings_become_dotted_names() -> None:
    assert flatten_settings({"a": {"b": {"c": 1}, "d": [1, 2]}, "e": None, "f": "text"}) == {
        "a.b.c": "1",
        "a.d": "[1, 2]",
        "e": "null",
        "f": "text",
    }


def test_runs_that_read_a_snapshot_are_found_with_their_models(
    tmp_path: Path, mlflow_server, pipeline: Path
) -> None:
    client = connect(mlflow_server.uri)
    runs = {}
    for number, data in enumerate(
        (
            TrackedData("d", "/data/forgotten", 4, "ab" * 32),
            TrackedData("d", "/data/forgotten", 5, "ef" * 32),
            TrackedData("m", "/data/moved", 4, "ab" * 32),
            TrackedData("d", "/data/other", 4, "01" * 32),
            None,
        )
    ):
        runs[number] = open_run(
            tmp_path / str(number),
            TrainConfig(run_id="r"),
            experiment="uses",
            name=f"run {number}",
            tracking_uri=mlflow_server.uri,
            data=data,
            tags={},
        )
    version = register_model(
        pipeline,
        "forgetful",
        mlflow_run_id=runs[0].run_id,
        run_id="r0",
        tracking_uri=mlflow_server.uri,
    )

    def has_read(dataset: str, snapshot: int, digest: str) -> bool:
        return (dataset, snapshot) == ("/data/forgotten", 4) or digest == "ab" * 32

    found = {use.run_name: use for use in find_data_uses(has_read, mlflow_server.uri)}
    assert set(found) == {"run 0", "run 2"}
    assert found["run 0"].models == (version.uri,)
    assert (found["run 2"].models, found["run 2"].dataset) == ((), "/data/moved")
    assert (found["run 0"].experiment, found["run 0"].snapshot) == ("uses", 4)
    assert client.get_run(runs[3].run_id).info.run_id not in {
        use.mlflow_run_id for use in found.values()
    }
