"""A text detector (DB, Liao et al. 2020) of OpenCV's dnn module on six views: how much of the sphere is lettering?

`text_db/text_detection_db.onnx`: a model of OpenCV's zoo for `cv2.dnn.TextDetectionModel_DB`, which takes [1, 3, 512, 512] and gives the
probability of text, [1, 1, 512, 512]. OpenCV's wheels compute on the CPU only, whatever the device.
"""

from pathlib import Path
from typing import Any, ClassVar, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.curate.learned.samples import ClipSamples
from argus.curate.views import six_views, view_weights
from argus.errors import InvalidInput

_FILE = "text_db/text_detection_db.onnx"
_SIDE = 512  # of a view; lettering needs more pixels than other tests
_MEAN = (122.67891434, 116.66876762, 104.00698793)  # RGB, of the models of OpenCV's zoo
_BINARY, _POLYGON, _UNCLIP, _MOST = 0.3, 0.5, 2.0, 200  # OpenCV's recommendations for DB


class TextScorer:
    """`share`: of the sphere that lies in detected lines of text, the mean over the moments, in [0,1]."""

    name: ClassVar[str] = "text_db"
    version: ClassVar[int] = 1
    scores: ClassVar[tuple[str, ...]] = ("share",)
    package: ClassVar[tuple[str, str] | None] = None
    files: ClassVar[tuple[str, ...]] = (_FILE,)

    def __init__(self, detector: Any) -> None:
        self.detector = detector

    @classmethod
    def load(cls, weights: Path, device: str) -> Self:  # noqa: ARG003
        try:
            detector = cv2.dnn.TextDetectionModel_DB(str(weights / _FILE))
        except cv2.error as error:
            raise InvalidInput(f"{weights / _FILE} cannot be read as an ONNX model: {error}") from error
        detector.setBinaryThreshold(_BINARY).setPolygonThreshold(_POLYGON).setUnclipRatio(_UNCLIP).setMaxCandidates(_MOST)
        detector.setInputParams(1 / 255, (_SIDE, _SIDE), _MEAN)
        return cls(detector)

    def score(self, clip: ClipSamples) -> dict[str, float]:
        shares = [sum(map(self._share, six_views(frame[None], _SIDE)[0])) for frame in clip.moments.frames]
        return {"share": float(np.mean(shares))}

    def _share(self, view: NDArray[np.uint8]) -> float:
        """Of the whole sphere, what of a view [512, 512, 3] lies in text."""
        quadrangles, _ = self.detector.detect(view)
        mask = np.zeros((_SIDE, _SIDE), np.uint8)
        for quadrangle in quadrangles:
            cv2.fillConvexPoly(mask, np.asarray(quadrangle, np.int32), 1)
        return float((mask * view_weights(_SIDE)).sum())
