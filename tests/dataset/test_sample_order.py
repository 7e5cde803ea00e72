import itertools

import numpy as np
import pytest

from argus.dataset import permute_epoch, select_global_batch, slice_for_rank, choose_window_start
from argus.errors import InvalidInput

GRID = [(size, batch) for size in (1, 2, 7, 30) for batch in (1, 4, 6, 12)]


@pytest.mark.parametrize(("size", "batch"), GRID)
def test_every_sample_once_per_epoch_in_another_order_each(size: int, batch: int) -> None:
    epochs = 12
    samples = [
        sample
        for step in range(epochs * size // batch)
        for sample in select_global_batch(step, batch=batch, size=size, seed=3)
    ]
    assert [sample.epoch * size + sample.position for sample in samples] == list(
        range(len(samples))
    )
    orders = [
        [sample.index for sample in samples if sample.epoch == epoch] for epoch in range(epochs)
    ]
    whole = [order for order in orders if len(order) == size]
    assert whole
    assert all(sorted(order) == list(range(size)) for order in whole)
    assert size < 7 or len({tuple(order) for order in whole}) == len(whole)


@pytest.mark.parametrize(("size", "world"), list(itertools.product((5, 30), (1, 2, 3, 4, 6, 12))))
def test_the_workers_together_see_the_same_batches_whatever_their_number(
    size: int, world: int
) -> None:
    for step in range(8):
        batch = select_global_batch(step, batch=12, size=size, seed=1)
        parts = [slice_for_rank(batch, rank, world) for rank in range(world)]
        assert [sample for part in parts for sample in part] == batch
        assert {len(part) for part in parts} == {12 // world}


@pytest.mark.parametrize("resumed_at", [0, 1, 5, 9])
def test_resume_equals_continue(resumed_at: int) -> None:
    whole = [select_global_batch(step, batch=4, size=7, seed=5) for step in range(10)]
    permute_epoch.cache_clear()
    assert [select_global_batch(step, batch=4, size=7, seed=5) for step in range(resumed_at, 10)] == whole[
        resumed_at:
    ]


def test_the_order_is_fixed_for_ever() -> None:
    assert permute_epoch(0, size=8, seed=0).tolist() == [0, 3, 7, 5, 1, 2, 6, 4]
    assert [sample.index for sample in select_global_batch(1, batch=5, size=8, seed=0)] == [2, 6, 4, 3, 7]


def test_seeds_give_other_orders() -> None:
    assert not np.array_equal(permute_epoch(0, size=50, seed=0), permute_epoch(0, size=50, seed=1))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidInput, match="size=0"):
        select_global_batch(0, batch=1, size=0, seed=0)
    with pytest.raises(InvalidInput, match="batch of 5, rank 0 of 2"):
        slice_for_rank([0] * 5, 0, 2)
    with pytest.raises(InvalidInput, match="does not fit"):
        choose_window_start(4, 5, (0,))


def test_window_starts_cover_the_clip_evenly() -> None:
    starts = np.array(
        [
            choose_window_start(14, 5, (0, epoch, position))
            for epoch in range(10)
            for position in range(100)
        ]
    )
    counts = np.bincount(starts, minlength=10)
    assert len(counts) == 10
    assert counts.min() > 60
    assert choose_window_start(5, 5, (1, 2, 3)) == 0
