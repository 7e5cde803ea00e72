"""The Typer application `argus` and its console script.

The command line is the highest layer: its commands may import `ray_jobs` and `flows`, inside
functions, and nothing imports it. Each command resolves one configuration, runs one job or flow,
and exits with the status of its outcome.
"""

import io
import sys
import traceback
from typing import Annotated

import typer

from argus.cli.curation import refresh
from argus.cli.dataset import dataset_app
from argus.cli.media import generate, tag
from argus.cli.models import evaluate, promote, train
from argus.cli.servers import demo, up
from argus.cli.stitch import stitch
from argus.cli.weights import weights_app
from schemas.credentials import redact, redact_logs
from schemas.names import EXIT_CODES, Outcome

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # rich's own markup would swallow "[default: 75]"
    epilog="Exit status: 0 done or nothing to do, 2 wrong usage, 10 invalid input, "
    "30 try again later, 130 stopped, 1 anything else. Everything is written below ARGUS_HOME "
    "(default ./.argus). Options override ARGUS_* variables, which override the --config file, "
    "which overrides the preset.",
)


def _print_version(value: bool) -> None:
    if value:
        import argus

        typer.echo(f"argus {argus.__version__}")
        raise typer.Exit


@app.callback()
def _describe(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit"
        ),
    ] = False,
) -> None:
    """Turn ordinary videos into full 360° videos, and run the pipeline that trains the model.

    The usual order: refresh, train, evaluate, promote, generate. `argus demo` runs it all.
    """


for _command in (demo, up, refresh, train, evaluate, promote, generate, tag, stitch):
    app.command()(_command)
app.add_typer(dataset_app, name="dataset")
app.add_typer(weights_app, name="weights")


def main() -> None:
    """Run the command line of this process; what it logs or raises holds no credential."""
    redact_logs()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # names that are not UTF-8, as they are
    try:
        app()
    except Exception:  # noqa: BLE001  process boundary: the traceback is printed without credentials
        typer.echo(redact(traceback.format_exc()), err=True, nl=False)
        sys.exit(EXIT_CODES[Outcome.FAILED])
