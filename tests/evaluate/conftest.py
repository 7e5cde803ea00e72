from fractions import Fraction

import numpy as np
import pytest

from argus.dataset import Window
from argus.diffusion import ArgusPipeline, BandStatistics, build_tiny
from schemas.config import ModelSettings


def smooth_sphere(height: int, frames: int) -> np.ndarray:
    """A slowly turning, smooth panorama uint8 [T,H,2H,3]: colours are low harmonics of direction, so the seam and the poles are smooth too."""
    lat = (0.5 - (np.arange(height) + 0.5) / height) * np.pi
    lon = ((np.arange(2 * height) + 0.5) / (2 * height) - 0.5) * 2 * np.pi
    lat, lon = np.meshgrid(lat, lon, indexing="ij")
    turned = [lon + 0.05 * k for k in range(frames)]
    colours = [
        [np.cos(lat) * np.cos(east), np.sin(lat), np.cos(lat) * np.sin(east)] for east in turned
    ]
    return np.rint(127.5 + 100 * np.moveaxis(np.array(colours), 1, -1)).astype(np.uint8)


@pytest.fixture
def window() -> Window:
    return Window("url:0123456789abcdef@0-10000", smooth_sphere(32, 3), Fraction(5), 0)


@pytest.fixture(scope="session")
def pipeline() -> ArgusPipeline:
    """The tiny model before training, at a small size."""
    settings = ModelSettings(height=32, frames=3, context_frames=1, view_height=32)
    return build_tiny(settings, BandStatistics(mean=(0.0,) * 48, std=(0.5,) * 48))
