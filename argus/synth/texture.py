"""Band-limited procedural textures.

Details finer than the footprint of a pixel, its size on the surface, fade out instead of aliasing.
All arrays are float32 `[N]`.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

TILE_PIXELS = 512
"""Side of the noise tile, which repeats."""

PIXELS_PER_WAVELENGTH = 6.0
"""Pixels of the noise tile per wavelength."""


class NoiseTexture:
    """Smooth noise with mean 0 and standard deviation 1, sampled at any scale."""

    def __init__(self, seed: int) -> None:
        generator = np.random.default_rng(np.random.SeedSequence((seed, 77)))
        white = generator.normal(size=(TILE_PIXELS, TILE_PIXELS))
        margin = 16
        wrapped = np.pad(white, margin, mode="wrap")
        blurred = cv2.GaussianBlur(wrapped, (0, 0), PIXELS_PER_WAVELENGTH / 4)
        smooth = blurred[margin:-margin, margin:-margin]
        self._tile = (smooth / smooth.std()).astype(np.float32)

    def sample(self, u: np.ndarray, v: np.ndarray, wavelength: float) -> np.ndarray:
        """Return noise at the points (u, v), which have the unit of the wavelength."""
        # cv2.remap takes pictures, so the points are arranged as one.
        count, width = len(u), 1024
        coordinates = np.zeros((2, max(1, math.ceil(count / width)), width), np.float32)
        for plane, values in zip(coordinates, (u, v), strict=True):
            tiles = values * np.float32(PIXELS_PER_WAVELENGTH / wavelength / TILE_PIXELS)
            plane.reshape(-1)[:count] = (tiles - np.floor(tiles)) * np.float32(TILE_PIXELS)
        return cv2.remap(
            self._tile, coordinates[0], coordinates[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
        ).reshape(-1)[:count]

    def sum_octaves(
        self,
        u: np.ndarray,
        v: np.ndarray,
        footprint: np.ndarray,
        octaves: Sequence[tuple[float, float]],
    ) -> np.ndarray:
        """Return a sum of noise of several wavelengths.

        Args:
            u: First coordinates of the points.
            v: Second coordinates of the points.
            footprint: Pixel sizes; wavelengths that they do not resolve fade out.
            octaves: (wavelength, weight) of each term.
        """
        total = np.zeros(len(u), np.float32)
        for wavelength, weight in octaves:
            total += self.sample(u, v, wavelength) * (
                np.float32(weight) * np.clip(wavelength / (2 * footprint) - 0.5, 0, 1)
            )
        return total


def stripe_coverage(
    distance: np.ndarray, half_width: float | np.ndarray, footprint: np.ndarray
) -> np.ndarray:
    """Return the share of each pixel that a stripe covers.

    Args:
        distance: Distance of the pixel from the middle of the stripe, of either sign.
        half_width: Half the width of the stripe.
        footprint: Pixel size.
    """
    return area_coverage(distance, half_width, footprint) * np.minimum(
        1, 2 * half_width / footprint
    )


def area_coverage(
    distance: np.ndarray, half_width: float | np.ndarray, footprint: np.ndarray
) -> np.ndarray:
    """Return the share of each pixel covered by an area much wider than a pixel."""
    return np.clip((half_width - np.abs(distance)) / footprint + 0.5, 0, 1)


def offset_from_multiple(x: np.ndarray, period: float) -> np.ndarray:
    """Return the signed distance to the nearest multiple of a period."""
    return x - np.float32(period) * np.rint(x * np.float32(1 / period))


def blend(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Interpolate colors `[N, 3]` or `[3]`: `a` where share `[N]` is 0, `b` where it is 1."""
    return a + (b - a) * share[:, None]
