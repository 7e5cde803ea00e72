"""Weights from local safetensors files, and pictures as tensors. Nothing that is read here can execute code."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from argus.errors import InvalidInput


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name. Raises InvalidInput where it is none."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise InvalidInput(
            f"{path} cannot be read as safetensors: {error}; see argus.curate.scorers for the files that a scorer needs"
        ) from error


def fill(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Loads all weights of a module and freezes it. Raises InvalidInput where names or shapes differ from the module's."""
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise InvalidInput(f"{path} does not fit {type(module).__name__}: {error}") from error
    module.eval().requires_grad_(requires_grad=False)
