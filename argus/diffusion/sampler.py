"""Euler sampling of EDM's probability flow with guidance, rotation during sampling and blended decoding (Argus, section 3 of the method)."""

from collections.abc import Callable

import torch
from torch import Tensor

from argus.diffusion.condition import Condition
from argus.diffusion.denoiser import Denoiser
from argus.diffusion.latents import Latents
from argus.diffusion.pipeline import ArgusPipeline
from argus.diffusion.seeds import generator_of
from schemas.config import SampleSettings

StepHook = Callable[[int, int], None]
"""Called as (step done, steps in all)."""


def karras_sigmas(steps: int, sigma_min: float, sigma_max: float, rho: float) -> Tensor:
    """Falling σ_0 … σ_{n−1}, then 0; float32 [steps + 1] (Karras et al. 2022, Eq. 5)."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    sigmas = (
        sigma_max ** (1 / rho) + ramp * (sigma_min ** (1 / rho) - sigma_max ** (1 / rho))
    ) ** rho
    return torch.cat([sigmas, torch.zeros(1, dtype=torch.float64)]).float()


def frame_guidance(start: float, end: float, frames: int) -> Tensor:
    """Guidance of each frame, from `start` to `end`, [1, T, 1, 1, 1]."""
    return torch.linspace(start, end, frames).reshape(1, -1, 1, 1, 1)


def guided(
    denoiser: Denoiser, x: Tensor, sigma: Tensor, condition: Condition, guidance: Tensor
) -> Tensor:
    """Classifier-free guidance: D_u + g·(D_c − D_u). One pass where g is 1 throughout."""
    told = denoiser(x, sigma, condition)
    if bool((guidance == 1).all()):
        return told
    untold = denoiser(x, sigma, condition.dropped())
    return untold + guidance * (told - untold)


def blend_weight(width: int, ratio: float = 2.0) -> Tensor:
    """h_W(x) = 1 − 2|x/W − ½| at pixel centres, float32 [width] (Argus, Eq. 5). A larger ratio narrows the ramp to W/ratio pixels."""
    x = (torch.arange(width, dtype=torch.float32) + 0.5) / width
    return ((0.5 - (x - 0.5).abs()) * ratio).clamp(0, 1)


def decode_blended(latents: Latents, z: Tensor, ratio: float = 2.0) -> Tensor:
    """Decodes z and z turned by half a turn, and mixes them so that each decode's seam has no weight (Argus, Eq. 4).

    z is unscaled [B, T, C, h, w].
    """
    half = z.shape[-1] // 2
    plain = latents.decode(z)
    turned = latents.decode(z.roll(half, dims=-1)).roll(-half * latents.factor, dims=-1)
    weight = blend_weight(plain.shape[-1], ratio).to(plain)
    return weight * plain + (1 - weight) * turned


def initial_noise(shape: torch.Size, seed: int) -> Tensor:
    """Unit noise [B, T, C, h, w]; that of sample b depends on (seed, b) alone."""
    return torch.stack(
        [torch.randn(shape[1:], generator=generator_of(seed, index)) for index in range(shape[0])]
    )


@torch.no_grad()
def sample_latents(
    pipeline: ArgusPipeline,
    condition: Condition,
    settings: SampleSettings,
    *,
    seed: int,
    progress: StepHook | None = None,
) -> Tensor:
    """Scaled latents [B, T, C, h, w], fp32."""
    denoiser, own = pipeline.denoiser, pipeline.settings
    sigmas = karras_sigmas(settings.steps, own.sigma_min, own.sigma_max, own.rho).to(
        pipeline.device
    )
    x = initial_noise(condition.latents.shape, seed).to(pipeline.device) * sigmas[0]
    guidance = frame_guidance(settings.guidance_start, settings.guidance, x.shape[1]).to(x)
    quarter, turned = (x.shape[-1] // 4 if settings.rotate else 0), 0
    for step in range(settings.steps):
        sigma, following = sigmas[step], sigmas[step + 1]
        denoised = guided(denoiser, x, sigma.expand(x.shape[0]), condition, guidance)
        x = x + (following - sigma) * (x - denoised) / sigma
        if quarter and step < settings.steps - 1:
            x, condition, turned = (
                x.roll(quarter, dims=-1),
                condition.rolled(quarter),
                turned + quarter,
            )
        if progress:
            progress(step + 1, settings.steps)
    return x.roll(-turned, dims=-1)


@torch.no_grad()
def sample(
    pipeline: ArgusPipeline,
    condition: Condition,
    settings: SampleSettings,
    *,
    seed: int,
    progress: StepHook | None = None,
) -> Tensor:
    """A panorama video [B, T, 3, H, W] in [-1, 1], fp32, on the pipeline's device. The same seed gives the same video."""
    z = (
        sample_latents(pipeline, condition, settings, seed=seed, progress=progress)
        / pipeline.latents.scale
    )
    video = decode_blended(pipeline.latents, z) if settings.blend else pipeline.latents.decode(z)
    return video.clamp(-1, 1)
