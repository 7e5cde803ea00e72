"""Text scorer: a DB text detector (Liao et al. 2020) in OpenCV's dnn module.

The model takes [1, 3, 512, 512] and returns the probability that a pixel lies in the core of a
line of text, 512×512. OpenCV's wheels compute on the CPU only, whatever the device.
"""

from pathlib import Path
from typing import Any, ClassVar, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.curate.scorers.clip_samples import ClipSamples
from argus.curate.views import six_views, view_weights
from argus.errors import InvalidInput
from argus.networks import NETWORKS, WeightFile

_SIDE = 512  # pixels of a view; lettering needs more of them than other tests
_MEAN_BGR = (122.67891434, 116.66876762, 104.00698793)  # as the models were trained
_MIN_PROBABILITY = 0.3  # threshold of the probability map in the paper


class TextScorer:
    """Area of text on six views.

    Scores:
        share: mean share of the sphere that is probably the core of a line of text, in [0, 1].
    """

    name: ClassVar[str] = "text_db"
    version: ClassVar[int] = 1
    score_names: ClassVar[tuple[str, ...]] = ("share",)
    required_package: ClassVar[tuple[str, str] | None] = None
    weight_files: ClassVar[tuple[WeightFile, ...]] = NETWORKS["text_db"].files

    def __init__(self, network: Any) -> None:
        self.network = network

    @classmethod
    def load(cls, weights: Path, device: str) -> Self:  # noqa: ARG003
        """Load the network; see `Scorer.load`."""
        path = weights / cls.weight_files[0].path
        try:
            return cls(cv2.dnn.readNetFromONNX(str(path)))
        except cv2.error as error:
            raise InvalidInput(f"{path} cannot be read as an ONNX model: {error}") from error

    def score(self, clip: ClipSamples) -> dict[str, float]:
        """Return the scores that the class describes."""
        shares = [
            sum(map(self._text_share, six_views(frame[None], _SIDE)[0]))
            for frame in clip.sampled.frames
        ]
        return {"share": float(np.mean(shares))}

    def _text_share(self, view: NDArray[np.uint8]) -> float:
        """Return the share of the sphere that is text in a view [512, 512, 3]; NaN on failure."""
        self.network.setInput(
            cv2.dnn.blobFromImage(view, 1 / 255, (_SIDE, _SIDE), _MEAN_BGR, swapRB=True)
        )
        probability = self.network.forward().reshape(_SIDE, _SIDE)
        if not np.isfinite(probability).all():
            return float("nan")
        return float(view_weights(_SIDE)[probability > _MIN_PROBABILITY].sum())
