"""Training examples: a window of a panorama becomes target, visible part and perspective frames, as a pure function of a key.

The visible part goes ERP → perspective → ERP, as at inference. Each example has its own camera, motion, circular shift and noise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from argus.diffusion.condition import UNSEEN, Condition, make_condition, with_context
from argus.diffusion.noise import draw_sigma
from argus.diffusion.pipeline import ArgusPipeline
from argus.diffusion.seeds import generator_of
from argus.sphere import Camera, erp_to_view, simulate_motion, view_to_erp
from schemas.config import ConditionSettings, NoiseSettings

ASPECTS = (0.5, 2.0)
"""Least and greatest tan(fov_x/2)/tan(fov_y/2)."""


@dataclass(frozen=True)
class Example:
    """One training or validation example; T frames in [-1, 1]."""

    target: Tensor  # [T, 3, H, W]
    erp: Tensor  # [T, 3, H, W], unseen pixels are -1
    mask: Tensor  # bool [T, H, W], True where seen
    views: Tensor  # [T, 3, h, w]
    fps: float
    sigma_c: float
    dropped: bool
    key: tuple[int, ...]  # what all its randomness is drawn from


@dataclass(frozen=True)
class Batch:
    """What one step needs, on the pipeline's device, fp32."""

    target: Tensor  # [B, T, C, h, w], scaled
    noise: Tensor  # [B, T, C, h, w], unit
    sigma: Tensor  # [B]
    condition: Condition


def draw_camera(
    random: np.random.Generator, settings: ConditionSettings, view_height: int
) -> Camera:
    """fov_x uniform; fov_y uniform where both the range and the aspect of tangents in [½, 2] allow it. Square pixels, nearly."""
    low, high = settings.fov_min_deg, settings.fov_max_deg
    fov_x = random.uniform(low, high)
    tangent = math.tan(math.radians(fov_x) / 2)
    least, most = (math.degrees(2 * math.atan(tangent / aspect)) for aspect in reversed(ASPECTS))
    fov_y = random.uniform(max(low, least), min(high, most))
    aspect = tangent / math.tan(math.radians(fov_y) / 2)
    return Camera(fov_x, max(8, round(view_height * aspect)), view_height, fov_y)


def make_example(
    window: NDArray[np.uint8],
    fps: Fraction,
    settings: ConditionSettings,
    *,
    key: Sequence[int],
    view_height: int,
    context_frames: int,
) -> Example:
    """Window uint8 [T, H, W, 3] → an example. Every draw happens whatever the settings, so that one setting does not move another's randomness."""
    random = np.random.default_rng(np.random.SeedSequence(list(key)))
    camera = draw_camera(random, settings, view_height)
    shift, log_sigma_c = (
        int(random.integers(window.shape[2])),
        random.normal(settings.noise_mean, settings.noise_std),
    )
    dropped, unseen, context = random.random(3) < (
        settings.dropout,
        settings.unseen,
        settings.context,
    )
    frames = np.roll(window, shift, axis=2) if settings.roll else window
    rotations = (
        simulate_motion([*key, 1], len(frames), fps, camera).rotations
        if settings.motion
        else np.eye(3)[None].repeat(len(frames), 0)
    )
    views = erp_to_view(frames.astype(np.float32) / 127.5 - 1, rotations, camera)
    erp, mask = view_to_erp(views, rotations, camera, frames.shape[1:3], fill=UNSEEN)
    target, visible, seen = (
        _tensor(frames.astype(np.float32) / 127.5 - 1),
        _tensor(erp),
        torch.from_numpy(mask),
    )
    if unseen:
        visible, seen = torch.full_like(visible, UNSEEN), torch.zeros_like(seen)
    if context and context_frames:
        visible, seen = (
            part[0]
            for part in with_context(visible[None], seen[None], target[None, :context_frames])
        )
    return Example(
        target,
        visible,
        seen,
        _tensor(views),
        float(fps),
        math.exp(log_sigma_c),
        bool(dropped),
        tuple(key),
    )


def make_batch(
    pipeline: ArgusPipeline, examples: Sequence[Example], noise: NoiseSettings, step: int
) -> Batch:
    """Encodes examples; every draw comes from the example's own key, on the CPU, so that no worker, rank or device matters."""
    targets, noises, sigmas, conditions = [], [], [], []
    for example in examples:
        generator = generator_of(*example.key, 2)
        sigmas.append(draw_sigma(noise, step, generator))
        conditions.append(condition_of(pipeline, example, generator, draw=True))
        with torch.no_grad():
            targets.append(
                pipeline.latents.encode(example.target[None].to(pipeline.device), generator)
                * pipeline.latents.scale
            )
        noises.append(torch.randn(targets[-1].shape, generator=generator))
    device = pipeline.device
    return Batch(
        torch.cat(targets),
        torch.cat(noises).to(device),
        torch.stack(sigmas).to(device),
        Condition.concatenated(conditions),
    )


def condition_of(
    pipeline: ArgusPipeline, example: Example, generator: torch.Generator, *, draw: bool = False
) -> Condition:
    """The condition of one example, [1, …]."""
    condition = make_condition(
        pipeline,
        example.erp[None],
        example.mask[None],
        example.views[None],
        fps=example.fps,
        sigma_c=example.sigma_c,
        generator=generator,
        draw=draw,
    )
    return condition.dropped() if example.dropped else condition


def _tensor(frames: NDArray[np.float32]) -> Tensor:
    """[T, H, W, 3] → [T, 3, H, W]."""
    return torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)))
