"""Check of pipeline folders; without MLflow, so that it takes no time."""

from pathlib import Path

from argus.errors import InvalidInput

_MARKERS = ("argus.json", "model_index.json")


def is_pipeline_folder(folder: Path) -> bool:
    """Return whether a folder contains a pipeline (argus.json or model_index.json)."""
    return any((folder / name).is_file() for name in _MARKERS)


def require_pipeline_folder(folder: Path) -> Path:
    """Return a folder that contains a pipeline.

    Raises:
        InvalidInput: It does not exist, or contains none.
    """
    if not is_pipeline_folder(folder):
        problem = (
            f"contains no pipeline (neither {' nor '.join(_MARKERS)})"
            if folder.is_dir()
            else "is no folder"
            if folder.exists()
            else "does not exist"
        )
        raise InvalidInput(
            f"model folder {folder} {problem}; give models:/NAME@ALIAS or a pipeline folder"
        )
    return folder
