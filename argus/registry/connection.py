"""The connection to MLflow: the tracking URI, the client, and the mapping of its errors."""

import contextlib
import logging
import os
from collections.abc import Iterator

import mlflow
from mlflow import MlflowClient
from mlflow.environment_variables import MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from argus.errors import InvalidInput, ServiceError
from schemas.credentials import has_credential, redact

NOT_FOUND_CODES = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""MLflow's error codes for a run, model, version or alias that does not exist."""

logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # it reports new tables

_URI_PREFIXES = ("http://", "https://", "sqlite:///", "postgresql", "mysql", "databricks")


def resolve_tracking_uri(uri: str | None) -> str:
    """Return the given tracking URI, or the value of MLFLOW_TRACKING_URI.

    Raises:
        InvalidInput: Neither is set.
    """
    resolved = uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not resolved:
        raise InvalidInput(
            "no MLflow server is configured; "
            "set MLFLOW_TRACKING_URI, or tracking.uri in the configuration"
        )
    return resolved


def connect(uri: str) -> MlflowClient:
    """Return a client for both runs and registered models.

    Args:
        uri: A server (`http://host:port`) or a database (`sqlite:///path`).

    Raises:
        InvalidInput: The URI is of another kind or malformed, or its database has no driver here.
        ServiceError: The database cannot be opened.
    """
    if not uri.startswith(_URI_PREFIXES):
        raise InvalidInput(
            f"'{uri}' is not an MLflow tracking URI; "
            "use http://host:port for a server, or sqlite:///path/to/mlflow.db"
        )
    if has_credential(uri):
        MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.set(True)  # MLflow prints links at a run's end
    try:
        with map_service_errors(uri):
            return MlflowClient(tracking_uri=uri, registry_uri=uri)
    except (SQLAlchemyError, ModuleNotFoundError, ValueError) as error:
        raise InvalidInput(
            f"the tracking URI {uri} cannot be used: {error}; correct it, or install its driver"
        ) from error


@contextlib.contextmanager
def map_service_errors(uri: str) -> Iterator[None]:
    """Raise ServiceError for MLflow's errors within this context.

    "Not found" errors (`NOT_FOUND_CODES`) are raised unchanged, as MlflowException.
    """
    try:
        yield
    except MlflowException as error:
        if error.error_code in NOT_FOUND_CODES:
            raise
        reason = redact(str(error)).splitlines()[0][:200]  # a cut credential would not be found
        raise ServiceError(
            f"request to MLflow at {uri} failed ({reason}); "
            "start the server, or correct MLFLOW_TRACKING_URI or tracking.uri"
        ) from (None if has_credential(uri) else error)  # Ray logs the causes of errors as text


@contextlib.contextmanager
def active_tracking_uri(uri: str) -> Iterator[None]:
    """Set MLflow's global tracking URI within this context.

    With a database URI, MLflow's registry reads the global URI to find the logged model.
    """
    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
