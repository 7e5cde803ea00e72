"""EDM preconditioning with v-prediction and sigma_data 1, and the denoiser around the network.

Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models" (EDM),
Table 1 and Eq. 7-8. All of it is computed in fp32, whatever precision the network runs in.
"""

import torch
from torch import Tensor, nn

from argus.diffusion.condition import Condition


def c_in(sigma: Tensor) -> Tensor:
    """Compute 1/√(σ²+1), which scales the noisy latents to unit variance."""
    return (sigma.square() + 1).rsqrt()


def c_skip(sigma: Tensor) -> Tensor:
    """Compute 1/(σ²+1)."""
    return 1 / (sigma.square() + 1)


def c_out(sigma: Tensor) -> Tensor:
    """Compute −σ/√(σ²+1)."""
    return -sigma * (sigma.square() + 1).rsqrt()


def c_noise(sigma: Tensor) -> Tensor:
    """Compute ¼·ln σ, the noise level as the network reads it."""
    return sigma.log() / 4


def loss_weight(sigma: Tensor) -> Tensor:
    """Compute λ(σ) = (1+σ²)/σ² = 1/c_out², which is uniform in v-space."""
    return (1 + sigma.square()) / sigma.square()


def append_dims(values: Tensor, like: Tensor) -> Tensor:
    """Reshape [B] to [B, 1, ...] with the rank of `like`, in fp32."""
    return values.float().reshape(-1, *[1] * (like.ndim - 1))


class Denoiser(nn.Module):
    """Denoiser D(x; σ) = f + c_skip·(x − f) + c_out·F(c_in·(x − f), condition, c_noise).

    EDM, Eq. 7. F is the network. f is the fill of the condition for models that predict the
    residual to it, which is EDM on a shifted variable; else f is 0.
    """

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, noisy: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        """Denoise latents.

        Args:
            noisy: [B, T, C, h, w], scaled latents plus noise.
            sigma: [B], standard deviation of the noise.
            condition: batch of B conditions.

        Returns:
            fp32 [B, T, C, h, w], estimate of the clean scaled latents.
        """
        s = append_dims(sigma, noisy)
        offset = 0.0 if condition.fill is None else condition.fill
        x = noisy.float() - offset
        dtype = next(self.unet.parameters()).dtype
        output = self.unet(
            torch.cat([c_in(s) * x, condition.latents], dim=2).to(dtype),
            c_noise(sigma.float()),
            condition.tokens.to(dtype),
            condition.time_ids,
            return_dict=False,
        )[0]
        return offset + c_skip(s) * x + c_out(s) * output.float()
