"""Training loss and distribution of the noise level."""

import torch
from torch import Tensor

from argus.diffusion.denoiser import append_dims, loss_weight
from schemas.config import NoiseSettings
from schemas.names import HeightWeight


def mean_log_sigma(settings: NoiseSettings, step: int) -> float:
    """Return P_mean at a training step: that of the last phase that has begun."""
    return [phase.p_mean for phase in settings.p_mean if phase.step <= step][-1]


def sample_sigma(settings: NoiseSettings, step: int, generator: torch.Generator) -> Tensor:
    """Sample one noise level, ln σ ~ N(P_mean, P_std²) with σ ≥ sigma_min (EDM, Table 1).

    Args:
        settings: of the distribution and its schedule.
        step: training step, from 0.
        generator: CPU generator.

    Returns:
        fp32 scalar.
    """
    noise = torch.randn((), generator=generator, dtype=torch.float32)
    log_sigma = mean_log_sigma(settings, step) + settings.p_std * noise
    return log_sigma.exp().clamp(min=settings.sigma_min)


def height_weight(kind: HeightWeight, rows: int) -> Tensor:
    """Compute the loss weight of each latent row, with h = (row+½)/rows.

    Args:
        kind: `paper`, λ(h) = (½−|½−h|)² + ¼ (Argus); `sqrt`, √(1−(2h−1)²) + ¼ (the authors'
            code); `cos`, the solid angle; or `none`.
        rows: latent height.

    Returns:
        fp32 [rows] of mean 1.
    """
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


def diffusion_loss(denoised: Tensor, target: Tensor, sigma: Tensor, row_weight: Tensor) -> Tensor:
    """Compute the mean of λ(σ)·w(row)·(D − y)² (EDM, Eq. 8, with the height weight of Argus).

    Args:
        denoised: [B, T, C, h, w], output D of the denoiser.
        target: [B, T, C, h, w], clean scaled latents y.
        sigma: [B].
        row_weight: [h], from `height_weight`.

    Returns:
        fp32 scalar.
    """
    error = (denoised.float() - target.float()).square()
    level_weight = append_dims(loss_weight(sigma.float()), error)
    return (level_weight * row_weight.to(error.device)[:, None] * error).mean()
