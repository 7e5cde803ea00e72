"""The public names of the package; `lazy_loader` reads this file at run time."""

from .aesthetic import AestheticPredictor
from .fetching import convert_state_dict, describe_by_hand, fetch_weights
from .lpips import LpipsVgg
from .manifest import NETWORKS, Network, Pickled, WeightFile
from .tensors import frames_to_tensor, load_weights, read_tensors
from .weights import (
    WeightState,
    accept_weights,
    check_weights,
    describe_lack,
    find_model,
    require_network,
    verified_digest,
    verified_path,
)

__all__ = [
    "NETWORKS",
    "AestheticPredictor",
    "LpipsVgg",
    "Network",
    "Pickled",
    "WeightFile",
    "WeightState",
    "accept_weights",
    "check_weights",
    "convert_state_dict",
    "describe_by_hand",
    "describe_lack",
    "fetch_weights",
    "find_model",
    "frames_to_tensor",
    "load_weights",
    "read_tensors",
    "require_network",
    "verified_digest",
    "verified_path",
]
