"""A small model, and ordinary videos to generate from."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from argus.diffusion import ArgusPipeline
from argus.media import write_video
from tests.support.models import build_small_tiny


def make_frames(count: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Return frames of a moving pattern, uint8 [n, h, w, 3]."""
    y, x = np.mgrid[:height, :width]
    shift = 2.0 * np.arange(count)[:, None, None]
    waves = [127 + 90 * np.sin((x + shift) / 9 + phase) * np.cos(y / 13) for phase in (0, 1, 2)]
    return np.stack(waves, axis=-1).astype(np.uint8)


@pytest.fixture(scope="session")
def pipeline() -> ArgusPipeline:
    """A small model, T = 4, S = 1, whose output depends on its whole input."""
    return build_small_tiny(4, output_std=0.02)


@pytest.fixture
def video(tmp_path: Path) -> Callable[..., Path]:
    """(frames, fps=5, name="in.mp4") → an ordinary video file."""

    def write(frames: int, fps: Fraction = Fraction(5), name: str = "in.mp4") -> Path:
        path = tmp_path / name
        write_video(path, make_frames(frames), fps)
        return path

    return write


@pytest.fixture
def views() -> np.ndarray:
    return make_frames(11)
