from collections.abc import Callable

import pytest
import torch

from argus.diffusion import ArgusPipeline, Condition
from argus.diffusion.denoiser import c_in, c_noise, c_out, c_skip, loss_weight

SIGMAS = torch.tensor([1e-3, 0.1, 1.0, 7.0, 80.0, 700.0])


def test_loss_weight_is_uniform_in_v_space() -> None:
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


def test_zero_output_of_the_network_denoises_toward_the_fill(
    tiny: ArgusPipeline, condition: Callable[..., Condition]
) -> None:
    cond = condition(tiny)
    assert cond.fill is not None
    weight, bias = tiny.unet.conv_out.weight.clone(), tiny.unet.conv_out.bias.clone()
    with torch.no_grad():
        tiny.unet.conv_out.weight.zero_()
        tiny.unet.conv_out.bias.zero_()
        noisy = torch.randn(cond.latents.shape, generator=torch.Generator().manual_seed(0))
        denoised = tiny.denoiser(noisy, torch.tensor([3.0]), cond)
        tiny.unet.conv_out.weight.copy_(weight)
        tiny.unet.conv_out.bias.copy_(bias)
    torch.testing.assert_close(denoised, cond.fill + (noisy - cond.fill) / 10)


def test_input_with_little_noise_hardly_changes(
    tiny: ArgusPipeline, condition: Callable[..., Condition]
) -> None:
    cond = condition(tiny)
    sharp = torch.randn(cond.latents.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        denoised = tiny.denoiser(sharp, torch.tensor([1e-5]), cond)
    torch.testing.assert_close(denoised, sharp, atol=1e-3, rtol=0)
