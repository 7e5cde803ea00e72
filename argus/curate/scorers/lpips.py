"""LPIPS scorer: equal halves (stereo, half a sphere) and the change between sampled frames.

These are the published tests of the authors' filters (thresholds 0.05, 0.3 and 0.002).
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
from argus.networks import NETWORKS, LpipsVgg, WeightFile, frames_to_tensor

_SIDE = 128
"""Pixels of a view; the map is 128×256. LPIPS was trained on 64; VGG costs 10 GFLOP at 128."""


class LpipsScorer:
    """LPIPS distances within and between the sampled frames of a clip.

    Scores are means over the sampled frames, from 0 for equal pictures to about 1.

    Scores:
        left_right: distance of the left and right halves of the map.
        top_bottom: distance of the upper and lower halves of the map.
        between: distance of successive sampled frames over six views by solid angle; 0 for a
            single frame.
    """

    name: ClassVar[str] = "lpips"
    version: ClassVar[int] = 1
    score_names: ClassVar[tuple[str, ...]] = ("left_right", "top_bottom", "between")
    required_package: ClassVar[tuple[str, str] | None] = None
    weight_files: ClassVar[tuple[WeightFile, ...]] = NETWORKS["lpips"].files

    def __init__(self, network: LpipsVgg, device: str) -> None:
        self.network = network
        self.device = device

    @classmethod
    def load(cls, weights: Path, device: str) -> Self:
        """Load the network; see `Scorer.load`."""
        return cls(LpipsVgg.load(weights / "lpips", device), device)

    @torch.inference_mode()
    def score(self, clip: ClipSamples) -> dict[str, float]:
        """Return the scores that the class describes."""
        maps = resize_frames(clip.sampled.small, (_SIDE, 2 * _SIDE))
        half = _SIDE // 2
        return {
            "left_right": self._mean_distance(maps[:, :, :_SIDE], maps[:, :, _SIDE:]),
            "top_bottom": self._mean_distance(maps[:, :half], maps[:, half:]),
            "between": self._temporal_distance(clip.sampled),
        }

    def _mean_distance(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
        """Return the mean distance of pairs of pictures [n, h, w, 3], which form one batch."""
        pictures = (frames_to_tensor(part, self.device) for part in (first, second))
        return float(self.network(*pictures).mean())

    def _temporal_distance(self, sampled: SampledFrames) -> float:
        """Return the mean distance of successive frames; six views of a frame form one batch."""
        features = (
            self.network.extract_features(frames_to_tensor(views, self.device))
            for views in six_views(sampled.small, _SIDE)
        )
        before = next(features)
        distances = []
        for after in features:
            maps = self.network.distance_maps(before, after)
            distances.append(sum(float((part * self._weights(part)).sum()) for part in maps))
            before = after
        return float(np.mean(distances)) if distances else 0.0

    def _weights(self, part: Tensor) -> Tensor:
        return torch.tensor(view_weights(part.shape[-1]), dtype=part.dtype, device=self.device)
