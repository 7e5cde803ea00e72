"""Conversion between levels and [-1, 1]."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from argus.pixels import frames_to_tensor, scale_levels, tensor_to_frames

LEVELS = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=-1)


def test_both_conversions_give_the_same_numbers() -> None:
    tensor = frames_to_tensor(LEVELS)
    assert (tensor.dtype, tuple(tensor.shape)) == (torch.float32, (1, 3, 16, 16))
    assert (tensor.min(), tensor.max()) == (-1, 1)
    np.testing.assert_array_equal(tensor.permute(0, 2, 3, 1).numpy(), scale_levels(LEVELS))


def test_values_out_of_range_are_clamped() -> None:
    np.testing.assert_array_equal(np.unique(tensor_to_frames(torch.full((1, 3, 2, 2), 7.0))), [255])
    np.testing.assert_array_equal(np.unique(tensor_to_frames(torch.full((1, 3, 2, 2), -7.0))), [0])


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.just(3)))
)
def test_levels_survive_a_round_trip(frames: np.ndarray) -> None:
    np.testing.assert_array_equal(tensor_to_frames(frames_to_tensor(frames)), frames)
    np.testing.assert_array_equal(
        tensor_to_frames(frames_to_tensor(frames[:, ::-1])), frames[:, ::-1]
    )
