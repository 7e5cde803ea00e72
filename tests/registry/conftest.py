"""Fixtures: a real MLflow server on loopback, and folders in the format of a pipeline."""

import json
import os
import signal
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

from tests.support.forwarding import find_free_port

START_TIMEOUT_S = 240


@dataclass(frozen=True)
class MlflowServer:
    """A running server and its database."""

    uri: str
    port: int
    sqlite: str


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    folder = tmp_path_factory.mktemp("mlflow")
    port = find_free_port()
    sqlite = f"sqlite:///{folder}/mlflow.db"
    options = [
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", sqlite),
        # Files below this folder are served by the server only, as on another machine.
        *("--artifacts-destination", f"{folder}/remote"),
        *("--default-artifact-root", f"file://{folder}/artifacts"),
    ]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *options],
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ,
        )
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}/health", server, folder / "server.log")
        yield MlflowServer(f"http://127.0.0.1:{port}", port, sqlite)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def wait_until_healthy(url: str, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
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
    """Write a folder in the format of a pipeline, with weights that depend on the seed."""
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
