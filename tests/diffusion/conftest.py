"""A small pipeline whose output depends on its condition, and random conditions."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from argus.diffusion import ArgusPipeline, Condition, band_statistics, build_tiny, make_condition
from schemas.config import ModelSettings
from tests.support.models import save_small_svd, smooth_frames

SIZE = ModelSettings(height=32, frames=3, context_frames=1, view_height=32)


def randomize_outputs(pipeline: ArgusPipeline, seed: int = 1) -> ArgusPipeline:
    """Give the output layers, which are zero in an untrained model, random weights."""
    generator = torch.Generator().manual_seed(seed)
    for name, layer in pipeline.unet.named_modules():
        if name == "conv_out" or name.endswith("proj_out"):
            layer.weight.data.normal_(0, 0.05, generator=generator)
    return pipeline


def make_smooth_condition(pipeline: ArgusPipeline, batch: int = 1, seed: int = 0) -> Condition:
    erp = smooth_frames(seed, batch, SIZE.frames, 3, SIZE.height, 2 * SIZE.height)
    mask = torch.zeros(batch, SIZE.frames, SIZE.height, 2 * SIZE.height, dtype=torch.bool)
    mask[..., 8:24, 20:44] = True
    return make_condition(
        pipeline.latents,
        pipeline.image_encoder,
        pipeline.settings,
        erp=torch.where(mask[:, :, None], erp, -1.0),
        mask=mask,
        views=smooth_frames(seed + 1, batch, SIZE.frames, 3, 24, 40),
        fps=4.8,
        sigma_c=0.02,
        generator=torch.Generator().manual_seed(seed),
    )


@pytest.fixture(scope="session")
def condition() -> Callable[..., Condition]:
    """(pipeline, batch=1, seed=0) → condition of smooth panoramas whose middle is seen."""
    return make_smooth_condition


@pytest.fixture(scope="session")
def tiny() -> ArgusPipeline:
    statistics = band_statistics(
        smooth_frames(seed, SIZE.frames, 3, SIZE.height, 2 * SIZE.height) for seed in range(4)
    )
    return randomize_outputs(build_tiny(SIZE, statistics))


@pytest.fixture(scope="session")
def svd_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the format of Stable Video Diffusion, with few random weights."""
    return save_small_svd(tmp_path_factory.mktemp("svd") / "full")
