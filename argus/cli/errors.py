"""What every command does with an error: one line, and the exit status of its outcome."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from argus.errors import ArgusError
from schemas.names import EXIT_CODES, Outcome

console = Console(stderr=True)


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Turns the project's errors into one line and the exit status of their outcome."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except ArgusError as error:
            console.print(
                f"[red]argus:[/red] {escape(str(error))}", soft_wrap=True, highlight=False
            )
            raise typer.Exit(EXIT_CODES[error.outcome]) from error
        except KeyboardInterrupt:
            console.print("[red]argus:[/red] stopped")
            raise typer.Exit(EXIT_CODES[Outcome.CANCELLED]) from None

    return run
