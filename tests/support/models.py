"""Small pipelines of both kinds, and smooth frames to feed them with."""

from pathlib import Path

import torch
from torch import nn

from argus.diffusion import ArgusPipeline, BandStatistics, build_tiny
from schemas.config import ModelSettings


def smooth_frames(seed: int, *shape: int) -> torch.Tensor:
    """Return random smooth frames [..., H, W] in [-1, 1], periodic along longitude."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    flat = noise.flatten(0, -3)[:, None]
    for _ in range(3):
        wrapped = nn.functional.pad(flat, (2, 2, 0, 0), mode="circular")
        padded = nn.functional.pad(wrapped, (0, 0, 2, 2), mode="replicate")
        flat = nn.functional.avg_pool2d(padded, 5, 1)
    return (flat / flat.abs().max()).reshape(shape)


def build_small_tiny(frames: int, *, output_std: float = 0.0) -> ArgusPipeline:
    """Build argus-tiny of 32x64 pixels with one context frame.

    Args:
        frames: T.
        output_std: deviation of random weights of the last layer, which is zero in an untrained
            model, so that the condition shows in the output.
    """
    settings = ModelSettings(height=32, frames=frames, context_frames=1, view_height=32)
    pipeline = build_tiny(settings, BandStatistics(mean=(0.0,) * 48, std=(0.5,) * 48))
    if output_std:
        generator = torch.Generator().manual_seed(1)
        nn.init.normal_(pipeline.unet.conv_out.weight, std=output_std, generator=generator)
    return pipeline


def save_small_svd(folder: Path) -> Path:
    """Write a Stable Video Diffusion folder with few random weights, as diffusers writes it."""
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
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder
