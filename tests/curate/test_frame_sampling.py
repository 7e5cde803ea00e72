"""Which frames of a video are looked at."""

import numpy as np
import pytest

from argus.curate.frame_sampling import COUNT, at_keyframes, spread


@pytest.mark.parametrize(
    ("length", "gop"), [(300, 30), (300, 250), (240, 8), (30, 10), (5, 1), (1, 1), (100_000, 48)]
)
def test_moments_are_keyframes_where_their_part_of_the_video_has_one(length, gop):
    keyframes = np.arange(0, length, gop)
    moments = at_keyframes(spread(length), keyframes, length)
    count = min(COUNT, length)
    np.testing.assert_array_equal(moments * count // length, np.arange(count))  # one in each part
    for part, moment in enumerate(moments):
        if moment % gop:
            inside = keyframes * count // length == part
            assert not inside.any(), "a keyframe in this part was passed over"
