"""Baselines: completions of a partly seen panorama that need no weights.

A model has to beat the strongest of them, `fill_combined`. Every baseline takes frames
uint8 [T, H, W, 3] and a mask bool [T, H, W] (True where seen), keeps the seen pixels and returns
uint8 [T, H, W, 3]. Maps are circular along longitude. All but `fill_combined` complete each frame
by itself. A frame with nothing seen becomes gray.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from argus.diffusion import fill_pull_push, fill_row_mean, fill_unseen
from argus.pixels import frames_to_tensor, tensor_to_frames

Frames = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Baseline = Callable[[Frames, Mask], Frames]
FrameFill = Callable[[Tensor, Tensor], Tensor]
"""Filling of float [N, 3, H, W] in [-1, 1], given weights [N, 1, H, W]: 1 where known, else 0."""


def fill_black(frames: Frames, mask: Mask) -> Frames:
    """Fill with black, or with gray where nothing is seen."""
    return _fill_frames(frames, mask, lambda x, _: torch.full_like(x, -1))


def fill_mean_color(frames: Frames, mask: Mask) -> Frames:
    """Fill with the mean color of the seen pixels of the frame."""
    return _fill_frames(frames, mask, _mean_color)


def fill_row_means(frames: Frames, mask: Mask) -> Frames:
    """Fill with the mean color of the seen pixels of the row (`fill_row_mean`)."""
    return _fill_frames(frames, mask, fill_row_mean)


def fill_smooth(frames: Frames, mask: Mask) -> Frames:
    """Fill with averages of the seen pixels, from coarse to fine (`fill_pull_push`)."""
    return _fill_frames(frames, mask, fill_pull_push)


def fill_combined(frames: Frames, mask: Mask) -> Frames:
    """Fill with the mean over other frames, else with the average of rows and smooth fill.

    This is `fill_unseen`, from which residual models start.
    """
    _check_shapes(frames, mask)
    x, seen = frames_to_tensor(frames), torch.from_numpy(np.ascontiguousarray(mask))[:, None]
    return _keep_seen(frames, mask, fill_unseen(x[None], seen[None])[0])


BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {
        "black": fill_black,
        "mean": fill_mean_color,
        "row_mean": fill_row_means,
        "pull_push": fill_smooth,
        "strongest": fill_combined,
    }
)
"""All baselines by name."""


def _fill_frames(frames: Frames, mask: Mask, fill: FrameFill) -> Frames:
    _check_shapes(frames, mask)
    x = frames_to_tensor(frames)
    weight = torch.from_numpy(np.ascontiguousarray(mask))[:, None].to(x.dtype)
    is_empty = weight.sum((-3, -2, -1), keepdim=True) == 0
    return _keep_seen(frames, mask, torch.where(is_empty, 0.0, fill(x, weight)))


def _keep_seen(frames: Frames, mask: Mask, filled: Tensor) -> Frames:
    return np.where(mask[..., None], frames, tensor_to_frames(filled))


def _mean_color(x: Tensor, weight: Tensor) -> Tensor:
    count = weight.sum((-2, -1), keepdim=True)
    return ((x * weight).sum((-2, -1), keepdim=True) / count.clamp(min=1)).expand_as(x)


def _check_shapes(frames: Frames, mask: Mask) -> None:
    is_video = frames.dtype == np.uint8 and frames.ndim == 4 and frames.shape[-1] == 3
    if not is_video or mask.shape != frames.shape[:3]:
        raise ValueError(
            "frames must be uint8 [T,H,W,3] and the mask bool [T,H,W]; "
            f"got {frames.dtype} {frames.shape} and {mask.shape}"
        )
