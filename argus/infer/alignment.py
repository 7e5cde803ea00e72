"""View-based frame alignment: every frame of an ordinary video is placed in one shared ERP map, at its camera's orientation (Argus, section 3.3)."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from argus.diffusion.condition import UNSEEN
from argus.errors import InvalidInput
from argus.sphere import Trajectory, view_to_erp


@dataclass(frozen=True)
class Aligned:
    """What is known of the panorama."""

    erp: Tensor  # float32 [T, 3, H, W] in [-1, 1], -1 where unseen
    mask: Tensor  # bool [T, H, W], True where seen


def place(views: NDArray[np.uint8], trajectory: Trajectory, erp_size: tuple[int, int]) -> Aligned:
    """Places view frames uint8 [T,h,w,3] in the map (H, W) at the trajectory's orientations, as they are.

    The camera's field of view counts, not its size in pixels. Raises InvalidInput when frames and rotations are not equally many.
    """
    if len(views) != len(trajectory):
        raise InvalidInput(
            f"got {len(views)} frames and {len(trajectory)} rotations; give one rotation per frame"
        )
    camera = trajectory.camera.resized(views.shape[2], views.shape[1])
    erp, mask = view_to_erp(
        to_model(views), torch.from_numpy(trajectory.rotations), camera, erp_size, fill=UNSEEN
    )
    return Aligned(erp, mask)


def align(views: NDArray[np.uint8], trajectory: Trajectory, erp_size: tuple[int, int]) -> Aligned:
    """As `place`, but orientations are relative to the first frame, which lies in the middle of the map."""
    return place(views, trajectory.relative(), erp_size)


def to_model(frames: NDArray[np.uint8]) -> Tensor:
    """uint8 [T,H,W,3] → float32 [T,3,H,W] in [-1,1]."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_frames(video: Tensor) -> NDArray[np.uint8]:
    """float [T,3,H,W] in [-1,1] → uint8 [T,H,W,3], rounded and clamped."""
    levels = ((video.detach().float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    frames: NDArray[np.uint8] = levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return frames
