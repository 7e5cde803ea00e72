"""Who watches a run: curves and pictures go to an observer. Tracking servers implement it elsewhere."""

import logging
from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)


class Observer(Protocol):
    """Called on rank 0 only. A resumed run may report a step again."""

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers after `step` optimiser steps."""
        ...

    def picture(self, step: int, name: str, image: NDArray[np.uint8]) -> None:
        """A picture uint8 [H, W, 3]."""
        ...


class NullObserver:
    """Watches nothing."""

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing."""

    def picture(self, step: int, name: str, image: NDArray[np.uint8]) -> None:
        """Nothing."""


class LogObserver:
    """Writes numbers to the log."""

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """One line."""
        logger.info(
            "step %d: %s", step, ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        )

    def picture(self, step: int, name: str, image: NDArray[np.uint8]) -> None:
        """One line."""
        logger.info("step %d: picture %s %s", step, name, image.shape)
