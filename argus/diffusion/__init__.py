"""Diffusion model: conditions, denoiser, loss, latents, sampler and stored pipelines.

The package does not know runs, datasets on disk, or training loops.
"""

from argus.diffusion.condition import UNSEEN, Condition, insert_context, make_condition
from argus.diffusion.conditioning import (
    Batch,
    Example,
    encode_condition,
    make_batch,
    make_example,
)
from argus.diffusion.denoiser import Denoiser, append_dims
from argus.diffusion.fill import fill_pull_push, fill_row_mean, fill_unseen
from argus.diffusion.image_encoder import ClipEncoder, ImageEncoder, ThumbnailEncoder
from argus.diffusion.latents import (
    BandStatistics,
    Latents,
    TinyLatents,
    VaeLatents,
    band_statistics,
)
from argus.diffusion.loss import diffusion_loss, height_weight, sample_sigma
from argus.diffusion.pipeline import TINY_NAME, ArgusPipeline, build_pipeline, build_tiny
from argus.diffusion.sampler import StepHook, sample_latents, sample_video
from argus.diffusion.seeds import (
    EVALUATION_STREAM,
    VALIDATION_ROOT,
    VALIDATION_STREAM,
    derive_seed,
    hash_text,
    make_generator,
)
from argus.diffusion.serialization import SETTINGS_FILE, read_settings
from argus.diffusion.settings import PipelineKind, PipelineSettings

__all__ = [
    "EVALUATION_STREAM",
    "SETTINGS_FILE",
    "TINY_NAME",
    "UNSEEN",
    "VALIDATION_ROOT",
    "VALIDATION_STREAM",
    "ArgusPipeline",
    "BandStatistics",
    "Batch",
    "ClipEncoder",
    "Condition",
    "Denoiser",
    "Example",
    "ImageEncoder",
    "Latents",
    "PipelineKind",
    "PipelineSettings",
    "StepHook",
    "ThumbnailEncoder",
    "TinyLatents",
    "VaeLatents",
    "append_dims",
    "band_statistics",
    "build_pipeline",
    "build_tiny",
    "derive_seed",
    "diffusion_loss",
    "encode_condition",
    "fill_pull_push",
    "fill_row_mean",
    "fill_unseen",
    "hash_text",
    "height_weight",
    "insert_context",
    "make_batch",
    "make_condition",
    "make_example",
    "make_generator",
    "read_settings",
    "sample_latents",
    "sample_sigma",
    "sample_video",
]
