"""What version 0.1.0 wrote still opens: a run folder resumes, a saved MLflow model generates.

`tests/data/runs_v1.tar.xz` holds a training run that stopped after two of four steps, its dataset,
and the MLflow model of its untrained pipeline, all with few, coarse weights. `expected.json` holds
what version 0.1.0 itself computed from them.
"""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from argus.dataset import Dataset
from argus.media import open_video
from argus.runs import RunFolder
from argus.train import train
from schemas.config import TrainConfig
from schemas.names import JobKind

ARCHIVE = Path(__file__).parent / "data" / "runs_v1.tar.xz"
WRITTEN_AT = "/srv/argus-v1"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked archive, as if it had been written where it lies now."""
    folder = tmp_path_factory.mktemp("v1")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    config = folder / "home" / "runs" / "train" / "run" / "config.json"
    values = json.loads(config.read_text().replace(WRITTEN_AT, str(folder)))
    values["model"]["name"] = f"{WRITTEN_AT}/svd"  # part of the run's identity; read no more
    config.write_text(json.dumps(values))
    return folder


@pytest.fixture(scope="module")
def expected(stored: Path) -> dict[str, object]:
    return json.loads((stored / "expected.json").read_text())


def test_a_stored_run_resumes(stored: Path, expected: dict[str, object]) -> None:
    folder = RunFolder(stored / "home", JobKind.TRAIN, "run")
    config = TrainConfig.model_validate_json(folder.config_path.read_text())
    folder.write_config(config)
    summary = train(config, folder, Dataset(config.dataset))
    assert summary.step == config.steps == 4
    lines = (folder.path / "losses.jsonl").read_text().splitlines()
    before, now = expected["losses"], [json.loads(line) for line in lines]
    assert [line["samples"] for line in now] == [line["samples"] for line in before]
    np.testing.assert_allclose(
        [line["loss"] for line in now], [line["loss"] for line in before], rtol=1e-3
    )


def test_another_configuration_is_refused(stored: Path) -> None:
    from argus.errors import InvalidInput

    folder = RunFolder(stored / "home", JobKind.TRAIN, "run")
    config = TrainConfig.model_validate_json(folder.config_path.read_text())
    with pytest.raises(InvalidInput):
        folder.write_config(config.model_copy(update={"batch": 2}))


def test_a_stored_mlflow_model_generates(
    stored: Path, expected: dict[str, object], tmp_path: Path
) -> None:
    import mlflow

    model = mlflow.pyfunc.load_model(str(stored / "model"))
    request = {"input": str(stored / "input.mp4"), "output": str(tmp_path / "out.mp4")}
    (response,) = model.predict([{**request, "steps": 1, "seed": 3}])
    assert (response.frames, response.height, response.width) == (4, 64, 128)
    with open_video(response.output) as reader:
        frames = reader.frames(range(len(reader)))
    assert list(frames.shape) == expected["generated_shape"]
    np.testing.assert_allclose(frames.mean((0, 1, 2)), expected["generated_mean"], atol=0.5)
    np.testing.assert_allclose(frames.std(), expected["generated_std"], atol=0.5)
