import itertools
import json

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from argus.evaluate import METRICS, PSNR_CAP, ErrorSums, psnr

SIZE = (3, 16, 32, 3)


def video(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, SIZE, dtype=np.uint8)


@pytest.fixture
def seen() -> np.ndarray:
    mask = np.zeros(SIZE[:3], bool)
    for k in range(3):
        mask[k, 4:12, 8 + k : 20 + k] = True
    return mask


def test_psnr_is_that_of_others(seen: np.ndarray) -> None:
    expected = peak_signal_noise_ratio(video(1), video(2), data_range=255)
    assert ErrorSums.of(video(1), video(2), seen).metrics()["psnr_all"] == pytest.approx(expected)


def test_seen_is_what_any_frame_saw(seen: np.ndarray) -> None:
    """An error in one frame, at a pixel that only another frame saw, counts as seen."""
    truth = video(1)
    generated = truth.copy()
    assert seen[2, 5, 21]
    assert not seen[0, 5, 21]
    generated[0, 5, 21] ^= 128
    metrics = ErrorSums.of(generated, truth, seen).metrics()
    assert metrics["psnr_unseen"] == metrics["ws_psnr_unseen"] == PSNR_CAP
    count = seen.any(axis=0).sum() * 3 * 3
    assert metrics["psnr_seen"] == pytest.approx(psnr(3 * 128**2 / count), abs=1e-4)


def test_a_mask_per_clip_equals_one_per_frame(seen: np.ndarray) -> None:
    assert ErrorSums.of(video(1), video(2), seen) == ErrorSums.of(
        video(1), video(2), seen.any(axis=0)
    )


def test_seen_and_unseen_make_up_all(seen: np.ndarray) -> None:
    sums = ErrorSums.of(video(1), video(2), seen)
    for values in (sums.squared_error, sums.weight):
        for first in (0, 3):
            assert values[first] == pytest.approx(values[first + 1] + values[first + 2], abs=0.01)


def test_an_error_at_the_pole_weighs_less_on_the_sphere(seen: np.ndarray) -> None:
    truth = np.full(SIZE, 100, np.uint8)
    pole, equator = truth.copy(), truth.copy()
    pole[:, 0] = 150
    equator[:, 8] = 150
    at_pole, at_equator = (
        ErrorSums.of(generated, truth, seen).metrics() for generated in (pole, equator)
    )
    assert at_pole["psnr_all"] == at_equator["psnr_all"]
    assert at_pole["ws_psnr_all"] > at_equator["ws_psnr_all"] + 10
    expected = (
        np.diff(-np.sin((0.5 - np.arange(17) / 16) * np.pi))[8] / 2
    )  # the row's share of the sphere
    assert at_equator["ws_psnr_all"] == pytest.approx(psnr(50**2 * expected), abs=1e-4)


def test_merging_clips_is_measuring_them_together(seen: np.ndarray) -> None:
    merged = (
        ErrorSums.of(video(1), video(2), seen) + ErrorSums.of(video(3), video(4), seen)
    ).metrics()
    together = ErrorSums.of(
        np.concatenate([video(1), video(3)]), np.concatenate([video(2), video(4)]), seen.any(axis=0)
    ).metrics()
    assert merged == pytest.approx(together)


def test_the_order_of_merging_does_not_show(seen: np.ndarray) -> None:
    parts = [ErrorSums.of(video(k), video(k + 1), seen) for k in range(4)]
    a, b, c, d = parts
    assert (a + b) + (c + d) == a + (b + (c + d))
    assert len({sum(order, ErrorSums()) for order in itertools.permutations(parts)}) == 1


def test_nothing_added_changes_nothing(seen: np.ndarray) -> None:
    sums = ErrorSums.of(video(1), video(2), seen)
    assert sums + ErrorSums() == sums
    assert ErrorSums().metrics() == {}


def test_equal_videos_get_the_cap_and_json_takes_it(seen: np.ndarray) -> None:
    metrics = ErrorSums.of(video(1), video(1), seen).metrics()
    assert metrics == dict.fromkeys(METRICS, PSNR_CAP)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_an_area_without_pixels_has_no_metric() -> None:
    everything = np.ones(SIZE[1:3], bool)
    assert set(ErrorSums.of(video(1), video(2), everything).metrics()) == {
        name for name in METRICS if not name.endswith("unseen")
    }


def test_shapes_and_types_must_fit(seen: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        ErrorSums.of(video(1).astype(float), video(2), seen)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="uint8"):
        ErrorSums.of(video(1)[:2], video(2), seen)
    with pytest.raises(ValueError, match="seen"):
        ErrorSums.of(video(1), video(2), seen[:, :8])
