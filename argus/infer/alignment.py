"""View-based frame alignment (Argus, section 3.3).

Every frame of an ordinary video is projected into one shared ERP map, at the orientation of its
camera.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from argus.diffusion import UNSEEN
from argus.errors import InvalidInput
from argus.pixels import frames_to_tensor
from argus.sphere import Trajectory, view_to_erp


@dataclass(frozen=True)
class ProjectedViews:
    """Visible part of a panorama."""

    erp: Tensor  # float32 [T, 3, H, W] in [-1, 1], -1 where unseen
    mask: Tensor  # bool [T, H, W], True where seen


def project_views(
    views: NDArray[np.uint8], trajectory: Trajectory, erp_size: tuple[int, int]
) -> ProjectedViews:
    """Project frames into the map at the orientations of a trajectory.

    Args:
        views: uint8 [T, h, w, 3]. The field of view of the trajectory's camera counts, not its
            size in pixels.
        trajectory: one rotation per frame.
        erp_size: (H, W) of the map.

    Raises:
        InvalidInput: the numbers of frames and rotations differ.
    """
    if len(views) != len(trajectory):
        raise InvalidInput(
            f"got {len(views)} frames and {len(trajectory)} rotations; give one rotation per frame"
        )
    camera = trajectory.camera.with_size(views.shape[2], views.shape[1])
    rotations = torch.from_numpy(trajectory.rotations)
    erp, mask = view_to_erp(frames_to_tensor(views), rotations, camera, erp_size, fill=UNSEEN)
    return ProjectedViews(erp, mask)


def align_views(
    views: NDArray[np.uint8], trajectory: Trajectory, erp_size: tuple[int, int]
) -> ProjectedViews:
    """Project frames with orientations relative to the first, which is centered in the map.

    Args and errors are those of `project_views`.
    """
    return project_views(views, trajectory.relative(), erp_size)
