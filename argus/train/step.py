"""One optimizer step: learning rate, loss of a batch, gradient clipping and update."""

import torch
from torch import nn

from argus.diffusion import Batch, append_dims, diffusion_loss
from schemas.config import OptimSettings


def make_optimizer(
    module: nn.Module, settings: OptimSettings, device: torch.device
) -> torch.optim.AdamW:
    """Make an AdamW optimizer, fused on CUDA."""
    return torch.optim.AdamW(
        module.parameters(),
        lr=settings.lr,
        betas=(settings.beta1, settings.beta2),
        weight_decay=settings.weight_decay,
        fused=device.type == "cuda",
    )


def learning_rate(settings: OptimSettings, step: int) -> float:
    """Compute the learning rate of a step (from 0): linear warm-up, then constant."""
    return settings.lr * min(1.0, (step + 1) / settings.warmup) if settings.warmup else settings.lr


def batch_loss(denoiser: nn.Module, batch: Batch, row_weight: torch.Tensor) -> torch.Tensor:
    """Compute the loss of D(y + σε; σ) for a batch.

    On CUDA the network runs in bf16; noise level and loss are fp32 everywhere.

    Args:
        denoiser: preconditioned network, possibly wrapped for distributed training.
        batch: targets y, noise ε, noise levels σ and conditions.
        row_weight: [h], weight of the latent rows.

    Returns:
        fp32 scalar with gradient.
    """
    noisy = batch.target + append_dims(batch.sigma, batch.target) * batch.noise
    device_type = batch.target.device.type
    with torch.autocast(device_type, torch.bfloat16, enabled=device_type == "cuda"):
        denoised = denoiser(noisy, batch.sigma, batch.condition)
    return diffusion_loss(denoised, batch.target, batch.sigma, row_weight)


def optimizer_step(
    optimizer: torch.optim.Optimizer,
    module: nn.Module,
    loss: torch.Tensor,
    settings: OptimSettings,
    step: int,
) -> float:
    """Backpropagate, clip the gradient, and update the weights.

    Args:
        optimizer: optimizer of `module`.
        module: network whose gradient is clipped.
        loss: scalar with gradient.
        settings: learning rate and norm of clipping.
        step: from 0.

    Returns:
        Norm of the gradient before clipping.
    """
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(settings, step)
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    norm = nn.utils.clip_grad_norm_(module.parameters(), settings.clip_norm)
    optimizer.step()
    return float(norm)
