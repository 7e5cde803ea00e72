"""Reading the tensors of a network. Nothing that is read can run code."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from argus.errors import InvalidInput


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
            "`argus weights list` names the files of each network"
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
