"""Time of the stages of processing one video."""

import contextlib
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Literal

from argus.dataset import StageSeconds


class StageTimer:
    """Accumulator of wall-clock seconds per stage, and of CPU seconds. Stages must not nest."""

    def __init__(self) -> None:
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._cpu_start_s = measure_cpu_s()

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
            process_cpu=measure_cpu_s() - self._cpu_start_s,
        )


def measure_cpu_s() -> float:
    """Return the CPU seconds of this process and of those of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
