"""Orientation of frames: flips and turns that files declare, as ffmpeg's autorotation."""

import itertools
import math
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from argus.media import MediaInfo, open_video, probe
from tests.support.ffmpeg import run_ffmpeg
from tests.support.ffmpeg_colors import SCALE, encode, filter_frames
from tests.support.videos import read_frames

HEIGHT, WIDTH = 96, 160
SOURCE = ("-f", "lavfi", "-i", f"testsrc2=s={WIDTH}x{HEIGHT}:r=10:d=0.5", "-pix_fmt", "yuv444p")
Matrix = tuple[float, float, float, float]  # first two entries of the first two rows
FLIPS_AND_TURNS = [
    *itertools.product((1, -1), (0,), (0,), (1, -1)),
    *itertools.product((0,), (1, -1), (1, -1), (0,)),
]
NEAR = (0.3, 0.6, 1, 1.6, 89, 89.6, 90.4, 91, 179.4, 180.3, 269.6, 271, 359.4)
ODD = (12, 30, 45, 135, 200, 300, 345)


def turn(angle_deg: float, *, is_mirrored: bool = False) -> Matrix:
    """Return the matrix of a clockwise rotation, after a flip left to right."""
    cosine, sine = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    sign = -1 if is_mirrored else 1
    return sign * cosine, sign * sine, -sine, cosine


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode(tmp_path_factory.mktemp("plain") / "plain.mp4", "h264", *SOURCE)


def write_matrix(plain: Path, path: Path, matrix: Matrix) -> Path:
    """Write the display matrix into the track header of an mp4; remux it to other containers."""
    data = bytearray(plain.read_bytes())
    start = data.index(b"tkhd") + 44
    entries = [round(value * 65536) for value in matrix]
    struct.pack_into(">9i", data, start, *entries[:2], 0, *entries[2:], 0, 0, 0, 1 << 30)
    mp4 = path.with_suffix(".mp4")
    mp4.write_bytes(data)
    if path != mp4:
        run_ffmpeg("-i", mp4, "-c", "copy", path)
    return path


def turn_pictures(coded: NDArray[np.uint8], info: MediaInfo) -> NDArray[np.uint8]:
    """Return upright pictures [n, height, width, 3] by the fields of a description."""
    mirrored = coded[:, :, ::-1] if info.is_mirrored else coded
    return np.rot90(mirrored, info.rotation // 90, (1, 2))


def assert_turned_as_by_ffmpeg(path: Path) -> None:
    info = probe(path)
    frames = read_frames(path)
    assert frames.shape[1:3] == (info.height, info.width)
    np.testing.assert_array_equal(frames, filter_frames(path, SCALE, info.height, info.width))


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("matrix", FLIPS_AND_TURNS)
def test_flips_and_quarter_turns(plain, tmp_path, container, matrix):
    path = write_matrix(plain, tmp_path / f"video.{container}", matrix)
    assert_turned_as_by_ffmpeg(path)
    info = probe(path)
    np.testing.assert_array_equal(read_frames(path), turn_pictures(read_frames(plain), info))


@pytest.mark.parametrize("is_mirrored", [False, True])
@pytest.mark.parametrize("angle_deg", NEAR)
def test_angles_close_to_right_ones(plain, tmp_path, angle_deg, is_mirrored):
    matrix = turn(angle_deg, is_mirrored=is_mirrored)
    assert_turned_as_by_ffmpeg(write_matrix(plain, tmp_path / "video.mp4", matrix))


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("angle_deg", ODD)
def test_other_angles_turn_within_the_frame(plain, tmp_path, container, angle_deg):
    path = write_matrix(plain, tmp_path / f"video.{container}", turn(angle_deg))
    assert_turned_as_by_ffmpeg(path)
    info = probe(path)
    assert (info.width, info.height, info.rotation) == (WIDTH, HEIGHT, 360 - angle_deg)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuv420p10le"])
@pytest.mark.parametrize("angle_deg", [30, 200])
def test_other_angles_of_subsampled_chroma(tmp_path, pix_fmt, angle_deg):
    plain = encode(tmp_path / "plain.mp4", "h264", *SOURCE[:4], "-pix_fmt", pix_fmt)
    path = write_matrix(plain, tmp_path / "video.mov", turn(angle_deg))
    expected = filter_frames(path, f"{SCALE}:in_chroma_loc=left", HEIGHT, WIDTH)
    np.testing.assert_array_equal(read_frames(path), expected)


@pytest.mark.parametrize("matrix", [(0, 0, 0, 0), (1, 0, 0, 0), (0, 0, 0, 1)])
def test_matrices_without_an_area_turn_nothing(plain, tmp_path, matrix):
    path = write_matrix(plain, tmp_path / "video.mp4", matrix)
    np.testing.assert_array_equal(read_frames(path), read_frames(plain))


@pytest.mark.parametrize("matrix", [turn(90), turn(270), turn(90, is_mirrored=True), (1, 0, 0, -1)])
def test_smaller_frames_are_turned_too(plain, tmp_path, matrix):
    path = write_matrix(plain, tmp_path / "video.mp4", matrix)
    info = probe(path)
    with open_video(path) as video, open_video(plain) as coded:
        frames = video.frames([1, 3], (info.height // 2, info.width // 2))
        small = coded.frames([1, 3], (HEIGHT // 2, WIDTH // 2))
    np.testing.assert_array_equal(frames, turn_pictures(small, info))


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize(
    ("declared", "is_mirrored", "rotation"),
    [
        ("rotate=90", False, 90),
        ("rotate=270", False, 270),
        ("rotate=180", False, 180),
        ("flip=horizontal", True, 0),
        ("flip=vertical", True, 180),
    ],
)
def test_an_orientation_in_h264_holds_until_the_next(
    plain, tmp_path, container, declared, is_mirrored, rotation
):
    """It comes with the first frame only; the program ffmpeg turns that one alone."""
    path = tmp_path / f"video.{container}"
    bitstream = f"h264_metadata=display_orientation=insert:{declared}"
    run_ffmpeg("-i", plain, "-c", "copy", "-bsf:v", bitstream, path)
    info = probe(path)
    assert (info.is_mirrored, info.rotation) == (is_mirrored, rotation)
    expected = turn_pictures(read_frames(plain), info)
    np.testing.assert_array_equal(read_frames(path), expected)
    with open_video(path) as video:
        np.testing.assert_array_equal(video.frames([3]), expected[3:4])


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_an_orientation_in_hevc(tmp_path, container, rotation):
    options = ("-c:v", "libx265", "-x265-params", "log-level=none:keyint=1")
    plain = tmp_path / "plain.hevc"
    run_ffmpeg(*SOURCE[:4], "-pix_fmt", "yuv420p", *options, plain)
    # Supplemental information 47: flags, units of 2 ** -16 of a turn, persistence, alignment.
    payload = (rotation * 65536 // 360 << 5 | 0b11000).to_bytes(3, "big")
    message = b"\0\0\0\1\x4e\x01" + bytes([47, 3]) + payload + b"\x80"
    data = plain.read_bytes()
    start = data.index(b"\0\0\1\x4e\x01")  # before the encoder's own message
    start -= data[start - 1] == 0
    turned = tmp_path / "turned.hevc"
    turned.write_bytes(data[:start] + message + data[start:])
    for stream in (plain, turned):
        path = tmp_path / f"{stream.stem}.{container}"
        run_ffmpeg("-r", "10", "-i", stream, "-c", "copy", path)
    assert probe(tmp_path / f"turned.{container}").rotation == rotation
    expected = np.rot90(read_frames(tmp_path / f"plain.{container}"), rotation // 90, (1, 2))
    np.testing.assert_array_equal(read_frames(tmp_path / f"turned.{container}"), expected)
