"""A real MLflow server on loopback, and a folder that looks like a pipeline's."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file


@dataclass(frozen=True)
class Mlflow:
    """A running server, and the database below it."""

    uri: str
    sqlite: str


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlflow]:
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sqlite = f"sqlite:///{folder}/mlflow.db"
    artifacts = f"file://{folder}/artifacts"
    remote = f"{folder}/remote"  # what lies here is reached through the server alone, as on another machine
    options = [
        "--backend-store-uri",
        sqlite,
        "--artifacts-destination",
        remote,
        "--default-artifact-root",
        artifacts,
        "--workers",
        "1",
    ]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "mlflow",
                "server",
                *options,
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
            ],
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"},
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", server, folder / "server.log")
        yield Mlflow(f"http://127.0.0.1:{port}", sqlite)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
        else:
            return
    raise TimeoutError(log.read_text())


def make_pipeline(folder: Path, seed: int) -> Path:
    """A folder of a pipeline's form, with weights that tell it from others."""
    (folder / "unet").mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "ArgusPipeline"}))
    save_file(
        {"weight": np.random.default_rng(seed).normal(size=(4, 4)).astype(np.float32)},
        folder / "unet" / "diffusion_pytorch_model.safetensors",
    )
    return folder


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pipeline(tmp_path_factory.mktemp("run") / "pipeline", 1)


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pipeline(tmp_path_factory.mktemp("run") / "untrained", 2)
