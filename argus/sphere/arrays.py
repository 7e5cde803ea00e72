"""Array helpers that let one implementation of the geometry serve numpy and torch.

Inside `argus.sphere` frames are channels-last, `[T, H, W, C]`, in both libraries. torch is imported
only when a tensor is passed.
"""

from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from argus.errors import InvalidInput

if TYPE_CHECKING:
    import torch

Frames = TypeVar("Frames", bound="np.ndarray | torch.Tensor")
"""Frames as callers pass them: numpy `[T, H, W, C]`, uint8 or float, or torch float `[T, C, H, W]`
on any device."""

Array = Any
"""A numpy array or a torch tensor; see `array_namespace`."""

Interpolation = Literal["linear", "cubic"]
"""Interpolation kernel: bilinear, or bicubic (Keys, a = -0.75)."""


def is_numpy(x: Array) -> bool:
    """Return True for a numpy array."""
    return isinstance(x, np.ndarray)


def array_namespace(x: Array) -> Any:
    """Return the module that implements x: numpy or torch.

    Only functions with the same name and arguments in both modules are called through it.
    """
    if is_numpy(x):
        return np
    import torch

    if not isinstance(x, torch.Tensor):
        raise InvalidInput(f"expected a numpy array or a torch tensor, got {type(x).__name__}")
    return torch


def as_float_like(values: Array, like: Array) -> Array:
    """Convert numbers to the library, device and coordinate precision of `like`.

    Coordinates are float64 in numpy, and float32 in torch unless `like` is float64.
    """
    if is_numpy(like):
        return np.asarray(
            values.detach().cpu() if hasattr(values, "detach") else values, dtype=np.float64
        )
    torch = array_namespace(like)
    dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
    return torch.as_tensor(values, dtype=dtype, device=like.device)


def to_channels_last(frames: Array) -> Array:
    """Validate frames and return them as `[T, H, W, C]`.

    Raises:
        InvalidInput: The shape or the type is not that of `Frames`.
    """
    if frames.ndim != 4:
        raise InvalidInput(
            "frames must have 4 axes (numpy [T, H, W, C], torch [T, C, H, W]), "
            f"got shape {tuple(frames.shape)}"
        )
    if is_numpy(frames):
        if frames.dtype != np.uint8 and not np.issubdtype(frames.dtype, np.floating):
            raise InvalidInput(f"numpy frames must be uint8 or float, got {frames.dtype}")
        if not 1 <= frames.shape[3] <= 4:
            raise InvalidInput(
                "numpy frames must have 1 to 4 channels (torch any number), "
                f"got shape {frames.shape}"
            )
        return frames
    if not array_namespace(frames).is_floating_point(frames):
        raise InvalidInput(f"torch frames must be floating point, got {frames.dtype}")
    return frames.permute(0, 2, 3, 1)


def from_channels_last(frames: Array) -> Array:
    """Convert `[T, H, W, C]` to the axis order of `Frames`: the inverse of `to_channels_last`."""
    return frames if is_numpy(frames) else frames.permute(0, 3, 1, 2)


def as_rotations(rotations: Array, like: Array) -> Array:
    """Validate rotation matrices and return them as `[T, 3, 3]` in the library of `like`.

    Args:
        rotations: Camera-to-world matrices, `[T, 3, 3]`, or `[3, 3]` for all frames.
        like: Array that gives library, device and precision; see `as_float_like`.

    Raises:
        InvalidInput: The shape differs, or (numpy only) a matrix is not orthonormal.
    """
    matrices = as_float_like(rotations, like)
    if matrices.ndim == 2:
        matrices = matrices[None]
    if tuple(matrices.shape[1:]) != (3, 3):
        raise InvalidInput(
            f"rotations must be [T, 3, 3] or [3, 3], got shape {tuple(matrices.shape)}"
        )
    if is_numpy(matrices) and not np.allclose(
        matrices @ matrices.transpose(0, 2, 1), np.eye(3), atol=1e-4
    ):
        raise InvalidInput(
            "rotations must be orthonormal camera-to-world matrices; at least one is not"
        )
    return matrices
