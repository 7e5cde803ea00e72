"""Euler sampler of EDM with guidance, rotation during sampling and blended decoding (Argus)."""

from collections.abc import Callable

import torch
from torch import Tensor

from argus.diffusion.condition import Condition
from argus.diffusion.denoiser import Denoiser
from argus.diffusion.latents import Latents
from argus.diffusion.pipeline import ArgusPipeline
from argus.diffusion.seeds import make_generator
from schemas.config import SampleSettings

StepHook = Callable[[int, int], None]
"""Progress callback, called as (steps done, steps in all)."""


def karras_sigmas(steps: int, sigma_min: float, sigma_max: float, rho: float) -> Tensor:
    """Compute the noise levels σ_0 > … > σ_{n−1}, then 0, as fp32 [steps + 1] (EDM, Eq. 5)."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    sigmas = (
        sigma_max ** (1 / rho) + ramp * (sigma_min ** (1 / rho) - sigma_max ** (1 / rho))
    ) ** rho
    return torch.cat([sigmas, torch.zeros(1, dtype=torch.float64)]).float()


def frame_guidance(start: float, end: float, frames: int) -> Tensor:
    """Compute the guidance of each frame, linear from `start` to `end`, as [1, T, 1, 1, 1]."""
    return torch.linspace(start, end, frames).reshape(1, -1, 1, 1, 1)


def denoise_guided(
    denoiser: Denoiser, x: Tensor, sigma: Tensor, condition: Condition, guidance: Tensor
) -> Tensor:
    """Apply classifier-free guidance, D_u + g·(D_c − D_u); one pass if g is 1 throughout."""
    cond = denoiser(x, sigma, condition)
    if bool((guidance == 1).all()):
        return cond
    uncond = denoiser(x, sigma, condition.unconditional())
    return uncond + guidance * (cond - uncond)


def blend_weight(width: int, ratio: float = 2.0) -> Tensor:
    """Compute h_W(x) = 1 − 2|x/W − ½| at pixel centers, fp32 [width] (Argus, Eq. 5).

    A ratio above 2 narrows the ramp to W/ratio pixels, as in the authors' code.
    """
    x = (torch.arange(width, dtype=torch.float32) + 0.5) / width
    return ((0.5 - (x - 0.5).abs()) * ratio).clamp(0, 1)


def decode_blended(latents: Latents, z: Tensor, ratio: float = 2.0) -> Tensor:
    """Decode z and z rolled by half a turn, and mix both so that no seam shows (Argus, Eq. 4).

    Args:
        latents: decoder.
        z: unscaled latents [B, T, C, h, w].
        ratio: see `blend_weight`.

    Returns:
        fp32 [B, T, 3, H, W], not clamped.
    """
    half = z.shape[-1] // 2
    plain = latents.decode(z)
    rolled = latents.decode(z.roll(half, dims=-1)).roll(-half * latents.factor, dims=-1)
    weight = blend_weight(plain.shape[-1], ratio).to(plain)
    return weight * plain + (1 - weight) * rolled


def initial_noise(shape: torch.Size, seed: int) -> Tensor:
    """Sample unit noise [B, T, C, h, w]; that of sample b is a function of (seed, b)."""
    return torch.stack(
        [torch.randn(shape[1:], generator=make_generator(seed, index)) for index in range(shape[0])]
    )


@torch.no_grad()
def sample_latents(
    pipeline: ArgusPipeline,
    condition: Condition,
    settings: SampleSettings,
    *,
    seed: int,
    on_step: StepHook | None = None,
) -> Tensor:
    """Sample latents by Euler steps of the probability flow ODE (EDM, Algorithm 1, first order).

    With `settings.rotate`, latents and condition are rolled by a quarter turn after each step but
    the last, and rolled back at the end (Argus).

    Args:
        pipeline: model.
        condition: batch of B conditions, on the device of the pipeline.
        settings: of the sampler.
        seed: of the initial noise.
        on_step: progress callback.

    Returns:
        Scaled latents, fp32 [B, T, C, h, w].
    """
    own = pipeline.settings
    sigmas = karras_sigmas(settings.steps, own.sigma_min, own.sigma_max, own.rho)
    sigmas = sigmas.to(pipeline.device)
    x = initial_noise(condition.latents.shape, seed).to(pipeline.device) * sigmas[0]
    guidance = frame_guidance(settings.guidance_start, settings.guidance, x.shape[1]).to(x)
    quarter, rolled = (x.shape[-1] // 4 if settings.rotate else 0), 0
    for step in range(settings.steps):
        sigma, next_sigma = sigmas[step], sigmas[step + 1]
        levels = sigma.expand(x.shape[0])
        denoised = denoise_guided(pipeline.denoiser, x, levels, condition, guidance)
        x = x + (next_sigma - sigma) * (x - denoised) / sigma
        if quarter and step < settings.steps - 1:
            x, condition = x.roll(quarter, dims=-1), condition.roll_longitude(quarter)
            rolled += quarter
        if on_step:
            on_step(step + 1, settings.steps)
    return x.roll(-rolled, dims=-1)


@torch.no_grad()
def sample_video(
    pipeline: ArgusPipeline,
    condition: Condition,
    settings: SampleSettings,
    *,
    seed: int,
    on_step: StepHook | None = None,
) -> Tensor:
    """Sample latents and decode them to a panorama video, a function of the seed.

    Args:
        pipeline: model.
        condition: batch of B conditions, on the device of the pipeline.
        settings: of the sampler; `blend` selects blended decoding.
        seed: of the initial noise.
        on_step: progress callback.

    Returns:
        fp32 [B, T, 3, H, W] in [-1, 1], on the device of the pipeline.
    """
    scaled = sample_latents(pipeline, condition, settings, seed=seed, on_step=on_step)
    z = scaled / pipeline.latents.scale
    video = decode_blended(pipeline.latents, z) if settings.blend else pipeline.latents.decode(z)
    return video.clamp(-1, 1)
