"""The denoising network: diffusers' UNetSpatioTemporalConditionModel, its tiny size, and the checks that it does not make itself."""

from typing import Any

import torch
from torch import nn

from argus.errors import InvalidInput

NORM_GROUPS = 32  # fixed in diffusers' blocks
TIME_IDS = 3  # fps − 1, motion bucket, σ_c


def tiny_unet(latent_channels: int, token_width: int, frames: int, seed: int) -> Any:
    """3.1 M parameters: widths (64, 64, 64), one layer a block, attention at the lowest level only and silent at first."""
    from diffusers import UNetSpatioTemporalConditionModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNetSpatioTemporalConditionModel(
            in_channels=2 * latent_channels,
            out_channels=latent_channels,
            down_block_types=(
                "DownBlockSpatioTemporal",
                "DownBlockSpatioTemporal",
                "CrossAttnDownBlockSpatioTemporal",
            ),
            up_block_types=(
                "CrossAttnUpBlockSpatioTemporal",
                "UpBlockSpatioTemporal",
                "UpBlockSpatioTemporal",
            ),
            block_out_channels=(64, 64, 64),
            addition_time_embed_dim=16,
            projection_class_embeddings_input_dim=48,
            layers_per_block=1,
            cross_attention_dim=token_width,
            num_attention_heads=2,
            num_frames=frames,
        )
    _zero_outputs(unet)
    return unet


def _zero_outputs(unet: nn.Module) -> None:
    """diffusers leaves the attention blocks' output layers random; at zero each block starts as the identity."""
    for name, layer in unet.named_modules():
        if isinstance(layer, nn.Linear) and name.endswith(".proj_out"):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)


def check_unet(unet: Any, latent_channels: int, token_width: int) -> None:
    """Refuses a network that does not fit its latents and tokens, or that diffusers would accept and run wrongly."""
    config = unet.config
    levels = len(config.block_out_channels)
    heads = (
        [config.num_attention_heads] * levels
        if isinstance(config.num_attention_heads, int)
        else config.num_attention_heads
    )
    faults = [
        f"width {width} is no multiple of {NORM_GROUPS}"
        for width in config.block_out_channels
        if width % NORM_GROUPS
    ]
    faults += [
        f"width {width} does not divide by its {count} heads"
        for width, count in zip(config.block_out_channels, heads, strict=True)
        if width % count
    ]
    if config.in_channels != 2 * latent_channels or config.out_channels != latent_channels:
        faults.append(
            f"channels are {config.in_channels} in, {config.out_channels} out, but must be {2 * latent_channels} and {latent_channels}"
        )
    if config.cross_attention_dim != token_width:
        faults.append(
            f"cross_attention_dim is {config.cross_attention_dim}, but tokens have {token_width}"
        )
    if config.projection_class_embeddings_input_dim != TIME_IDS * config.addition_time_embed_dim:
        faults.append(
            "projection_class_embeddings_input_dim must be 3 times addition_time_embed_dim"
        )
    if faults:
        raise InvalidInput(f"the UNet does not fit: {'; '.join(faults)}")
