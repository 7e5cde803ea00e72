"""Aesthetic scorer: a linear predictor on CLIP embeddings of six views."""

from pathlib import Path
from typing import ClassVar, Self

import torch

from argus.curate.scorers.clip_samples import ClipSamples
from argus.networks import NETWORKS, AestheticPredictor, WeightFile, frames_to_tensor


class AestheticScorer:
    """Aesthetic score of the views of a clip.

    Scores:
        mean: mean score of the predictor over the sampled frames and their six views; its range is
            that of the predictor, about 1 to 10 for LAION's.
    """

    name: ClassVar[str] = "aesthetic"
    version: ClassVar[int] = 1
    score_names: ClassVar[tuple[str, ...]] = ("mean",)
    required_package: ClassVar[tuple[str, str] | None] = None
    weight_files: ClassVar[tuple[WeightFile, ...]] = NETWORKS["aesthetic"].files

    def __init__(self, network: AestheticPredictor, device: str) -> None:
        self.network = network
        self.device = device

    @classmethod
    def load(cls, weights: Path, device: str) -> Self:
        """Load the network; see `Scorer.load`."""
        return cls(AestheticPredictor.load(weights / "aesthetic", device), device)

    @torch.inference_mode()
    def score(self, clip: ClipSamples) -> dict[str, float]:
        """Return the scores that the class describes; six views of a frame form one batch."""
        values = [
            self.network(frames_to_tensor(views, self.device)) for views in clip.sampled.views
        ]
        return {"mean": float(torch.cat(values).mean())}
