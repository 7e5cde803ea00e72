"""The command group `argus dataset`.

`why`, `show`, `gallery`, `stats`, `sweep`, `log` and `diff` only read what refreshes have stored,
and decode nothing.
"""

import typer

from argus.cli.dataset.agreement import agree
from argus.cli.dataset.forget import forget
from argus.cli.dataset.history import compact, diff, log
from argus.cli.dataset.inspect import gallery, show, why
from argus.cli.dataset.sharing import export_manifest, rebuild, rebuild_configs
from argus.cli.dataset.statistics import stats, sweep

__all__ = ["dataset_app", "rebuild_configs"]

dataset_app = typer.Typer(
    help="Inspect, compare, share, rebuild and compact a dataset; take videos down.",
    epilog="All but `rebuild`, `compact` and `forget` only read; only `rebuild` downloads.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

_COMMANDS = (
    *(why, show, gallery, stats, sweep, agree, log, diff),
    *(export_manifest, rebuild, compact, forget),
)
for _command in _COMMANDS:
    dataset_app.command()(_command)
