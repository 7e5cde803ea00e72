from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch

from argus.diffusion import ArgusPipeline, Condition, fill_unseen, make_condition, with_context
from argus.diffusion.conditioning import Example, draw_camera, make_batch, make_example
from argus.diffusion.fill import pull_push
from schemas.config import ConditionSettings, NoiseSettings

Smooth = Callable[..., torch.Tensor]
CALM = ConditionSettings(dropout=0, noise_std=0, noise_mean=-9)


@pytest.fixture(scope="module")
def window(smooth: Smooth) -> np.ndarray:
    frames = smooth(3, 3, 3, 32, 64)
    return ((frames + 1) * 127.5).byte().permute(0, 2, 3, 1).numpy()


def example(
    window: np.ndarray, settings: ConditionSettings = CALM, key: tuple[int, ...] = (0, 0, 0)
) -> Example:
    return make_example(
        window, Fraction(24, 5), settings, key=key, view_height=32, context_frames=1
    )


def test_noise_lies_on_visible_pixels_only(tiny: ArgusPipeline) -> None:
    mask = torch.zeros(1, 3, 32, 64, dtype=torch.bool)
    mask[..., 8:24, 16:48] = True
    erp = torch.where(mask[:, :, None], 0.25, -1.0).expand(1, 3, 3, 32, 64)
    views = torch.zeros(1, 3, 3, 16, 16)
    told = make_condition(
        tiny, erp, mask, views, fps=4.8, sigma_c=0.1, generator=torch.Generator().manual_seed(0)
    )
    pixels = tiny.latents.decode(told.latents)
    seen = mask[:, :, None].expand_as(pixels)
    torch.testing.assert_close(pixels[~seen], torch.full_like(pixels[~seen], -1), atol=1e-5, rtol=0)
    assert (pixels[seen] - 0.25).std() == pytest.approx(0.1, abs=0.005)
    torch.testing.assert_close(told.time_ids, torch.tensor([[3.8, 127.0, 0.1]]))


def test_dropping_zeroes_tokens_latents_and_fill_together(
    tiny: ArgusPipeline, condition: Callable[..., Condition]
) -> None:
    told = condition(tiny)
    untold = told.dropped()
    assert untold.fill is not None
    assert [part.any().item() for part in (untold.tokens, untold.latents, untold.fill)] == [
        False
    ] * 3
    assert torch.equal(untold.time_ids, told.time_ids)


def test_context_frames_are_fully_visible() -> None:
    erp, mask = torch.full((2, 3, 3, 8, 16), -1.0), torch.zeros(2, 3, 8, 16, dtype=torch.bool)
    context = torch.rand(2, 1, 3, 8, 16)
    filled, seen = with_context(erp, mask, context)
    assert torch.equal(filled[:, :1], context)
    assert seen[:, 0].all()
    assert not seen[:, 1:].any()
    assert (filled[:, 1:] == -1).all()


def test_frames_that_do_not_agree_are_refused(tiny: ArgusPipeline) -> None:
    with pytest.raises(ValueError, match="must agree"):
        make_condition(
            tiny,
            torch.zeros(1, 3, 3, 32, 64),
            torch.zeros(1, 3, 32, 64, dtype=torch.bool),
            torch.zeros(1, 2, 3, 8, 8),
            fps=5,
            sigma_c=0,
        )


def test_the_fill_keeps_what_is_seen_and_knows_other_frames(smooth: Smooth) -> None:
    erp = smooth(0, 1, 2, 3, 32, 64)
    seen = torch.zeros(1, 2, 1, 32, 64, dtype=torch.bool)
    seen[:, 0, ..., :40] = True
    seen[:, 1, ..., 20:60] = True
    filled = fill_unseen(torch.where(seen, erp, -1.0), seen)
    torch.testing.assert_close(filled[seen.expand_as(erp)], erp[seen.expand_as(erp)])
    torch.testing.assert_close(filled[:, 1, ..., :20], erp[:, 0, ..., :20])


def test_the_fill_of_a_uniform_picture_is_uniform_and_of_nothing_is_grey() -> None:
    seen = torch.zeros(1, 2, 1, 48, 96, dtype=torch.bool)
    assert not fill_unseen(torch.full((1, 2, 3, 48, 96), -1.0), seen).any()
    seen[..., 10:20, 30:40] = True
    filled = fill_unseen(torch.where(seen, 0.3, -1.0).expand(1, 2, 3, 48, 96), seen)
    torch.testing.assert_close(filled, torch.full_like(filled, 0.3))


def test_the_fill_crosses_the_seam(smooth: Smooth) -> None:
    x, weight = smooth(0, 1, 3, 32, 64), torch.zeros(1, 1, 32, 64)
    weight[..., 8:24, 16:48] = 1
    torch.testing.assert_close(
        pull_push(x.roll(32, -1), weight.roll(32, -1)), pull_push(x, weight).roll(32, -1)
    )


def test_an_example_is_a_function_of_its_key(window: np.ndarray) -> None:
    one, same, other = (
        example(window, ConditionSettings(), key) for key in ((1, 2, 3), (1, 2, 3), (1, 2, 4))
    )
    assert torch.equal(one.erp, same.erp)
    assert torch.equal(one.views, same.views)
    assert (
        (one.fps, one.sigma_c, one.dropped)
        == (same.fps, same.sigma_c, same.dropped)
        == (4.8, same.sigma_c, same.dropped)
    )
    assert one.erp.shape == other.erp.shape
    assert not torch.equal(one.erp, other.erp)


def test_what_is_seen_is_the_panorama_and_the_rest_is_black(window: np.ndarray) -> None:
    one = example(window, key=(5,))
    seen = one.mask[:, None].expand_as(one.erp)
    assert 0.01 < one.mask.float().mean() < 0.6
    assert (one.erp[~seen] == -1).all()
    assert (one.erp - one.target)[seen].abs().mean() < 0.03


def test_the_circular_shift_rolls_the_target(window: np.ndarray) -> None:
    still = example(window, ConditionSettings(roll=False, motion=False))
    rolled = example(window, ConditionSettings(roll=True, motion=False))
    truth = torch.from_numpy(window).permute(0, 3, 1, 2).float() / 127.5 - 1
    torch.testing.assert_close(still.target, truth)
    assert any(torch.equal(rolled.target, still.target.roll(shift, -1)) for shift in range(64))
    assert torch.equal(still.mask, rolled.mask)


def test_shares_of_dropped_unseen_and_context_examples(window: np.ndarray) -> None:
    assert not example(window, ConditionSettings(unseen=1)).mask.any()
    context = example(window, ConditionSettings(unseen=1, context=1))
    assert context.mask[0].all()
    assert torch.equal(context.erp[0], context.target[0])
    assert not context.mask[1:].any()
    dropped = [
        example(window, ConditionSettings(dropout=0.2), (0, number)).dropped
        for number in range(200)
    ]
    assert 0.1 < sum(dropped) / 200 < 0.3


def test_cameras_stay_in_the_range_of_fields_of_view() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        camera = draw_camera(random, ConditionSettings(), 64)
        aspect = np.tan(np.radians(camera.fov_x_deg) / 2) / np.tan(np.radians(camera.fov_y) / 2)
        assert 30 <= camera.fov_x_deg <= 120
        assert 30 <= camera.fov_y <= 120 + 1e-9
        assert 0.5 - 1e-9 <= aspect <= 2 + 1e-9
        assert camera.height == 64
        assert camera.width / 64 == pytest.approx(aspect, abs=0.01)


def test_a_batch_is_its_examples_whatever_their_company(
    tiny: ArgusPipeline, window: np.ndarray
) -> None:
    examples = [example(window, ConditionSettings(), (0, number)) for number in range(3)]
    together = make_batch(tiny, examples, NoiseSettings(), 0)
    alone = make_batch(tiny, examples[2:], NoiseSettings(), 0)
    assert torch.equal(together.sigma[2:], alone.sigma)
    assert torch.equal(together.noise[2:], alone.noise)
    torch.testing.assert_close(together.condition.latents[2:], alone.condition.latents)
    assert torch.equal(together.target[2:], alone.target)
