"""How long the stages of a judgement take."""

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Literal

from argus.curate.records import Seconds


class StageTimer:
    """Adds up wall-clock seconds by stage; stages are measured one at a time, never within one another."""

    def __init__(self) -> None:
        self._spent: defaultdict[str, float] = defaultdict(float)

    @contextlib.contextmanager
    def of(self, stage: Literal["decode", "filters", "encode"]) -> Iterator[None]:
        """Measures what happens inside, also where it raises."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._spent[stage] += time.perf_counter() - start

    @property
    def seconds(self) -> Seconds:
        """Until now."""
        return Seconds(self._spent["decode"], self._spent["filters"], self._spent["encode"])
