"""Fixtures for the media tests: small videos."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.ffmpeg import run_ffmpeg
from tests.support.remuxed_files import H264, PICTURE, SOUND
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
def h264_mkv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """H.264 with B-frames and AAC, 3 s at 10 fps."""
    path = tmp_path_factory.mktemp("h264") / "plain.mkv"
    run_ffmpeg(*PICTURE, *SOUND, *H264, "-c:a", "aac", "-fflags", "+bitexact", path)
    return path


@pytest.fixture(scope="session")
def vp9_webm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """VP9 and Opus, 3 s at 10 fps."""
    path = tmp_path_factory.mktemp("vp9") / "vp9.webm"
    codecs = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"]
    run_ffmpeg(*PICTURE, *SOUND, *codecs, path)
    return path
