"""Files of other programs: what is read of them, and how broken or hostile ones are rejected."""

import contextlib
import io
import re
import zipfile

import numpy as np
import pytest

from argus.errors import InvalidInput
from argus.sphere import Camera, Trajectory
from tests.support.pose_files import (
    FORMATS,
    SIZE,
    rotation_matrices,
    write_colmap,
    write_megasam,
    write_trajectory,
)

FRAMES = 12


@pytest.fixture(scope="module")
def motion():
    return rotation_matrices(
        *(np.linspace(first, last, FRAMES) for first, last in ((-170, 175), (-75, 80), (40, -35)))
    )


def test_evaluation_rows_are_pitch_yaw_roll_in_radians(tmp_path):
    for name in ("motion", "fov"):
        (tmp_path / name).mkdir()
    (tmp_path / "motion/a.txt").write_text("0 0.3\n0 0.5\n0 -0.1\n")
    (tmp_path / "fov/a.txt").write_text("90\n60\n")
    loaded = Trajectory.load(tmp_path / "motion/a.txt", fps=5, size=(270, 480))
    expected = rotation_matrices(*np.degrees([0.5, 0.3, -0.1]))
    np.testing.assert_allclose(loaded.rotations[1], expected, atol=1e-12)
    assert loaded.camera == Camera(90, 480, 270, 60)


def test_megasams_field_of_view_is_that_of_the_whole_frame(tmp_path, motion):
    """MegaSaM crops to a multiple of 8; the principal point gives the size before."""
    camera = Trajectory.load(write_megasam(tmp_path, motion, scale=0.55), fps=5).camera
    assert (camera.width, camera.height) == (352, 264)
    assert (camera.fov_x_deg, camera.fov_y) == pytest.approx((70, 50))


def test_other_arrays_of_an_npz_are_not_read(tmp_path, motion):
    """They may be large, or pickles."""
    path = write_megasam(tmp_path, motion, images=np.array([{}], dtype=object))
    assert len(Trajectory.load(path, fps=5)) == FRAMES


def test_colmap_images_are_sorted_by_number(tmp_path, motion):
    names = [f"video/{'0' * (k % 3)}{5 * k}.png" for k in range(FRAMES)]
    loaded = Trajectory.load(write_colmap(tmp_path, motion, names=names), fps=5)
    np.testing.assert_allclose(loaded.rotations, motion, atol=1e-9)


def test_frames_that_colmap_did_not_register_are_named(tmp_path, motion):
    names = [f"frame_{k:04}.png" for k in (0, 1, 2, 5, 6, 7, 8, 9, 10, 12, 13, 100)]
    with pytest.raises(InvalidInput) as caught:
        Trajectory.load(write_colmap(tmp_path, motion, names=names), fps=5)
    message = str(caught.value)
    named = re.findall(r"frame_\d+\.png", message)
    assert named == [f"frame_{k:04}.png" for k in (3, 4, 11, 14, 15)]
    counts = [int(number) for number in re.findall(r"\b\d+\b", message.partition("lacks")[2])]
    assert counts == [89, 101, 84]


@pytest.mark.parametrize(
    "line",
    [
        "7 SIMPLE_PINHOLE 640 480 457 320 240",
        "7 SIMPLE_RADIAL 640 480 457 320 240 0.01",
        "7 RADIAL 640 480 457 320 240 0.01 -0.002",
        "7 OPENCV 640 480 457 457 320 240 0.01 -0.002 0.0001 0.0002",
    ],
)
def test_colmap_lenses_with_little_distortion_are_accepted(tmp_path, motion, line):
    camera = Trajectory.load(write_colmap(tmp_path, motion, line), fps=5).camera
    assert (camera.fx, camera.fy) == pytest.approx((457, 457))


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("7 SIMPLE_RADIAL 640 480 457 320 240 -0.1", r"2\.25 degrees"),
        ("7 OPENCV 640 480 457 457 320 240 0 0 0.02 0", r"image_undistorter"),
        ("7 OPENCV_FISHEYE 640 480 457 457 320 240 0 0 0 0", "OPENCV_FISHEYE.*SIMPLE_PINHOLE"),
        ("7 PINHOLE 640 480 457 320 240", r"line 3.*fx fy cx cy"),
        ("7 PINHOLE 640 480 457 457 200 240", r"200\.0, 240\.0"),
        ("7 PINHOLE 640 480 457 457 nan 240", "nan"),
        ("7 PINHOLE 640 480 -457 457 320 240", "fx=-457"),
        ("7 PINHOLE 640", "cameras.txt line 3"),
        ("7", "cameras.txt line 3"),
        ("8 PINHOLE 640 480 457 457 320 240", "cameras.txt.*camera 7"),
    ],
)
def test_unusable_colmap_cameras_are_rejected(tmp_path, motion, line, value):
    with pytest.raises(InvalidInput, match=value):
        Trajectory.load(write_colmap(tmp_path, motion, line), fps=5)


def image_lines(pose="1 1 0 0 0 0 0 0 7 a1.png", points=""):
    return f"{pose}\n{points}\n"


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ("", "images.txt"),
        ("# nothing\n\n", "images.txt"),
        (image_lines("1 1 0 0 0 0 0 0 7"), "line 1 has 9 fields"),
        (image_lines("1 2 0 0 0 0 0 0 7 a1.png"), "length 2"),
        (image_lines("1 nan 0 0 0 0 0 0 7 a1.png"), "length nan"),
        (image_lines("1 one 0 0 0 0 0 0 7 a1.png"), "one"),
        (image_lines() + image_lines(), "a1.png twice"),
        ("1 1 0 0 0 0 0 0 7 a1.png\n2 1 0 0 0 0 0 0 7 a2.png\n", "line 2"),
        (image_lines() + image_lines("1 1 0 0 0 0 0 0 8 a2.png"), "2 different cameras"),
        (image_lines("1 1 0 0 0 0 0 0 7 " + "9" * 70_000), "line 1 .*4096"),
        (image_lines() + "x" * 4095 + "\n" + "x", "line 3 .*4096"),
    ],
    ids=range(11),
)
def test_broken_colmap_images_are_rejected(tmp_path, motion, content, value):
    write_colmap(
        tmp_path, motion, "7 PINHOLE 640 480 457 457 320 240\n8 PINHOLE 640 480 400 457 320 240"
    )
    (tmp_path / "images.txt").write_text(content)
    with pytest.raises(InvalidInput, match=value):
        Trajectory.load(tmp_path, fps=5)


def test_the_remedy_for_a_binary_colmap_model_is_named(tmp_path):
    (tmp_path / "images.bin").write_bytes(b"\0")
    with pytest.raises(InvalidInput, match=r"cameras\.txt.*model_converter"):
        Trajectory.load(tmp_path, fps=5)


@pytest.mark.parametrize(
    ("motion_text", "fov_text", "value"),
    [
        ("0 0\n0 0\n", "60 40", r"\(2, 2\).*3 rows"),
        ("0 1\n0\n0 0\n", "60 40", "ValueError"),
        ("", "60 40", r"a\.txt"),
        ("0 nan\n0 0\n0 0\n", "60 40", r"a\.txt"),
        ("0 30\n0 0\n0 0\n", "60 40", "30.*radians"),
        ("a b\nc d\ne f\n", "60 40", "ValueError"),
        ("0 0\n0 0\n0 0\n", "60", "1 numbers"),
        ("0 0\n0 0\n0 0\n", "190 40", "fov_x_deg is 190"),
        ("0 0\n0 0\n0 0\n", None, "fov/a.txt"),
    ],
    ids=range(9),
)
def test_broken_evaluation_files_are_rejected(tmp_path, motion_text, fov_text, value):
    for name, text in (("motion", motion_text), ("fov", fov_text)):
        if text is not None:
            (tmp_path / name).mkdir()
            (tmp_path / name / "a.txt").write_text(text)
    with pytest.raises(InvalidInput, match=value):
        Trajectory.load(tmp_path / "motion/a.txt", fps=5, size=SIZE)


@pytest.mark.parametrize(
    ("arrays", "value"),
    [
        ({"cam_c2w": np.eye(4)}, r"\(4, 4\).*\[T, 4, 4\]"),
        ({"cam_c2w": np.zeros((0, 4, 4))}, "one frame"),
        ({"cam_c2w": np.full((2, 4, 4), np.nan)}, "orthonormal"),
        ({"cam_c2w": np.diag([1.0, -1, 1, 1])[None]}, "determinant"),
        ({"cam_c2w": np.eye(4, dtype=complex)[None]}, "cam_c2w is complex128"),
        ({"cam_c2w": np.array([["a"]])}, "cam_c2w is <U1"),
        ({"cam_c2w": np.array([{}], dtype=object)}, "ValueError"),
        ({"intrinsic": np.eye(4)}, r"intrinsic.*\[3, 3\]"),
        ({"intrinsic": np.full((3, 3), np.inf)}, "intrinsic.*inf"),
        ({"intrinsic": np.eye(3)}, "intrinsic"),
    ],
    ids=range(10),
)
def test_broken_megasam_files_are_rejected(tmp_path, motion, arrays, value):
    with pytest.raises(InvalidInput, match=value):
        Trajectory.load(write_megasam(tmp_path, motion, **arrays), fps=5)


def test_an_array_that_would_exhaust_the_memory_is_not_unpacked(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("rotations.npy", "w", force_zip64=True) as file,
    ):
        for _ in range(257):
            file.write(bytes(1 << 20))
    with pytest.raises(InvalidInput, match=r"rotations.*257.*256"):
        Trajectory.load(tmp_path / "bomb.npz")


def test_a_header_that_announces_more_than_the_file_holds_is_rejected(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**13, 3, 3)}
    )
    with zipfile.ZipFile(tmp_path / "header.npz", "w") as archive:
        archive.writestr("rotations.npy", header.getvalue())
    with pytest.raises(InvalidInput, match=r"header\.npz"):
        Trajectory.load(tmp_path / "header.npz")


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_files_load_or_raise_one_kind_of_error(tmp_path, motion, kind):
    """Truncated files, and files with a changed byte."""
    path = write_trajectory(kind, tmp_path, motion[:3])
    victim = path / "images.txt" if kind == "colmap" else path
    original, loaded = victim.read_bytes(), 0
    random = np.random.default_rng(5)
    for k in range(150):
        data = bytearray(original[: random.integers(len(original))] if k % 2 else original)
        if data:
            stop = len(data) if kind == "megasam" else min(len(data), 2_000)
            data[random.integers(stop)] = random.integers(256)
        victim.write_bytes(data)
        with contextlib.suppress(InvalidInput):
            Trajectory.load(path, fps=5, size=SIZE)
            loaded += 1
    assert loaded < 130, "truncated files are rejected"
