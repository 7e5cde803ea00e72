from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch

from argus.diffusion import (
    ArgusPipeline,
    Condition,
    Example,
    insert_context,
    make_batch,
    make_condition,
    make_example,
)
from argus.diffusion.conditioning import sample_camera
from argus.pixels import frames_to_tensor, tensor_to_frames
from schemas.config import ConditionSettings, NoiseSettings
from tests.support.models import smooth_frames

NO_NOISE = ConditionSettings(dropout=0, noise_std=0, noise_mean=-9)


@pytest.fixture(scope="module")
def window() -> np.ndarray:
    return tensor_to_frames(smooth_frames(3, 3, 3, 32, 64))


def example(
    window: np.ndarray, settings: ConditionSettings = NO_NOISE, key: tuple[int, ...] = (0, 0, 0)
) -> Example:
    return make_example(
        window, Fraction(24, 5), settings, key=key, view_height=32, context_frames=1
    )


def test_noise_is_added_to_visible_pixels_only(tiny: ArgusPipeline) -> None:
    mask = torch.zeros(1, 3, 32, 64, dtype=torch.bool)
    mask[..., 8:24, 16:48] = True
    erp = torch.where(mask[:, :, None], 0.25, -1.0).expand(1, 3, 3, 32, 64)
    views = torch.zeros(1, 3, 3, 16, 16)
    cond = make_condition(
        tiny.latents,
        tiny.image_encoder,
        tiny.settings,
        erp=erp,
        mask=mask,
        views=views,
        fps=4.8,
        sigma_c=0.1,
        generator=torch.Generator().manual_seed(0),
    )
    pixels = tiny.latents.decode(cond.latents)
    seen = mask[:, :, None].expand_as(pixels)
    torch.testing.assert_close(pixels[~seen], torch.full_like(pixels[~seen], -1), atol=1e-5, rtol=0)
    assert (pixels[seen] - 0.25).std() == pytest.approx(0.1, abs=0.005)
    torch.testing.assert_close(cond.time_ids, torch.tensor([[3.8, 127.0, 0.1]]))


def test_unconditional_branch_has_zero_tokens_latents_and_fill(
    tiny: ArgusPipeline, condition: Callable[..., Condition]
) -> None:
    cond = condition(tiny)
    uncond = cond.unconditional()
    assert uncond.fill is not None
    assert not any(part.any() for part in (uncond.tokens, uncond.latents, uncond.fill))
    assert torch.equal(uncond.time_ids, cond.time_ids)


def test_context_frames_are_fully_visible() -> None:
    erp, mask = torch.full((2, 3, 3, 8, 16), -1.0), torch.zeros(2, 3, 8, 16, dtype=torch.bool)
    context = torch.rand(2, 1, 3, 8, 16)
    filled, seen = insert_context(erp, mask, context)
    assert torch.equal(filled[:, :1], context)
    assert seen[:, 0].all()
    assert not seen[:, 1:].any()
    assert (filled[:, 1:] == -1).all()


def test_parts_of_different_lengths_are_refused(tiny: ArgusPipeline) -> None:
    with pytest.raises(ValueError, match=r"1, 2, 3, 8, 8"):
        make_condition(
            tiny.latents,
            tiny.image_encoder,
            tiny.settings,
            erp=torch.zeros(1, 3, 3, 32, 64),
            mask=torch.zeros(1, 3, 32, 64, dtype=torch.bool),
            views=torch.zeros(1, 2, 3, 8, 8),
            fps=5,
            sigma_c=0,
        )


def test_example_is_a_function_of_its_key(window: np.ndarray) -> None:
    one, same, other = (
        example(window, ConditionSettings(), key) for key in ((1, 2, 3), (1, 2, 3), (1, 2, 4))
    )
    assert torch.equal(one.erp, same.erp)
    assert torch.equal(one.views, same.views)
    assert (one.fps, one.sigma_c) == (4.8, same.sigma_c)
    assert one.is_unconditional == same.is_unconditional
    assert one.erp.shape == other.erp.shape
    assert not torch.equal(one.erp, other.erp)


def test_seen_pixels_show_the_panorama_and_the_others_are_black(window: np.ndarray) -> None:
    one = example(window, key=(5,))
    seen = one.mask[:, None].expand_as(one.erp)
    assert 0.01 < one.mask.float().mean() < 0.6
    assert (one.erp[~seen] == -1).all()
    assert (one.erp - one.target)[seen].abs().mean() < 0.03


def test_circular_shift_rolls_the_target(window: np.ndarray) -> None:
    still = example(window, ConditionSettings(roll=False, motion=False))
    rolled = example(window, ConditionSettings(roll=True, motion=False))
    assert torch.equal(still.target, frames_to_tensor(window))
    assert any(torch.equal(rolled.target, still.target.roll(shift, -1)) for shift in range(64))
    assert torch.equal(still.mask, rolled.mask)


def test_shares_of_unconditional_unseen_and_context_examples(window: np.ndarray) -> None:
    assert not example(window, ConditionSettings(unseen=1)).mask.any()
    context = example(window, ConditionSettings(unseen=1, context=1))
    assert context.mask[0].all()
    assert torch.equal(context.erp[0], context.target[0])
    assert not context.mask[1:].any()
    unconditional = [
        example(window, ConditionSettings(dropout=0.2), (0, number)).is_unconditional
        for number in range(200)
    ]
    assert 0.1 < sum(unconditional) / 200 < 0.3


def test_cameras_stay_in_the_range_of_fields_of_view() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        camera = sample_camera(random, ConditionSettings(), 64)
        aspect = np.tan(np.radians(camera.fov_x_deg) / 2) / np.tan(np.radians(camera.fov_y) / 2)
        assert 30 <= camera.fov_x_deg <= 120
        assert 30 <= camera.fov_y <= 120 + 1e-9
        assert 0.5 - 1e-9 <= aspect <= 2 + 1e-9
        assert camera.height == 64
        assert camera.width / 64 == pytest.approx(aspect, abs=0.01)


def test_examples_of_a_batch_are_independent(tiny: ArgusPipeline, window: np.ndarray) -> None:
    examples = [example(window, ConditionSettings(), (0, number)) for number in range(3)]
    together = make_batch(tiny, examples, NoiseSettings(), 0)
    alone = make_batch(tiny, examples[2:], NoiseSettings(), 0)
    assert torch.equal(together.sigma[2:], alone.sigma)
    assert torch.equal(together.noise[2:], alone.noise)
    torch.testing.assert_close(together.condition.latents[2:], alone.condition.latents)
    assert torch.equal(together.target[2:], alone.target)
