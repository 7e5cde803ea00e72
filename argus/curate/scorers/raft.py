"""RAFT (Teed and Deng 2020) on six views: how fast the picture flows, the camera's own turning included.

torchvision's `raft_large`; its state dict as safetensors in `raft/raft_large.safetensors`.
"""

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from argus.curate.frame_sampling import VIEW_SIDE
from argus.curate.scorers.clip_samples import ClipSamples
from argus.curate.views import six_views, view_weights
from argus.networks.weights import fill, read_tensors
from argus.pixels import frames_to_tensor

_FILE = "raft/raft_large.safetensors"


class RaftScorer:
    """`speed_deg_s`: the mean angle by which the directions of six views move between a moment and its successor, per second."""

    name: ClassVar[str] = "raft"
    version: ClassVar[int] = 1
    scores: ClassVar[tuple[str, ...]] = ("speed_deg_s",)
    package: ClassVar[tuple[str, str] | None] = (
        "torchvision",
        "pip install 'argus-360[learned]'; its version must match torch's build",
    )
    files: ClassVar[tuple[str, ...]] = (_FILE,)

    def __init__(self, network: Any, device: str) -> None:
        self.network = network
        self.device = device

    @classmethod
    def load(cls, weights: Path, device: str) -> Self:
        from torchvision.models.optical_flow import raft_large

        network = raft_large(weights=None)
        fill(network, read_tensors(weights / _FILE), weights / _FILE)
        return cls(network.to(device), device)

    @torch.inference_mode()
    def score(self, clip: ClipSamples) -> dict[str, float]:
        """By solid angle over the sphere; 0 where no moment has a successor. The six views of a moment are one batch."""
        moments = clip.moments
        speeds = []
        for frame, next_frames, gap in zip(
            moments.frames, moments.next_frames, moments.intervals_s, strict=True
        ):
            if gap > 0:
                one, other = (
                    frames_to_tensor(views, self.device)
                    for views in six_views(np.stack([frame, next_frames]), VIEW_SIDE)
                )
                flow = self.network(one, other)[-1].permute(0, 2, 3, 1).cpu().numpy()
                speeds.append(float((angles_deg(flow) * view_weights(VIEW_SIDE)).sum() / gap))
        return {"speed_deg_s": float(np.mean(speeds)) if speeds else 0.0}


def angles_deg(flow: NDArray[np.float32]) -> NDArray[np.float64]:
    """The angle [n, s, s] in degrees between where each pixel of a 90° view looks and where its flow [n, s, s, 2] (x, y, pixels) leads."""
    side = flow.shape[1]
    edge = np.arange(side) + 0.5 - side / 2
    start = np.stack(
        [*np.meshgrid(edge, edge), np.full((side, side), side / 2)], axis=-1
    )  # DESIGN: (u, v, f), f = side/2
    end = start + np.pad(flow.astype(np.float64), ((0, 0), (0, 0), (0, 0), (0, 1)))
    crossed = np.linalg.norm(np.cross(np.broadcast_to(start, end.shape), end), axis=-1)
    return np.degrees(np.arctan2(crossed, (start * end).sum(axis=-1)))
