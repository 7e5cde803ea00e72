"""Fixtures of the command line's tests."""

from pathlib import Path

import numpy as np
import pytest

from argus.media import write_video
from tests.support.panoramas import panorama


@pytest.fixture
def synthetic_video(tmp_path: Path) -> Path:
    """A short video of a whole sphere without spherical metadata."""
    path = tmp_path / "plain.mp4"
    write_video(path, np.stack([panorama(size=(64, 128))] * 3), 30)
    return path
