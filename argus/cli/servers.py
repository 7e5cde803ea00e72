"""The commands `demo` and `up`, which start Prefect, Ray and MLflow on this machine."""

import os
from pathlib import Path
from typing import Annotated

import typer

from argus.cli.console import handle_errors
from argus.cli.options import require_folder, resolve_path
from argus.cli.progress import ProgressDisplay
from argus.errors import InvalidInput

PortOption = Annotated[
    int | None, typer.Option(min=1, max=65535, help="Port on loopback [default: a free one]")
]


@handle_errors
def demo(
    *,
    media: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Add the real videos of this folder; its labels.csv is shown beside the "
            "decisions [env: ARGUS_TEST_MEDIA]",
        ),
    ] = None,
    home: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for everything that is written [default: ARGUS_HOME, else ./.argus/demo]",
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Training steps [default: the demo preset's]")
    ] = None,
) -> None:
    """Run the whole pipeline once on this machine, on synthetic videos.

    Starts real Prefect, Ray and MLflow servers on loopback, takes a few minutes, and downloads
    nothing. It ends with a table, the address of the model registry, and a report with pictures.

    Example: `argus demo --home /tmp/argus-demo --steps 20`
    """
    folder = media or os.environ.get("ARGUS_TEST_MEDIA") or None
    path = resolve_path(home or os.environ.get("ARGUS_HOME") or ".argus/demo", "home")
    require_folder(str(path), "home")
    if folder and not require_folder(folder, "media folder").is_dir():
        raise InvalidInput(f"the media folder {folder} does not exist; check the path")
    from flows.demo import run_demo

    run_demo(
        Path(str(path)),
        media=Path(folder) if folder else None,
        steps=steps,
        open_progress=ProgressDisplay,
    )


@handle_errors
def up(
    *,
    prefect_port: PortOption = None,
    mlflow_port: PortOption = None,
    ray_port: PortOption = None,
) -> None:
    """Start Prefect, Ray and MLflow on this machine, deploy the flows, and serve until Ctrl-C.

    A server that PREFECT_API_URL, MLFLOW_TRACKING_URI or ARGUS_RAY_ADDRESS names is used as it
    is.

    Example: `argus up --mlflow-port 5000`
    """
    from flows.local import LocalStack
    from flows.serve import serve_flows

    serve_flows(
        typer.echo,
        LocalStack(prefect_port=prefect_port, mlflow_port=mlflow_port, ray_port=ray_port),
    )
