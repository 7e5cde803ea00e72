"""Selection of frames by time: a selection plays at the speed of the video, whatever its rate."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from argus.media import FrameSampling, open_video
from tests.support.variable_rate import (
    Times,
    bursts,
    phone,
    slow_then_fast,
    with_dropped_frames,
    write_timed,
)
from tests.support.videos import numbered_frames

PATTERNS = {
    "slow then fast": slow_then_fast(),
    "bursts": bursts(),
    "dropped frames": with_dropped_frames(),
    "24 then 12": np.concatenate([np.arange(48) / 24, 2 + np.arange(24) / 12]),
}


def resample(path: Path, times: Times, target_fps: float) -> tuple[FrameSampling, Times]:
    """Write a video, and return its selection and the times of all its frames."""
    write_timed(path, numbered_frames(len(times), 32, 32), times)
    with open_video(path) as reader:
        return reader.resample(target_fps), reader.timestamps


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_each_selected_frame_is_the_one_that_is_shown(
    pattern: str, ending: str, tmp_path: Path
) -> None:
    times = PATTERNS[pattern]
    found, stored = resample(tmp_path / f"a.{ending}", times, 5.0)
    np.testing.assert_allclose(stored, times, atol=1e-3)
    np.testing.assert_allclose(found.times, np.arange(len(found.times)) / float(found.fps))
    shown = np.searchsorted(times, found.times + 2e-3, side="right") - 1
    np.testing.assert_array_equal(found.indices, shown)
    assert found.times[-1] + 1 / found.fps >= times[-1], "it reaches the end"


@pytest.mark.parametrize(
    ("pattern", "target", "rate"),
    [
        ("slow then fast", 5.0, 5),
        ("bursts", 5.0, 5),
        ("bursts", 12.0, 15),
        ("dropped frames", 5.0, 5),
        ("24 then 12", 5.0, Fraction(24, 5)),
        ("24 then 12", 60.0, 24),
    ],
)
def test_the_rate_divides_that_of_most_frames(
    pattern: str, target: float, rate: Fraction, tmp_path: Path
) -> None:
    found, _ = resample(tmp_path / "a.mp4", PATTERNS[pattern], target)
    assert float(found.fps) == pytest.approx(float(rate), rel=1e-4)


@pytest.mark.parametrize("times", [phone(), np.arange(60) / 30, np.arange(60) * 1001 / 30000])
def test_a_phone_is_regular(times: Times, tmp_path: Path) -> None:
    found, stored = resample(tmp_path / "a.mp4", times, 5.0)
    np.testing.assert_array_equal(found.indices, np.arange(0, len(times), 6))
    np.testing.assert_array_equal(found.times, stored[::6])


def test_a_frame_that_is_held_repeats(tmp_path: Path) -> None:
    found, _ = resample(tmp_path / "a.mkv", bursts(gap_s=5.0, burst_s=3.0, count=1), 5.0)
    assert np.diff(found.indices)[:14].tolist() == [6] * 14
    assert set(np.diff(found.indices)[15:38]) == {0}
