"""Registered models: register, find, name (aliases), and what was measured of them.

A version is a pyfunc model from code (`served.py`) that carries the pipeline folder, and the untrained one when given: safetensors, no pickle.
"""

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from argus.errors import InvalidInput
from argus.files import replacing
from argus.registry.promotion import GateVerdict, Measurement, gate
from argus.registry.server import ABSENT, connect, resolve_tracking_uri, service_errors, using
from argus.runs import argus_home
from schemas.config import PromoteConfig
from schemas.names import GateDecision

CANDIDATE, CHAMPION, PREVIOUS = "candidate", "champion", "previous"
RUN_TAG = "run_id"
_TRAINING_TAG, _MEASUREMENT_TAG = "training", "measurement"
_URI = re.compile(
    r"^models:/(?P<name>[A-Za-z0-9][A-Za-z0-9._ -]*)(?:@(?P<alias>[^/@]+)|/(?P<version>[0-9]+))$"
)
_REQUIREMENTS = (
    "av",
    "diffusers",
    "mlflow",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "pydantic",
    "safetensors",
    "scipy",
    "torch",
    "transformers",
)


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model."""

    name: str
    version: int
    model_id: str
    """Of the logged model (`m-…`)."""
    mlflow_run_id: str
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    tracking_uri: str

    @property
    def uri(self) -> str:
        """`models:/name/version`."""
        return f"models:/{self.name}/{self.version}"


@dataclass(frozen=True)
class LocatedModel:
    """Where a model lies on this machine."""

    pipeline: Path
    untrained: Path | None
    """The pipeline as it was before training, where it was kept."""
    version: ModelVersion | None
    """None for a plain folder."""


def register(
    pipeline: Path,
    name: str,
    *,
    mlflow_run_id: str,
    run_id: str,
    tracking_uri: str | None = None,
    untrained: Path | None = None,
    metrics: Mapping[str, float] | None = None,
    step: int = 0,
    tags: Mapping[str, str] | None = None,
) -> ModelVersion:
    """Registers a pipeline folder as a new version with the alias `candidate`.

    `metrics` are those of training after `step` steps (`validation_loss`, `untrained.validation_loss`). The same `run_id` registers once: later calls
    return the version that it made. Raises InvalidInput for a folder that holds no pipeline, ServiceError when MLflow is away.
    """
    if not _is_pipeline(pipeline):
        raise InvalidInput(
            f"{pipeline} holds no pipeline (neither argus.json nor model_index.json)"
        )
    uri = resolve_tracking_uri(tracking_uri)
    client = connect(uri)
    with service_errors(uri), using(uri):
        made = _made_by(client, name, run_id)
        if made is None:
            folders = {"pipeline": pipeline} | ({"untrained": untrained} if untrained else {})
            model_id = _log_model(client, name, mlflow_run_id, folders)
            _log_metrics(client, mlflow_run_id, model_id, metrics or {}, step=step)
            kept = {**(tags or {}), RUN_TAG: run_id, _TRAINING_TAG: json.dumps(dict(metrics or {}))}
            made = client.create_model_version(
                name,
                f"models:/{model_id}",
                mlflow_run_id,
                tags=kept,
                model_id=model_id,
                await_creation_for=0,
            )
        current = _alias(client, name, CANDIDATE)
        if current is None or int(made.version) > int(current.version):
            client.set_registered_model_alias(name, CANDIDATE, str(made.version))
        return find(name, int(made.version), tracking_uri=uri)


def resolve(uri: str, tracking_uri: str | None = None) -> Path:
    """The local pipeline folder of `models:/name@alias`, `models:/name/3`, or a plain folder's path. Raises as `locate`."""
    return locate(uri, tracking_uri).pipeline


def locate(uri: str, tracking_uri: str | None = None) -> LocatedModel:
    """Where a model lies on this machine; one that lies on another is downloaded once, below `$ARGUS_HOME/models`.

    Raises InvalidInput, naming what there is, for a model, version, alias or folder that does not exist.
    """
    if not uri.startswith("models:"):
        return _plain_folder(Path(uri))
    match = _URI.match(uri)
    if not match:
        raise InvalidInput(
            f"'{uri}' is not a model's uri; use models:/NAME@ALIAS, models:/NAME/VERSION, or a pipeline folder"
        )
    version = find(
        match["name"],
        int(match["version"]) if match["version"] else match["alias"],
        tracking_uri=tracking_uri,
    )
    folders = _artifacts(version)
    return LocatedModel(folders["pipeline"], folders.get("untrained"), version)


def find(name: str, which: int | str, *, tracking_uri: str | None = None) -> ModelVersion:
    """The version of this number or alias. Raises InvalidInput, naming what there is, when it does not exist."""
    uri = resolve_tracking_uri(tracking_uri)
    client = connect(uri)
    with service_errors(uri):
        try:
            by_number = isinstance(which, int)
            found = (
                client.get_model_version(name, str(which))
                if by_number
                else client.get_model_version_by_alias(name, str(which))
            )
        except MlflowException as error:
            if error.error_code not in ABSENT:
                raise
            raise InvalidInput(_what_there_is(client, name, which, uri)) from error
        return _version(client.get_model_version(name, found.version), uri)


def champion(name: str, *, tracking_uri: str | None = None) -> ModelVersion | None:
    """The version with the alias `champion`; None when there is none yet."""
    uri = resolve_tracking_uri(tracking_uri)
    client = connect(uri)
    with service_errors(uri):
        found = _alias(client, name, CHAMPION)
        return _version(client.get_model_version(name, found.version), uri) if found else None


def set_alias(version: ModelVersion, alias: str) -> None:
    """Points an alias at a version."""
    with service_errors(version.tracking_uri):
        connect(version.tracking_uri).set_registered_model_alias(
            version.name, alias, str(version.version)
        )


def promote(version: ModelVersion) -> None:
    """Makes a version the champion; the champion before it becomes `previous`, so that going back is one alias."""
    before = champion(version.name, tracking_uri=version.tracking_uri)
    if before and before.version == version.version:
        return
    if before:
        set_alias(before, PREVIOUS)
    set_alias(version, CHAMPION)


def judge(config: PromoteConfig) -> GateVerdict:
    """Lets the gate decide about a version (default: the candidate) by what was measured, and promotes it where the verdict says so."""
    candidate = find(
        config.model_name, config.version or CANDIDATE, tracking_uri=config.tracking_uri
    )
    incumbent = champion(config.model_name, tracking_uri=config.tracking_uri)
    if incumbent and incumbent.version == candidate.version:
        return GateVerdict(
            GateDecision.HOLD, (f"version {candidate.version} is the champion already",)
        )
    verdict = gate(
        measurement_of(candidate), measurement_of(incumbent) if incumbent else None, config.policy
    )
    if verdict.decision is GateDecision.PROMOTE:
        promote(candidate)
    return verdict


def record_measurement(
    version: ModelVersion,
    measurement: Measurement,
    *,
    mlflow_run_id: str | None = None,
    dataset: tuple[str, str] | None = None,
) -> None:
    """Keeps what was measured of a version: as a tag, to be read back whole, and as metrics of the logged model.

    `mlflow_run_id` is the run that measured (default: the version's own); `dataset` is (name, digest) of what it was measured on.
    """
    client = connect(version.tracking_uri)
    text = json.dumps({"metrics": dict(measurement.metrics), "test": measurement.test})
    with service_errors(version.tracking_uri):
        _log_metrics(
            client,
            mlflow_run_id or version.mlflow_run_id,
            version.model_id,
            measurement.metrics,
            dataset=dataset,
        )
        client.set_model_version_tag(version.name, str(version.version), _MEASUREMENT_TAG, text)


def measurement_of(version: ModelVersion) -> Measurement:
    """What training and the last evaluation measured of a version; its `test` is empty when it was never evaluated. Reads the registry anew."""
    tags = find(version.name, version.version, tracking_uri=version.tracking_uri).tags
    trained = json.loads(tags.get(_TRAINING_TAG, "{}"))
    evaluated = json.loads(tags.get(_MEASUREMENT_TAG, '{"metrics": {}, "test": ""}'))
    return Measurement({**trained, **evaluated["metrics"]}, evaluated["test"])


def _log_metrics(
    client: MlflowClient,
    run_id: str,
    model_id: str,
    metrics: Mapping[str, float],
    *,
    step: int = 0,
    dataset: tuple[str, str] | None = None,
) -> None:
    from mlflow.entities import Metric

    name, digest = dataset or (None, None)
    now = int(datetime.now(UTC).timestamp() * 1000)
    entries = [
        Metric(key, value, now, step, model_id=model_id, dataset_name=name, dataset_digest=digest)
        for key, value in metrics.items()
    ]
    client.log_batch(run_id, metrics=entries)


def _log_model(
    client: MlflowClient, name: str, mlflow_run_id: str, folders: Mapping[str, Path]
) -> str:
    """Logs a model with these folders to a run; its id."""
    import mlflow.pyfunc
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    experiment = client.get_run(mlflow_run_id).info.experiment_id
    model_id = client.create_logged_model(
        experiment, name=re.sub(r"[^\w-]", "-", name), source_run_id=mlflow_run_id
    ).model_id
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        mlflow.pyfunc.save_model(
            path=str(folder),
            python_model=str(Path(__file__).with_name("served.py")),
            artifacts={key: str(path) for key, path in folders.items()},
            pip_requirements=_requirements(),
            mlflow_model=Model(model_uuid=model_id, model_id=model_id, run_id=mlflow_run_id),
        )
        _add_example(folder)
        client.log_model_artifacts(model_id, str(folder))
    client.log_outputs(mlflow_run_id, [LoggedModelOutput(model_id, step=0)])
    client.finalize_logged_model(model_id, "READY")
    return model_id


def _add_example(folder: Path) -> None:
    """Adds an input example to a saved model. Given to `save_model` it would be predicted on, and it names a video that does not exist."""
    from mlflow.models import Model

    example = [{"input": "in.mp4", "output": "out.mp4", "fov_deg": 75.0}]
    (folder / "input_example.json").write_text(json.dumps(example), encoding="utf-8")
    (folder / "serving_input_example.json").write_text(
        json.dumps({"inputs": example}), encoding="utf-8"
    )
    model = Model.load(str(folder))
    model.saved_input_example_info = {
        "artifact_path": "input_example.json",
        "serving_input_path": "serving_input_example.json",
        "type": "json_object",
    }
    model.save(str(folder / "MLmodel"))


def _requirements() -> list[str]:
    """The installed versions of what generating needs, pinned."""
    from importlib.metadata import version

    return [f"{package}=={version(package).split('+')[0]}" for package in _REQUIREMENTS]


def _made_by(client: MlflowClient, name: str, run_id: str) -> Any:
    """The version that a run registered, or None; makes the registered model where it is absent."""
    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code not in ABSENT:
            raise
        client.create_registered_model(name, description="Ordinary video in, 360° video out")
    found = client.search_model_versions(
        f"name = '{name}' and tags.`{RUN_TAG}` = '{run_id}'", max_results=1
    )
    return found[0] if found else None


def _alias(client: MlflowClient, name: str, alias: str) -> Any:
    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code not in ABSENT:
            raise
        return None


def _version(found: Any, uri: str) -> ModelVersion:
    return ModelVersion(
        name=found.name,
        version=int(found.version),
        model_id=found.source.removeprefix("models:/"),
        mlflow_run_id=found.run_id or "",
        aliases=tuple(sorted(found.aliases)),
        tags=dict(found.tags),
        tracking_uri=uri,
    )


def _what_there_is(client: MlflowClient, name: str, which: int | str, uri: str) -> str:
    """One sentence for a version or alias that does not exist."""
    wanted = f"models:/{name}/{which}" if isinstance(which, int) else f"models:/{name}@{which}"
    versions = client.search_model_versions(f"name = '{name}'", max_results=20)
    if not versions:
        return f"{wanted} does not exist: no version of '{name}' is registered in MLflow at {uri}; train one first"
    numbers = ", ".join(
        str(version.version)
        for version in sorted(versions, key=lambda version: int(version.version))
    )
    aliases = ", ".join(
        f"{alias} → {number}"
        for alias, number in sorted(client.get_registered_model(name).aliases.items())
    )
    return (
        f"{wanted} does not exist; there are versions {numbers} and aliases {aliases or '(none)'}"
    )


def _plain_folder(folder: Path) -> LocatedModel:
    if not _is_pipeline(folder):
        what = (
            "holds no pipeline (neither argus.json nor model_index.json)"
            if folder.exists()
            else "does not exist"
        )
        raise InvalidInput(
            f"model folder {folder} {what}; give models:/NAME@ALIAS or a pipeline folder"
        )
    untrained = folder.absolute().parent / "untrained"
    return LocatedModel(folder, untrained if _is_pipeline(untrained) else None, None)


def _is_pipeline(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("argus.json", "model_index.json"))


def _artifacts(version: ModelVersion) -> dict[str, Path]:
    """The folders that a version carries, by name."""
    from mlflow.models import Model

    folder = _model_folder(version)
    if not (folder / "MLmodel").is_file():
        raise InvalidInput(
            f"the files of {version.uri} are gone: there is no {folder / 'MLmodel'}; register the model again"
        )
    kept = Model.load(str(folder)).flavors["python_function"]["artifacts"]
    return {name: folder / entry["path"] for name, entry in kept.items()}


def _model_folder(version: ModelVersion) -> Path:
    from mlflow.artifacts import download_artifacts

    with service_errors(version.tracking_uri):
        location = (
            connect(version.tracking_uri).get_logged_model(version.model_id).artifact_location
        )
        parsed = urlparse(location)
        if parsed.scheme in ("", "file"):
            return Path(unquote(parsed.path))
        here = argus_home() / "models" / version.model_id
        if not here.exists():
            with replacing(here) as beside:
                download_artifacts(
                    artifact_uri=location, dst_path=str(beside), tracking_uri=version.tracking_uri
                )
        return next(here.rglob("MLmodel")).parent
