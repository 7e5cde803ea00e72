"""How a job's run is named in MLflow: its data and its submission."""

import json
import os

from argus.dataset import Dataset, Snapshot
from argus.registry.tracking import TrackedData


def tracked_data(dataset: Dataset, snapshot: Snapshot) -> TrackedData:
    """A snapshot, as runs name it."""
    return TrackedData(dataset.store.name, dataset.store.uri, snapshot.version, snapshot.digest)


def job_tags() -> dict[str, str]:
    """`job_id`: the submission id, where this process is a submitted job's entry point."""
    submitted = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}"))
    job_id = submitted.get("metadata", {}).get("job_submission_id")
    return {"job_id": job_id} if job_id else {}
