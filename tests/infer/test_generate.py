from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from argus.diffusion import ArgusPipeline
from argus.errors import InvalidInput
from argus.infer import cross_faded, generate_clip, generate_frames, window_seed, window_starts
from argus.infer.generate import generate_aligned
from argus.sphere import Camera, Trajectory, from_euler_deg
from schemas.config import SampleSettings

SAMPLE = SampleSettings(steps=2)


def turning(frames: int) -> Trajectory:
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
def test_windows(count: int, frames: int, context: int, starts: tuple[int, ...]) -> None:
    assert window_starts(count, frames, context) == starts


def test_windows_cover_every_length_and_overlap_enough() -> None:
    for frames, context in ((2, 0), (4, 1), (5, 4), (25, 5)):
        for count in range(frames, 4 * frames + 3):
            starts = window_starts(count, frames, context)
            assert starts[0] == 0
            assert starts[-1] + frames == count
            steps = np.diff(starts)
            assert ((steps >= 1) & (steps <= frames - context)).all()


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(InvalidInput, match="got 3 frames, but this model needs at least 4"):
        window_starts(3, 4, 1)


def test_a_cross_fade_goes_evenly_from_one_to_the_other() -> None:
    before, after = (np.full((3, 2, 4, 3), level, np.uint8) for level in (0, 200))
    np.testing.assert_array_equal(cross_faded(before, after)[:, 0, 0, 0], [50, 100, 150])
    np.testing.assert_array_equal(cross_faded(after, after), after)


def test_windows_have_seeds_of_their_own() -> None:
    assert window_seed(7, 0) == 7
    assert len({window_seed(seed, window) for seed in range(5) for window in range(5)}) == 25


def test_a_clip_is_a_function_of_its_input_and_seed(
    pipeline: ArgusPipeline, views: np.ndarray
) -> None:
    made = generate_clip(pipeline, views[:4], turning(4), SAMPLE, seed=1)
    assert made.shape == (4, 32, 64, 3)
    assert made.dtype == np.uint8
    np.testing.assert_array_equal(
        made, generate_clip(pipeline, views[:4], turning(4), SAMPLE, seed=1)
    )
    others = [
        generate_clip(pipeline, views[:4], turning(4), SAMPLE, seed=2),
        generate_clip(pipeline, views[4:8], turning(4), SAMPLE, seed=1),
        generate_clip(pipeline, views[:4], replace(turning(4), fps=Fraction(3)), SAMPLE, seed=1),
        generate_clip(
            pipeline, views[:4], replace(turning(4), camera=Camera(100, 64, 48)), SAMPLE, seed=1
        ),
        generate_clip(
            pipeline,
            views[:4],
            turning(4),
            SAMPLE,
            seed=1,
            context=np.full((1, 32, 64, 3), 200, np.uint8),
        ),
    ]
    assert not any(np.array_equal(made, other) for other in others)


def test_progress_counts_the_steps(pipeline: ArgusPipeline, views: np.ndarray) -> None:
    seen: list[tuple[int, int]] = []
    generate_clip(
        pipeline,
        views[:4],
        turning(4),
        SAMPLE,
        seed=1,
        progress=lambda step, steps: seen.append((step, steps)),
    )
    assert seen == [(1, 2), (2, 2)]


def test_a_clip_has_the_frames_of_the_model(pipeline: ArgusPipeline, views: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match="got 5 frames, but this model generates 4 at a time"):
        generate_clip(pipeline, views[:5], turning(5), SAMPLE, seed=0)


def test_a_long_video_comes_out_whole_window_by_window(
    pipeline: ArgusPipeline, views: np.ndarray
) -> None:
    """T = 4, S = 1: windows at 0, 3, 6, and the last one moved back to 7."""
    asked: list[range] = []
    told: list[tuple[int, ...]] = []

    def read(numbers: range) -> np.ndarray:
        asked.append(numbers)
        return views[numbers.start : numbers.stop]

    blocks = generate_frames(
        pipeline, read, turning(11), SAMPLE, seed=5, progress=lambda *values: told.append(values)
    )
    first = next(blocks)
    assert asked == [range(4)], "the second window is read only when the first has been taken"
    rest = list(blocks)
    assert asked == [range(4), range(3, 7), range(6, 10), range(7, 11)]
    assert [len(block) for block in (first, *rest)] == [3, 3, 1, 4]
    assert told == [(2 * window + step, 8, window, 4) for window in range(4) for step in (1, 2)]


def test_the_first_window_is_that_of_a_clip(pipeline: ArgusPipeline, views: np.ndarray) -> None:
    clip = generate_clip(pipeline, views[:4], turning(4), SAMPLE, seed=5)
    blocks = list(
        generate_frames(
            pipeline,
            lambda numbers: views[numbers.start : numbers.stop],
            turning(7),
            SAMPLE,
            seed=5,
        )
    )
    np.testing.assert_array_equal(blocks[0], clip[:3])


def test_windows_share_one_map_and_take_over_what_was_made(
    pipeline: ArgusPipeline, views: np.ndarray
) -> None:
    """The second window, made by hand: orientations of the whole video, one frame of context, the overlap mixed half and half."""
    whole = turning(7)
    first = generate_clip(pipeline, views[:4], turning(4), SAMPLE, seed=5)
    part = replace(whole, rotations=whole.rotations[3:])
    second = generate_aligned(
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
