"""Registered models: versions, aliases, their recorded metrics, and promotion."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from argus.errors import InvalidInput
from argus.registry.connection import (
    NOT_FOUND_CODES,
    active_tracking_uri,
    connect,
    map_service_errors,
    resolve_tracking_uri,
)
from argus.registry.packaging import find_artifacts, log_model
from argus.registry.pipeline_folder import is_pipeline_folder, require_pipeline_folder
from argus.registry.promotion import Measurement, PromotionVerdict, decide_promotion
from argus.registry.tracking import log_metrics
from schemas.config import PromoteConfig
from schemas.names import PromotionDecision

CANDIDATE, CHAMPION, PREVIOUS = "candidate", "champion", "previous"
RUN_TAG = "run_id"
_TRAINING_TAG, _MEASUREMENT_TAG = "training", "measurement"
_URI = re.compile(
    r"^models:/(?P<name>[A-Za-z0-9][A-Za-z0-9._ -]*)(?:@(?P<alias>[^/@]+)|/(?P<version>[0-9]+))$"
)


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model."""

    name: str
    version: int
    model_id: str
    """Id of the logged model (`m-…`)."""
    mlflow_run_id: str
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    tracking_uri: str = field(repr=False)
    """Where the version is registered; it may hold a credential."""

    @property
    def uri(self) -> str:
        """`models:/name/version`."""
        return f"models:/{self.name}/{self.version}"


@dataclass(frozen=True)
class LocatedModel:
    """The folders of a model on this machine."""

    pipeline: Path
    untrained: Path | None
    """The pipeline before training; None if it was not stored."""
    version: ModelVersion | None
    """None for a plain folder."""


def register_model(
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
    """Register a pipeline folder as a new version with the alias `candidate`.

    A `run_id` is registered only once: later calls return its existing version.

    Args:
        pipeline: The pipeline folder.
        name: Name of the registered model.
        mlflow_run_id: The MLflow run that trained it.
        run_id: The Argus run that trained it.
        tracking_uri: Defaults to MLFLOW_TRACKING_URI.
        untrained: The pipeline folder before training.
        metrics: Training metrics (`validation_loss`, `untrained.validation_loss`).
        step: The training step of the metrics.
        tags: Additional tags of the version.

    Returns:
        The registered version.

    Raises:
        InvalidInput: The folder contains no pipeline.
        ServiceError: MLflow does not answer.
    """
    if not is_pipeline_folder(pipeline):
        raise InvalidInput(
            f"{pipeline} contains no pipeline (neither argus.json nor model_index.json)"
        )
    uri = resolve_tracking_uri(tracking_uri)
    client = connect(uri)
    with map_service_errors(uri), active_tracking_uri(uri):
        created = _find_version_of_run(client, name, run_id)
        if created is None:
            folders = {"pipeline": pipeline} | ({"untrained": untrained} if untrained else {})
            model_id = log_model(client, name, mlflow_run_id, folders)
            log_metrics(client, mlflow_run_id, metrics or {}, step=step, model_id=model_id)
            training = json.dumps(dict(metrics or {}))
            created = client.create_model_version(
                name,
                f"models:/{model_id}",
                mlflow_run_id,
                tags={**(tags or {}), RUN_TAG: run_id, _TRAINING_TAG: training},
                model_id=model_id,
                await_creation_for=0,
            )
        current = _find_alias(client, name, CANDIDATE)
        if current is None or int(created.version) > int(current.version):
            client.set_registered_model_alias(name, CANDIDATE, str(created.version))
        return find_version(name, int(created.version), tracking_uri=uri)


def locate_model(uri: str, tracking_uri: str | None = None) -> LocatedModel:
    """Find a model's folders on this machine; download them if they are remote.

    Args:
        uri: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, or the path of a pipeline folder.
        tracking_uri: Defaults to MLFLOW_TRACKING_URI.

    Raises:
        InvalidInput: The model, version, alias or folder does not exist.
        ServiceError: MLflow does not answer.
    """
    if not uri.startswith("models:"):
        return _locate_plain_folder(Path(uri))
    match = _URI.match(uri)
    if not match:
        raise InvalidInput(
            f"'{uri}' is not a valid model URI; "
            "use models:/NAME@ALIAS, models:/NAME/VERSION, or a pipeline folder"
        )
    selector = int(match["version"]) if match["version"] else match["alias"]
    version = find_version(match["name"], selector, tracking_uri=tracking_uri)
    folders = find_artifacts(version.tracking_uri, version.model_id)
    return LocatedModel(folders["pipeline"], folders.get("untrained"), version)


def find_version(
    name: str, selector: int | str, *, tracking_uri: str | None = None
) -> ModelVersion:
    """Return a version of a registered model.

    Args:
        name: Name of the registered model.
        selector: A version number or an alias.
        tracking_uri: Defaults to MLFLOW_TRACKING_URI.

    Raises:
        InvalidInput: It does not exist; the message lists the existing versions and aliases.
        ServiceError: MLflow does not answer.
    """
    uri = resolve_tracking_uri(tracking_uri)
    client = connect(uri)
    with map_service_errors(uri):
        try:
            version = (
                selector
                if isinstance(selector, int)
                else client.get_model_version_by_alias(name, selector).version
            )
            return _to_model_version(client.get_model_version(name, str(version)), uri)
        except MlflowException as error:
            if error.error_code not in NOT_FOUND_CODES:
                raise
            raise InvalidInput(_describe_existing(client, name, selector, uri)) from error


def find_champion(name: str, *, tracking_uri: str | None = None) -> ModelVersion | None:
    """Return the version with the alias `champion`, or None if there is none."""
    uri = resolve_tracking_uri(tracking_uri)
    client = connect(uri)
    with map_service_errors(uri):
        version = _find_alias(client, name, CHAMPION)
        if version is None:
            return None
        return _to_model_version(client.get_model_version(name, version.version), uri)


def set_alias(version: ModelVersion, alias: str) -> None:
    """Point an alias at a version."""
    with map_service_errors(version.tracking_uri):
        connect(version.tracking_uri).set_registered_model_alias(
            version.name, alias, str(version.version)
        )


def promote_version(version: ModelVersion) -> None:
    """Make a version the champion. The former champion gets the alias `previous`."""
    champion = find_champion(version.name, tracking_uri=version.tracking_uri)
    if champion and champion.version == version.version:
        return
    if champion:
        set_alias(champion, PREVIOUS)
    set_alias(version, CHAMPION)


def promote_if_better(config: PromoteConfig, *, dry_run: bool = False) -> PromotionVerdict:
    """Decide about a version by its recorded metrics, and promote it if the decision is PROMOTE.

    Args:
        config: The model's name, the version (default: the candidate) and the policy.
        dry_run: Only decide.

    Raises:
        InvalidInput: The version does not exist.
        ServiceError: MLflow does not answer.
    """
    candidate = find_version(
        config.model_name, config.version or CANDIDATE, tracking_uri=config.tracking_uri
    )
    champion = find_champion(config.model_name, tracking_uri=config.tracking_uri)
    if champion and champion.version == candidate.version:
        reason = f"version {candidate.version} is already the champion"
        return PromotionVerdict(PromotionDecision.HOLD, (reason,))
    incumbent = read_measurement(champion) if champion else None
    verdict = decide_promotion(read_measurement(candidate), incumbent, config.policy)
    if verdict.decision is PromotionDecision.PROMOTE and not dry_run:
        promote_version(candidate)
    return verdict


def record_measurement(
    version: ModelVersion,
    measurement: Measurement,
    *,
    mlflow_run_id: str | None = None,
    dataset: tuple[str, str] | None = None,
) -> None:
    """Store a measurement with a version: whole as a tag, and as metrics of the logged model.

    Args:
        version: The version that was measured.
        measurement: Its metrics and test.
        mlflow_run_id: The run that measured (default: the run that trained the version).
        dataset: Name and digest of the dataset on which it was measured.
    """
    client = connect(version.tracking_uri)
    text = json.dumps({"metrics": dict(measurement.metrics), "test": measurement.test})
    with map_service_errors(version.tracking_uri):
        log_metrics(
            client,
            mlflow_run_id or version.mlflow_run_id,
            measurement.metrics,
            model_id=version.model_id,
            dataset=dataset,
        )
        client.set_model_version_tag(version.name, str(version.version), _MEASUREMENT_TAG, text)


def read_measurement(version: ModelVersion) -> Measurement:
    """Return the metrics of training and of the last evaluation, read from the registry.

    `test` is empty if the version was never evaluated.
    """
    tags = find_version(version.name, version.version, tracking_uri=version.tracking_uri).tags
    training = json.loads(tags.get(_TRAINING_TAG, "{}"))
    evaluation = json.loads(tags.get(_MEASUREMENT_TAG, '{"metrics": {}, "test": ""}'))
    return Measurement({**training, **evaluation["metrics"]}, evaluation["test"])


def _find_version_of_run(client: MlflowClient, name: str, run_id: str) -> Any:
    """Return the version that a run registered, or None. Create the registered model if needed."""
    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code not in NOT_FOUND_CODES:
            raise
        client.create_registered_model(name, description="Ordinary video in, 360° video out")
    versions = client.search_model_versions(
        f"name = '{name}' and tags.`{RUN_TAG}` = '{run_id}'", max_results=1
    )
    return versions[0] if versions else None


def _find_alias(client: MlflowClient, name: str, alias: str) -> Any:
    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code not in NOT_FOUND_CODES:
            raise
        return None


def _to_model_version(entity: Any, uri: str) -> ModelVersion:
    return ModelVersion(
        name=entity.name,
        version=int(entity.version),
        model_id=entity.source.removeprefix("models:/"),
        mlflow_run_id=entity.run_id or "",
        aliases=tuple(sorted(entity.aliases)),
        tags=dict(entity.tags),
        tracking_uri=uri,
    )


def _describe_existing(client: MlflowClient, name: str, selector: int | str, uri: str) -> str:
    """Return the error message for a version or alias that does not exist."""
    separator = "/" if isinstance(selector, int) else "@"
    wanted = f"models:/{name}{separator}{selector}"
    versions = client.search_model_versions(f"name = '{name}'", max_results=20)
    if not versions:
        return (
            f"{wanted} does not exist: no version of '{name}' is registered in MLflow at {uri}; "
            "train a model first"
        )
    numbers = ", ".join(map(str, sorted(int(version.version) for version in versions)))
    aliases = ", ".join(
        f"{alias} → {number}"
        for alias, number in sorted(client.get_registered_model(name).aliases.items())
    )
    return f"{wanted} does not exist; versions: {numbers}; aliases: {aliases or 'none'}"


def _locate_plain_folder(folder: Path) -> LocatedModel:
    require_pipeline_folder(folder)
    untrained = folder.absolute().parent / "untrained"
    return LocatedModel(folder, untrained if is_pipeline_folder(untrained) else None, None)
