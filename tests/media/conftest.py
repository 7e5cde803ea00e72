"""Fixtures for the media tests: a library of small videos, and ffmpeg as an independent reader."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import pytest

from tests.support.videos import encode_video, numbered_frames


@dataclass(frozen=True)
class VideoLibrary:
    """Encodes each file once, when a test first asks for it."""

    folder: Path

    def __call__(self, name: str) -> Path:
        path = self.folder / name
        return path if path.exists() else encode_video(path, path.stem, numbered_frames())


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    return VideoLibrary(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="session")
def describe_with_ffmpeg() -> Callable[[Path], str]:
    """Return what the bundled ffmpeg prints about a file."""

    def describe(path: Path) -> str:
        return subprocess.run(
            [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", str(path)],
            capture_output=True,
            text=True,
            check=False,
        ).stderr

    return describe
