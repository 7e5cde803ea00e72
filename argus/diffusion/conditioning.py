"""Training examples and batches.

A window of a panorama becomes target, visible panorama and perspective frames, as a function of a
key. The visible panorama is resampled ERP → perspective → ERP, as at inference. Each example has
its own camera, motion, circular shift and noise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from argus.diffusion.condition import UNSEEN, Condition, insert_context, make_condition
from argus.diffusion.loss import sample_sigma
from argus.diffusion.pipeline import ArgusPipeline
from argus.diffusion.seeds import MOTION_STREAM, TRAINING_STREAM, make_generator
from argus.pixels import frames_to_tensor, scale_levels
from argus.sphere import Camera, erp_to_view, simulate_motion, view_to_erp
from schemas.config import ConditionSettings, NoiseSettings

TANGENT_ASPECT = (0.5, 2.0)
"""Smallest and largest tan(fov_x/2)/tan(fov_y/2)."""

MIN_VIEW_WIDTH = 8


@dataclass(frozen=True)
class Example:
    """One training or validation example of T frames, in [-1, 1]."""

    target: Tensor  # [T, 3, H, W]
    erp: Tensor  # [T, 3, H, W], visible panorama, -1 where unseen
    mask: Tensor  # bool [T, H, W], True where seen
    views: Tensor  # [T, 3, h, w]
    fps: float
    sigma_c: float
    is_unconditional: bool  # condition dropout, for guidance
    key: tuple[int, ...]  # key of its random streams


@dataclass(frozen=True)
class Batch:
    """Input of one training step, fp32, on the device of the pipeline."""

    target: Tensor  # [B, T, C, h, w], scaled latents
    noise: Tensor  # [B, T, C, h, w], of unit variance
    sigma: Tensor  # [B]
    condition: Condition


def sample_camera(
    random: np.random.Generator, settings: ConditionSettings, view_height: int
) -> Camera:
    """Sample a field of view.

    fov_x is uniform in the configured range; fov_y is uniform where both the range and
    TANGENT_ASPECT allow it. Pixels are square up to rounding of the width.
    """
    low, high = settings.fov_min_deg, settings.fov_max_deg
    fov_x = random.uniform(low, high)
    tangent = math.tan(math.radians(fov_x) / 2)
    smallest, largest = (
        math.degrees(2 * math.atan(tangent / aspect)) for aspect in reversed(TANGENT_ASPECT)
    )
    fov_y = random.uniform(max(low, smallest), min(high, largest))
    aspect = tangent / math.tan(math.radians(fov_y) / 2)
    width = max(MIN_VIEW_WIDTH, round(view_height * aspect))
    return Camera(fov_x, width, view_height, fov_y)


def make_example(
    window: NDArray[np.uint8],
    fps: Fraction,
    settings: ConditionSettings,
    *,
    key: Sequence[int],
    view_height: int,
    context_frames: int,
) -> Example:
    """Make an example of a window of a panorama.

    All random numbers are drawn whatever the settings, so that one setting does not change the
    random numbers of another.

    Args:
        window: uint8 [T, H, W, 3].
        fps: frame rate of the window.
        settings: distribution of cameras, shifts, noise and dropout.
        key: key of all random streams of the example.
        view_height: height of the perspective frames.
        context_frames: S, frames that become fully visible in a context example.
    """
    random = np.random.default_rng(np.random.SeedSequence(list(key)))
    camera = sample_camera(random, settings, view_height)
    shift = int(random.integers(window.shape[2]))
    log_sigma_c = random.normal(settings.noise_mean, settings.noise_std)
    is_unconditional, is_unseen, has_context = random.random(3) < (
        settings.dropout,
        settings.unseen,
        settings.context,
    )
    frames = np.roll(window, shift, axis=2) if settings.roll else window
    erp, mask, views = _project(frames, fps, camera, key, has_motion=settings.motion)
    target = frames_to_tensor(frames).contiguous()
    if is_unseen:
        erp, mask = torch.full_like(erp, UNSEEN), torch.zeros_like(mask)
    if has_context and context_frames:
        context = target[None, :context_frames]
        erp, mask = (part[0] for part in insert_context(erp[None], mask[None], context))
    return Example(
        target=target,
        erp=erp,
        mask=mask,
        views=views,
        fps=float(fps),
        sigma_c=math.exp(log_sigma_c),
        is_unconditional=bool(is_unconditional),
        key=tuple(key),
    )


def _project(
    frames: NDArray[np.uint8],
    fps: Fraction,
    camera: Camera,
    key: Sequence[int],
    *,
    has_motion: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Cut views along a camera path and project them back: visible panorama, mask and views."""
    if has_motion:
        rotations = simulate_motion([*key, MOTION_STREAM], len(frames), fps, camera).rotations
    else:
        rotations = np.eye(3)[None].repeat(len(frames), 0)
    views = erp_to_view(scale_levels(frames), rotations, camera)
    erp, mask = view_to_erp(views, rotations, camera, frames.shape[1:3], fill=UNSEEN)
    return _channels_first(erp), torch.from_numpy(mask), _channels_first(views)


def make_batch(
    pipeline: ArgusPipeline, examples: Sequence[Example], noise: NoiseSettings, step: int
) -> Batch:
    """Encode examples for a training step.

    All random numbers are drawn on the CPU from the key of each example, so they do not depend on
    worker, rank or device.

    Args:
        pipeline: model.
        examples: share of the global batch of this worker.
        noise: distribution of the noise level.
        step: training step, from 0.
    """
    targets, noises, sigmas, conditions = [], [], [], []
    for example in examples:
        generator = make_generator(*example.key, TRAINING_STREAM)
        sigmas.append(sample_sigma(noise, step, generator))
        conditions.append(encode_condition(pipeline, example, generator, sample_posterior=True))
        with torch.no_grad():
            target = pipeline.latents.encode(example.target[None].to(pipeline.device), generator)
            targets.append(target * pipeline.latents.scale)
        noises.append(torch.randn(target.shape, generator=generator))
    device = pipeline.device
    return Batch(
        torch.cat(targets),
        torch.cat(noises).to(device),
        torch.stack(sigmas).to(device),
        Condition.concatenate(conditions),
    )


def encode_condition(
    pipeline: ArgusPipeline,
    example: Example,
    generator: torch.Generator,
    *,
    sample_posterior: bool = False,
) -> Condition:
    """Encode the condition of one example, as a batch of 1.

    Args:
        pipeline: model.
        example: example.
        generator: CPU generator of the pixel noise, and then of the posterior sample.
        sample_posterior: encode a sample of the posterior instead of its mode.
    """
    condition = make_condition(
        pipeline.latents,
        pipeline.image_encoder,
        pipeline.settings,
        erp=example.erp[None],
        mask=example.mask[None],
        views=example.views[None],
        fps=example.fps,
        sigma_c=example.sigma_c,
        generator=generator,
        sample_posterior=sample_posterior,
    )
    return condition.unconditional() if example.is_unconditional else condition


def _channels_first(frames: NDArray[np.float32]) -> Tensor:
    """Convert [T, H, W, 3] to [T, 3, H, W]."""
    return torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)))
