"""The fixed-σ validation loss, and pictures of samples."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from argus.diffusion.conditioning import Example, condition_of
from argus.diffusion.loss import diffusion_loss, height_weight
from argus.diffusion.pipeline import ArgusPipeline
from argus.diffusion.sampler import sample
from argus.diffusion.seeds import generator_of
from argus.train.distributed import DistributedContext
from schemas.config import SampleSettings
from schemas.names import HeightWeight

SIGMAS = (0.3, 1.0, 3.0, 10.0)
"""The noise levels of the validation loss."""


@torch.no_grad()
def validation_loss(
    pipeline: ArgusPipeline, examples: Sequence[Example], world: DistributedContext | None = None
) -> float:
    """Mean loss over examples and the fixed noise levels, weighted by solid angle; noise is fixed by each example's key.

    Workers share the examples; all get the same number.
    """
    world = world or DistributedContext(device=pipeline.device)
    losses = [_example_loss(pipeline, example) for example in examples[world.rank :: world.size]]
    total, count = world.summed(sum(losses), len(losses))
    return total / count


def _example_loss(pipeline: ArgusPipeline, example: Example) -> float:
    generator = generator_of(*example.key, 3)
    condition = condition_of(pipeline, example, generator)
    target = (
        pipeline.latents.encode(example.target[None].to(pipeline.device)) * pipeline.latents.scale
    )
    noise = torch.randn(target.shape, generator=generator).to(target)
    rows = height_weight(HeightWeight.COS, target.shape[-2])
    losses = []
    for value in SIGMAS:
        sigma = torch.full((1,), value, device=target.device)
        losses.append(
            diffusion_loss(
                pipeline.denoiser(target + value * noise, sigma, condition), target, sigma, rows
            ).item()
        )
    return sum(losses) / len(losses)


def sample_picture(
    pipeline: ArgusPipeline, examples: Sequence[Example], settings: SampleSettings, seed: int
) -> NDArray[np.uint8]:
    """A row per example, its middle frame: input | generated | truth. uint8 [rows·H, 3·W, 3]."""
    condition = [
        condition_of(pipeline, example, generator_of(*example.key, 3)) for example in examples
    ]
    videos = [sample(pipeline, one, settings, seed=seed)[0].cpu() for one in condition]
    rows = []
    for example, video in zip(examples, videos, strict=True):
        middle = len(video) // 2
        rows.append(torch.cat([example.erp[middle], video[middle], example.target[middle]], dim=2))
    return _bytes(torch.cat(rows, dim=1))


def _bytes(picture: Tensor) -> NDArray[np.uint8]:
    """[3, H, W] in [-1, 1] → uint8 [H, W, 3]."""
    return ((picture.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).contiguous().numpy()
