"""RAFT scorer (Teed and Deng 2020): speed of optical flow, including the camera's rotation.

The network is torchvision's `raft_large`.
"""

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from argus.curate.frame_sampling import VIEW_SIDE
from argus.curate.scorers.clip_samples import ClipSamples
from argus.curate.views import six_views, view_weights
from argus.networks import NETWORKS, WeightFile, frames_to_tensor, load_weights, read_tensors


class RaftScorer:
    """Optical flow on six views.

    Scores:
        speed_deg_s: mean angular speed of the directions of six views between a sampled frame and
            its next frame, by solid angle, in degrees per second; 0 if no frame has a next frame.
    """

    name: ClassVar[str] = "raft"
    version: ClassVar[int] = 1
    score_names: ClassVar[tuple[str, ...]] = ("speed_deg_s",)
    required_package: ClassVar[tuple[str, str] | None] = (
        "torchvision",
        "pip install 'argus-360[learned]'; its version must match torch's build",
    )
    weight_files: ClassVar[tuple[WeightFile, ...]] = NETWORKS["raft"].files

    def __init__(self, network: Any, device: str) -> None:
        self.network = network
        self.device = device

    @classmethod
    def load(cls, weights: Path, device: str) -> Self:
        """Load the network; see `Scorer.load`."""
        from torchvision.models.optical_flow import raft_large

        network = raft_large(weights=None)
        path = weights / cls.weight_files[0].path
        load_weights(network, read_tensors(path), path)
        return cls(network.to(device), device)

    @torch.inference_mode()
    def score(self, clip: ClipSamples) -> dict[str, float]:
        """Return the scores that the class describes; six views of a frame form one batch."""
        sampled = clip.sampled
        speeds = []
        for frame, next_frame, interval_s in zip(
            sampled.frames, sampled.next_frames, sampled.intervals_s, strict=True
        ):
            if interval_s > 0:
                pair = (
                    frames_to_tensor(views, self.device)
                    for views in six_views(np.stack([frame, next_frame]), VIEW_SIDE)
                )
                flow = self.network(*pair)[-1].permute(0, 2, 3, 1).cpu().numpy()
                angles = flow_angles_deg(flow) * view_weights(VIEW_SIDE)
                speeds.append(float(angles.sum() / interval_s))
        return {"speed_deg_s": float(np.mean(speeds)) if speeds else 0.0}


def flow_angles_deg(flow: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute the angle between a pixel's direction and the direction that its flow leads to.

    Args:
        flow: flow (x, y) in pixels of 90° views, [n, side, side, 2].

    Returns:
        Angles in degrees [n, side, side].
    """
    side = flow.shape[1]
    edge = np.arange(side) + 0.5 - side / 2
    focal = np.full((side, side), side / 2)
    start = np.stack([*np.meshgrid(edge, edge), focal], axis=-1)  # (u, v, f), not of unit length
    end = start + np.pad(flow.astype(np.float64), ((0, 0), (0, 0), (0, 0), (0, 1)))
    cross = np.linalg.norm(np.cross(np.broadcast_to(start, end.shape), end), axis=-1)
    return np.degrees(np.arctan2(cross, (start * end).sum(axis=-1)))
