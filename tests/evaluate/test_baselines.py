"""Contract of all baselines, and properties of single ones."""

import numpy as np
import pytest
import torch

from argus.dataset import Window
from argus.diffusion import fill_unseen
from argus.evaluate import BASELINES, fill_combined
from argus.evaluate.baselines import fill_mean_color, fill_row_means, fill_smooth
from argus.pixels import frames_to_tensor, tensor_to_frames
from argus.sphere import Camera, from_euler_deg, visible_mask

SIZE = (32, 64)
ANY_ROLL = ("black", "mean", "row_mean")


@pytest.fixture
def mask() -> np.ndarray:
    """Pixels seen by a turning camera, bool [3, 32, 64]."""
    return visible_mask(from_euler_deg([0, 10, 20], [0, 5, 10], 0), Camera(90, 40, 30), SIZE)


@pytest.mark.parametrize("name", BASELINES)
def test_seen_pixels_are_kept(name: str, window: Window, mask: np.ndarray) -> None:
    filled = BASELINES[name](window.erp, mask)
    assert filled.dtype == np.uint8
    np.testing.assert_array_equal(filled[mask], window.erp[mask])


@pytest.mark.parametrize("name", BASELINES)
def test_unseen_pixels_do_not_matter(name: str, window: Window, mask: np.ndarray) -> None:
    other = np.where(mask[..., None], window.erp, 77).astype(np.uint8)
    np.testing.assert_array_equal(BASELINES[name](window.erp, mask), BASELINES[name](other, mask))


@pytest.mark.parametrize("name", sorted(BASELINES.keys() - {"black"}))
def test_uniform_color_is_completed_exactly(name: str, mask: np.ndarray) -> None:
    uniform = np.broadcast_to(np.array([10, 130, 250], np.uint8), (3, *SIZE, 3))
    np.testing.assert_array_equal(BASELINES[name](uniform, mask), uniform)


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_roll_with_the_panorama(name: str, window: Window, mask: np.ndarray) -> None:
    for columns in (32, 5) if name in ANY_ROLL else (32,):
        rolled = BASELINES[name](
            np.roll(window.erp, columns, axis=2), np.roll(mask, columns, axis=2)
        )
        expected = np.roll(BASELINES[name](window.erp, mask), columns, axis=2)
        np.testing.assert_array_equal(rolled, expected)


@pytest.mark.parametrize("name", sorted(BASELINES.keys() - {"strongest"}))
def test_frame_with_nothing_seen_is_gray(name: str, window: Window, mask: np.ndarray) -> None:
    filled = BASELINES[name](window.erp, mask & np.array([True, False, True])[:, None, None])
    np.testing.assert_array_equal(np.unique(filled[1]), [128])
    np.testing.assert_array_equal(filled[2], BASELINES[name](window.erp, mask)[2])


def test_combined_fill_uses_other_frames(window: Window, mask: np.ndarray) -> None:
    still = np.broadcast_to(window.erp[:1], window.erp.shape)
    filled = fill_combined(still, mask)
    seen = mask.any(axis=0)
    assert (seen & ~mask[0]).any()
    np.testing.assert_array_equal(filled[:, seen], still[:, seen])
    np.testing.assert_array_equal(np.unique(fill_combined(still, np.zeros_like(mask))), [128])


def test_combined_fill_is_the_one_that_models_start_from(window: Window, mask: np.ndarray) -> None:
    seen = torch.from_numpy(mask)[None, :, None]
    expected = tensor_to_frames(fill_unseen(frames_to_tensor(window.erp)[None], seen)[0])
    np.testing.assert_array_equal(fill_combined(window.erp, mask), expected)


def test_smooth_fill_crosses_the_seam(window: Window) -> None:
    mask = np.ones((3, *SIZE), bool)
    mask[:, :, :4] = mask[:, :, -4:] = False
    filled = fill_smooth(window.erp, mask).astype(int)
    assert np.abs(filled[:, :, 0] - filled[:, :, -1]).max() <= 15
    assert np.abs(filled - window.erp).max() <= 30


def test_row_means_keep_the_mean_of_each_row_and_blend_between_rows() -> None:
    rows = np.arange(32, dtype=np.uint8) * 8
    frames = np.broadcast_to(rows[None, :, None, None], (1, *SIZE, 3))
    mask = np.zeros((1, *SIZE), bool)
    mask[0, 8, 20:30] = mask[0, 24, 20:30] = True
    filled = fill_row_means(frames, mask)
    assert set(np.unique(filled[0, 8])) == {64}
    assert set(np.unique(filled[0, 24])) == {192}
    assert filled.min() == 64
    assert filled.max() == 192
    assert (np.ptp(filled, axis=2) == 0).all()


@pytest.mark.parametrize("size", [(30, 60), (33, 66), (2, 4)])
def test_any_size_is_accepted(size: tuple[int, int]) -> None:
    frames = np.full((1, *size, 3), 60, np.uint8)
    mask = np.zeros((1, *size), bool)
    mask[0, size[0] // 2, 1] = True
    np.testing.assert_array_equal(fill_combined(frames, mask), frames)


def test_combined_fill_beats_the_mean_color(window: Window, mask: np.ndarray) -> None:
    def error(filled: np.ndarray) -> float:
        return float(np.square(filled.astype(float) - window.erp).mean())

    assert error(fill_combined(window.erp, mask)) < error(fill_mean_color(window.erp, mask))


@pytest.mark.parametrize("shape", [(2, *SIZE), (3, 32, 63), SIZE])
@pytest.mark.parametrize("name", BASELINES)
def test_mask_of_another_shape_is_refused(
    name: str, shape: tuple[int, ...], window: Window
) -> None:
    with pytest.raises(ValueError, match=r"\(3, 32, 64, 3\)"):
        BASELINES[name](window.erp, np.ones(shape, bool))
