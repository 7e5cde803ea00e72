"""Output of commands: tables, facts and JSON on standard output; all else on standard error."""

import json
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import wraps
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from argus.errors import ArgusError, InvalidInput
from argus.files import is_disk_full
from schemas.names import EXIT_CODES, Outcome

stderr = Console(stderr=True)

PIPED_WIDTH = 200
"""Columns of standard output when it is not a terminal."""

MAX_BAR_WIDTH = 24

_SHOWN_CHARACTERS = 60
"""Characters of a name that are shown before and after a byte that is not UTF-8."""


def handle_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Print the project's errors, and those of files, as one line and exit with their status."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except ArgusError as error:
            print_error(str(error))
            raise typer.Exit(EXIT_CODES[error.outcome]) from error
        except UnicodeEncodeError as error:
            name = error.object[max(0, error.start - _SHOWN_CHARACTERS) :][: 2 * _SHOWN_CHARACTERS]
            print_error(f"{name!r} holds bytes that are not UTF-8; rename the file or folder")
            raise typer.Exit(EXIT_CODES[Outcome.INVALID]) from error
        except OSError as error:
            if error.filename is None and not is_disk_full(error):
                raise
            print_error(f"{error.filename or 'the output'} cannot be used: {error.strerror}")
            raise typer.Exit(EXIT_CODES[Outcome.FAILED]) from error
        except KeyboardInterrupt:
            print_error("stopped")
            raise typer.Exit(EXIT_CODES[Outcome.CANCELLED]) from None

    return run


def print_error(message: str) -> None:
    """Print one line on standard error."""
    text = Text.assemble(("argus:", "red"), " ", escape_controls(message))
    stderr.print(text, soft_wrap=True, highlight=False)


def print_note(message: str) -> None:
    """Print a note on standard error, so that standard output stays readable by a program."""
    stderr.print(Text(escape_controls(message)), soft_wrap=True, highlight=False)


def confirm(question: str) -> None:
    """Ask a question on the terminal; raise KeyboardInterrupt unless the answer is yes.

    Raises:
        InvalidInput: there is no terminal.
    """
    if not sys.stdin.isatty():
        raise InvalidInput("nobody can be asked, because there is no terminal; give --yes")
    if not typer.confirm(question, err=True):
        raise KeyboardInterrupt


def escape_controls(text: str) -> str:
    r"""Return a text on one line that changes no terminal: `\n`, `\x1b`, `\udcff`.

    Names of files may hold any character, and bytes that are not UTF-8.
    """
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def print_next(*commands: str) -> None:
    """Print the commands that usually come next, as the last line on standard error."""
    text = Text("next: ", "dim")
    for number, command in enumerate(commands):
        text.append(", or " if number else "", "dim").append(escape_controls(command), "bold")
    stderr.print(text, soft_wrap=True, highlight=False)


def print_json(value: Any) -> None:
    """Print a value as indented JSON on standard output."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    typer.echo(text.encode(errors="backslashreplace").decode())  # names that are not UTF-8


def open_stdout() -> Console:
    """Return a console on standard output, wide where it is not a terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)


def new_table(
    out: Console, *headers: str, left: Collection[str] = (), shrink: Collection[str] = ()
) -> Table:
    """Return a table with rules on a terminal, and without where a program reads it.

    Args:
        out: the console that prints it.
        headers: the columns; the first is left-aligned and the others right-aligned.
        left: further columns that are left-aligned.
        shrink: columns that are cut with an ellipsis if the terminal is too narrow; the others
            are never broken. By default the first one.
    """
    gap = 1 if out.is_terminal else 2  # the box adds one column
    table = Table(
        box=box.SIMPLE_HEAD if out.is_terminal else None, pad_edge=False, padding=(0, gap, 0, 0)
    )
    for number, header in enumerate(headers):
        is_elastic = header in shrink if shrink else number == 0
        table.add_column(
            header,
            justify="left" if number == 0 or header in left else "right",
            overflow="ellipsis",
            no_wrap=not is_elastic,
        )
    return table


def print_facts(out: Console, title: str, facts: Mapping[str, Any]) -> None:
    """Print a title and its facts, one per line; facts that are None or empty are left out."""
    shown = {name: str(value) for name, value in facts.items() if value not in (None, "", ())}
    width = max(map(len, shown), default=0)
    if title:
        out.print(Text(title, "bold"), soft_wrap=True)
    for name, value in shown.items():
        out.print(Text.assemble("  ", (f"{name:<{width}}  ", "dim"), value), soft_wrap=True)


def print_counts(out: Console, title: str, counts: Sequence[tuple[str, int]]) -> None:
    """Print counts by name, with their share and a bar; nothing if there are none."""
    if not counts:
        return
    table = new_table(out, title, "count", "share", "bar", left=["bar"])
    most, total = max(count for _, count in counts), sum(count for _, count in counts)
    for name, count in counts:
        bar = Text(draw_bar(count / max(1, most)), "green" if name == "kept" else "cyan")
        table.add_row(str(name), str(count), f"{count / total:.0%}", bar)
    out.print(table)
    if not out.is_terminal:  # where the table's box has its own empty lines
        out.print()


def draw_bar(share: float) -> str:
    """Return a horizontal bar of blocks; `share` is in [0, 1] of `MAX_BAR_WIDTH` columns."""
    eighths = round(share * MAX_BAR_WIDTH * 8)
    return ("█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8]).rstrip()


def format_number(value: float | None) -> str:
    """Return a number with four significant digits; an empty string for None."""
    return "" if value is None else f"{value:.4g}"


def format_decision(decision: str, reason: str | None) -> str:
    """Return a decision with its reason, such as "dropped (static)"."""
    return f"{decision} ({reason})" if reason else str(decision)
