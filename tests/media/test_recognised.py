"""What other programs say of our tagged files: as written, after our own remux, and after our own re-encode.

The bundled ffmpeg is always asked; exiftool and ffprobe where they are installed.
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
from tests.media.conftest import numbered


def by_ffmpeg(path: Path) -> dict[str, str]:
    said = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", str(path)],
        capture_output=True,
        text=True,
        check=False,
    ).stderr
    sphere, stereo = (
        re.search(rf"(?i)\b{name}: (\w[\w ]*\w)", said)
        for name in ("spherical(?: mapping)?", "stereo ?3d")
    )  # old and new releases
    return {"projection": sphere[1] if sphere else "", "stereo": stereo[1] if stereo else ""}


def by_ffprobe(path: Path) -> dict[str, str]:
    said = subprocess.run(
        ["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(path)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    data = {
        item["side_data_type"]: item
        for item in json.loads(said)["streams"][0].get("side_data_list", [])
    }
    return {
        "projection": data.get("Spherical Mapping", {}).get("projection", ""),
        "stereo": data.get("Stereo 3D", {}).get("type", ""),
    }


def by_exiftool(path: Path) -> dict[str, str]:
    fields = json.loads(
        subprocess.run(
            ["exiftool", "-j", str(path)], capture_output=True, text=True, check=True
        ).stdout
    )[0]
    tiled = any(
        fields.get(f"ProjectionBounds{side}", 0) for side in ("Top", "Bottom", "Left", "Right")
    )
    projection = (
        "tiled equirectangular"
        if tiled
        else fields.get("ProjectionType", "")
        if fields.get("Spherical")
        else ""
    )
    stereo = {
        "Stereoscopic Top-Bottom": "top and bottom",
        "Stereoscopic Left-Right": "side by side",
        "Monoscopic": "2D",
    }
    return {"projection": projection, "stereo": stereo.get(fields.get("Stereoscopic3D", ""), "")}


@pytest.fixture(params=["ffmpeg", "ffprobe", "exiftool"])
def witness(request) -> Callable[[Path], dict[str, str]]:
    if request.param != "ffmpeg" and not shutil.which(request.param):
        pytest.skip(f"{request.param} is not installed")
    return {"ffmpeg": by_ffmpeg, "ffprobe": by_ffprobe, "exiftool": by_exiftool}[request.param]


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
def test_the_tag_is_seen_before_and_after_remux_and_re_encode(
    tmp_path, witness, metadata, expected
):
    first = tmp_path / "first.mp4"
    write_video(first, numbered(6), 30, spherical=metadata)
    assert witness(first) == expected

    matroska = tmp_path / "other.mkv"
    subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", first, "-c", "copy", matroska],
        check=True,
    )
    tag_spherical(matroska, tmp_path / "remuxed.mp4", read_spherical(matroska))
    assert witness(tmp_path / "remuxed.mp4") == expected

    with open_video(first) as video:
        frames = video.frames(range(len(video)))
        write_video(tmp_path / "again.mp4", frames, video.fps, spherical=video.info.spherical)
        (tmp_path / "clip.mp4").write_bytes(
            encode_clip(frames, video.fps, spherical=video.info.spherical)
        )
    assert witness(tmp_path / "again.mp4") == expected
    assert witness(tmp_path / "clip.mp4") == expected


def test_an_ordinary_video_and_a_naive_copy_have_no_tag(tmp_path, witness):
    """What a copy without our tagging loses: ffmpeg leaves the metadata out of mp4 unless it is told to be unofficial."""
    write_video(tmp_path / "plain.mp4", numbered(3), 30)
    assert witness(tmp_path / "plain.mp4")["projection"] == ""
    write_video(tmp_path / "sphere.mp4", numbered(3), 30, spherical=SphericalMetadata())
    subprocess.run(
        [
            imageio_ffmpeg.get_ffmpeg_exe(),
            "-v",
            "error",
            "-i",
            tmp_path / "sphere.mp4",
            "-c",
            "copy",
            tmp_path / "naive.mp4",
        ],
        check=True,
    )
    assert witness(tmp_path / "naive.mp4")["projection"] == ""
    tag_spherical(tmp_path / "naive.mp4", tmp_path / "naive.mp4", SphericalMetadata())
    assert witness(tmp_path / "naive.mp4")["projection"] == "equirectangular"


def test_a_clip_with_a_tag_shows_the_same_frames(tmp_path):
    frames = numbered(4)
    for name, metadata in {"plain": None, "tagged": SphericalMetadata()}.items():
        (tmp_path / f"{name}.mp4").write_bytes(encode_clip(frames, 5, spherical=metadata))
    with open_video(tmp_path / "plain.mp4") as plain, open_video(tmp_path / "tagged.mp4") as tagged:
        np.testing.assert_array_equal(plain.frames(range(4)), tagged.frames(range(4)))
