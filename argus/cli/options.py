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
    """Return the absolute path or the URL of the dataset: the option's, or the home's."""
    return resolve_path(dataset, "dataset") or str(argus_home() / "dataset")


def resolve_path(path: str | Path | None, name: str) -> str | None:
    """Return an absolute path, or a URL unchanged; None if none is given.

    Raises:
        InvalidInput: the name is not UTF-8.
    """
    if path is None:
        return None
    require_utf8(path, name)
    return absolute_path(str(path))


def require_local_file(path: str, name: str) -> str:
    """Return the absolute path of an existing file, or a URL unchanged.

    Raises:
        InvalidInput: the file is missing, a folder, empty, or its name is not UTF-8.
    """
    if not is_url(path):
        require_file(path, name)
    return absolute_path(path)


def require_model(model: str | None) -> str | None:
    """Return a model's URI, or the absolute path of its folder.

    Raises:
        InvalidInput: it is neither a registry URI nor an existing folder.
    """
    if model is None or model.startswith("models:"):
        return model
    if not require_utf8(model, "model").is_dir():
        raise InvalidInput(
            f"the model {model} is neither a registry URI, such as models:/argus@champion, "
            "nor an existing pipeline folder"
        )
    return absolute_path(model)
