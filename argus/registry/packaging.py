"""Files of registered models: writing them to MLflow and finding them on this machine.

A version is a pyfunc model from code (`served.py`) with the pipeline folder, and optionally the
untrained pipeline, as artifacts: safetensors, no pickle.
"""

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlparse

from mlflow import MlflowClient

from argus.errors import InvalidInput
from argus.files import replace_atomically
from argus.registry.connection import connect, map_service_errors
from argus.runs import argus_home

_PACKAGES = (
    "av",
    "diffusers",
    "mlflow",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "pydantic",
    "safetensors",
    "scipy",
    "torch",
    "transformers",
)


def log_model(
    client: MlflowClient, name: str, mlflow_run_id: str, folders: Mapping[str, Path]
) -> str:
    """Log a model with these artifact folders to a run.

    Args:
        client: The connection to MLflow.
        name: Name of the registered model.
        mlflow_run_id: The run that produced the model.
        folders: Artifact folders by name (`pipeline`, `untrained`).

    Returns:
        The id of the logged model (`m-…`).
    """
    import mlflow.pyfunc
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    experiment = client.get_run(mlflow_run_id).info.experiment_id
    model_id = client.create_logged_model(
        experiment, name=re.sub(r"[^\w-]", "-", name), source_run_id=mlflow_run_id
    ).model_id
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        mlflow.pyfunc.save_model(
            path=str(folder),
            python_model=str(Path(__file__).with_name("served.py")),
            artifacts={key: str(path) for key, path in folders.items()},
            pip_requirements=_pinned_requirements(),
            mlflow_model=Model(model_uuid=model_id, model_id=model_id, run_id=mlflow_run_id),
        )
        _add_input_example(folder)
        client.log_model_artifacts(model_id, str(folder))
    client.log_outputs(mlflow_run_id, [LoggedModelOutput(model_id, step=0)])
    client.finalize_logged_model(model_id, "READY")
    return model_id


def find_artifacts(tracking_uri: str, model_id: str) -> dict[str, Path]:
    """Return the artifact folders of a logged model by name; download them if they are remote.

    Downloads are stored once, in `$ARGUS_HOME/models`.

    Raises:
        InvalidInput: The model's files no longer exist.
        ServiceError: MLflow does not answer.
    """
    from mlflow.models import Model

    folder = _find_model_folder(tracking_uri, model_id)
    if not (folder / "MLmodel").is_file():
        raise InvalidInput(
            f"the files of model {model_id} do not exist: there is no {folder / 'MLmodel'}; "
            "register the model again"
        )
    artifacts = Model.load(str(folder)).flavors["python_function"]["artifacts"]
    return {name: folder / entry["path"] for name, entry in artifacts.items()}


def _find_model_folder(tracking_uri: str, model_id: str) -> Path:
    from mlflow.artifacts import download_artifacts

    with map_service_errors(tracking_uri):
        location = connect(tracking_uri).get_logged_model(model_id).artifact_location
        parsed = urlparse(location)
        if parsed.scheme in ("", "file"):
            return Path(unquote(parsed.path))
        local = argus_home() / "models" / model_id
        if not local.exists():
            with replace_atomically(local) as temporary:
                download_artifacts(
                    artifact_uri=location, dst_path=str(temporary), tracking_uri=tracking_uri
                )
        return next(local.rglob("MLmodel")).parent


def _add_input_example(folder: Path) -> None:
    """Add an input example to a saved model.

    `save_model` would run the model on an example, but this one names a video that does not exist.
    """
    from mlflow.models import Model

    example = [{"input": "in.mp4", "output": "out.mp4", "fov_deg": 75.0}]
    (folder / "input_example.json").write_text(json.dumps(example), encoding="utf-8")
    (folder / "serving_input_example.json").write_text(
        json.dumps({"inputs": example}), encoding="utf-8"
    )
    model = Model.load(str(folder))
    model.saved_input_example_info = {
        "artifact_path": "input_example.json",
        "serving_input_path": "serving_input_example.json",
        "type": "json_object",
    }
    model.save(str(folder / "MLmodel"))


def _pinned_requirements() -> list[str]:
    """Return the installed versions of the packages that generation needs."""
    from importlib.metadata import version

    return [f"{package}=={version(package).split('+')[0]}" for package in _PACKAGES]
