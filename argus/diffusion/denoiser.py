"""EDM preconditioning with v-prediction and sigma_data 1, and the denoiser that wraps the network.

Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models", Table 1 and Eq. 7-8.
All of it in fp32, whatever the network runs in.
"""

import torch
from torch import Tensor, nn

from argus.diffusion.condition import Condition


def c_in(sigma: Tensor) -> Tensor:
    """1/√(σ²+1): scales the noisy latents to unit variance."""
    return (sigma.square() + 1).rsqrt()


def c_skip(sigma: Tensor) -> Tensor:
    """1/(σ²+1)."""
    return 1 / (sigma.square() + 1)


def c_out(sigma: Tensor) -> Tensor:
    """−σ/√(σ²+1)."""
    return -sigma * (sigma.square() + 1).rsqrt()


def c_noise(sigma: Tensor) -> Tensor:
    """¼·ln σ: what the network is told of the noise level."""
    return sigma.log() / 4


def loss_weight(sigma: Tensor) -> Tensor:
    """(1+σ²)/σ² = 1/c_out²: every noise level counts the same in v-space."""
    return (1 + sigma.square()) / sigma.square()


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """[B] → [B, 1, …] with the rank of `like`, fp32."""
    return values.float().reshape(-1, *[1] * (like.ndim - 1))


class Denoiser(nn.Module):
    """D(x; σ) = f + c_skip·(x − f) + c_out·F(c_in·(x − f), condition, c_noise).

    f is the condition's fill, where the model has one (it then predicts the difference to the fill, which is EDM on a shifted variable), else 0.
    """

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, noisy: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        """noisy [B, T, C, h, w] fp32 and sigma [B] → denoised latents, fp32."""
        s = per_sample(sigma, noisy)
        offset = 0.0 if condition.fill is None else condition.fill
        x = noisy.float() - offset
        dtype = next(self.unet.parameters()).dtype
        inputs = torch.cat([c_in(s) * x, condition.latents], dim=2).to(dtype)
        output = self.unet(
            inputs,
            c_noise(sigma.float()),
            condition.tokens.to(dtype),
            condition.time_ids,
            return_dict=False,
        )[0]
        return offset + c_skip(s) * x + c_out(s) * output.float()
