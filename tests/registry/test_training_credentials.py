"""A training whose MLflow server needs a password stores and shows it nowhere."""

import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from argus.registry import connect
from argus.runs import RunFolder
from schemas.names import JobKind, Outcome

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SECRET = "s3cret"
SETTINGS = (
    *("model.height=32", "model.view_height=32", "sample.steps=1", "validation_clips=1"),
    *("batch=1", "min_quality=null"),
)


def test_a_training_stores_no_password(home: Path, sample_dataset: Path, mlflow_server) -> None:
    uri = mlflow_server.uri.replace("://", f"://user:{SECRET}@")
    options = ["--preset", "demo", "--dataset", str(sample_dataset), "--steps", "2"]
    sets = [part for setting in SETTINGS for part in ("--set", setting)]
    done = subprocess.run(
        [
            *(sys.executable, "-c", "from argus.cli import main; main()"),
            *("train", *options, "--workers", "1", "--run-id", "r", *sets),
        ],
        env={**os.environ, "MLFLOW_TRACKING_URI": uri},
        capture_output=True,
        text=True,
        timeout=500,
    )
    folder = RunFolder(home, JobKind.TRAIN, "r")
    assert done.returncode == 0, done.stderr + (folder.path / "log.txt").read_text()
    result = folder.read_result()
    assert result is not None
    assert result.outcome is Outcome.DONE
    assert result.outputs["tracking_uri"] == mlflow_server.uri
    assert SECRET not in done.stdout + done.stderr
    for path in home.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
    run = connect(mlflow_server.uri).get_run(result.outputs["mlflow_run_id"])
    assert run.data.metrics["loss"] > 0
    assert SECRET not in f"{run.to_dictionary()}"
    version = mlflow.MlflowClient(mlflow_server.uri).get_model_version(
        "argus", str(result.outputs["model_version"])
    )
    assert SECRET not in f"{dict(version)}"
