"""The thin layer under which one geometry serves numpy and torch.

Inside the package frames are channels-last in both: `[T, H, W, C]`. torch is imported only when a tensor arrives.
"""

from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from argus.errors import InvalidInput

if TYPE_CHECKING:
    import torch

Frames = TypeVar("Frames", bound="np.ndarray | torch.Tensor")
"""numpy `uint8` or float `[T, H, W, C]`, or torch float `[T, C, H, W]` on any device."""

Array = Any
"""A numpy array or a torch tensor; the module that made it answers `namespace_of`."""

Interpolation = Literal["linear", "cubic"]


def is_numpy(x: Array) -> bool:
    return isinstance(x, np.ndarray)


def namespace_of(x: Array) -> Any:
    """The module whose functions take x: numpy or torch. Only calls that both spell alike are made through it."""
    if is_numpy(x):
        return np
    import torch

    if not isinstance(x, torch.Tensor):
        raise InvalidInput(f"expected a numpy array or a torch tensor, got {type(x).__name__}")
    return torch


def real_like(values: Array, like: Array) -> Array:
    """Numbers in the precision that coordinates have beside `like`: float64 in numpy, at least float32 on the tensor's device in torch."""
    if is_numpy(like):
        return np.asarray(
            values.detach().cpu() if hasattr(values, "detach") else values, dtype=np.float64
        )
    torch = namespace_of(like)
    dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
    return torch.as_tensor(values, dtype=dtype, device=like.device)


def channels_last(frames: Array) -> Array:
    """`[T, H, W, C]` of frames in either library's own order; refuses everything else."""
    if frames.ndim != 4:
        raise InvalidInput(
            f"frames must have 4 axes (numpy [T, H, W, C], torch [T, C, H, W]), got shape {tuple(frames.shape)}"
        )
    if is_numpy(frames):
        if frames.dtype != np.uint8 and not np.issubdtype(frames.dtype, np.floating):
            raise InvalidInput(f"numpy frames must be uint8 or float, got {frames.dtype}")
        if not 1 <= frames.shape[3] <= 4:
            raise InvalidInput(
                f"numpy frames have 1 to 4 channels (torch any number), got shape {frames.shape}"
            )
        return frames
    if not namespace_of(frames).is_floating_point(frames):
        raise InvalidInput(f"torch frames must be floating point, got {frames.dtype}")
    return frames.permute(0, 2, 3, 1)


def own_order(frames: Array) -> Array:
    """The reverse of `channels_last`."""
    return frames if is_numpy(frames) else frames.permute(0, 3, 1, 2)


def turns_of(rotations: Array, like: Array) -> Array:
    """Rotation matrices `[T, 3, 3]` beside `like`; one `[3, 3]` counts for all frames."""
    turns = real_like(rotations, like)
    if turns.ndim == 2:
        turns = turns[None]
    if tuple(turns.shape[1:]) != (3, 3):
        raise InvalidInput(f"rotations must be [T, 3, 3] or [3, 3], got shape {tuple(turns.shape)}")
    if is_numpy(turns) and not np.allclose(turns @ turns.transpose(0, 2, 1), np.eye(3), atol=1e-4):
        raise InvalidInput(
            "rotations must be orthonormal matrices (camera-to-world); at least one is not"
        )
    return turns
