"""The options that several commands share, and the paths that they name."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from argus.errors import InvalidInput
from argus.files import absolute_path, is_url, require_file, require_utf8
from argus.runs import argus_home

DatasetOption = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="DIR",
        help="Folder of the dataset, or s3://… or gs://… [default: ARGUS_HOME/dataset]",
    ),
]
SnapshotOption = Annotated[
    int | None,
    typer.Option(min=1, help="Snapshot version of the dataset [default: the latest]"),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="YAML file of settings"),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="One setting by its dotted name, such as clip.height=256; may be repeated",
    ),
]
RunIdOption = Annotated[
    str | None,
    typer.Option(help="Name of the run; the same name resumes it [default: time and digest]"),
]
DryRunOption = Annotated[
    bool,
    typer.Option("--dry-run", help="Print what would happen and the configuration, and stop"),
]
PreviewOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and stop")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print JSON with stable keys instead of a table")
]
LimitOption = Annotated[int, typer.Option(min=0, help="Maximum number of rows to print; 0: all")]
PrivateHostsOption = Annotated[
    bool,
    typer.Option("--allow-private-hosts", help="Allow URLs at loopback and private addresses"),
]
ExecutorOption = Annotated[
    Literal["local", "ray"] | None,
    typer.Option(
        help="Where videos are processed: processes of this machine, or Ray "
        "[default: local, or ray if a cluster is named]"
    ),
]
RayAddressOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Submit the refresh as a job to this Ray cluster, by the address of its dashboard, "
        "such as http://head:8265 [env: ARGUS_RAY_ADDRESS]",
    ),
]


def locate_dataset(dataset: str | None) -> str:
    """Return the absolute path or the URL of the dataset: the option's, or the home's.

    Raises:
        InvalidInput: the name is not UTF-8, or there is a file.
    """
    place = resolve_path(dataset, "dataset") or str(argus_home() / "dataset")
    return place if is_url(place) else str(require_folder(place, "dataset"))


def require_dataset(place: str, part: str = "") -> str:
    """Return the path or URL of a dataset.

    Args:
        place: path or URL; only a path is checked.
        part: a folder in the dataset that must exist.

    Raises:
        InvalidInput: there is no folder.
    """
    if not is_url(place) and not (require_folder(place, "dataset") / part).is_dir():
        raise InvalidInput(
            f"there is no dataset at {place}; "
            f"create it with `argus refresh CATALOGUE --dataset {place}`"
        )
    return place


def require_folder(path: Path | str, name: str) -> Path:
    """Return the path of a folder that exists or can be made.

    Raises:
        InvalidInput: there is a file, also in the place of one of its parents.
    """
    found = Path(path)
    try:
        nearest = next(place for place in (found, *found.absolute().parents) if place.exists())
    except OSError as error:
        raise InvalidInput(f"the {name} {found} cannot be used: {error.strerror}") from error
    if not nearest.is_dir():
        raise InvalidInput(f"the {name} {found} is no folder: {nearest} is a file; choose another")
    return found


def resolve_path(path: str | Path | None, name: str) -> str | None:
    """Return an absolute path, or a URL unchanged; None if none is given.

    Raises:
        InvalidInput: the path is not UTF-8.
    """
    if path is None:
        return None
    resolved = absolute_path(str(path))
    require_utf8(resolved, name)
    return resolved


def require_local_file(path: str, name: str) -> str:
    """Return the absolute path of an existing file, or a URL unchanged.

    Raises:
        InvalidInput: the file is missing, a folder, empty, or its path is not UTF-8.
    """
    if not is_url(path):
        require_file(path, name)
    require_utf8(absolute_path(path), name)
    return absolute_path(path)


def require_model(model: str | None) -> str | None:
    """Return a model's URI, or the absolute path of its folder.

    Raises:
        InvalidInput: it is neither a registry URI nor the folder of a pipeline.
    """
    if model is None or model.startswith("models:"):
        return model
    from argus.registry import require_pipeline_folder

    require_pipeline_folder(Path(model))
    return resolve_path(model, "model")
