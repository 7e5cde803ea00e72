"""Tagged files as other programs see them: as written, after a remux, and after a re-encode.

The bundled ffmpeg is always asked; exiftool and ffprobe if they are installed.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from argus.media import (
    SphericalMetadata,
    encode_clip,
    open_video,
    read_spherical,
    tag_spherical,
    write_video,
)
from tests.support.videos import numbered_frames


def run(*command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*command], capture_output=True, text=True, check=check)


def read_with_ffmpeg(path: Path) -> dict[str, str]:
    text = run(imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", path, check=False).stderr
    sphere, stereo = (
        re.search(rf"(?i)\b{name}: (\w[\w ]*\w)", text)
        for name in ("spherical(?: mapping)?", "stereo ?3d")  # old and new releases
    )
    return {"projection": sphere[1] if sphere else "", "stereo": stereo[1] if stereo else ""}


def read_with_ffprobe(path: Path) -> dict[str, str]:
    text = run("ffprobe", "-v", "error", "-show_streams", "-of", "json", path).stdout
    side_data = {
        item["side_data_type"]: item
        for item in json.loads(text)["streams"][0].get("side_data_list", [])
    }
    return {
        "projection": side_data.get("Spherical Mapping", {}).get("projection", ""),
        "stereo": side_data.get("Stereo 3D", {}).get("type", ""),
    }


def read_with_exiftool(path: Path) -> dict[str, str]:
    fields = json.loads(run("exiftool", "-j", path).stdout)[0]
    sides = ("Top", "Bottom", "Left", "Right")
    projection = fields.get("ProjectionType", "") if fields.get("Spherical") else ""
    if any(fields.get(f"ProjectionBounds{side}", 0) for side in sides):
        projection = "tiled equirectangular"
    stereo = {
        "Stereoscopic Top-Bottom": "top and bottom",
        "Stereoscopic Left-Right": "side by side",
        "Monoscopic": "2D",
    }
    return {"projection": projection, "stereo": stereo.get(fields.get("Stereoscopic3D", ""), "")}


READERS = {
    "ffmpeg": read_with_ffmpeg,
    "ffprobe": read_with_ffprobe,
    "exiftool": read_with_exiftool,
}


@pytest.fixture(params=READERS)
def read_tag(request) -> Callable[[Path], dict[str, str]]:
    if request.param != "ffmpeg" and not shutil.which(request.param):
        pytest.skip(f"{request.param} is not installed")
    return READERS[request.param]


CASES = [
    (SphericalMetadata(), {"projection": "equirectangular", "stereo": "2D"}),
    (
        SphericalMetadata(stereo_mode="top-bottom"),
        {"projection": "equirectangular", "stereo": "top and bottom"},
    ),
    (
        SphericalMetadata(bounds=(0.0, 0.0, 0.25, 0.25), stereo_mode="left-right"),
        {"projection": "tiled equirectangular", "stereo": "side by side"},
    ),
]


@pytest.mark.parametrize(("metadata", "expected"), CASES, ids=["mono", "stereo", "VR180"])
def test_tag_is_read_before_and_after_remux_and_re_encode(tmp_path, read_tag, metadata, expected):
    first = tmp_path / "first.mp4"
    write_video(first, numbered_frames(6), 30, spherical=metadata)
    assert read_tag(first) == expected

    matroska = tmp_path / "other.mkv"
    run(imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", first, "-c", "copy", matroska)
    tag_spherical(matroska, tmp_path / "remuxed.mp4", read_spherical(matroska))
    assert read_tag(tmp_path / "remuxed.mp4") == expected

    with open_video(first) as video:
        frames, spherical = video.frames(range(len(video))), video.info.spherical
        write_video(tmp_path / "again.mp4", frames, video.fps, spherical=spherical)
        clip = encode_clip(frames, video.fps, spherical=spherical)
        (tmp_path / "clip.mp4").write_bytes(clip)
    assert read_tag(tmp_path / "again.mp4") == expected
    assert read_tag(tmp_path / "clip.mp4") == expected


def test_ordinary_video_has_no_tag(tmp_path, read_tag):
    plain = tmp_path / "plain.mp4"
    write_video(plain, numbered_frames(3), 30)
    assert read_tag(plain)["projection"] == ""
    assert read_spherical(plain) is None


def test_plain_remux_with_ffmpeg_loses_the_tag(tmp_path, read_tag):
    """Without -strict unofficial, ffmpeg does not write the metadata to mp4."""
    sphere, naive = tmp_path / "sphere.mp4", tmp_path / "naive.mp4"
    write_video(sphere, numbered_frames(3), 30, spherical=SphericalMetadata())
    run(imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", sphere, "-c", "copy", naive)
    assert read_tag(naive)["projection"] == ""
    tag_spherical(naive, naive, SphericalMetadata())
    assert read_tag(naive)["projection"] == "equirectangular"


def test_tagged_clip_shows_the_same_frames(tmp_path):
    frames = numbered_frames(4)
    for name, metadata in {"plain": None, "tagged": SphericalMetadata()}.items():
        (tmp_path / f"{name}.mp4").write_bytes(encode_clip(frames, 5, spherical=metadata))
    with open_video(tmp_path / "plain.mp4") as plain, open_video(tmp_path / "tagged.mp4") as tagged:
        np.testing.assert_array_equal(plain.frames(range(4)), tagged.frames(range(4)))
