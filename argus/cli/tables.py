"""How `argus dataset` prints: coloured tables where a person looks, wide and plain ones where a program reads; and where the dataset lies."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from argus.runs import argus_home

Folder = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="DIR",
        help="Folder of the dataset, or s3://… or gs://… [default: ARGUS_HOME/dataset]",
    ),
]

LEFT = " "
"""Heads a column whose cells stand left."""

_PIPED_WIDTH = 200


def absolute(path: str | None) -> str | None:
    """A path as a job in another folder finds it; what names its own place, such as s3://…, as it is."""
    return path and (path if "://" in path else str(Path(path).absolute()))


def place(dataset: str | None) -> str:
    """Where the dataset lies."""
    return dataset or str(argus_home() / "dataset")


def output() -> Console:
    """Standard output."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)


def new_table(out: Console, *headers: str) -> Table:
    """A table with these headers; numbers stand right, the first column and those headed by `LEFT` left."""
    style = box.SIMPLE_HEAD if out.is_terminal else None
    table = Table(box=style, pad_edge=False, padding=(0, 2, 0, 0))
    for number, header in enumerate(headers):
        table.add_column(
            header.strip(),
            justify="right" if number and not header.startswith(LEFT) else "left",
            overflow="fold",
        )
    return table
