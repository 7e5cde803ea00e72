"""Records of a run: the loss log in its folder, and observers that receive curves and images."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from argus.files import write_text


class LossLog:
    """`losses.jsonl` of a run folder: one line per step with its loss and its samples.

    Two runs that were trained alike have the same file.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "losses.jsonl"

    def truncate(self, step: int) -> None:
        """Remove the lines after `step` and an incomplete last line.

        A run that resumes from a checkpoint writes these lines again.
        """
        if self.path.exists():
            lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
            complete = [line for line in lines if line.endswith("\n")]
            kept = [line for line in complete if json.loads(line)["step"] <= step]
            write_text(self.path, "".join(kept))

    def append(self, step: int, loss: float, samples: Sequence[str]) -> None:
        """Append a line; `samples` are `clip_id#first_frame` in the order of the global batch."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "loss": loss, "samples": list(samples)}) + "\n")

    def read(self) -> list[dict[str, Any]]:
        """Return all lines; none if there is no file."""
        if not self.path.exists():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


class Observer(Protocol):
    """Receiver of metrics and images of a run, called on rank 0 only.

    A resumed run may report a step again.
    """

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Receive metrics after `step` optimizer steps."""
        ...

    def log_image(self, step: int, name: str, image: NDArray[np.uint8]) -> None:
        """Receive an image, uint8 [H, W, 3], after `step` optimizer steps."""
        ...


class NullObserver:
    """Observer that discards everything."""

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Discard metrics."""

    def log_image(self, step: int, name: str, image: NDArray[np.uint8]) -> None:
        """Discard an image."""
