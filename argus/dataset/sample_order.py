"""The order of samples: a pure function of (seed, epoch, position), whatever the number of workers and wherever a run resumes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from argus.errors import InvalidInput

T = TypeVar("T")


@dataclass(frozen=True)
class SamplePosition:
    """One sample: the `position`-th of its epoch is item `index` of the list of clips."""

    epoch: int
    position: int
    index: int


def global_batch(step: int, *, batch: int, size: int, seed: int) -> list[SamplePosition]:
    """The samples of optimiser step `step` (from 0) over a list of `size` clips.

    Each epoch visits every clip once, in an order of its own; a batch may reach from one epoch into the next.
    """
    if step < 0 or batch < 1 or size < 1 or seed < 0:
        raise InvalidInput(
            f"step and seed must be at least 0, batch and size at least 1; got step={step}, batch={batch}, size={size}, seed={seed}"
        )
    samples = []
    for count in range(step * batch, (step + 1) * batch):
        epoch, position = divmod(count, size)
        samples.append(
            SamplePosition(epoch, position, int(epoch_order(epoch, size=size, seed=seed)[position]))
        )
    return samples


def rank_slice(samples: Sequence[T], rank: int, world: int) -> Sequence[T]:
    """The contiguous part of a global batch that worker `rank` of `world` works on."""
    if world < 1 or not 0 <= rank < world or len(samples) % world:
        raise InvalidInput(
            f"a batch must split evenly over the workers; got a batch of {len(samples)}, rank {rank} of {world}"
        )
    share = len(samples) // world
    return samples[rank * share : (rank + 1) * share]


@lru_cache(maxsize=4)
def epoch_order(epoch: int, *, size: int, seed: int) -> NDArray[np.int64]:
    """A permutation of range(size), int64 [size], read-only.

    Sorted raw Philox words: bit generators' raw streams are stable between versions of numpy, `Generator.permutation` is not.
    """
    words = np.random.Philox(np.random.SeedSequence([seed, epoch])).random_raw(size)
    order = np.argsort(words, kind="stable")
    order.flags.writeable = False
    return order
