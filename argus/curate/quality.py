"""One number per clip for a later, stricter choice; nothing is dropped by it."""

import cv2
import numpy as np

from argus.curate.samples import Samples
from argus.curate.static import mean_difference

_HALF = {"sharpness": 200.0, "contrast": 1500.0, "motion": 0.03}
"""The amount at which a term is ½: Laplacian variance and grey variance in grey levels squared at 256×512, mean difference in [0,1]."""


def quality(samples: Samples) -> float:
    """The geometric mean of sharpness, contrast and motion, each x / (x + half) of its median over frames: in [0,1), rising with each."""
    grey = samples.grey
    amounts = {
        "sharpness": float(np.median([cv2.Laplacian(frame, cv2.CV_32F).var() for frame in grey])),
        "contrast": float(np.median(grey.var(axis=(1, 2)))),
        "motion": mean_difference(samples),
    }
    terms = [amount / (amount + _HALF[name]) for name, amount in amounts.items()]
    return float(np.prod(terms) ** (1 / len(terms)))
