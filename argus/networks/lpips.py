"""LPIPS with VGG16: the learned perceptual distance of two pictures (Zhang et al. 2018, version 0.1), on plain torch.

Two pictures go through VGG16; at five depths their features are scaled to unit length, and the squared difference is weighted per channel by a
1×1 head without negative weights, averaged over the picture and summed over the depths. Curation and evaluation share it.

A folder of weights holds two safetensors files, named as torchvision and LPIPS name their tensors:

    vgg16.safetensors       features.0.weight, features.0.bias … features.28.bias; entries of the classifier are ignored
    lpips_vgg.safetensors   lin0.model.1.weight … lin4.model.1.weight, each [1, channels, 1, 1]

`torch.load(FILE, weights_only=True)` of torchvision's `vgg16-397923af.pth` and of LPIPS's `weights/v0.1/vgg.pth`, each given to
`safetensors.torch.save_file`, makes them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from argus.errors import InvalidInput
from argus.networks.weights import fill, read_tensors

VGG_FILE, HEADS_FILE = "vgg16.safetensors", "lpips_vgg.safetensors"
WIDTHS = (64, 128, 256, 512, 512)
"""Channels of the five blocks of VGG16 (Simonyan and Zisserman 2015, configuration D)."""

_DEPTHS = (2, 2, 3, 3, 3)  # convolutions per block
_TAPS = (3, 8, 15, 22, 29)  # relu1_2, relu2_2, relu3_3, relu4_3, relu5_3
_FIRST_CONVOLUTIONS = (0, 5, 10, 17, 24)
_SHIFT, _SCALE = (
    (-0.030, -0.088, -0.188),
    (0.458, 0.448, 0.450),
)  # ImageNet's colours, for pictures in [-1,1]
_EPSILON = 1e-10
LEAST_SIDE = 16  # pixels; smaller pictures have no fifth block


class LpipsVgg(nn.Module):
    """The distance; `widths` other than the published ones make a small network of the same form."""

    shift: Tensor
    scale: Tensor

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.features = _vgg(widths)
        self.heads = nn.ModuleList(nn.Conv2d(width, 1, 1, bias=False) for width in widths)
        self.register_buffer("shift", torch.tensor(_SHIFT).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE).view(1, 3, 1, 1), persistent=False)

    @classmethod
    def load(cls, folder: Path, device: str) -> Self:
        """From a folder of weights; the widths are those of its tensors. Raises InvalidInput where files do not fit."""
        vgg = {
            name: value
            for name, value in read_tensors(folder / VGG_FILE).items()
            if name.startswith("features.")
        }
        heads = read_tensors(folder / HEADS_FILE)
        names = [f"features.{number}.weight" for number in _FIRST_CONVOLUTIONS]
        if missing := [name for name in names if name not in vgg]:
            raise InvalidInput(
                f"{folder / VGG_FILE} lacks {missing[0]}; it must hold VGG16 as torchvision names its tensors"
            )
        if any((value < 0).any() for value in heads.values()):
            raise InvalidInput(
                f"{folder / HEADS_FILE} has negative weights; the heads of LPIPS have none"
            )
        network = cls([len(vgg[name]) for name in names])
        fill(
            network.features,
            {name.removeprefix("features."): value for name, value in vgg.items()},
            folder / VGG_FILE,
        )
        renamed = {
            name.removeprefix("lin").replace(".model.1.", "."): value
            for name, value in heads.items()
        }
        fill(network.heads, renamed, folder / HEADS_FILE)
        return network.to(device)

    def describe(self, pictures: Tensor) -> list[Tensor]:
        """Unit-length features of pictures [n, 3, H, W] in [-1,1] at five depths, [n, C, H/2^k, W/2^k]; compute once, compare often."""
        found = []
        hidden = (pictures - self.shift) / self.scale
        for number, layer in enumerate(self.features):
            hidden = layer(hidden)
            if number in _TAPS:
                found.append(hidden / (hidden.norm(dim=1, keepdim=True) + _EPSILON))
        return found

    def maps(self, one: Sequence[Tensor], other: Sequence[Tensor]) -> list[Tensor]:
        """Where described pictures differ: [n, h, w] for each depth. The distance is the sum of their means."""
        return [
            head((a - b) ** 2).squeeze(1) for head, a, b in zip(self.heads, one, other, strict=True)
        ]

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Distances [n] of pictures [n, 3, H, W] in [-1,1]: 0 for the same picture, of the order of 1 for unlike ones."""
        maps = self.maps(self.describe(one), self.describe(other))
        return torch.stack([difference.mean(dim=(1, 2)) for difference in maps]).sum(dim=0)


def _vgg(widths: Sequence[int]) -> nn.Sequential:
    """VGG16 down to relu5_3, its layers numbered as torchvision numbers them."""
    layers: list[nn.Module] = []
    channels = 3
    for width, depth in zip(widths, _DEPTHS, strict=True):
        if layers:
            layers.append(nn.MaxPool2d(2))
        for _ in range(depth):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
    return nn.Sequential(*layers)
