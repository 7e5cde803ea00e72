"""Moving networks."""

import torch
from torch import nn


def place(module: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Moves a network to a device and a type of number; diffusers warns of every cast, so there is one only where the type changes."""
    module.to(device)
    if next(module.parameters()).dtype != dtype:
        nn.Module.to(module, dtype=dtype)
