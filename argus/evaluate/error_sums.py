"""Additive error sums per area and weighting, and the metrics computed from them.

A pixel counts as *seen* in all frames of a clip if the input's camera saw it in any of them (the
fidelity protocol of the Argus authors), else as *unseen*. PSNR weights all pixels of the map
alike; WS-PSNR weights them by solid angle (Sun, Lu and Yu 2017). The squared error of many clips
is pooled before the logarithm.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from argus.sphere import solid_angle

METRICS = ("psnr_all", "psnr_seen", "psnr_unseen", "ws_psnr_all", "ws_psnr_seen", "ws_psnr_unseen")
"""Names of the metrics, in dB; higher is better."""

PSNR_CAP = 100.0
"""PSNR of equal videos, in dB, since JSON has no infinity.

One level of error in one of 150 000 values would be 100 dB.
"""

PEAK = 255.0

SUM_GRID = 1024.0
"""Sums are rounded to multiples of 1/1024.

Below 2^43 such numbers add without rounding, so the result does not depend on the order.
"""

_ZEROS = (0.0,) * len(METRICS)


@dataclass(frozen=True)
class ErrorSums:
    """Sums of squared error and of weight, each in the order of METRICS.

    `ErrorSums()` is zero, and `+` merges the sums of two sets of clips.

    Attributes:
        squared_error: weighted squared error of uint8 levels.
        weight: total weight of the values.
    """

    squared_error: tuple[float, ...] = _ZEROS
    weight: tuple[float, ...] = _ZEROS

    @classmethod
    def of(
        cls, generated: NDArray[np.uint8], truth: NDArray[np.uint8], mask: NDArray[np.bool_]
    ) -> Self:
        """Compute the sums of one clip.

        Args:
            generated: uint8 [T, H, W, 3].
            truth: uint8 [T, H, W, 3].
            mask: bool [H, W] or [T, H, W], True where the input's camera saw the pixel.

        Raises:
            ValueError: the shapes or types do not fit.
        """
        _check_videos(generated, truth)
        seen = mask.any(axis=0) if mask.ndim == 3 else mask
        if seen.shape != truth.shape[1:3]:
            raise ValueError(f"the mask must be bool {truth.shape[1:3]}; got {mask.shape}")
        error = np.square(generated.astype(np.float64) - truth).sum(axis=(0, 3))  # [H, W]
        values_per_pixel = float(truth.shape[0] * truth.shape[3])
        angle = solid_angle(truth.shape[1:3])
        weights = (np.ones_like(angle), angle / angle.mean())
        areas = (np.ones_like(seen), seen, ~seen)
        pairs = [
            (
                _round_to_grid(float((weight * error)[area].sum())),
                _round_to_grid(values_per_pixel * float(weight[area].sum())),
            )
            for weight in weights
            for area in areas
        ]
        errors, totals = zip(*pairs, strict=True)
        return cls(errors, totals)

    def __add__(self, other: "ErrorSums") -> "ErrorSums":
        return ErrorSums(
            _add(self.squared_error, other.squared_error), _add(self.weight, other.weight)
        )

    def metrics(self) -> dict[str, float]:
        """Compute the metrics in dB by name, without those of an area that has no pixel."""
        triples = zip(METRICS, self.squared_error, self.weight, strict=True)
        return {name: psnr(error / weight) for name, error, weight in triples if weight > 0}


def psnr(mean_squared_error: float) -> float:
    """Compute the PSNR of a mean squared error of uint8 levels, in dB, at most PSNR_CAP."""
    if mean_squared_error <= 0:
        return PSNR_CAP
    return min(PSNR_CAP, 10 * math.log10(PEAK**2 / mean_squared_error))


def _check_videos(generated: NDArray[np.uint8], truth: NDArray[np.uint8]) -> None:
    is_uint8 = generated.dtype == np.uint8 and truth.dtype == np.uint8
    if not is_uint8 or generated.shape != truth.shape or truth.ndim != 4:
        raise ValueError(
            "both videos must be uint8 [T,H,W,3] of one size; got "
            f"{generated.dtype} {generated.shape} and {truth.dtype} {truth.shape}"
        )


def _add(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(x + y for x, y in zip(a, b, strict=True))


def _round_to_grid(value: float) -> float:
    return round(value * SUM_GRID) / SUM_GRID
