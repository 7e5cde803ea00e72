"""Wall-clock time of the stages of processing one video."""

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Literal

from argus.dataset import StageSeconds


class StageTimer:
    """Accumulator of wall-clock seconds per stage. Stages must not be nested."""

    def __init__(self) -> None:
        self._spent: defaultdict[str, float] = defaultdict(float)

    @contextlib.contextmanager
    def measure(self, stage: Literal["decode", "filters", "encode"]) -> Iterator[None]:
        """Add the duration of the `with` block to a stage, also if the block raises."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._spent[stage] += time.perf_counter() - start

    @property
    def seconds(self) -> StageSeconds:
        """Seconds spent so far, per stage."""
        return StageSeconds(
            decode=self._spent["decode"],
            filters=self._spent["filters"],
            encode=self._spent["encode"],
        )
