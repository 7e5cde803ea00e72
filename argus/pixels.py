"""Conversion between uint8 frames and the range [-1, 1] that networks read.

Level v of 0..255 becomes v / 127.5 - 1; the way back rounds to the nearest level and clamps, so
every level survives a round trip.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def scale_levels(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return float32 values in [-1, 1] of uint8 levels, in the same shape."""
    return frames.astype(np.float32) / 127.5 - 1


def frames_to_tensor(frames: NDArray[np.uint8], device: str | torch.device = "cpu") -> Tensor:
    """Convert frames for a network.

    Args:
        frames: uint8 [T, H, W, 3]; not modified.
        device: where the tensor is made.

    Returns:
        float32 [T, 3, H, W] in [-1, 1], a permuted view of channels-last memory.
    """
    levels = torch.from_numpy(np.array(frames, order="C")).to(device)
    return levels.permute(0, 3, 1, 2).float() / 127.5 - 1


def tensor_to_frames(video: Tensor) -> NDArray[np.uint8]:
    """Convert the output of a network to frames.

    Args:
        video: float [T, 3, H, W], nominally in [-1, 1], on any device.

    Returns:
        uint8 [T, H, W, 3], rounded and clamped.
    """
    levels = ((video.detach().float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    frames: NDArray[np.uint8] = levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return frames
