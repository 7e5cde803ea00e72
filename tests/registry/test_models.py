"""The model registry, with a real MLflow server."""

import itertools
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from argus.errors import ArgusError, InvalidInput, ServiceError
from argus.files import sha256_file
from argus.registry import (
    CHAMPION,
    Measurement,
    ModelVersion,
    code_tags,
    connect,
    find_champion,
    find_version,
    locate_model,
    open_run,
    promote_if_better,
    promote_version,
    read_measurement,
    record_measurement,
    register_model,
    set_alias,
)
from schemas.config import PromoteConfig, TrainConfig
from schemas.names import PromotionDecision

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
LOSSES = {"validation_loss": 0.5, "untrained.validation_loss": 1.0}
_numbers = itertools.count()


@pytest.fixture
def name() -> str:
    return f"argus test {next(_numbers)}"


@pytest.fixture
def register(
    mlflow_server, tmp_path: Path, pipeline: Path, untrained: Path, name: str
) -> Callable[[str], ModelVersion]:
    """Return a function that registers a version for a run id."""

    def register_run(run_id: str) -> ModelVersion:
        uri = mlflow_server.uri
        run = open_run(
            tmp_path / run_id,
            TrainConfig(run_id=run_id),
            experiment="models",
            name=run_id,
            tracking_uri=uri,
            tags={},
        )
        return register_model(
            pipeline,
            name,
            mlflow_run_id=run.run_id,
            run_id=run_id,
            tracking_uri=uri,
            untrained=untrained,
            metrics=LOSSES,
            tags={"snapshot": "3", "snapshot_digest": "ab" * 32, **code_tags()},
        )

    return register_run


def test_a_registered_model_is_located_with_its_weights(
    register, mlflow_server, name: str, pipeline: Path, untrained: Path
) -> None:
    version = register("one")
    assert (version.version, version.aliases) == (1, ("candidate",))
    assert (version.tags["snapshot"], version.tags["run_id"]) == ("3", "one")
    assert version.tags["code_version"]
    for uri in (mlflow_server.uri, mlflow_server.sqlite):  # the database works without the server
        located = locate_model(f"models:/{name}@candidate", uri)
        assert located.version is not None
        assert located.version.version == 1
        assert located.untrained is not None
        assert sha256_file(located.pipeline / WEIGHTS) == sha256_file(pipeline / WEIGHTS)
        assert sha256_file(located.untrained / WEIGHTS) == sha256_file(untrained / WEIGHTS)
        assert locate_model(f"models:/{name}/1", uri).pipeline == located.pipeline


def test_a_stored_model_contains_no_code_but_its_source(register, name: str) -> None:
    uri = register("one").tracking_uri
    folder = locate_model(f"models:/{name}/1", uri).pipeline.parents[1]
    suffixes = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert suffixes == {"", ".json", ".py", ".safetensors", ".txt", ".yaml"}
    assert json.loads((folder / "input_example.json").read_text())[0]["input"] == "in.mp4"
    requirements = (folder / "requirements.txt").read_text().split()
    assert all("==" in line for line in requirements)
    assert any(line.startswith("torch==") for line in requirements)


def test_a_run_is_registered_once(register) -> None:
    first, second = register("one"), register("two")
    assert register("one").version == first.version == 1
    assert second.version == 2
    candidate = find_version(second.name, "candidate", tracking_uri=second.tracking_uri)
    assert candidate.version == 2, "the newer version remains the candidate"


def test_promotion_keeps_the_former_champion(register, mlflow_server, name: str) -> None:
    first, second = register("one"), register("two")
    assert find_champion(name, tracking_uri=mlflow_server.uri) is None
    for version in (first, first, second, second):
        promote_version(version)
    assert find_version(name, "champion", tracking_uri=mlflow_server.uri).version == 2
    assert find_version(name, "previous", tracking_uri=mlflow_server.uri).version == 1
    set_alias(first, CHAMPION)
    champion = find_champion(name, tracking_uri=mlflow_server.uri)
    assert champion is not None
    assert champion.version == 1


def test_the_last_measurement_is_read_back(register) -> None:
    version = register("one")
    assert read_measurement(version) == Measurement(LOSSES, "")
    record_measurement(version, Measurement({"psnr_all": 11.0, "fill.psnr_all": 9.0}, "old"))
    record_measurement(
        version,
        Measurement({"psnr_all": 12.5, "ws_psnr_all": float("nan")}, "abc"),
        dataset=("dataset", "ab"),
    )
    measurement = read_measurement(version)
    assert measurement.test == "abc"
    assert measurement.metrics.keys() == {*LOSSES, "psnr_all", "ws_psnr_all"}
    assert measurement.metrics["psnr_all"] == 12.5
    assert math.isnan(measurement.metrics["ws_psnr_all"])
    metrics = connect(version.tracking_uri).get_logged_model(version.model_id).metrics
    assert {metric.key for metric in metrics} >= {*LOSSES, "psnr_all"}
    assert "ab" in {metric.dataset_digest for metric in metrics if metric.key == "psnr_all"}


def test_only_a_better_candidate_is_promoted(register, mlflow_server, name: str) -> None:
    config = PromoteConfig(model_name=name, tracking_uri=mlflow_server.uri)
    first = register("one")
    assert promote_if_better(config).decision == PromotionDecision.HOLD, "not evaluated yet"
    metrics = {"psnr_all": 12.0, "untrained.psnr_all": 6.0, "ws_psnr_all": 12.0}
    record_measurement(first, Measurement(metrics, "test"))
    assert promote_if_better(config).decision == PromotionDecision.PROMOTE
    assert promote_if_better(config).decision == PromotionDecision.HOLD, "already the champion"
    record_measurement(register("two"), Measurement({"ws_psnr_all": 11.0}, "test"))
    assert promote_if_better(config).decision == PromotionDecision.HOLD
    record_measurement(register("three"), Measurement({"ws_psnr_all": 13.0}, "test"))
    assert promote_if_better(config).decision == PromotionDecision.PROMOTE
    second = config.model_copy(update={"version": 2})
    assert promote_if_better(second).decision == PromotionDecision.HOLD
    aliases = {
        alias: find_version(name, alias, tracking_uri=mlflow_server.uri).version
        for alias in ("champion", "previous", "candidate")
    }
    assert aliases == {"champion": 3, "previous": 1, "candidate": 3}


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("models:/{name}@champion", "candidate → 1"),
        ("models:/{name}/7", "candidate → 1"),
        ("models:/nobody@champion", "nobody"),
        ("models:/it's@champion", "models:/NAME@ALIAS"),
        ("models:/{name}", "models:/NAME@ALIAS"),
        ("/not/there", "models:/NAME@ALIAS"),
    ],
)
def test_a_model_that_does_not_exist_is_an_error_that_names_the_alternatives(
    register, mlflow_server, name: str, uri: str, named: str
) -> None:
    register("one")
    with pytest.raises(InvalidInput) as caught:
        locate_model(uri.format(name=name), mlflow_server.uri)
    assert named in str(caught.value)


def test_a_folder_without_a_pipeline_is_refused(mlflow_server, tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput):
        register_model(
            tmp_path, name, mlflow_run_id="x", run_id="x", tracking_uri=mlflow_server.uri
        )
    with pytest.raises(InvalidInput):
        locate_model(str(tmp_path))


def test_deleted_files_are_an_error_that_names_them(register) -> None:
    version = register("one")
    folder = locate_model(version.uri, version.tracking_uri).pipeline.parents[1]
    shutil.rmtree(folder)
    with pytest.raises(InvalidInput) as caught:
        locate_model(version.uri, version.tracking_uri)
    assert str(folder) in str(caught.value)


def test_the_untrained_pipeline_is_found_beside_a_plain_folder(
    pipeline: Path, tmp_path: Path
) -> None:
    assert locate_model(str(pipeline)).untrained is None
    for name in ("pipeline", "untrained"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "argus.json").write_text("{}")
    assert locate_model(str(tmp_path / "pipeline")).untrained == tmp_path / "untrained"


def test_a_remote_model_is_downloaded_once(
    mlflow_server, home: Path, tmp_path: Path, pipeline: Path, name: str, monkeypatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    connect(mlflow_server.uri).create_experiment(
        "remote", artifact_location="mlflow-artifacts:/remote"
    )
    config = TrainConfig(run_id="r")
    run = open_run(tmp_path / "run", config, experiment="remote", name="r", tags={})
    register_model(pipeline, name, mlflow_run_id=run.run_id, run_id="r")
    first = locate_model(f"models:/{name}/1").pipeline
    assert home / "models" in first.parents
    assert sha256_file(first / WEIGHTS) == sha256_file(pipeline / WEIGHTS)
    (first / "mark").touch()
    assert (locate_model(f"models:/{name}/1").pipeline / "mark").exists()


def test_an_unreachable_server_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with pytest.raises(ServiceError) as caught:
        find_champion("argus", tracking_uri="http://127.0.0.1:9")
    assert "http://127.0.0.1:9" in str(caught.value)
    assert "MLFLOW_TRACKING_URI" in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://user:hunter2@127.0.0.1:9/x", "@127.0.0.1:9/x"),
        ("http://hunter2@127.0.0.1:9", "@127.0.0.1:9"),
        ("http://user:p@hunter2@127.0.0.1:9", "@127.0.0.1:9"),
        ("ftp://user:a/hunter2@host/x", "@host/x"),
        ("ftp://host/x?sslmode=off&password=hunter2", "ftp://host/x?sslmode=off"),
        ("ftp://host/x?api_key=hunter2&sslmode=off", "sslmode=off"),
    ],
)
def test_no_message_holds_a_password(uri: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(ArgusError) as caught:
        locate_model("models:/argus@champion")
    assert shown in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_missing_or_wrong_tracking_uri_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(InvalidInput) as caught:
        locate_model("models:/argus@champion")
    assert "MLFLOW_TRACKING_URI" in str(caught.value)
    with pytest.raises(InvalidInput) as caught:
        locate_model("models:/argus@champion", "./mlruns")
    assert "./mlruns" in str(caught.value)
