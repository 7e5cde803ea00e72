"""Textures without aliasing: what is finer than a pixel's footprint fades out. All arrays are float32 `[N]`."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

TILE = 512  # pixels of the noise tile, which repeats
GRAIN = 6.0  # pixels of the tile to one wavelength


class Noise:
    """Smooth noise of mean 0 and standard deviation 1, sampled at any scale."""

    def __init__(self, seed: int) -> None:
        white = np.random.default_rng(np.random.SeedSequence((seed, 77))).normal(size=(TILE, TILE))
        margin = 16
        smooth = cv2.GaussianBlur(np.pad(white, margin, mode="wrap"), (0, 0), GRAIN / 4)[
            margin:-margin, margin:-margin
        ]
        self._tile = (smooth / smooth.std()).astype(np.float32)

    def sample(self, u: np.ndarray, v: np.ndarray, wavelength: float) -> np.ndarray:
        """Noise at (u, v), in the wavelength's unit."""
        count, width = len(u), 1024  # cv2 takes pictures, so the points are folded
        folded = np.zeros((2, max(1, math.ceil(count / width)), width), np.float32)
        for plane, values in zip(folded, (u, v), strict=True):
            tiles = values * np.float32(GRAIN / wavelength / TILE)
            plane.reshape(-1)[:count] = (tiles - np.floor(tiles)) * np.float32(TILE)
        return cv2.remap(
            self._tile, folded[0], folded[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
        ).reshape(-1)[:count]

    def mixed(
        self,
        u: np.ndarray,
        v: np.ndarray,
        footprint: np.ndarray,
        octaves: Sequence[tuple[float, float]],
    ) -> np.ndarray:
        """Sum over (wavelength, weight), each faded where a pixel of size `footprint` no longer resolves it."""
        total = np.zeros(len(u), np.float32)
        for wavelength, weight in octaves:
            total += self.sample(u, v, wavelength) * (
                np.float32(weight) * np.clip(wavelength / (2 * footprint) - 0.5, 0, 1)
            )
        return total


def stripe(distance: np.ndarray, half: float | np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Share of a pixel that a stripe of half-width `half` covers, at a distance (of either sign) from its middle."""
    return np.clip((half - np.abs(distance)) / footprint + 0.5, 0, 1) * np.minimum(
        1, 2 * half / footprint
    )


def area(distance: np.ndarray, half: float | np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """As `stripe`, for something that is much wider than a pixel."""
    return np.clip((half - np.abs(distance)) / footprint + 0.5, 0, 1)


def centred(x: np.ndarray, period: float) -> np.ndarray:
    """Distance to the nearest multiple of the period, signed."""
    return x - np.float32(period) * np.rint(x * np.float32(1 / period))


def mix(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    """`a` where share is 0, `b` where it is 1; colours `[N, 3]` or `[3]`, share `[N]`."""
    return a + (b - a) * share[:, None]
