"""The order of training samples: a pure function of (seed, epoch, position).

It does not depend on the number of workers or on where a run resumes.
"""

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
    """A sample: position `position` of its epoch is item `index` of the list of clips."""

    epoch: int
    position: int
    index: int


def select_global_batch(step: int, *, batch: int, size: int, seed: int) -> list[SamplePosition]:
    """Return the samples of one optimizer step, over all workers.

    Each epoch visits every clip once, in an order of its own; a batch may span two epochs.

    Args:
        step: optimizer step, from 0.
        batch: global batch size, at least 1.
        size: number of clips, at least 1.
        seed: at least 0.
    """
    if step < 0 or batch < 1 or size < 1 or seed < 0:
        raise InvalidInput(
            f"step and seed must be at least 0, batch and size at least 1; "
            f"got step={step}, batch={batch}, size={size}, seed={seed}"
        )
    samples = []
    for count in range(step * batch, (step + 1) * batch):
        epoch, position = divmod(count, size)
        samples.append(
            SamplePosition(
                epoch, position, int(permute_epoch(epoch, size=size, seed=seed)[position])
            )
        )
    return samples


def slice_for_rank(samples: Sequence[T], rank: int, world: int) -> Sequence[T]:
    """Return the contiguous part of a global batch for worker `rank` of `world`."""
    if world < 1 or not 0 <= rank < world or len(samples) % world:
        raise InvalidInput(
            f"a batch must split evenly over the workers; "
            f"got a batch of {len(samples)}, rank {rank} of {world}"
        )
    share = len(samples) // world
    return samples[rank * share : (rank + 1) * share]


@lru_cache(maxsize=4)
def permute_epoch(epoch: int, *, size: int, seed: int) -> NDArray[np.int64]:
    """Return a permutation of range(size), int64 [size], read-only.

    It sorts raw Philox words: numpy keeps the raw streams of bit generators stable between
    versions, but not `Generator.permutation`.
    """
    words = np.random.Philox(np.random.SeedSequence([seed, epoch])).random_raw(size)
    order = np.argsort(words, kind="stable")
    order.flags.writeable = False
    return order
