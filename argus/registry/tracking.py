"""The MLflow run of an Argus run: configuration, data, curves, pictures. Its id lies in the run folder, so that a resumed job continues it."""

import json
import logging
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from pydantic import BaseModel

from argus.errors import ServiceError
from argus.files import write_text
from argus.registry.server import ABSENT, connect, resolve_tracking_uri, service_errors

_PARAM_CHARACTERS = 500  # a longer value is cut; config.json holds it whole
_BATCH = 100  # parameters in one request
_RETRY_S = 30.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrackedRun:
    """An MLflow run and where it is kept."""

    tracking_uri: str
    run_id: str
    experiment_id: str


@dataclass(frozen=True)
class TrackedData:
    """The snapshot that a run reads."""

    name: str
    path: str
    version: int
    digest: str


def open_run(
    folder: Path,
    config: BaseModel,
    *,
    experiment: str,
    name: str,
    tracking_uri: str | None = None,
    data: TrackedData | None = None,
    tags: Mapping[str, str],
) -> TrackedRun:
    """The MLflow run of a run folder: the one that its mlflow.json names, or a new one.

    A new one gets the configuration (parameters, and whole as config.json), the data as input, the code's version and the tags.
    Raises ServiceError when MLflow is away.
    """
    uri = resolve_tracking_uri(tracking_uri)
    client = connect(uri)
    with service_errors(uri):
        run = _continued(client, folder / "mlflow.json", uri)
        if run is None:
            run = _begin(client, uri, experiment, name, {**code_tags(), **_data_tags(data)})
            _log_configuration(client, run.run_id, config)
            write_text(folder / "mlflow.json", json.dumps(asdict(run)))
        if data:
            _log_data(client, run.run_id, data)
        for key, value in tags.items():
            client.set_tag(run.run_id, key, value)
    return run


def close_run(run: TrackedRun, *, status: str = "FINISHED") -> None:
    """Ends a run: FINISHED, FAILED or KILLED."""
    with service_errors(run.tracking_uri):
        connect(run.tracking_uri).set_terminated(run.run_id, status=status)


class RunLogger:
    """Writes curves and pictures to a run (the observer of `argus.train`).

    Where MLflow is away for a while, entries wait and are sent later: a training run does not die of it. `flush` raises.
    """

    def __init__(self, run: TrackedRun) -> None:
        self._run = run
        self._client = connect(run.tracking_uri)
        self._waiting: list[Callable[[], Any]] = []
        self._not_before = 0.0

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Logs numbers at a step."""
        from mlflow.entities import Metric

        now = int(datetime.now(UTC).timestamp() * 1000)
        entries = [Metric(name, float(value), now, step) for name, value in values.items()]
        self._send(lambda: self._client.log_batch(self._run.run_id, metrics=entries))

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """Logs a picture, uint8 [H,W,3], at a step."""
        self._send(
            lambda: self._client.log_image(
                self._run.run_id, image, key=name, step=step, synchronous=True
            )
        )

    def flush(self) -> None:
        """Sends what waits. Raises ServiceError when MLflow is still away."""
        with service_errors(self._run.tracking_uri):
            while self._waiting:
                self._waiting[0]()
                self._waiting.pop(0)

    def _send(self, entry: Callable[[], Any]) -> None:
        self._waiting.append(entry)
        if time.monotonic() < self._not_before:
            return
        try:
            self.flush()
        except ServiceError as error:
            self._not_before = time.monotonic() + _RETRY_S
            _log.warning("%s; %d entries wait", error, len(self._waiting))


def log_file(run: TrackedRun, path: Path) -> None:
    """Adds a file to a run's artifacts."""
    with service_errors(run.tracking_uri):
        connect(run.tracking_uri).log_artifact(run.run_id, str(path))


def code_tags() -> dict[str, str]:
    """`code_version`, and `git_sha` where the code lies in a checkout (`-dirty` when it was changed)."""
    tags = {"code_version": metadata.version("argus-360")}
    package = Path(__file__).parents[1]
    if shutil.which("git") is None:
        return tags
    tracked = subprocess.run(
        ["git", "-C", str(package), "ls-files", "--error-unmatch", "__init__.py"],
        capture_output=True,
        check=False,
    )
    if tracked.returncode == 0:
        describe = [
            "git",
            "-C",
            str(package),
            "describe",
            "--always",
            "--dirty",
            "--abbrev=40",
            "--exclude=*",
        ]
        tags["git_sha"] = subprocess.run(
            describe, capture_output=True, text=True, check=True
        ).stdout.strip()
    return tags


def _continued(client: MlflowClient, path: Path, uri: str) -> TrackedRun | None:
    """The run that mlflow.json names, running again; None where there is none on this server."""
    if not path.exists():
        return None
    run = TrackedRun(**json.loads(path.read_text(encoding="utf-8")) | {"tracking_uri": uri})
    try:
        client.update_run(run.run_id, status="RUNNING")
    except MlflowException as error:
        if error.error_code not in ABSENT:
            raise
        return None
    return run


def _begin(
    client: MlflowClient, uri: str, experiment: str, name: str, tags: Mapping[str, str]
) -> TrackedRun:
    found = client.get_experiment_by_name(experiment)
    experiment_id = (
        found.experiment_id
        if found
        else client.create_experiment(experiment, artifact_location=_beside_database(uri))
    )
    run = client.create_run(experiment_id, tags=dict(tags), run_name=name)
    return TrackedRun(uri, run.info.run_id, experiment_id)


def _beside_database(uri: str) -> str | None:
    """Where artifacts go when a database file is used without a server: beside it, as our own server does. A server knows its own place."""
    prefix = "sqlite:///"
    return (
        (Path(uri.removeprefix(prefix)).absolute().parent / "artifacts").as_uri()
        if uri.startswith(prefix)
        else None
    )


def _log_configuration(client: MlflowClient, run_id: str, config: BaseModel) -> None:
    from mlflow.entities import Param

    values = config.model_dump(mode="json")
    params = [Param(name, value[:_PARAM_CHARACTERS]) for name, value in flattened(values).items()]
    for start in range(0, len(params), _BATCH):
        client.log_batch(run_id, params=params[start : start + _BATCH])
    client.log_dict(run_id, values, "config.json")


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested groups as dotted names: `{"optim": {"lr": 1e-4}}` → `{"optim.lr": "0.0001"}`."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value if isinstance(value, str) else json.dumps(value)
    return flat


def _data_tags(data: TrackedData | None) -> dict[str, str]:
    return {"snapshot": str(data.version), "snapshot_digest": data.digest} if data else {}


def _log_data(client: MlflowClient, run_id: str, data: TrackedData) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=data.name,
        digest=data.digest[:36],
        source_type="local",
        source=json.dumps({"uri": data.path}),
    )  # 36: MLflow's limit
    client.log_inputs(
        run_id, datasets=[DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]
    )
