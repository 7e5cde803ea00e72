"""The noise level of training: log-normal, with a schedule of phases."""

import torch
from torch import Tensor

from schemas.config import NoiseSettings


def p_mean_at(settings: NoiseSettings, step: int) -> float:
    """Mean of ln σ at a training step: that of the last phase that has begun."""
    return [phase.p_mean for phase in settings.p_mean if phase.step <= step][-1]


def draw_sigma(settings: NoiseSettings, step: int, generator: torch.Generator) -> Tensor:
    """One σ = exp(p_mean + p_std·ε) ≥ sigma_min, fp32 scalar (Karras et al. 2022, Table 1)."""
    log_sigma = p_mean_at(settings, step) + settings.p_std * torch.randn(
        (), generator=generator, dtype=torch.float32
    )
    return log_sigma.exp().clamp(min=settings.sigma_min)
