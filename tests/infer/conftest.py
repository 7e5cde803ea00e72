from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from argus.diffusion import ArgusPipeline, BandStatistics, build_tiny
from argus.media import write_video
from schemas.config import ModelSettings


@pytest.fixture(scope="session")
def pipeline() -> ArgusPipeline:
    """A small model, T = 4, S = 1, whose untrained output layer is random, so that everything it is given shows in what it makes."""
    settings = ModelSettings(height=32, frames=4, context_frames=1, view_height=32)
    made = build_tiny(settings, BandStatistics(mean=(0.0,) * 48, std=(0.5,) * 48))
    torch.nn.init.normal_(
        made.unet.conv_out.weight, std=0.02, generator=torch.Generator().manual_seed(1)
    )
    return made


def ordinary(frames: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Frames of a moving pattern, uint8 [n,h,w,3]; the middle brightens with time."""
    y, x = np.mgrid[:height, :width]
    shift = 2.0 * np.arange(frames)[:, None, None]
    waves = [127 + 90 * np.sin((x + shift) / 9 + phase) * np.cos(y / 13) for phase in (0, 1, 2)]
    return np.stack(waves, axis=-1).astype(np.uint8)


@pytest.fixture
def video(tmp_path: Path) -> Callable[..., Path]:
    """Writes an ordinary video of n frames."""

    def write(frames: int, fps: Fraction = Fraction(5), name: str = "in.mp4") -> Path:
        path = tmp_path / name
        write_video(path, ordinary(frames), fps)
        return path

    return write


@pytest.fixture
def views() -> np.ndarray:
    return ordinary(11)
