"""Error sums and metrics."""

import itertools
import json

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from argus.evaluate import METRICS, PSNR_CAP, ErrorSums, psnr

SIZE = (3, 16, 32, 3)


def make_video(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, SIZE, dtype=np.uint8)


@pytest.fixture
def mask() -> np.ndarray:
    pixels = np.zeros(SIZE[:3], bool)
    for k in range(3):
        pixels[k, 4:12, 8 + k : 20 + k] = True
    return pixels


def test_psnr_agrees_with_scikit_image(mask: np.ndarray) -> None:
    expected = peak_signal_noise_ratio(make_video(1), make_video(2), data_range=255)
    assert ErrorSums.of(make_video(1), make_video(2), mask).metrics()["psnr_all"] == pytest.approx(
        expected
    )


def test_pixel_seen_in_any_frame_counts_as_seen(mask: np.ndarray) -> None:
    """An error in one frame counts as seen if only another frame saw the pixel."""
    truth = make_video(1)
    generated = truth.copy()
    assert mask[2, 5, 21]
    assert not mask[0, 5, 21]
    generated[0, 5, 21] ^= 128
    metrics = ErrorSums.of(generated, truth, mask).metrics()
    assert metrics["psnr_unseen"] == metrics["ws_psnr_unseen"] == PSNR_CAP
    count = mask.any(axis=0).sum() * 3 * 3
    assert metrics["psnr_seen"] == pytest.approx(psnr(3 * 128**2 / count), abs=1e-4)


def test_mask_of_the_clip_equals_masks_of_its_frames(mask: np.ndarray) -> None:
    assert ErrorSums.of(make_video(1), make_video(2), mask) == ErrorSums.of(
        make_video(1), make_video(2), mask.any(axis=0)
    )


def test_seen_and_unseen_add_up_to_all(mask: np.ndarray) -> None:
    sums = ErrorSums.of(make_video(1), make_video(2), mask)
    for values in (sums.squared_error, sums.weight):
        for first in (0, 3):
            assert values[first] == pytest.approx(values[first + 1] + values[first + 2], abs=0.01)


def test_error_at_the_pole_has_less_weight_on_the_sphere(mask: np.ndarray) -> None:
    truth = np.full(SIZE, 100, np.uint8)
    pole, equator = truth.copy(), truth.copy()
    pole[:, 0] = 150
    equator[:, 8] = 150
    at_pole, at_equator = (
        ErrorSums.of(generated, truth, mask).metrics() for generated in (pole, equator)
    )
    assert at_pole["psnr_all"] == at_equator["psnr_all"]
    assert at_pole["ws_psnr_all"] > at_equator["ws_psnr_all"] + 10
    expected = (
        np.diff(-np.sin((0.5 - np.arange(17) / 16) * np.pi))[8] / 2
    )  # the row's share of the sphere
    assert at_equator["ws_psnr_all"] == pytest.approx(psnr(50**2 * expected), abs=1e-4)


def test_merged_sums_equal_those_of_joined_clips(mask: np.ndarray) -> None:
    merged = (
        ErrorSums.of(make_video(1), make_video(2), mask)
        + ErrorSums.of(make_video(3), make_video(4), mask)
    ).metrics()
    together = ErrorSums.of(
        np.concatenate([make_video(1), make_video(3)]),
        np.concatenate([make_video(2), make_video(4)]),
        mask.any(axis=0),
    ).metrics()
    assert merged == pytest.approx(together)


def test_sums_do_not_depend_on_the_order_of_merging(mask: np.ndarray) -> None:
    parts = [ErrorSums.of(make_video(k), make_video(k + 1), mask) for k in range(4)]
    a, b, c, d = parts
    assert (a + b) + (c + d) == a + (b + (c + d))
    assert len({sum(order, ErrorSums()) for order in itertools.permutations(parts)}) == 1


def test_empty_sums_are_neutral(mask: np.ndarray) -> None:
    sums = ErrorSums.of(make_video(1), make_video(2), mask)
    assert sums + ErrorSums() == sums
    assert ErrorSums().metrics() == {}


def test_equal_videos_get_the_cap_which_json_can_store(mask: np.ndarray) -> None:
    metrics = ErrorSums.of(make_video(1), make_video(1), mask).metrics()
    assert metrics == dict.fromkeys(METRICS, PSNR_CAP)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_area_without_pixels_has_no_metric() -> None:
    everything = np.ones(SIZE[1:3], bool)
    assert set(ErrorSums.of(make_video(1), make_video(2), everything).metrics()) == {
        name for name in METRICS if not name.endswith("unseen")
    }


def test_other_shapes_and_types_are_refused(mask: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        ErrorSums.of(make_video(1).astype(float), make_video(2), mask)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="uint8"):
        ErrorSums.of(make_video(1)[:2], make_video(2), mask)
    with pytest.raises(ValueError, match=r"\(16, 32\)"):
        ErrorSums.of(make_video(1), make_video(2), mask[:, :8])
