"""A small pipeline whose network says something, and random conditions."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from argus.diffusion import ArgusPipeline, Condition, band_statistics, build_tiny, make_condition
from schemas.config import ModelSettings

SIZE = ModelSettings(height=32, frames=3, context_frames=1, view_height=32)


def _smooth(seed: int, *shape: int) -> torch.Tensor:
    """Random smooth frames [..., H, W] in [-1, 1], periodic along longitude."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    flat = noise.flatten(0, -3)[:, None]
    for _ in range(3):
        flat = nn.functional.avg_pool2d(
            nn.functional.pad(
                nn.functional.pad(flat, (2, 2, 0, 0), mode="circular"),
                (0, 0, 2, 2),
                mode="replicate",
            ),
            5,
            1,
        )
    return (flat / flat.abs().max()).reshape(shape)


def _awaken(pipeline: ArgusPipeline, seed: int = 1) -> ArgusPipeline:
    """Gives the zero output layers random weights."""
    generator = torch.Generator().manual_seed(seed)
    for name, layer in pipeline.unet.named_modules():
        if name == "conv_out" or name.endswith("proj_out"):
            layer.weight.data.normal_(0, 0.05, generator=generator)
    return pipeline


def _condition(pipeline: ArgusPipeline, batch: int = 1, seed: int = 0) -> Condition:
    erp = _smooth(seed, batch, SIZE.frames, 3, SIZE.height, 2 * SIZE.height)
    mask = torch.zeros(batch, SIZE.frames, SIZE.height, 2 * SIZE.height, dtype=torch.bool)
    mask[..., 8:24, 20:44] = True
    visible = torch.where(mask[:, :, None], erp, -1.0)
    views = _smooth(seed + 1, batch, SIZE.frames, 3, 24, 40)
    return make_condition(
        pipeline,
        visible,
        mask,
        views,
        fps=4.8,
        sigma_c=0.02,
        generator=torch.Generator().manual_seed(seed),
    )


@pytest.fixture(scope="session")
def smooth() -> Callable[..., torch.Tensor]:
    """(seed, *shape) → random smooth frames in [-1, 1]."""
    return _smooth


@pytest.fixture(scope="session")
def condition() -> Callable[..., Condition]:
    """(pipeline, batch=1, seed=0) → the condition of smooth panoramas whose middle is seen."""
    return _condition


@pytest.fixture(scope="session")
def tiny() -> ArgusPipeline:
    statistics = band_statistics(
        _smooth(seed, SIZE.frames, 3, SIZE.height, 2 * SIZE.height) for seed in range(4)
    )
    return _awaken(build_tiny(SIZE, statistics))


@pytest.fixture(scope="session")
def full_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Video Diffusion folder of the real format, with few random weights, as diffusers itself writes it."""
    import diffusers
    import transformers

    torch.manual_seed(0)
    unet = diffusers.UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 64),
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        num_attention_heads=(2, 4),
        layers_per_block=1,
        cross_attention_dim=32,
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=24,
        num_frames=3,
    )
    vae = diffusers.AutoencoderKLTemporalDecoder(
        block_out_channels=(32,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        latent_channels=4,
    )
    vision = transformers.CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        projection_dim=32,
        patch_size=32,
        image_size=224,
    )
    scheduler = diffusers.EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_type="continuous",
        use_karras_sigmas=True,
        sigma_min=0.002,
        sigma_max=700.0,
    )
    pipeline = diffusers.StableVideoDiffusionPipeline(
        unet=unet,
        vae=vae,
        image_encoder=transformers.CLIPVisionModelWithProjection(vision),
        scheduler=scheduler,
        feature_extractor=transformers.CLIPImageProcessor(),
    )
    folder = tmp_path_factory.mktemp("svd") / "full"
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder
