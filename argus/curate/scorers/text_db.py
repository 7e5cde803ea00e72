"""A text detector (DB, Liao et al. 2020) in OpenCV's dnn module on six views: how much of the sphere is lettering?

`text_db/text_detection_db.onnx`: a DB model of OpenCV's zoo, which takes [1, 3, 512, 512] and gives the probability that a pixel lies in the core
of a line of text, 512×512. OpenCV's wheels compute on the CPU only, whatever the device.
"""

from pathlib import Path
from typing import Any, ClassVar, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.curate.scorers.clip_samples import ClipSamples
from argus.curate.views import six_views, view_weights
from argus.errors import InvalidInput

_FILE = "text_db/text_detection_db.onnx"
_SIDE = 512  # of a view; lettering needs more pixels than other tests
_MEAN = (
    122.67891434,
    116.66876762,
    104.00698793,
)  # in the order blue, green, red, as these models were trained
_PROBABLE = 0.3  # the paper's threshold of the map


class TextScorer:
    """`share`: of the sphere that is probably the core of a line of text, the mean over the moments, in [0,1]."""

    name: ClassVar[str] = "text_db"
    version: ClassVar[int] = 1
    scores: ClassVar[tuple[str, ...]] = ("share",)
    package: ClassVar[tuple[str, str] | None] = None
    files: ClassVar[tuple[str, ...]] = (_FILE,)

    def __init__(self, network: Any) -> None:
        self.network = network

    @classmethod
    def load(cls, weights: Path, device: str) -> Self:  # noqa: ARG003
        try:
            return cls(cv2.dnn.readNetFromONNX(str(weights / _FILE)))
        except cv2.error as error:
            raise InvalidInput(
                f"{weights / _FILE} cannot be read as an ONNX model: {error}"
            ) from error

    def score(self, clip: ClipSamples) -> dict[str, float]:
        shares = [
            sum(map(self._share, six_views(frame[None], _SIDE)[0])) for frame in clip.moments.frames
        ]
        return {"share": float(np.mean(shares))}

    def _share(self, view: NDArray[np.uint8]) -> float:
        """Of the whole sphere, what of a view [512, 512, 3] is text."""
        self.network.setInput(
            cv2.dnn.blobFromImage(view, 1 / 255, (_SIDE, _SIDE), _MEAN, swapRB=True)
        )
        probability = self.network.forward().reshape(_SIDE, _SIDE)
        if not np.isfinite(probability).all():
            return float("nan")
        return float(view_weights(_SIDE)[probability > _PROBABLE].sum())
