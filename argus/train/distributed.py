"""Rank of a worker and collective operations. With one worker all of them are the identity."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class DistributedContext:
    """Position of a worker among the workers of a run.

    Several workers need an initialized torch.distributed group of that size.

    Attributes:
        rank: from 0.
        size: number of workers.
        device: device that this worker computes on.

    Raises:
        ValueError: rank and size do not fit each other or the group.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.size:
            raise ValueError(f"rank is {self.rank}, but must be in [0, {self.size})")
        if self.size > 1 and not (dist.is_initialized() and dist.get_world_size() == self.size):
            raise ValueError(
                f"{self.size} workers need an initialized torch.distributed group of that size"
            )

    @property
    def is_main(self) -> bool:
        """True on rank 0, the only worker that writes files."""
        return self.rank == 0

    def all_reduce_sum(self, *values: float) -> list[float]:
        """Sum numbers over all workers, in fp64 (fp32 on MPS)."""
        return self._all_reduce(values).tolist()

    def broadcast(self, value: int) -> int:
        """Broadcast a value from rank 0."""
        return int(self._all_reduce([value if self.is_main else 0])[0])

    def barrier(self) -> None:
        """Wait until all workers have come here."""
        self._all_reduce([0])

    def _all_reduce(self, values: Sequence[float]) -> Tensor:
        dtype = torch.float64 if self.device.type != "mps" else torch.float32
        numbers = torch.tensor(values, dtype=dtype, device=self.device)
        if self.size > 1:
            dist.all_reduce(numbers)
        return numbers
