"""A smooth panorama and an untrained model of its size."""

from fractions import Fraction

import numpy as np
import pytest

from argus.dataset import Window
from argus.diffusion import ArgusPipeline
from tests.support.models import build_small_tiny


def make_smooth_panorama(height: int, frames: int) -> np.ndarray:
    """Return a slowly turning panorama, uint8 [T, H, 2H, 3].

    Colors are low harmonics of the direction, so they are smooth at the seam and the poles too.
    """
    lat = (0.5 - (np.arange(height) + 0.5) / height) * np.pi
    lon = ((np.arange(2 * height) + 0.5) / (2 * height) - 0.5) * 2 * np.pi
    lat, lon = np.meshgrid(lat, lon, indexing="ij")
    turned = [lon + 0.05 * k for k in range(frames)]
    colors = [
        [np.cos(lat) * np.cos(east), np.sin(lat), np.cos(lat) * np.sin(east)] for east in turned
    ]
    return np.rint(127.5 + 100 * np.moveaxis(np.array(colors), 1, -1)).astype(np.uint8)


@pytest.fixture
def window() -> Window:
    return Window("url:0123456789abcdef@0-10000", make_smooth_panorama(32, 3), Fraction(5), 0)


@pytest.fixture(scope="session")
def pipeline() -> ArgusPipeline:
    return build_small_tiny(3)
