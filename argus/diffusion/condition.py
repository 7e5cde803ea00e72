"""Condition of the denoiser: visible panorama, features of the views and micro-conditioning.

Training and inference build it with the same function, `make_condition`.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from argus.diffusion.fill import fill_unseen
from argus.diffusion.image_encoder import ImageEncoder
from argus.diffusion.latents import Latents, TinyLatents
from argus.diffusion.settings import PipelineSettings

UNSEEN = -1.0
"""Value of pixels that no camera sees, in [-1, 1]: black."""

MOTION_BUCKET = 127.0
"""Micro-condition of Stable Video Diffusion for the amount of motion: always its default."""


@dataclass(frozen=True)
class Condition:
    """Batch of conditions.

    Attributes:
        latents: [B, T, C, h, w], encoded visible panorama, not scaled; zero if unconditional.
        tokens: [B, T, D], features of the perspective frames; zero if unconditional.
        time_ids: [B, 3], fps - 1, motion bucket and sigma_c.
        fill: [B, T, C, h, w], scaled latents of the filled panorama, for models that predict the
            residual to it; zero if unconditional.
    """

    latents: Tensor
    tokens: Tensor
    time_ids: Tensor
    fill: Tensor | None = None

    def unconditional(self) -> "Condition":
        """Return the unconditional branch of guidance: zero latents, tokens and fill."""
        return replace(
            self,
            latents=torch.zeros_like(self.latents),
            tokens=torch.zeros_like(self.tokens),
            fill=None if self.fill is None else torch.zeros_like(self.fill),
        )

    def roll_longitude(self, columns: int) -> "Condition":
        """Return the condition with its maps rolled along longitude by latent columns."""
        fill = None if self.fill is None else self.fill.roll(columns, dims=-1)
        return replace(self, latents=self.latents.roll(columns, dims=-1), fill=fill)

    @staticmethod
    def concatenate(conditions: "list[Condition]") -> "Condition":
        """Join conditions into one batch."""
        fills = [condition.fill for condition in conditions if condition.fill is not None]
        return Condition(
            latents=torch.cat([condition.latents for condition in conditions]),
            tokens=torch.cat([condition.tokens for condition in conditions]),
            time_ids=torch.cat([condition.time_ids for condition in conditions]),
            fill=torch.cat(fills) if fills else None,
        )


def insert_context(erp: Tensor, mask: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
    """Replace the first S frames by fully visible context frames (long videos, Argus).

    Args:
        erp: [B, T, 3, H, W].
        mask: bool [B, T, H, W], True where seen.
        context: [B, S, 3, H, W], S at most T.

    Returns:
        The new `erp` and `mask`.
    """
    count = context.shape[1]
    return torch.cat([context, erp[:, count:]], dim=1), torch.cat(
        [torch.ones_like(mask[:, :count]), mask[:, count:]], dim=1
    )


def make_condition(
    latents: Latents,
    image_encoder: ImageEncoder,
    settings: PipelineSettings,
    *,
    erp: Tensor,
    mask: Tensor,
    views: Tensor,
    fps: float,
    sigma_c: float,
    generator: torch.Generator | None = None,
    sample_posterior: bool = False,
) -> Condition:
    """Encode visible panoramas and perspective frames that share a frame rate.

    Args:
        latents: encoder of the panorama; its device is the device of the condition.
        image_encoder: encoder of the perspective frames.
        settings: of the pipeline; `residual` decides whether a fill is encoded.
        erp: [B, T, 3, H, W] in [-1, 1], views projected into the shared map.
        mask: bool [B, T, H, W], True where seen.
        views: [B, T, 3, h, w] in [-1, 1].
        fps: frame rate of the clip.
        sigma_c: standard deviation of the noise that is added to the visible pixels.
        generator: CPU generator of that noise, and then of the posterior sample.
        sample_posterior: encode a sample of the posterior (training) instead of its mode.

    Raises:
        ValueError: erp, mask and views differ in batch or frames.
    """
    if erp.shape[1] != views.shape[1] or erp.shape[:2] != mask.shape[:2]:
        raise ValueError(
            f"erp {tuple(erp.shape)}, mask {tuple(mask.shape)} and views {tuple(views.shape)} "
            "must agree in batch and frames"
        )
    device = latents.device
    seen = mask[:, :, None].to(device)
    noised = _add_pixel_noise(erp.to(device, torch.float32), seen, sigma_c, generator)
    with torch.no_grad():
        encoded = latents.encode(noised, generator if sample_posterior else None)
        tokens = image_encoder.encode(views.to(device, torch.float32))
        fill = _encode_fill(latents, noised, seen, sigma_c) if settings.residual else None
    time_ids = torch.tensor([[fps - 1, MOTION_BUCKET, sigma_c]], device=device)
    return Condition(encoded, tokens, time_ids.repeat(erp.shape[0], 1), fill)


def _add_pixel_noise(
    erp: Tensor, seen: Tensor, sigma_c: float, generator: torch.Generator | None
) -> Tensor:
    """Add noise to the visible pixels and set the others to UNSEEN."""
    noise = torch.randn(erp.shape, generator=generator, dtype=torch.float32)
    unseen = torch.full((), UNSEEN, device=erp.device)
    return torch.where(seen, erp + sigma_c * noise.to(erp.device), unseen)


def _encode_fill(latents: Latents, noised: Tensor, seen: Tensor, sigma_c: float) -> Tensor:
    """Encode the filled panorama and remove the expected share of the pixel noise."""
    assert isinstance(latents, TinyLatents)
    return latents.wiener_shrink(latents.encode(fill_unseen(noised, seen)), sigma_c)
