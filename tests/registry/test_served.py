"""The registered model in plain MLflow: paths in, 360° videos out."""

from fractions import Fraction
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch

from argus.diffusion import ArgusPipeline, band_statistics, build_tiny
from argus.media import open_video, read_spherical, write_video
from argus.registry import ModelVersion, open_run, promote_version, register_model
from schemas.config import ModelSettings, TrainConfig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def registered(mlflow_server, tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    folder = tmp_path_factory.mktemp("served")
    settings = ModelSettings(height=32, frames=2, view_height=32)
    statistics = band_statistics([torch.rand(2, 3, 32, 64) * 2 - 1])
    pipeline: ArgusPipeline = build_tiny(settings, statistics)
    pipeline.save_pretrained(folder / "pipeline")
    run = open_run(
        folder,
        TrainConfig(run_id="served"),
        experiment="served",
        name="served",
        tracking_uri=mlflow_server.uri,
        tags={},
    )
    version = register_model(
        folder / "pipeline",
        "served",
        mlflow_run_id=run.run_id,
        run_id="served",
        tracking_uri=mlflow_server.uri,
    )
    promote_version(version)
    return version


@pytest.mark.parametrize("through", ["uri", "sqlite"])
def test_the_champion_generates_from_a_path(
    registered, mlflow_server, through: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (3, 48, 64, 3), dtype=np.uint8)
    write_video(tmp_path / "in.mp4", frames, Fraction(5))
    # As in a fresh process, in which only the environment variable is set.
    monkeypatch.setattr(mlflow.tracking._tracking_service.utils, "_tracking_uri", None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", getattr(mlflow_server, through))
    model = mlflow.pyfunc.load_model("models:/served@champion")
    output = tmp_path / "out.mp4"
    request = {"input": str(tmp_path / "in.mp4"), "output": str(output), "fov_deg": 75, "steps": 1}
    (response,) = model.predict([request])
    assert (response.output, response.frames) == (str(output), 3)
    assert (response.height, response.width) == (32, 64)
    with open_video(output) as reader:
        assert (len(reader), reader.size) == (3, (32, 64))
    assert read_spherical(output) is not None
