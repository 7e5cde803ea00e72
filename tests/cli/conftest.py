"""Fixtures of the command line's tests."""

from pathlib import Path

import numpy as np
import pytest

from argus.media import write_video


@pytest.fixture
def synthetic_video(tmp_path: Path) -> Path:
    """A short video without spherical metadata."""
    path = tmp_path / "plain.mp4"
    write_video(path, np.zeros((3, 32, 64, 3), np.uint8), 30)
    return path
