"""Denoising network: UNetSpatioTemporalConditionModel of diffusers, and helpers for networks."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from argus.errors import InvalidInput

NORM_GROUPS = 32  # fixed in the blocks of diffusers
TIME_IDS = 3  # fps − 1, motion bucket, σ_c


def make_tiny_unet(latent_channels: int, token_width: int, frames: int, seed: int) -> Any:
    """Build the network of argus-tiny with weights that are a function of the seed.

    3.1 M parameters: widths (64, 64, 64), one layer per block, attention at the lowest level only.
    """
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
    _zero_attention_outputs(unet)
    return unet


def _zero_attention_outputs(unet: nn.Module) -> None:
    """Make each attention block start as the identity; diffusers leaves its output random."""
    for name, layer in unet.named_modules():
        if isinstance(layer, nn.Linear) and name.endswith(".proj_out"):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)


def check_unet(unet: Any, latent_channels: int, token_width: int) -> None:
    """Check that a network fits its latents and tokens.

    diffusers accepts some of these faults and computes wrong results.

    Raises:
        InvalidInput: naming every fault.
    """
    config = unet.config
    widths, heads = config.block_out_channels, config.num_attention_heads
    if isinstance(heads, int):
        heads = [heads] * len(widths)
    faults = [
        f"width {width} is not a multiple of {NORM_GROUPS}"
        for width in widths
        if width % NORM_GROUPS
    ]
    faults += [
        f"width {width} is not divisible by its {count} attention heads"
        for width, count in zip(widths, heads, strict=True)
        if width % count
    ]
    if config.in_channels != 2 * latent_channels or config.out_channels != latent_channels:
        faults.append(
            f"channels are {config.in_channels} in, {config.out_channels} out, "
            f"but must be {2 * latent_channels} and {latent_channels}"
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
        raise InvalidInput(f"the UNet does not fit this pipeline: {'; '.join(faults)}")


class CircularConv2d(nn.Conv2d):
    """Convolution that pads circularly along longitude (width) and with zeros along latitude."""

    def _conv_forward(
        self,
        input: Tensor,  # noqa: A002 (the name in torch)
        weight: Tensor,
        bias: Tensor | None,
    ) -> Tensor:
        rows, columns = int(self.padding[0]), int(self.padding[1])
        wrapped = F.pad(input, (columns, columns, 0, 0), mode="circular")
        return F.conv2d(wrapped, weight, bias, self.stride, (rows, 0), self.dilation, self.groups)


def enable_circular_padding(module: nn.Module) -> int:
    """Make every padded Conv2d below a module circular and return how many were changed.

    The class of the layer is exchanged, so the names of the weights stay.
    """
    count = 0
    for layer in module.modules():
        if type(layer) is nn.Conv2d and isinstance(layer.padding, tuple) and layer.padding[1] > 0:
            layer.__class__ = CircularConv2d
            count += 1
    return count


def disable_circular_padding(module: nn.Module) -> int:
    """Undo `enable_circular_padding` and return how many layers were changed."""
    count = 0
    for layer in module.modules():
        if type(layer) is CircularConv2d:
            layer.__class__ = nn.Conv2d  # type: ignore[assignment]  # mypy allows only subclasses
            count += 1
    return count


def move_to(module: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Move a network; cast it only if the dtype changes, since diffusers warns of every cast."""
    module.to(device)
    if next(module.parameters()).dtype != dtype:
        nn.Module.to(module, dtype=dtype)
