"""LPIPS of a clip: do its halves look alike (stereo, half a sphere), and does anything change (static)?

The published tests of the authors' filters (thresholds 0.05, 0.3 and 0.002), measured with `argus.networks.lpips`.
"""

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from argus.curate.frame_sampling import SampledFrames, resize_frames
from argus.curate.scorers.clip_samples import ClipSamples
from argus.curate.views import six_views, view_weights
from argus.networks.lpips import HEADS_FILE, VGG_FILE, LpipsVgg
from argus.pixels import frames_to_tensor

_FOLDER = "lpips"
_SIDE = 128  # pixels of a view; the map is 128×256. LPIPS was trained on 64, and VGG costs 10 GFLOP at 128


class LpipsScorer:
    """`left_right` and `top_bottom`: the halves of the map. `between`: successive moments over six views, by solid angle."""

    name: ClassVar[str] = "lpips"
    version: ClassVar[int] = 1
    scores: ClassVar[tuple[str, ...]] = ("left_right", "top_bottom", "between")
    package: ClassVar[tuple[str, str] | None] = None
    files: ClassVar[tuple[str, ...]] = (f"{_FOLDER}/{VGG_FILE}", f"{_FOLDER}/{HEADS_FILE}")

    def __init__(self, network: LpipsVgg, device: str) -> None:
        self.network = network
        self.device = device

    @classmethod
    def load(cls, weights: Path, device: str) -> Self:
        return cls(LpipsVgg.load(weights / _FOLDER, device), device)

    @torch.inference_mode()
    def score(self, clip: ClipSamples) -> dict[str, float]:
        """Each the mean over the moments; `between` is 0 for a single moment, which does not move."""
        maps = resize_frames(clip.moments.small, (_SIDE, 2 * _SIDE))
        left_right = self._distance(maps[:, :, :_SIDE], maps[:, :, _SIDE:])
        top_bottom = self._distance(maps[:, : _SIDE // 2], maps[:, _SIDE // 2 :])
        return {
            "left_right": left_right,
            "top_bottom": top_bottom,
            "between": self._between(clip.moments),
        }

    def _distance(self, ones: NDArray[np.uint8], others: NDArray[np.uint8]) -> float:
        """The mean over pairs of pictures [n, h, w, 3]; all of them are one batch."""
        return float(
            self.network(
                frames_to_tensor(ones, self.device), frames_to_tensor(others, self.device)
            ).mean()
        )

    def _between(self, moments: SampledFrames) -> float:
        """Each moment is described once: its six views are one batch."""
        described = (
            self.network.describe(frames_to_tensor(views, self.device))
            for views in six_views(moments.small, _SIDE)
        )
        before = next(described)
        distances = []
        for after in described:
            maps = self.network.maps(before, after)
            distances.append(sum(float((part * self._weights(part)).sum()) for part in maps))
            before = after
        return float(np.mean(distances)) if distances else 0.0

    def _weights(self, part: Tensor) -> Tensor:
        return torch.tensor(view_weights(part.shape[-1]), dtype=part.dtype, device=self.device)
