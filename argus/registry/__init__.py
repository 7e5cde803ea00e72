"""Tracking of runs, the registry of models, the gate, and the served model. The only importer of MLflow.

Nothing heavy is imported here: flows use `argus.registry.promotion` and `argus.registry.models`, which need no torch.
"""

import os

for _name, _value in {  # MLflow reads these when it is imported
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # the default, 7, keeps a person waiting for four minutes
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",  # seconds
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}.items():
    os.environ.setdefault(_name, _value)
