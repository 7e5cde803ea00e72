"""`losses.jsonl` of a run folder: one line per step with its loss and its samples, so that two runs can be compared."""

import json
from collections.abc import Sequence
from pathlib import Path

from argus.files import write_text

NAME = "losses.jsonl"


def truncate(folder: Path, step: int) -> None:
    """Forgets lines after `step`, and a half-written last one: a run that goes on from a checkpoint writes them again."""
    path = folder / NAME
    if path.exists():
        lines = [
            line
            for line in path.read_text(encoding="utf-8").splitlines(keepends=True)
            if line.endswith("\n")
        ]
        write_text(path, "".join(line for line in lines if json.loads(line)["step"] <= step))


def append(folder: Path, step: int, loss: float, samples: Sequence[str]) -> None:
    """One line; `samples` are `clip_id#first_frame`, in the order of the global batch."""
    with (folder / NAME).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"step": step, "loss": loss, "samples": list(samples)}) + "\n")


def read(folder: Path) -> list[dict[str, object]]:
    """All lines."""
    path = folder / NAME
    return (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if path.exists()
        else []
    )
