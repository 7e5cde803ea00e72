"""Interlaced frames: both fields of each frame become one picture without combs."""

from pathlib import Path

import numpy as np
import pytest

from argus.media import open_video, probe
from tests.support.ffmpeg import run_ffmpeg
from tests.support.ffmpeg_colors import SCALE, encode, filter_frames
from tests.support.videos import read_frames

DEINTERLACE = "estdif=mode=frame:deint=interlaced"
HEIGHT, WIDTH = 96, 160
FIELDS = f"testsrc2=s={WIDTH}x{HEIGHT}:r=50:d=0.4"
CODED = ("-flags", "+ildct+ilme")
FILES = [
    ("top.mp4", "h264", "interleave_top", "yuv420p", "left"),
    ("bottom.mp4", "h264", "interleave_bottom", "yuv420p", "left"),
    ("top.mkv", "h264", "interleave_top", "yuv422p10le", "left"),
    ("bottom.mkv", "ffv1", "interleave_bottom", "yuv420p10le", ""),
    ("top.ts", "mpeg2", "interleave_top", "yuv420p", "left"),
    ("bottom.mov", "prores", "interleave_bottom", "yuv422p10le", ""),
]


def write_interlaced(path: Path, codec: str, mode: str, pix_fmt: str) -> Path:
    """Encode frames that are woven from two moments."""
    chain = f"format={pix_fmt},tinterlace={mode}"
    return encode(path, codec, "-f", "lavfi", "-i", FIELDS, "-vf", chain, *CODED)


@pytest.mark.parametrize(("name", "codec", "mode", "pix_fmt", "siting"), FILES)
def test_frames_are_deinterlaced_as_documented(tmp_path, name, codec, mode, pix_fmt, siting):
    path = write_interlaced(tmp_path / name, codec, mode, pix_fmt)
    scale = f"{SCALE}:in_chroma_loc={siting}" if siting else SCALE
    frames = read_frames(path)
    expected = filter_frames(path, f"{DEINTERLACE},{scale}", HEIGHT, WIDTH)
    np.testing.assert_array_equal(frames, expected)
    combed = filter_frames(path, scale, HEIGHT, WIDTH)
    assert measure_combs(frames) < measure_combs(combed) / 2
    assert probe(path).is_interlaced


def measure_combs(frames: np.ndarray) -> float:
    """Return the mean square difference of each line from the mean of its neighbors."""
    lines = frames.astype(float)
    return float(np.square(lines[:, 1:-1] - (lines[:, :-2] + lines[:, 2:]) / 2).mean())


@pytest.mark.parametrize(("name", "codec", "mode", "pix_fmt", "siting"), FILES[:3])
def test_any_order_gives_the_same_pictures(tmp_path, name, codec, mode, pix_fmt, siting):
    path = write_interlaced(tmp_path / name, codec, mode, pix_fmt)
    with open_video(path) as video, open_video(path, threads=3) as other:
        complete = video.frames(range(len(video)))
        order = [7, 2, 2, 9, 0]
        np.testing.assert_array_equal(video.frames(order), complete[order])
        np.testing.assert_array_equal(other.frames(order), complete[order])


@pytest.mark.parametrize("rotation", [90, 180, 30])
def test_frames_are_deinterlaced_before_they_are_turned(tmp_path, rotation):
    plain = write_interlaced(tmp_path / "plain.mp4", "h264", "interleave_top", "yuv444p")
    path = tmp_path / "turned.mp4"
    run_ffmpeg("-display_rotation", str(rotation), "-i", plain, "-c", "copy", path)
    chain, turns = f"{DEINTERLACE},{SCALE}", rotation // 90
    if turns == 0:
        chain = f"{DEINTERLACE},rotate={360 - rotation}*PI/180,{SCALE}"
    expected = np.rot90(filter_frames(plain, chain, HEIGHT, WIDTH), turns, (1, 2))
    np.testing.assert_array_equal(read_frames(path), expected)


@pytest.mark.parametrize("codec", ["h264", "ffv1", "mpeg2"])
def test_progressive_frames_are_left_as_they_are(tmp_path, codec):
    source = ("-f", "lavfi", "-i", FIELDS, "-pix_fmt", "yuv420p")
    path = encode(tmp_path / "progressive.mkv", codec, *source)
    scale = SCALE if codec == "ffv1" else f"{SCALE}:in_chroma_loc=left"
    np.testing.assert_array_equal(read_frames(path), filter_frames(path, scale, HEIGHT, WIDTH))
    assert not probe(path).is_interlaced
