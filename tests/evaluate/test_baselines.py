import numpy as np
import pytest

from argus.dataset import Window
from argus.evaluate import FILLS, strongest
from argus.evaluate.baselines import mean_colour, pull_push, row_mean
from argus.sphere import Camera, from_euler_deg, visible_mask

SIZE = (32, 64)


@pytest.fixture
def seen() -> np.ndarray:
    """Three frames of a camera that turns, bool [3,32,64]."""
    return visible_mask(from_euler_deg([0, 10, 20], [0, 5, 10], 0), Camera(90, 40, 30), SIZE)


@pytest.mark.parametrize("name", FILLS)
def test_what_was_seen_stays(name: str, window: Window, seen: np.ndarray) -> None:
    filled = FILLS[name](window.erp, seen)
    assert filled.dtype == np.uint8
    np.testing.assert_array_equal(filled[seen], window.erp[seen])


@pytest.mark.parametrize("name", FILLS)
def test_what_was_not_seen_does_not_matter(name: str, window: Window, seen: np.ndarray) -> None:
    other = np.where(seen[..., None], window.erp, 77).astype(np.uint8)
    np.testing.assert_array_equal(FILLS[name](window.erp, seen), FILLS[name](other, seen))


@pytest.mark.parametrize("name", sorted(FILLS.keys() - {"black"}))
def test_one_colour_is_completed_exactly(name: str, seen: np.ndarray) -> None:
    plain = np.broadcast_to(np.array([10, 130, 250], np.uint8), (3, *SIZE, 3))
    np.testing.assert_array_equal(FILLS[name](plain, seen), plain)


@pytest.mark.parametrize(
    ("name", "turn"), [*((name, 32) for name in FILLS), ("black", 5), ("mean", 5), ("row_mean", 5)]
)
def test_turning_the_sphere_turns_the_fill(
    name: str, turn: int, window: Window, seen: np.ndarray
) -> None:
    turned = FILLS[name](np.roll(window.erp, turn, axis=2), np.roll(seen, turn, axis=2))
    np.testing.assert_array_equal(turned, np.roll(FILLS[name](window.erp, seen), turn, axis=2))


@pytest.mark.parametrize("name", sorted(FILLS.keys() - {"strongest"}))
def test_a_frame_without_anything_seen_is_grey(name: str, window: Window, seen: np.ndarray) -> None:
    filled = FILLS[name](window.erp, seen & np.array([True, False, True])[:, None, None])
    np.testing.assert_array_equal(np.unique(filled[1]), [128])
    np.testing.assert_array_equal(filled[2], FILLS[name](window.erp, seen)[2])


def test_the_strongest_knows_what_other_frames_saw(window: Window, seen: np.ndarray) -> None:
    still = np.broadcast_to(window.erp[:1], window.erp.shape)
    filled = strongest(still, seen)
    ever = seen.any(axis=0)
    assert (ever & ~seen[0]).any()
    np.testing.assert_array_equal(filled[:, ever], still[:, ever])
    np.testing.assert_array_equal(np.unique(strongest(still, np.zeros_like(seen))), [128])


def test_pull_push_crosses_the_seam(window: Window) -> None:
    seen = np.ones((3, *SIZE), bool)
    seen[:, :, :4] = seen[:, :, -4:] = False
    filled = pull_push(window.erp, seen).astype(int)
    assert np.abs(filled[:, :, 0] - filled[:, :, -1]).max() <= 15
    assert np.abs(filled - window.erp).max() <= 30


def test_pull_push_crosses_the_pole() -> None:
    """Something bright is seen up to the pole, and the dark ground all around: on the other side of the pole it is bright too."""
    frames = np.zeros((1, *SIZE, 3), np.uint8)
    frames[:, :16] = 200
    seen = np.zeros((1, *SIZE), bool)
    seen[:, :10, 4:28] = True
    seen[:, 24:] = True
    beyond = pull_push(frames, seen)[0, :, 48, 0]
    assert beyond[0] > 120
    assert beyond[8] < 60


def test_a_row_mean_goes_on_beyond_the_last_row_seen() -> None:
    frames = np.broadcast_to(
        (np.arange(32, dtype=np.uint8) * 8)[None, :, None, None], (1, *SIZE, 3)
    )
    seen = np.zeros((1, *SIZE), bool)
    seen[0, 8, 20:30] = seen[0, 24, 20:30] = True
    filled = row_mean(frames, seen)
    np.testing.assert_array_equal(filled[0, 8:25, 0], frames[0, 8:25, 0])
    assert set(np.unique(filled[0, :8])) == {64}
    assert set(np.unique(filled[0, 25:])) == {192}


@pytest.mark.parametrize("size", [(30, 60), (33, 66), (2, 4)])
def test_any_size_will_do(size: tuple[int, int]) -> None:
    frames = np.full((1, *size, 3), 60, np.uint8)
    seen = np.zeros((1, *size), bool)
    seen[0, size[0] // 2, 1] = True
    np.testing.assert_array_equal(strongest(frames, seen), frames)


def test_the_strongest_beats_one_colour(window: Window, seen: np.ndarray) -> None:
    def error(filled: np.ndarray) -> float:
        return float(np.square(filled.astype(float) - window.erp).mean())

    assert error(strongest(window.erp, seen)) < error(mean_colour(window.erp, seen))


@pytest.mark.parametrize("shape", [(2, *SIZE), (3, 32, 63), SIZE])
def test_frames_and_mask_must_fit(shape: tuple[int, ...], window: Window) -> None:
    with pytest.raises(ValueError, match="seen bool"):
        strongest(window.erp, np.ones(shape, bool))
