"""Helpers for tests of the command line."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from argus.cli import app

SPACES = re.compile(r"\s{2,}")


def run_argus(*arguments: str | Path) -> Result:
    """Run the command line in this process, 200 columns wide."""
    texts = [str(argument) for argument in arguments]
    return CliRunner().invoke(app, texts, env={"COLUMNS": "200"})


def run_argus_json(*arguments: str | Path) -> Any:
    """Return the JSON that a command prints; it must succeed."""
    result = run_argus(*arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def run_argus_process(*arguments: str | Path) -> str:
    """Return the standard output of the command line as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", "from argus.cli import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def split_cells(text: str) -> list[list[str]]:
    """Return the cells of each line of a table; they are at least two spaces apart."""
    return [SPACES.split(line.strip()) for line in text.splitlines() if line.strip()]


def assert_invalid(result: Result, *names: str) -> None:
    """Check that a command was refused with one line that mentions all of these names."""
    assert result.exit_code == 10, result.output
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    missing = [name for name in names if name not in result.stderr]
    assert not missing, result.stderr
