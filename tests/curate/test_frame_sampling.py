"""Sampling of frames."""

import numpy as np
import pytest

from argus.curate.frame_sampling import MAX_SAMPLES, evenly_spaced, snap_to_keyframes


@pytest.mark.parametrize(
    ("length", "gop"), [(300, 30), (300, 250), (240, 8), (30, 10), (5, 1), (1, 1), (100_000, 48)]
)
def test_a_keyframe_is_sampled_in_each_part_of_the_video_that_has_one(length, gop):
    keyframes = np.arange(0, length, gop)
    indices = snap_to_keyframes(evenly_spaced(length), keyframes, length)
    count = min(MAX_SAMPLES, length)
    np.testing.assert_array_equal(indices * count // length, np.arange(count))  # one in each part
    for part, index in enumerate(indices):
        if index % gop:
            inside = keyframes * count // length == part
            assert not inside.any(), "a keyframe in this part was not used"
