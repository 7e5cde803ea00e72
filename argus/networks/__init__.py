"""Small networks that curation and evaluation share, and the manifest of their weights."""

from argus.networks.aesthetic import AestheticPredictor
from argus.networks.lpips import LpipsVgg
from argus.networks.weights import (
    WEIGHT_FILES,
    WeightFile,
    frames_to_tensor,
    load_weights,
    read_tensors,
)

__all__ = [
    "WEIGHT_FILES",
    "AestheticPredictor",
    "LpipsVgg",
    "WeightFile",
    "frames_to_tensor",
    "load_weights",
    "read_tensors",
]
