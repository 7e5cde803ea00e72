"""Runs that read a snapshot of a dataset, and the models that they registered."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mlflow import MlflowClient

from argus.registry.connection import connect, map_service_errors, resolve_tracking_uri

_PAGE = 1000


@dataclass(frozen=True)
class DataUse:
    """A run that read a snapshot.

    Attributes:
        run_name: name of the run.
        experiment: name of its experiment.
        mlflow_run_id: id of the run in MLflow.
        dataset: path or URI of the dataset.
        snapshot: version of the snapshot.
        digest: SHA-256 of the snapshot when it was read.
        models: `models:/NAME/VERSION` of each model that the run registered.
    """

    run_name: str
    experiment: str
    mlflow_run_id: str
    dataset: str
    snapshot: int
    digest: str
    models: tuple[str, ...]


def find_data_uses(
    is_wanted: Callable[[str, int, str], bool], tracking_uri: str | None = None
) -> list[DataUse]:
    """Find the runs that read one of some snapshots.

    Args:
        is_wanted: called with dataset, version and digest of the snapshot of each run.
        tracking_uri: Defaults to MLFLOW_TRACKING_URI.

    Raises:
        ServiceError: MLflow does not answer.
    """
    uri = resolve_tracking_uri(tracking_uri)
    client = connect(uri)
    with map_service_errors(uri):
        experiments = {one.experiment_id: one.name for one in client.search_experiments()}
        return [
            DataUse(
                run_name=run.info.run_name,
                experiment=experiments[run.info.experiment_id],
                mlflow_run_id=run.info.run_id,
                dataset=_dataset_of(run),
                snapshot=int(run.data.tags["snapshot"]),
                digest=run.data.tags["snapshot_digest"],
                models=_models_of(client, run.info.run_id),
            )
            for run in _iter_runs(client, list(experiments))
            if is_wanted(
                _dataset_of(run),
                int(run.data.tags["snapshot"]),
                run.data.tags["snapshot_digest"],
            )
        ]


def _iter_runs(client: MlflowClient, experiment_ids: list[str]) -> Iterator[Any]:
    """Yield the runs of some experiments that read a snapshot."""
    token: str | None = ""
    while token is not None:
        page = client.search_runs(
            experiment_ids,
            "tags.snapshot_digest != ''",
            max_results=_PAGE,
            page_token=token or None,
        )
        yield from page
        token = page.token or None


def _dataset_of(run: Any) -> str:
    inputs = run.inputs.dataset_inputs if run.inputs else ()
    sources = (json.loads(one.dataset.source).get("uri", "") for one in inputs)
    return next(filter(None, sources), "")


def _models_of(client: MlflowClient, run_id: str) -> tuple[str, ...]:
    versions = client.search_model_versions(f"run_id = '{run_id}'")
    return tuple(sorted(f"models:/{one.name}/{one.version}" for one in versions))
