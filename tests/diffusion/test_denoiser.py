from collections.abc import Callable

import pytest
import torch

from argus.diffusion import ArgusPipeline, Condition
from argus.diffusion.denoiser import c_in, c_noise, c_out, c_skip, loss_weight

SIGMAS = torch.tensor([1e-3, 0.1, 1.0, 7.0, 80.0, 700.0])


def test_the_weight_makes_every_noise_level_count_the_same_in_v_space() -> None:
    torch.testing.assert_close(loss_weight(SIGMAS) * c_out(SIGMAS).square(), torch.ones(6))


@pytest.mark.parametrize("sigma", [0.05, 1.0, 30.0])
def test_inputs_and_targets_have_unit_variance_for_unit_data(sigma: float) -> None:
    generator = torch.Generator().manual_seed(0)
    y, noise = torch.randn(2, 200_000, generator=generator)
    s = torch.tensor(sigma)
    noisy = y + s * noise
    target = (y - c_skip(s) * noisy) / c_out(s)
    assert (c_in(s) * noisy).std() == pytest.approx(1, abs=0.01)
    assert target.std() == pytest.approx(1, abs=0.01)


def test_noise_conditioning_is_a_quarter_of_the_logarithm() -> None:
    assert c_noise(torch.tensor(1.0)) == 0
    torch.testing.assert_close(c_noise(torch.tensor([torch.e**4])), torch.tensor([1.0]))


def test_a_silent_network_denoises_towards_the_fill(
    tiny: ArgusPipeline, condition: Callable[..., Condition]
) -> None:
    told = condition(tiny)
    assert told.fill is not None
    weight, bias = tiny.unet.conv_out.weight.clone(), tiny.unet.conv_out.bias.clone()
    with torch.no_grad():
        tiny.unet.conv_out.weight.zero_()
        tiny.unet.conv_out.bias.zero_()
        noisy = torch.randn(told.latents.shape, generator=torch.Generator().manual_seed(0))
        denoised = tiny.denoiser(noisy, torch.tensor([3.0]), told)
        tiny.unet.conv_out.weight.copy_(weight)
        tiny.unet.conv_out.bias.copy_(bias)
    torch.testing.assert_close(denoised, told.fill + (noisy - told.fill) / 10)


def test_a_sharp_input_is_hardly_changed(
    tiny: ArgusPipeline, condition: Callable[..., Condition]
) -> None:
    told = condition(tiny)
    sharp = torch.randn(told.latents.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        denoised = tiny.denoiser(sharp, torch.tensor([1e-5]), told)
    torch.testing.assert_close(denoised, sharp, atol=1e-3, rtol=0)
