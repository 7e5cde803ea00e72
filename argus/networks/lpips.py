"""LPIPS with VGG16: a learned perceptual distance of two pictures (Zhang et al. 2018, v0.1).

Two pictures go through VGG16; at five depths their features are scaled to unit length, the squared
difference is weighted per channel by a 1×1 head without negative weights, averaged over the
picture and summed over the depths.

A folder of weights holds two safetensors files, named as torchvision and LPIPS name their tensors:

    vgg16.safetensors       features.0.weight, features.0.bias … features.28.bias
    lpips_vgg.safetensors   lin0.model.1.weight … lin4.model.1.weight, each [1, channels, 1, 1]
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from argus.errors import InvalidInput
from argus.networks.tensors import load_weights, read_tensors

VGG_FILE, HEADS_FILE = "vgg16.safetensors", "lpips_vgg.safetensors"

WIDTHS = (64, 128, 256, 512, 512)
"""Channels of the five blocks of VGG16 (Simonyan and Zisserman 2015, configuration D)."""

MIN_SIDE = 16
"""Pixels; smaller pictures have no fifth block."""

_DEPTHS = (2, 2, 3, 3, 3)  # convolutions per block
_FEATURE_LAYERS = (3, 8, 15, 22, 29)  # relu1_2, relu2_2, relu3_3, relu4_3, relu5_3
_FIRST_CONVOLUTIONS = (0, 5, 10, 17, 24)
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Mean and standard deviation of ImageNet's colors in [-1, 1]."""

_EPSILON = 1e-10


class LpipsVgg(nn.Module):
    """LPIPS distance on VGG16."""

    shift: Tensor
    scale: Tensor

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        """Create the network with untrained weights.

        Args:
            widths: channels of the five blocks; fewer than the published ones make a small
                network of the same form.
        """
        super().__init__()
        self.features = _vgg16_features(widths)
        self.heads = nn.ModuleList(nn.Conv2d(width, 1, 1, bias=False) for width in widths)
        self.register_buffer("shift", torch.tensor(_SHIFT).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE).view(1, 3, 1, 1), persistent=False)

    @classmethod
    def load(cls, folder: Path, device: str) -> Self:
        """Load the network from a folder of weights; the widths are those of its tensors.

        Raises:
            InvalidInput: a file is missing or does not fit.
        """
        vgg_path, heads_path = folder / VGG_FILE, folder / HEADS_FILE
        vgg = {
            name: value
            for name, value in read_tensors(vgg_path).items()
            if name.startswith("features.")
        }
        heads = read_tensors(heads_path)
        names = [f"features.{number}.weight" for number in _FIRST_CONVOLUTIONS]
        if missing := [name for name in names if name not in vgg]:
            raise InvalidInput(
                f"{vgg_path} lacks {missing[0]}; it must hold VGG16 with torchvision's tensor names"
            )
        if any((value < 0).any() for value in heads.values()):
            raise InvalidInput(
                f"{heads_path} has negative weights; use the heads of LPIPS, which have none"
            )
        network = cls([len(vgg[name]) for name in names])
        features = {name.removeprefix("features."): value for name, value in vgg.items()}
        load_weights(network.features, features, vgg_path)
        renamed = {
            name.removeprefix("lin").replace(".model.1.", "."): value
            for name, value in heads.items()
        }
        load_weights(network.heads, renamed, heads_path)
        return network.to(device)

    def extract_features(self, pictures: Tensor) -> list[Tensor]:
        """Compute unit-length features at five depths.

        Args:
            pictures: [n, 3, H, W] in [-1, 1].

        Returns:
            For each depth k from 0 to 4, [n, C, H/2^k, W/2^k].
        """
        features = []
        hidden = (pictures - self.shift) / self.scale
        for number, layer in enumerate(self.features):
            hidden = layer(hidden)
            if number in _FEATURE_LAYERS:
                features.append(hidden / (hidden.norm(dim=1, keepdim=True) + _EPSILON))
        return features

    def distance_maps(self, first: Sequence[Tensor], second: Sequence[Tensor]) -> list[Tensor]:
        """Compare features of two sets of pictures.

        Returns:
            For each depth, the local distance [n, h, w]; LPIPS is the sum of their means.
        """
        return [
            head((a - b) ** 2).squeeze(1)
            for head, a, b in zip(self.heads, first, second, strict=True)
        ]

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Compute distances.

        Args:
            first: [n, 3, H, W] in [-1, 1], with sides of at least `MIN_SIDE`.
            second: as `first`.

        Returns:
            Distances [n]: 0 for equal pictures, of the order of 1 for unlike ones.
        """
        maps = self.distance_maps(self.extract_features(first), self.extract_features(second))
        return torch.stack([distance.mean(dim=(1, 2)) for distance in maps]).sum(dim=0)


def _vgg16_features(widths: Sequence[int]) -> nn.Sequential:
    """Build VGG16 down to relu5_3, its layers numbered as in torchvision."""
    layers: list[nn.Module] = []
    channels = 3
    for width, depth in zip(widths, _DEPTHS, strict=True):
        if layers:
            layers.append(nn.MaxPool2d(2))
        for _ in range(depth):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
    return nn.Sequential(*layers)
