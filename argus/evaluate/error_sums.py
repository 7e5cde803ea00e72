"""ErrorSums that add: squared error and weight per area and weighting, and the metrics that follow from them.

A pixel is *seen* when the input's camera saw it in any frame of the clip; it then counts as seen in all of the clip's frames, and as
*unseen* in all otherwise. (Seen is the fidelity protocol of the Argus authors.) PSNR weighs every pixel of the map alike; WS-PSNR weighs
each by its solid angle (Sun, Lu and Yu, 2017).
ErrorSums pool the squared error of many clips before the logarithm is taken.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from argus.sphere import solid_angle

METRICS = ("psnr_all", "psnr_seen", "psnr_unseen", "ws_psnr_all", "ws_psnr_seen", "ws_psnr_unseen")
"""Names of the metrics, dB, higher is better."""

PSNR_CAP = 100.0
"""dB; what equal pictures get, since infinity is no JSON. (One level off in one of 150 000 values would be 100 dB.)"""

_PEAK = 255.0
_GRID = 1024.0  # sums lie on a grid of 1/1024: below 2^43 they add without rounding, so the order of merging does not show
_ZEROS = (0.0,) * len(METRICS)


@dataclass(frozen=True)
class ErrorSums:
    """Squared error (of uint8 levels) and weight, each in the order of METRICS. `ErrorSums()` is the zero; `+` merges, in any order."""

    squared_error: tuple[float, ...] = _ZEROS
    weight: tuple[float, ...] = _ZEROS

    @classmethod
    def of(
        cls, generated: NDArray[np.uint8], truth: NDArray[np.uint8], seen: NDArray[np.bool_]
    ) -> Self:
        """The sums of one clip: `generated` and `truth` uint8 [T,H,W,3], `seen` bool [H,W] or [T,H,W]. Raises ValueError on other shapes."""
        if (
            generated.dtype != np.uint8
            or truth.dtype != np.uint8
            or generated.shape != truth.shape
            or truth.ndim != 4
        ):
            raise ValueError(
                f"both videos must be uint8 [T,H,W,3]; got {generated.dtype} {generated.shape} and {truth.dtype} {truth.shape}"
            )
        ever = seen.any(axis=0) if seen.ndim == 3 else seen
        if ever.shape != truth.shape[1:3]:
            raise ValueError(f"seen must be bool {truth.shape[1:3]}; got {seen.shape}")
        error = np.square(generated.astype(np.float64) - truth).sum(axis=(0, 3))  # [H, W]
        count = float(truth.shape[0] * truth.shape[3])
        angle = solid_angle(truth.shape[1:3])
        weights = (np.ones_like(angle), angle / angle.mean())
        areas = (np.ones_like(ever), ever, ~ever)
        pairs = [
            (float((weight * error)[area].sum()), count * float(weight[area].sum()))
            for weight in weights
            for area in areas
        ]
        return cls(
            tuple(_on_grid(pair[0]) for pair in pairs), tuple(_on_grid(pair[1]) for pair in pairs)
        )

    def __add__(self, other: "ErrorSums") -> "ErrorSums":
        return ErrorSums(
            _added(self.squared_error, other.squared_error), _added(self.weight, other.weight)
        )

    def metrics(self) -> dict[str, float]:
        """dB by the names of METRICS, each at most PSNR_CAP; an area without a pixel is left out."""
        triples = zip(METRICS, self.squared_error, self.weight, strict=True)
        return {name: psnr(error / weight) for name, error, weight in triples if weight > 0}


def psnr(mean_squared_error: float) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error of uint8 levels, at most PSNR_CAP."""
    if mean_squared_error <= 0:
        return PSNR_CAP
    return min(PSNR_CAP, 10 * math.log10(_PEAK**2 / mean_squared_error))


def _added(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(x + y for x, y in zip(a, b, strict=True))


def _on_grid(value: float) -> float:
    return round(value * _GRID) / _GRID
