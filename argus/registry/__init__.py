"""MLflow: tracking of runs, the model registry, and the promotion decision.

Only this package imports MLflow. Its names are loaded on first use, so that importing the package
(and the promotion decision, which needs no MLflow) stays fast.
"""

import os

import lazy_loader

from schemas.names import TELEMETRY_OFF

for _name, _value in {  # MLflow reads these variables when it is imported
    **TELEMETRY_OFF,
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # with the default of 7, failing takes four minutes
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",  # seconds
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}.items():
    os.environ.setdefault(_name, _value)

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
