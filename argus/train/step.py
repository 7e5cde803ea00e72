"""One optimiser step."""

import torch
from torch import nn

from argus.diffusion.conditioning import Batch
from argus.diffusion.loss import diffusion_loss
from schemas.config import OptimSettings


def make_optimizer(
    module: nn.Module, settings: OptimSettings, device: torch.device
) -> torch.optim.AdamW:
    """AdamW, fused on CUDA."""
    return torch.optim.AdamW(
        module.parameters(),
        lr=settings.lr,
        betas=(settings.beta1, settings.beta2),
        weight_decay=settings.weight_decay,
        fused=device.type == "cuda",
    )


def learning_rate(settings: OptimSettings, step: int) -> float:
    """Linear warm-up over the first `warmup` steps (from 0), then constant."""
    return settings.lr * min(1.0, (step + 1) / settings.warmup) if settings.warmup else settings.lr


def batch_loss(denoiser: nn.Module, batch: Batch, rows: torch.Tensor) -> torch.Tensor:
    """The loss of a batch. On CUDA the network runs in bf16; σ and the loss are fp32 everywhere."""
    noisy = batch.target + batch.sigma.reshape(-1, 1, 1, 1, 1) * batch.noise
    with torch.autocast(
        batch.target.device.type, torch.bfloat16, enabled=batch.target.device.type == "cuda"
    ):
        denoised = denoiser(noisy, batch.sigma, batch.condition)
    return diffusion_loss(denoised, batch.target, batch.sigma, rows)


def optimise(
    optimizer: torch.optim.Optimizer,
    module: nn.Module,
    loss: torch.Tensor,
    settings: OptimSettings,
    step: int,
) -> float:
    """Backward, clip, step (from 0); the gradient's norm before clipping."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(settings, step)
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    norm = nn.utils.clip_grad_norm_(module.parameters(), settings.clip_norm)
    optimizer.step()
    return float(norm)
