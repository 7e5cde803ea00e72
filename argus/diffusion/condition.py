"""What the denoiser is told: the visible part of the panorama, the frames' features, the rates. Made alike in training and at inference."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from argus.diffusion.fill import fill_unseen
from argus.diffusion.latents import Latents, TinyLatents

if TYPE_CHECKING:
    from argus.diffusion.pipeline import ArgusPipeline

UNSEEN = -1.0
"""Value of the pixels that no camera sees, in [-1, 1]: black."""

MOTION_BUCKET = 127.0


@dataclass(frozen=True)
class Condition:
    """A batch of conditions.

    latents  [B, T, C, h, w]  encoded visible panorama, not scaled; zeros where dropped
    tokens   [B, T, D]        features of the perspective frames; zeros where dropped
    time_ids [B, 3]           fps − 1, motion bucket, σ_c
    fill     [B, T, C, h, w]  scaled latents of the filled panorama, for models that predict the difference to it; zeros where dropped
    """

    latents: Tensor
    tokens: Tensor
    time_ids: Tensor
    fill: Tensor | None = None

    def dropped(self) -> "Condition":
        """Without condition, for guidance: tokens and latents are zero together."""
        fill = None if self.fill is None else torch.zeros_like(self.fill)
        return replace(
            self,
            latents=torch.zeros_like(self.latents),
            tokens=torch.zeros_like(self.tokens),
            fill=fill,
        )

    def rolled(self, columns: int) -> "Condition":
        """Everything that lies on the sphere, rolled along longitude by latent columns."""
        fill = None if self.fill is None else self.fill.roll(columns, dims=-1)
        return replace(self, latents=self.latents.roll(columns, dims=-1), fill=fill)

    @staticmethod
    def concatenated(conditions: "list[Condition]") -> "Condition":
        """One batch of several."""
        fills = [condition.fill for condition in conditions if condition.fill is not None]
        return Condition(
            latents=torch.cat([condition.latents for condition in conditions]),
            tokens=torch.cat([condition.tokens for condition in conditions]),
            time_ids=torch.cat([condition.time_ids for condition in conditions]),
            fill=torch.cat(fills) if fills else None,
        )


def with_context(erp: Tensor, mask: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
    """Makes the first S frames fully visible: context [B, S, 3, H, W] replaces those of erp [B, T, 3, H, W]; mask is bool [B, T, H, W]."""
    count = context.shape[1]
    return torch.cat([context, erp[:, count:]], dim=1), torch.cat(
        [torch.ones_like(mask[:, :count]), mask[:, count:]], dim=1
    )


def make_condition(
    pipeline: "ArgusPipeline",
    erp: Tensor,
    mask: Tensor,
    views: Tensor,
    *,
    fps: float,
    sigma_c: float,
    generator: torch.Generator | None = None,
    draw: bool = False,
) -> Condition:
    """The condition of a batch that shares a frame rate.

    erp [B, T, 3, H, W] in [-1, 1], aligned in the shared map; mask bool [B, T, H, W], True where seen; views [B, T, 3, h, w] in [-1, 1].
    sigma_c is the deviation of the noise put on visible pixels, from `generator` (CPU).
    `draw` encodes with a draw from the posterior (training) instead of its mode.
    """
    if erp.shape[1] != views.shape[1] or erp.shape[:2] != mask.shape[:2]:
        raise ValueError(
            f"erp {tuple(erp.shape)}, mask {tuple(mask.shape)} and views {tuple(views.shape)} must agree in batch and frames"
        )
    device, dtype = pipeline.device, torch.float32
    noise = torch.randn(erp.shape, generator=generator, dtype=dtype)
    seen = mask[:, :, None].to(device)
    noised = torch.where(
        seen,
        erp.to(device, dtype) + sigma_c * noise.to(device),
        torch.full((), UNSEEN, device=device),
    )
    with torch.no_grad():
        latents = pipeline.latents.encode(noised, generator if draw else None)
        tokens = pipeline.tokens.encode(views.to(device, dtype))
        fill = (
            _fill(pipeline.latents, noised, seen, sigma_c) if pipeline.settings.residual else None
        )
    time_ids = torch.tensor([[fps - 1, MOTION_BUCKET, sigma_c]], device=device, dtype=dtype).repeat(
        erp.shape[0], 1
    )
    return Condition(latents=latents, tokens=tokens, time_ids=time_ids, fill=fill)


def _fill(latents: Latents, noised: Tensor, seen: Tensor, sigma_c: float) -> Tensor:
    """Latents of the smoothly filled panorama, freed of the noise that was put on it."""
    assert isinstance(latents, TinyLatents)
    return latents.shrunk(latents.encode(fill_unseen(noised, seen)), sigma_c)
