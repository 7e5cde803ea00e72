"""MLflow runs of Argus jobs: configuration, dataset, metrics and pictures, written and read back.

A run folder stores the id of its MLflow run (mlflow.json), so a resumed job continues it.
"""

import json
import logging
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from pydantic import BaseModel

from argus.errors import ServiceError
from argus.files import write_text
from argus.registry.connection import (
    NOT_FOUND_CODES,
    connect,
    map_service_errors,
    resolve_tracking_uri,
)
from schemas.credentials import redact, redact_values, to_public_uri

if TYPE_CHECKING:
    from argus.dataset import Dataset, Snapshot

_MAX_PARAM_CHARACTERS = 500  # longer values are cut; config.json contains them in full
_MAX_PARAMS_PER_REQUEST = 100
_MAX_DIGEST_CHARACTERS = 36  # MLflow's limit for a dataset's digest
_RETRY_S = 30.0
_PICTURE_PATH = re.compile(
    r"^images/(?P<name>[^%+]+)(?P<sep>[%+])step(?P=sep)(?P<step>\d+)(?P=sep).*\.png$"
)  # the file names that MlflowClient.log_image gives; older versions separate with %

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrackedRun:
    """An MLflow run and the server that stores it."""

    tracking_uri: str = field(repr=False)  # it may hold a credential
    run_id: str
    experiment_id: str


@dataclass(frozen=True)
class TrackedData:
    """The snapshot that a run reads."""

    name: str
    path: str
    version: int
    digest: str

    @classmethod
    def of(cls, dataset: "Dataset", snapshot: "Snapshot") -> "TrackedData":
        """Describe a snapshot of a dataset."""
        return cls(dataset.store.name, dataset.store.uri, snapshot.version, snapshot.digest)

    @property
    def mlflow_digest(self) -> str:
        """The digest, cut to the length that MLflow allows."""
        return self.digest[:_MAX_DIGEST_CHARACTERS]


@dataclass(frozen=True)
class LoggedPicture:
    """A picture logged to a run, as an encoded PNG."""

    name: str
    step: int
    png: bytes


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
    """Continue the MLflow run of a run folder, or create one.

    A new run gets the configuration (as parameters, and in full as config.json), the dataset as its
    input, the code version and the tags.

    Args:
        folder: The run folder; its mlflow.json names the MLflow run.
        config: The job's configuration.
        experiment: Name of the MLflow experiment; it is created if it does not exist.
        name: Name of a new run.
        tracking_uri: Defaults to MLFLOW_TRACKING_URI.
        data: The snapshot that the job reads.
        tags: Additional tags.

    Raises:
        ServiceError: MLflow does not answer.
    """
    uri = resolve_tracking_uri(tracking_uri)
    client = connect(uri)
    with map_service_errors(uri):
        run = _reopen_run(client, folder / "mlflow.json", uri)
        if run is None:
            run = _create_run(client, uri, experiment, name, {**code_tags(), **_data_tags(data)})
            _log_configuration(client, run.run_id, config)
            stored = replace(run, tracking_uri=to_public_uri(uri))
            write_text(folder / "mlflow.json", json.dumps(asdict(stored)))
        if data:
            _log_data(client, run.run_id, data)
        for key, value in tags.items():
            client.set_tag(run.run_id, key, value)
    return run


def close_run(run: TrackedRun, *, status: str = "FINISHED") -> None:
    """End a run with a status: FINISHED, FAILED or KILLED."""
    with map_service_errors(run.tracking_uri):
        connect(run.tracking_uri).set_terminated(run.run_id, status=status)


class RunLogger:
    """An observer of `argus.train` that logs metrics and pictures to an MLflow run.

    If MLflow does not answer, entries are queued and sent later, so that training continues.
    """

    def __init__(self, run: TrackedRun) -> None:
        self._run = run
        self._client = connect(run.tracking_uri)
        self._queue: list[Callable[[], Any]] = []
        self._retry_at = 0.0  # time.monotonic()

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Log metrics at a step."""
        values = {name: float(value) for name, value in values.items()}
        now = datetime.now(UTC)
        self._send(
            lambda: log_metrics(self._client, self._run.run_id, values, step=step, logged_at=now)
        )

    def log_image(self, step: int, name: str, image: np.ndarray) -> None:
        """Log a picture, uint8 [H, W, 3], at a step."""
        self._send(
            lambda: self._client.log_image(
                self._run.run_id, image, key=name, step=step, synchronous=True
            )
        )

    def flush(self) -> None:
        """Send all queued entries.

        Raises:
            ServiceError: MLflow does not answer.
        """
        with map_service_errors(self._run.tracking_uri):
            while self._queue:
                self._queue[0]()
                self._queue.pop(0)

    def _send(self, entry: Callable[[], Any]) -> None:
        self._queue.append(entry)
        if time.monotonic() < self._retry_at:
            return
        try:
            self.flush()
        except ServiceError as error:
            self._retry_at = time.monotonic() + _RETRY_S
            _log.warning("%s; %d entries are queued", error, len(self._queue))


def log_metrics(
    client: MlflowClient,
    run_id: str,
    metrics: Mapping[str, float],
    *,
    step: int = 0,
    logged_at: datetime | None = None,
    model_id: str | None = None,
    dataset: tuple[str, str] | None = None,
) -> None:
    """Log metrics to a run, and to a logged model if one is given.

    Args:
        client: The connection to MLflow.
        run_id: The MLflow run.
        metrics: Values by name.
        step: The training step.
        logged_at: When they were measured (default: now).
        model_id: The logged model that was measured.
        dataset: Name and digest of the dataset on which it was measured.
    """
    from mlflow.entities import Metric

    name, digest = dataset or (None, None)
    timestamp = int((logged_at or datetime.now(UTC)).timestamp() * 1000)
    entries = [
        Metric(key, value, timestamp, step, model_id, dataset_name=name, dataset_digest=digest)
        for key, value in metrics.items()
    ]
    client.log_batch(run_id, metrics=entries)


def log_file(run: TrackedRun, path: Path) -> None:
    """Add a file to a run's artifacts."""
    with map_service_errors(run.tracking_uri):
        connect(run.tracking_uri).log_artifact(run.run_id, str(path))


def read_metric_history(
    run_id: str, metric: str, *, tracking_uri: str | None = None
) -> tuple[tuple[int, float], ...]:
    """Return (step, value) of a run's metric, sorted by step; the last value of a step counts."""
    uri = resolve_tracking_uri(tracking_uri)
    with map_service_errors(uri):
        history = connect(uri).get_metric_history(run_id, metric)
    latest = {
        entry.step: entry.value for entry in sorted(history, key=lambda entry: entry.timestamp)
    }
    return tuple(sorted(latest.items()))


def read_logged_pictures(
    run_id: str, *, tracking_uri: str | None = None
) -> tuple[LoggedPicture, ...]:
    """Return the pictures logged to a run, sorted by step and name."""
    uri = resolve_tracking_uri(tracking_uri)
    client = connect(uri)
    pictures = []
    with map_service_errors(uri), tempfile.TemporaryDirectory() as folder:
        for artifact in client.list_artifacts(run_id, "images"):
            if match := _PICTURE_PATH.match(artifact.path):
                path = Path(client.download_artifacts(run_id, artifact.path, folder))
                picture = LoggedPicture(match["name"], int(match["step"]), path.read_bytes())
                pictures.append(picture)
    return tuple(sorted(pictures, key=lambda picture: (picture.step, picture.name)))


def code_tags() -> dict[str, str]:
    """Return `code_version` and, in a git checkout, `git_sha` (`-dirty` if it has changes)."""
    tags = {"code_version": metadata.version("argus-360")}
    package = Path(__file__).parents[1]
    if shutil.which("git") is None:
        return tags
    git = ["git", "-C", str(package)]
    listing = subprocess.run(
        [*git, "ls-files", "--error-unmatch", "__init__.py"], capture_output=True, check=False
    )
    if listing.returncode == 0:
        describe = [*git, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        tags["git_sha"] = subprocess.run(
            describe, capture_output=True, text=True, check=True
        ).stdout.strip()
    return tags


def flatten_settings(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested settings under dotted names: {"optim": {"lr": 1}} gives {"optim.lr": "1"}."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten_settings(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value if isinstance(value, str) else json.dumps(value)
    return flat


def _reopen_run(client: MlflowClient, path: Path, uri: str) -> TrackedRun | None:
    """Set the run that mlflow.json names to RUNNING; return None if this server has no such run."""
    if not path.exists():
        return None
    run = TrackedRun(**json.loads(path.read_text(encoding="utf-8")) | {"tracking_uri": uri})
    try:
        client.update_run(run.run_id, status="RUNNING")
    except MlflowException as error:
        if error.error_code not in NOT_FOUND_CODES:
            raise
        return None
    return run


def _create_run(
    client: MlflowClient, uri: str, experiment: str, name: str, tags: Mapping[str, str]
) -> TrackedRun:
    existing = client.get_experiment_by_name(experiment)
    experiment_id = (
        existing.experiment_id
        if existing
        else client.create_experiment(experiment, artifact_location=_artifact_location(uri))
    )
    run = client.create_run(experiment_id, tags=dict(tags), run_name=name)
    return TrackedRun(uri, run.info.run_id, experiment_id)


def _artifact_location(uri: str) -> str | None:
    """Return the folder beside a database file, as `argus up` uses; None lets a server decide."""
    prefix = "sqlite:///"
    if not uri.startswith(prefix):
        return None
    return (Path(uri.removeprefix(prefix)).absolute().parent / "artifacts").as_uri()


def _log_configuration(client: MlflowClient, run_id: str, config: BaseModel) -> None:
    from mlflow.entities import Param

    values = redact_values(config.model_dump(mode="json"))
    params = [
        Param(name, value[:_MAX_PARAM_CHARACTERS])
        for name, value in flatten_settings(values).items()
    ]
    for start in range(0, len(params), _MAX_PARAMS_PER_REQUEST):
        client.log_batch(run_id, params=params[start : start + _MAX_PARAMS_PER_REQUEST])
    client.log_dict(run_id, values, "config.json")


def _data_tags(data: TrackedData | None) -> dict[str, str]:
    return {"snapshot": str(data.version), "snapshot_digest": data.digest} if data else {}


def _log_data(client: MlflowClient, run_id: str, data: TrackedData) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=data.name,
        digest=data.mlflow_digest,
        source_type="local",
        source=json.dumps({"uri": redact(data.path)}),
    )
    tags = [InputTag("mlflow.data.context", "training")]
    client.log_inputs(run_id, datasets=[DatasetInput(dataset, tags)])
