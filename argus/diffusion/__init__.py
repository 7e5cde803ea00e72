"""The diffusion model: preconditioning, noise, loss, latents, tokens, conditions, pipelines and the sampler.

Knows nothing of runs, datasets on disk, or training loops.
"""

from argus.diffusion.condition import Condition, make_condition, with_context
from argus.diffusion.denoiser import Denoiser
from argus.diffusion.fill import fill_unseen
from argus.diffusion.image_encoder import ClipEncoder, ImageEncoder, ThumbnailEncoder
from argus.diffusion.latents import (
    BandStatistics,
    Latents,
    TinyLatents,
    VaeLatents,
    band_statistics,
)
from argus.diffusion.loss import diffusion_loss, height_weight
from argus.diffusion.noise import draw_sigma
from argus.diffusion.pipeline import ArgusPipeline, build_pipeline, build_tiny
from argus.diffusion.sampler import sample, sample_latents
from argus.diffusion.settings import PipelineKind, PipelineSettings

__all__ = [
    "ArgusPipeline",
    "BandStatistics",
    "ClipEncoder",
    "Condition",
    "Denoiser",
    "Latents",
    "PipelineKind",
    "PipelineSettings",
    "ThumbnailEncoder",
    "TinyLatents",
    "ImageEncoder",
    "VaeLatents",
    "band_statistics",
    "build_pipeline",
    "build_tiny",
    "diffusion_loss",
    "draw_sigma",
    "fill_unseen",
    "height_weight",
    "make_condition",
    "sample",
    "sample_latents",
    "with_context",
]
