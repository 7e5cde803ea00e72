"""The connection to MLflow: which uri, how long to wait for it, and what its errors mean here."""

import contextlib
import os
from collections.abc import Iterator

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from argus.errors import InvalidInput, ServiceError

ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""MLflow's codes for a run, model, version or alias that does not exist."""


def resolve_tracking_uri(uri: str | None) -> str:
    """The given tracking uri, or MLFLOW_TRACKING_URI. Raises InvalidInput when there is neither."""
    found = uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not found:
        raise InvalidInput(
            "no MLflow is configured; set MLFLOW_TRACKING_URI, or tracking.uri in the configuration"
        )
    return found


def connect(uri: str) -> MlflowClient:
    """A client of one server (`http://…`) or database (`sqlite:///…`), for runs and models. Raises InvalidInput for another kind of uri."""
    if not uri.startswith(
        ("http://", "https://", "sqlite:///", "postgresql", "mysql", "databricks")
    ):
        raise InvalidInput(
            f"'{uri}' is not an MLflow tracking uri; use http://host:port of a server, or sqlite:///path/to/mlflow.db"
        )
    with service_errors(uri):
        return MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextlib.contextmanager
def service_errors(uri: str) -> Iterator[None]:
    """Within it, an MLflow that is away or broken is a ServiceError. That something is absent passes as MLflow's own error."""
    try:
        yield
    except MlflowException as error:
        if error.error_code in ABSENT:
            raise
        reason = str(error).splitlines()[0][:200]
        raise ServiceError(
            f"MLflow at {uri} does not answer as it should ({reason}); start it, or correct MLFLOW_TRACKING_URI or tracking.uri"
        ) from error


@contextlib.contextmanager
def using(uri: str) -> Iterator[None]:
    """Within it, MLflow's own module-level state points at this uri: over a database, its registry reads that to find the logged model."""
    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
