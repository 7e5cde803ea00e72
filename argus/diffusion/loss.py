"""The training loss: squared error of the denoised latents, uniform in v-space over noise levels, weighted by latitude."""

import torch
from torch import Tensor

from argus.diffusion.denoiser import loss_weight, per_sample
from schemas.names import HeightWeight


def height_weight(kind: HeightWeight, rows: int) -> Tensor:
    """Weight of each latent row, float32 [rows] of mean 1 (ARGUS method, section 2). Row centres are at (row+½)/rows."""
    h = (torch.arange(rows, dtype=torch.float64) + 0.5) / rows
    match kind:
        case HeightWeight.PAPER:
            weight = (0.5 - (0.5 - h).abs()).square() + 0.25
        case HeightWeight.SQRT:
            weight = (1 - (2 * h - 1).square()).sqrt() + 0.25
        case HeightWeight.COS:
            weight = ((0.5 - h) * torch.pi).cos()
        case HeightWeight.NONE:
            weight = torch.ones_like(h)
    return (weight / weight.mean()).float()


def diffusion_loss(denoised: Tensor, target: Tensor, sigma: Tensor, rows: Tensor) -> Tensor:
    """Mean over everything of λ(σ)·w(row)·(D − y)², fp32 scalar. denoised, target [B, T, C, h, w]; sigma [B]; rows [h]."""
    error = (denoised.float() - target.float()).square()
    return (
        per_sample(loss_weight(sigma.float()), error) * rows.to(error.device)[:, None] * error
    ).mean()
