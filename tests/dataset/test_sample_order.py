"""The order of samples: a pure function of seed, epoch and position."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argus.dataset import (
    SamplePosition,
    choose_window_start,
    permute_epoch,
    select_global_batch,
    slice_for_rank,
)
from argus.errors import InvalidInput

QUICK = settings(max_examples=50, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**32)


def take(steps: range, *, batch: int, size: int, seed: int) -> list[SamplePosition]:
    """Return the samples of some steps, computed without any cached order."""
    permute_epoch.cache_clear()
    return [
        sample
        for step in steps
        for sample in select_global_batch(step, batch=batch, size=size, seed=seed)
    ]


@QUICK
@given(size=st.integers(1, 40), batch=st.integers(1, 16), seed=SEEDS)
def test_every_epoch_has_every_sample_once(size: int, batch: int, seed: int) -> None:
    steps = -(-3 * size // batch)
    samples = take(range(steps), batch=batch, size=size, seed=seed)
    assert [sample.epoch * size + sample.position for sample in samples] == list(
        range(steps * batch)
    )
    for epoch in range(3):
        order = [sample.index for sample in samples if sample.epoch == epoch]
        assert sorted(order) == list(range(size))
        assert order == permute_epoch(epoch, size=size, seed=seed).tolist()


@QUICK
@given(
    size=st.integers(1, 40),
    world=st.integers(1, 6),
    share=st.integers(1, 4),
    step=st.integers(0, 50),
    seed=SEEDS,
)
def test_the_workers_share_each_batch(
    size: int, world: int, share: int, step: int, seed: int
) -> None:
    batch = select_global_batch(step, batch=world * share, size=size, seed=seed)
    parts = [slice_for_rank(batch, rank, world) for rank in range(world)]
    assert [sample for part in parts for sample in part] == batch
    assert {len(part) for part in parts} == {share}


@QUICK
@given(size=st.integers(1, 30), batch=st.integers(1, 9), resumed_at=st.integers(0, 12), seed=SEEDS)
def test_a_resumed_run_sees_the_order_of_an_undisturbed_one(
    size: int, batch: int, resumed_at: int, seed: int
) -> None:
    whole = take(range(12), batch=batch, size=size, seed=seed)
    rest = take(range(resumed_at, 12), batch=batch, size=size, seed=seed)
    assert whole[resumed_at * batch :] == rest


@pytest.mark.parametrize(("size", "world"), list(itertools.product((5, 30), (1, 2, 3, 4, 6, 12))))
def test_the_batch_does_not_depend_on_the_number_of_workers(size: int, world: int) -> None:
    for step in range(8):
        batch = select_global_batch(step, batch=12, size=size, seed=1)
        assert len(slice_for_rank(batch, world - 1, world)) == 12 // world
        assert batch == select_global_batch(step, batch=12, size=size, seed=1)


def test_the_order_never_changes() -> None:
    assert permute_epoch(0, size=8, seed=0).tolist() == [0, 3, 7, 5, 1, 2, 6, 4]
    batch = select_global_batch(1, batch=5, size=8, seed=0)
    assert [sample.index for sample in batch] == [2, 6, 4, 3, 7]


def test_each_seed_and_epoch_has_its_own_order() -> None:
    orders = [
        tuple(permute_epoch(epoch, size=50, seed=seed)) for epoch in range(4) for seed in range(4)
    ]
    assert len(set(orders)) == len(orders)


def test_invalid_arguments_are_refused() -> None:
    with pytest.raises(InvalidInput, match="size=0"):
        select_global_batch(0, batch=1, size=0, seed=0)
    with pytest.raises(InvalidInput, match="5"):
        slice_for_rank([0] * 5, 0, 2)
    with pytest.raises(InvalidInput):
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
