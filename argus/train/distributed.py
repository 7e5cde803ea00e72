"""Where a worker stands among the workers of a run, and what they agree on. Alone, everything is the identity."""

from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class DistributedContext:
    """Rank, number of workers, device. More than one worker needs an initialised torch.distributed group."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.size:
            raise ValueError(f"rank {self.rank} is not one of {self.size} workers")
        if self.size > 1 and not (dist.is_initialized() and dist.get_world_size() == self.size):
            raise ValueError(
                f"{self.size} workers need an initialised torch.distributed group of that size"
            )

    @property
    def first(self) -> bool:
        """Whether this worker writes."""
        return self.rank == 0

    def summed(self, *values: float) -> list[float]:
        """ErrorSums of numbers over all workers, in float64."""
        return self._reduced(values).tolist()

    def told(self, value: int) -> int:
        """What rank 0 says, to all."""
        return int(self._reduced([value if self.first else 0])[0])

    def barrier(self) -> None:
        """Waits for all."""
        self._reduced([0])

    def _reduced(self, values: "list[float] | tuple[float, ...] | list[int]") -> Tensor:
        exact = torch.float64 if self.device.type != "mps" else torch.float32
        numbers = torch.tensor(values, dtype=exact, device=self.device)
        if self.size > 1:
            dist.all_reduce(numbers)
        return numbers
