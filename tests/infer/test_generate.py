"""Generation of windows and of long videos."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argus.diffusion import ArgusPipeline
from argus.errors import InvalidInput
from argus.infer import (
    cross_fade,
    generate_clip,
    generate_frames,
    generate_window,
    window_seed,
    window_starts,
)
from argus.sphere import Camera, Trajectory, from_euler_deg
from schemas.config import SampleSettings

SAMPLE = SampleSettings(steps=2)


def make_turning_trajectory(frames: int) -> Trajectory:
    return Trajectory(
        from_euler_deg(np.arange(frames) * 3.0, 0, 0), Camera(75, 64, 48), Fraction(5)
    )


@pytest.mark.parametrize(
    ("count", "frames", "context", "starts"),
    [
        (25, 25, 5, (0,)),
        (45, 25, 5, (0, 20)),
        (65, 25, 5, (0, 20, 40)),
        (46, 25, 5, (0, 20, 21)),
        (26, 25, 5, (0, 1)),
        (8, 4, 0, (0, 4)),
        (9, 4, 0, (0, 4, 5)),
        (6, 4, 3, (0, 1, 2)),
    ],
)
def test_window_starts(count: int, frames: int, context: int, starts: tuple[int, ...]) -> None:
    assert window_starts(count, frames, context) == starts


@st.composite
def window_lengths(draw: st.DrawFn) -> tuple[int, int, int]:
    """(frames of a video, frames of a window, context frames)."""
    frames = draw(st.integers(2, 40))
    return draw(st.integers(frames, 5 * frames)), frames, draw(st.integers(0, frames - 1))


@settings(max_examples=50, deadline=None, derandomize=True)
@given(window_lengths())
def test_windows_cover_every_length_and_overlap_enough(lengths: tuple[int, int, int]) -> None:
    count, frames, context = lengths
    starts = window_starts(*lengths)
    assert starts[0] == 0
    assert starts[-1] + frames == count
    steps = np.diff(starts)
    assert ((steps >= 1) & (steps <= frames - context)).all()


def test_video_shorter_than_a_window_is_refused() -> None:
    with pytest.raises(InvalidInput):
        window_starts(3, 4, 1)


def test_cross_fade_is_linear() -> None:
    before, after = (np.full((3, 2, 4, 3), level, np.uint8) for level in (0, 200))
    np.testing.assert_array_equal(cross_fade(before, after)[:, 0, 0, 0], [50, 100, 150])
    np.testing.assert_array_equal(cross_fade(after, after), after)


def test_windows_have_different_seeds() -> None:
    assert window_seed(7, 0) == 7
    assert len({window_seed(seed, window) for seed in range(5) for window in range(5)}) == 25


def test_clip_is_a_function_of_input_and_seed(pipeline: ArgusPipeline, views: np.ndarray) -> None:
    made = generate_clip(pipeline, views[:4], make_turning_trajectory(4), SAMPLE, seed=1)
    assert made.shape == (4, 32, 64, 3)
    assert made.dtype == np.uint8
    np.testing.assert_array_equal(
        made, generate_clip(pipeline, views[:4], make_turning_trajectory(4), SAMPLE, seed=1)
    )
    others = [
        generate_clip(pipeline, views[:4], make_turning_trajectory(4), SAMPLE, seed=2),
        generate_clip(pipeline, views[4:8], make_turning_trajectory(4), SAMPLE, seed=1),
        generate_clip(
            pipeline,
            views[:4],
            replace(make_turning_trajectory(4), fps=Fraction(3)),
            SAMPLE,
            seed=1,
        ),
        generate_clip(
            pipeline,
            views[:4],
            replace(make_turning_trajectory(4), camera=Camera(100, 64, 48)),
            SAMPLE,
            seed=1,
        ),
        generate_clip(
            pipeline,
            views[:4],
            make_turning_trajectory(4),
            SAMPLE,
            seed=1,
            context=np.full((1, 32, 64, 3), 200, np.uint8),
        ),
    ]
    assert not any(np.array_equal(made, other) for other in others)


def test_progress_counts_steps(pipeline: ArgusPipeline, views: np.ndarray) -> None:
    calls: list[tuple[int, int]] = []
    generate_clip(
        pipeline,
        views[:4],
        make_turning_trajectory(4),
        SAMPLE,
        seed=1,
        on_step=lambda step, steps: calls.append((step, steps)),
    )
    assert calls == [(1, 2), (2, 2)]


def test_clip_must_have_the_frames_of_the_model(pipeline: ArgusPipeline, views: np.ndarray) -> None:
    with pytest.raises(InvalidInput):
        generate_clip(pipeline, views[:5], make_turning_trajectory(5), SAMPLE, seed=0)


def test_long_video_is_generated_window_by_window(
    pipeline: ArgusPipeline, views: np.ndarray
) -> None:
    """T = 4, S = 1: windows at 0, 3, 6, and the last one moved back to 7."""
    spans: list[range] = []
    calls: list[tuple[int, ...]] = []

    def read(numbers: range) -> np.ndarray:
        spans.append(numbers)
        return views[numbers.start : numbers.stop]

    blocks = generate_frames(
        pipeline,
        read,
        make_turning_trajectory(11),
        SAMPLE,
        seed=5,
        on_step=lambda *values: calls.append(values),
    )
    first = next(blocks)
    assert spans == [range(4)], "the second window is read only after the first was taken"
    rest = list(blocks)
    assert spans == [range(4), range(3, 7), range(6, 10), range(7, 11)]
    assert [len(block) for block in (first, *rest)] == [3, 3, 1, 4]
    assert calls == [(2 * window + step, 8, window, 4) for window in range(4) for step in (1, 2)]


def test_first_window_equals_a_clip(pipeline: ArgusPipeline, views: np.ndarray) -> None:
    clip = generate_clip(pipeline, views[:4], make_turning_trajectory(4), SAMPLE, seed=5)
    blocks = list(
        generate_frames(
            pipeline,
            lambda numbers: views[numbers.start : numbers.stop],
            make_turning_trajectory(7),
            SAMPLE,
            seed=5,
        )
    )
    np.testing.assert_array_equal(blocks[0], clip[:3])


def test_windows_share_one_map_and_repeat_context(
    pipeline: ArgusPipeline, views: np.ndarray
) -> None:
    """The second window equals one generated with context, faded half and half in the overlap."""
    whole = make_turning_trajectory(7)
    first = generate_clip(pipeline, views[:4], make_turning_trajectory(4), SAMPLE, seed=5)
    part = replace(whole, rotations=whole.rotations[3:])
    second = generate_window(
        pipeline, views[3:7], part, SAMPLE, seed=window_seed(5, 1), context=first[3:]
    )
    made = np.concatenate(
        list(
            generate_frames(
                pipeline, lambda numbers: views[numbers.start : numbers.stop], whole, SAMPLE, seed=5
            )
        )
    )
    np.testing.assert_array_equal(made[4:], second[1:])
    np.testing.assert_array_equal(made[3], np.rint((first[3].astype(float) + second[0]) / 2))
