"""Validation: loss at fixed noise levels, and an image of sampled panoramas."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from argus.diffusion import (
    VALIDATION_STREAM,
    ArgusPipeline,
    Example,
    diffusion_loss,
    encode_condition,
    height_weight,
    make_generator,
    sample_video,
)
from argus.pixels import tensor_to_frames
from argus.train.distributed import DistributedContext
from schemas.config import SampleSettings
from schemas.names import HeightWeight

VALIDATION_SIGMAS = (0.3, 1.0, 3.0, 10.0)
"""Noise levels of the validation loss."""


@torch.no_grad()
def validation_loss(
    pipeline: ArgusPipeline,
    examples: Sequence[Example],
    distributed: DistributedContext | None = None,
) -> float:
    """Compute the mean loss over examples and fixed noise levels, weighted by solid angle.

    Args:
        pipeline: model.
        examples: all validation examples; each worker computes its share.
        distributed: position of this worker; by default the only one.

    Returns:
        The same number on every worker. The noise is a function of the key of each example.
    """
    distributed = distributed or DistributedContext(device=pipeline.device)
    share = examples[distributed.rank :: distributed.size]
    losses = [_example_loss(pipeline, example) for example in share]
    total, count = distributed.all_reduce_sum(sum(losses), len(losses))
    return total / count


def _example_loss(pipeline: ArgusPipeline, example: Example) -> float:
    generator = make_generator(*example.key, VALIDATION_STREAM)
    condition = encode_condition(pipeline, example, generator)
    target = pipeline.latents.encode(example.target[None].to(pipeline.device))
    target = target * pipeline.latents.scale
    noise = torch.randn(target.shape, generator=generator).to(target)
    row_weight = height_weight(HeightWeight.COS, target.shape[-2])
    losses = []
    for value in VALIDATION_SIGMAS:
        sigma = torch.full((1,), value, device=target.device)
        denoised = pipeline.denoiser(target + value * noise, sigma, condition)
        losses.append(diffusion_loss(denoised, target, sigma, row_weight).item())
    return sum(losses) / len(losses)


def sample_image(
    pipeline: ArgusPipeline, examples: Sequence[Example], settings: SampleSettings, seed: int
) -> NDArray[np.uint8]:
    """Draw the middle frames of examples, a row each: input, generated, truth.

    Args:
        pipeline: model.
        examples: one for each row.
        settings: of the sampler.
        seed: of the sampler.

    Returns:
        uint8 [rows·H, 3·W, 3].
    """
    rows = []
    for example in examples:
        generator = make_generator(*example.key, VALIDATION_STREAM)
        condition = encode_condition(pipeline, example, generator)
        video = sample_video(pipeline, condition, settings, seed=seed)[0].cpu()
        middle = len(video) // 2
        frames = [example.erp[middle], video[middle], example.target[middle]]
        rows.append(torch.cat(frames, dim=2))
    return tensor_to_frames(torch.cat(rows, dim=1)[None])[0]
