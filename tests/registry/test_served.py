"""The registered model in plain MLflow: a path in, a 360° video out, through the server and, where that is down, through its database."""

from fractions import Fraction
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch

from argus.diffusion import ArgusPipeline, band_statistics, build_tiny
from argus.media import open_video, read_spherical, write_video
from argus.registry import models, tracking
from schemas.config import ModelSettings, TrainConfig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def registered(mlflow_server, tmp_path_factory: pytest.TempPathFactory) -> models.ModelVersion:
    folder = tmp_path_factory.mktemp("served")
    settings = ModelSettings(height=32, frames=2, view_height=32)
    statistics = band_statistics([torch.rand(2, 3, 32, 64) * 2 - 1])
    pipeline: ArgusPipeline = build_tiny(settings, statistics)
    pipeline.save_pretrained(folder / "pipeline")
    run = tracking.open_run(
        folder,
        TrainConfig(run_id="served"),
        experiment="served",
        name="served",
        tracking_uri=mlflow_server.uri,
        tags={},
    )
    version = models.register(
        folder / "pipeline",
        "served",
        mlflow_run_id=run.run_id,
        run_id="served",
        tracking_uri=mlflow_server.uri,
    )
    models.promote(version)
    return version


@pytest.mark.parametrize("through", ["uri", "sqlite"])
def test_champion_generates_from_a_path(
    registered, mlflow_server, through: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (3, 48, 64, 3), dtype=np.uint8)
    write_video(tmp_path / "in.mp4", frames, Fraction(5))
    monkeypatch.setattr(
        mlflow.tracking._tracking_service.utils, "_tracking_uri", None
    )  # what a fresh process has
    monkeypatch.setenv("MLFLOW_TRACKING_URI", getattr(mlflow_server, through))
    model = mlflow.pyfunc.load_model("models:/served@champion")
    request = {
        "input": str(tmp_path / "in.mp4"),
        "output": str(tmp_path / "out.mp4"),
        "fov_deg": 75,
        "steps": 1,
    }
    (answer,) = model.predict([request])
    assert (answer.output, answer.frames, answer.height, answer.width) == (
        request["output"],
        3,
        32,
        64,
    )
    with open_video(tmp_path / "out.mp4") as reader:
        assert (len(reader), reader.size) == (3, (32, 64))
    assert read_spherical(tmp_path / "out.mp4") is not None
