"""Fixtures for every test: the real media, and an environment that never asks a network."""

import os
from pathlib import Path

import pytest

for name, value in {
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_WAIT_POLICY": "passive",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
}.items():
    os.environ.setdefault(name, value)


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder of real, labelled videos; see CONTRIBUTING.md."""
    folder = os.environ.get("ARGUS_TEST_MEDIA")
    if not folder:
        pytest.skip("needs real media: set ARGUS_TEST_MEDIA to their folder")
    return Path(folder)
