"""Registration over a real MLflow server."""

import itertools
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from argus.errors import InvalidInput, ServiceError
from argus.files import sha256_file
from argus.registry import models, tracking
from argus.registry.models import ModelVersion
from argus.registry.promotion import Measurement
from schemas.config import PromoteConfig, TrainConfig
from schemas.names import GateDecision

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
LOSSES = {"validation_loss": 0.5, "untrained.validation_loss": 1.0}
_numbers = itertools.count()


@pytest.fixture
def name() -> str:
    return f"argus test {next(_numbers)}"


@pytest.fixture
def add(
    mlflow_server, tmp_path: Path, pipeline: Path, untrained: Path, name: str
) -> Callable[[str], ModelVersion]:
    def register(run_id: str) -> ModelVersion:
        uri = mlflow_server.uri
        folder = tmp_path / run_id
        run = tracking.open_run(
            folder,
            TrainConfig(run_id=run_id),
            experiment="models",
            name=run_id,
            tracking_uri=uri,
            tags={},
        )
        tags = {"snapshot": "3", "snapshot_digest": "ab" * 32, **tracking.code_tags()}
        return models.register(
            pipeline,
            name,
            mlflow_run_id=run.run_id,
            run_id=run_id,
            tracking_uri=uri,
            untrained=untrained,
            metrics=LOSSES,
            tags=tags,
        )

    return register


def test_registered_model_brings_its_weights_back(
    add, mlflow_server, name: str, pipeline: Path, untrained: Path
) -> None:
    version = add("one")
    assert (version.version, version.aliases, version.tags["snapshot"], version.tags["run_id"]) == (
        1,
        ("candidate",),
        "3",
        "one",
    )
    assert version.tags["code_version"]
    for uri in (
        mlflow_server.uri,
        mlflow_server.sqlite,
    ):  # through the server, and where it is down
        found = models.locate(f"models:/{name}@candidate", uri)
        assert found.version is not None
        assert found.version.version == 1
        assert found.untrained is not None
        assert sha256_file(found.pipeline / WEIGHTS) == sha256_file(pipeline / WEIGHTS)
        assert sha256_file(found.untrained / WEIGHTS) == sha256_file(untrained / WEIGHTS)
    assert models.resolve(f"models:/{name}/1", mlflow_server.uri) == models.resolve(
        f"models:/{name}@candidate", mlflow_server.uri
    )


def test_nothing_in_a_model_can_execute_but_its_source(add, name: str) -> None:
    folder = models.locate(f"models:/{name}/1", add("one").tracking_uri).pipeline.parents[1]
    names = sorted(path.suffix for path in folder.rglob("*") if path.is_file())
    assert set(names) == {"", ".json", ".py", ".safetensors", ".txt", ".yaml"}
    assert json.loads((folder / "input_example.json").read_text())[0]["input"] == "in.mp4"
    requirements = (folder / "requirements.txt").read_text().split()
    assert all("==" in line for line in requirements)
    assert any(line.startswith("torch==") for line in requirements)


def test_a_run_registers_once(add) -> None:
    first, second = add("one"), add("two")
    assert add("one").version == first.version == 1
    assert second.version == 2
    assert (
        models.find(second.name, "candidate", tracking_uri=second.tracking_uri).version == 2
    )  # the older one did not take it back


def test_promotion_keeps_the_champion_before(add, mlflow_server, name: str) -> None:
    first, second = add("one"), add("two")
    assert models.champion(name, tracking_uri=mlflow_server.uri) is None
    models.promote(first)
    models.promote(first)
    models.promote(second)
    models.promote(second)
    assert models.find(name, "champion", tracking_uri=mlflow_server.uri).version == 2
    assert models.find(name, "previous", tracking_uri=mlflow_server.uri).version == 1
    models.set_alias(first, models.CHAMPION)
    found = models.champion(name, tracking_uri=mlflow_server.uri)
    assert found is not None
    assert found.version == 1


def test_measurement_is_read_back(add) -> None:
    version = add("one")
    assert models.measurement_of(version) == Measurement(LOSSES, "")
    models.record_measurement(version, Measurement({"psnr_all": 11.0, "fill.psnr_all": 9.0}, "old"))
    models.record_measurement(
        version,
        Measurement({"psnr_all": 12.5, "ws_psnr_all": float("nan")}, "abc"),
        dataset=("dataset", "ab"),
    )
    found = models.measurement_of(version)
    assert found.test == "abc"
    assert found.metrics.keys() == {
        *LOSSES,
        "psnr_all",
        "ws_psnr_all",
    }  # nothing of another test stays
    assert found.metrics["psnr_all"] == 12.5
    assert math.isnan(found.metrics["ws_psnr_all"])
    logged = models.connect(version.tracking_uri).get_logged_model(version.model_id)
    assert {metric.key for metric in logged.metrics} >= {*LOSSES, "psnr_all"}
    assert {metric.dataset_digest for metric in logged.metrics if metric.key == "psnr_all"} >= {
        "ab"
    }


def test_judging_promotes_what_the_gate_promotes(add, mlflow_server, name: str) -> None:
    config = PromoteConfig(model_name=name, tracking_uri=mlflow_server.uri)
    first = add("one")
    assert models.judge(config).decision == GateDecision.HOLD  # not evaluated yet
    models.record_measurement(
        first,
        Measurement({"psnr_all": 12.0, "untrained.psnr_all": 6.0, "ws_psnr_all": 12.0}, "test"),
    )
    assert models.judge(config).decision == GateDecision.PROMOTE
    assert "champion already" in models.judge(config).reasons[0]
    models.record_measurement(add("two"), Measurement({"ws_psnr_all": 11.0}, "test"))
    assert models.judge(config).decision == GateDecision.HOLD
    models.record_measurement(add("three"), Measurement({"ws_psnr_all": 13.0}, "test"))
    assert models.judge(config).decision == GateDecision.PROMOTE
    assert models.judge(config.model_copy(update={"version": 2})).decision == GateDecision.HOLD
    aliases = {
        alias: models.find(name, alias, tracking_uri=mlflow_server.uri).version
        for alias in ("champion", "previous", "candidate")
    }
    assert aliases == {"champion": 3, "previous": 1, "candidate": 3}


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("models:/{name}@champion", "there are versions 1 and aliases candidate → 1"),
        ("models:/{name}/7", "there are versions 1 and aliases candidate → 1"),
        ("models:/nobody@champion", "no version of 'nobody' is registered"),
        ("models:/it's@champion", "use models:/NAME@ALIAS"),
        ("models:/{name}", "use models:/NAME@ALIAS"),
        ("/not/there", "does not exist; give models:/NAME@ALIAS"),
    ],
)
def test_a_model_that_is_not_there_is_named(
    add, mlflow_server, name: str, uri: str, message: str
) -> None:
    add("one")
    with pytest.raises(InvalidInput, match=message):
        models.resolve(uri.format(name=name), mlflow_server.uri)


def test_folder_without_a_pipeline_is_refused(mlflow_server, tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="holds no pipeline"):
        models.register(
            tmp_path, name, mlflow_run_id="x", run_id="x", tracking_uri=mlflow_server.uri
        )
    with pytest.raises(InvalidInput, match="holds no pipeline"):
        models.resolve(str(tmp_path))


def test_files_that_are_gone_are_named(add, name: str) -> None:
    version = add("one")
    shutil.rmtree(models.resolve(version.uri, version.tracking_uri).parents[1])
    with pytest.raises(InvalidInput, match=r"the files of models:/.* are gone"):
        models.resolve(version.uri, version.tracking_uri)


def test_plain_folder_finds_the_untrained_one_beside_it(pipeline: Path, tmp_path: Path) -> None:
    assert models.locate(str(pipeline)).untrained is None
    for name in ("pipeline", "untrained"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "argus.json").write_text("{}")
    assert models.locate(str(tmp_path / "pipeline")).untrained == tmp_path / "untrained"


def test_model_on_another_machine_is_downloaded_once(
    mlflow_server, tmp_path: Path, pipeline: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARGUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    models.connect(mlflow_server.uri).create_experiment(
        "elsewhere", artifact_location="mlflow-artifacts:/elsewhere"
    )
    run = tracking.open_run(
        tmp_path, TrainConfig(run_id="r"), experiment="elsewhere", name="r", tags={}
    )
    models.register(pipeline, name, mlflow_run_id=run.run_id, run_id="r")
    first = models.resolve(f"models:/{name}/1")
    assert tmp_path / "home" / "models" in first.parents
    assert sha256_file(first / WEIGHTS) == sha256_file(pipeline / WEIGHTS)
    (first / "mine").touch()
    assert (
        models.resolve(f"models:/{name}/1") / "mine"
    ).exists()  # the same folder, not fetched again


def test_server_that_is_away_is_said_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with pytest.raises(
        ServiceError,
        match=r"MLflow at http://127.0.0.1:9 does not answer .* start it, or correct MLFLOW_TRACKING_URI",
    ):
        models.champion("argus", tracking_uri="http://127.0.0.1:9")


def test_no_tracking_uri_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(InvalidInput, match="set MLFLOW_TRACKING_URI"):
        models.resolve("models:/argus@champion")
    with pytest.raises(InvalidInput, match="not an MLflow tracking uri"):
        models.resolve("models:/argus@champion", "./mlruns")
