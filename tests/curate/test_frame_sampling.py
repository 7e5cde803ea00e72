"""Sampling of frames."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from argus.curate.frame_sampling import MAX_SAMPLES, evenly_spaced, snap_to_keyframes


@settings(max_examples=50, deadline=None, derandomize=True)
@given(length=st.integers(1, 100_000))
def test_one_frame_is_sampled_in_each_part_of_the_video(length: int) -> None:
    count = min(MAX_SAMPLES, length)
    indices = evenly_spaced(length)
    np.testing.assert_array_equal(indices * count // length, np.arange(count))


@settings(max_examples=50, deadline=None, derandomize=True)
@given(length=st.integers(1, 100_000), gop=st.integers(1, 300))
def test_a_keyframe_is_sampled_in_each_part_of_the_video_that_has_one(
    length: int, gop: int
) -> None:
    keyframes = np.arange(0, length, gop)
    indices = snap_to_keyframes(evenly_spaced(length), keyframes, length)
    count = min(MAX_SAMPLES, length)
    np.testing.assert_array_equal(indices * count // length, np.arange(count))
    for part, index in enumerate(indices):
        if index % gop:
            is_inside = keyframes * count // length == part
            assert not is_inside.any(), "a keyframe in this part was not used"
