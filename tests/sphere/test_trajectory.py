"""Trajectory files: the motion and the camera survive every format, whose files are written here by other code than the package's."""

import contextlib
import io
import json
import zipfile
from fractions import Fraction

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from argus.errors import InvalidInput
from argus.sphere import Camera, Trajectory, from_euler_deg, to_euler_deg

FRAMES = 12
FPS, SIZE = Fraction(30000, 1001), (480, 640)
CAMERA = Camera(70, 640, 480, 50)
FORMATS = ["own npz", "own json", "evaluation", "megasam", "colmap"]


@pytest.fixture(scope="module")
def motion():
    """Camera-to-world turns [12, 3, 3] of a hand that turns about all axes; frame 0 is no identity, frame 1 is a large combined turn."""
    yaw, pitch, roll = (
        np.linspace(-170, 175, FRAMES),
        np.linspace(-75, 80, FRAMES),
        np.linspace(40, -35, FRAMES),
    )
    yaw[1], pitch[1], roll[1] = 150, 60, 30
    return _turns(yaw, pitch, roll)


def _turns(yaw, pitch, roll):
    """The convention, with scipy's one-axis rotations."""
    axes = np.eye(3)[[1, 0, 2]]
    about = [
        Rotation.from_rotvec(np.multiply.outer(angle, axis), degrees=True).as_matrix()
        for angle, axis in zip((yaw, pitch, roll), axes, strict=True)
    ]
    return about[0] @ about[1] @ about[2]


def _write_own(folder, turns, suffix):
    Trajectory(turns, CAMERA, FPS).save(folder / f"poses{suffix}")
    return folder / f"poses{suffix}"


def _write_evaluation(folder, turns):
    yaw, pitch, roll = Rotation.from_matrix(turns).as_euler("YXZ").T
    for name in ("motion", "fov"):
        (folder / name).mkdir()
    np.savetxt(folder / "motion/clip.txt", [pitch, yaw, roll])
    np.savetxt(folder / "fov/clip.txt", [CAMERA.fov_x_deg, CAMERA.fov_y])
    return folder / "motion/clip.txt"


def _write_megasam(folder, turns, scale=0.5, **more):
    poses = np.tile(np.eye(4), (len(turns), 1, 1))
    poses[:, :3, :3] = turns
    poses[:, :3, 3] = np.random.default_rng(0).normal(size=(len(turns), 3))
    K = np.diag([CAMERA.fx * scale, CAMERA.fy * scale, 1])
    K[:2, 2] = CAMERA.width / 2 * scale, CAMERA.height / 2 * scale
    arrays = {
        "cam_c2w": poses.astype(np.float32),
        "intrinsic": K,
        "images": np.zeros((len(turns), 232, 312, 3), np.uint8),
        **more,
    }
    np.savez(folder / "megasam.npz", **arrays)
    return folder / "megasam.npz"


def _write_colmap(folder, turns, camera=None, names=None, shuffle=True):
    """Pictures in any order, each with a line of points, some empty; positions that must not count."""
    random = np.random.default_rng(1)
    names = names or [f"frame_{k}.png" for k in range(len(turns))]
    line = camera or f"7 PINHOLE {CAMERA.width} {CAMERA.height} {CAMERA.fx!r} {CAMERA.fy!r} 320 240"
    (folder / "cameras.txt").write_text(
        f"# Camera list\n3 OPENCV_FISHEYE 99 99 1 2 3 4 5 6 7 8\n{line}\n"
    )
    images = []
    for k in random.permutation(len(turns)) if shuffle else range(len(turns)):
        x, y, z, w = (random.choice([-1, 1]) * Rotation.from_matrix(turns[k].T).as_quat()).tolist()
        position = " ".join(str(value) for value in random.normal(size=3).tolist())
        points = " ".join("12.5 7.25 -1" for _ in range(random.integers(0, 9_000) * (k % 2)))
        images.append(f"{k + 1} {w!r} {x!r} {y!r} {z!r} {position} 7 {names[k]}\n{points}\n")
    (folder / "images.txt").write_text(
        "# Image list with two lines of data per image:\n#   IMAGE_ID, QW, ...\n" + "".join(images)
    )
    return folder


def _write(kind, folder, turns):
    match kind.split():
        case ["own", suffix]:
            return _write_own(folder, turns, f".{suffix}")
        case ["evaluation"]:
            return _write_evaluation(folder, turns)
        case ["megasam"]:
            return _write_megasam(folder, turns)
    return _write_colmap(folder, turns)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_motion_survives_every_format(tmp_path, motion, kind):
    """R_0ᵀR_k to 1e-6, and the orientations themselves: nothing is mirrored, inverted or put in another order."""
    loaded = Trajectory.load(_write(kind, tmp_path, motion), fps=FPS, size=SIZE)
    np.testing.assert_allclose(loaded.relative().rotations, motion[0].T @ motion, rtol=0, atol=1e-6)
    np.testing.assert_allclose(loaded.rotations, motion, rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        [angle[1] for angle in to_euler_deg(loaded.rotations)], (150, 60, 30), atol=1e-4
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_the_camera_survives_every_format(tmp_path, motion, kind):
    path = _write(kind, tmp_path, motion)
    loaded = Trajectory.load(path, fps=FPS, size=SIZE)
    assert (loaded.camera.fov_x_deg, loaded.camera.fov_y) == pytest.approx((70, 50), abs=1e-9)
    assert (loaded.camera.width, loaded.camera.height, loaded.fps) == (640, 480, FPS)
    other = Trajectory.load(path, fps=25, size=(90, 160))
    assert (other.camera.fov_x_deg, other.camera.fov_y) == pytest.approx((70, 50), abs=1e-9)
    assert (other.camera.width, other.camera.height, other.fps) == (160, 90, 25)


@pytest.mark.parametrize("kind", FORMATS)
def test_what_a_format_does_not_hold_must_be_given(tmp_path, motion, kind):
    path = _write(kind, tmp_path, motion)
    if kind.startswith("own"):
        assert (Trajectory.load(path).fps, Trajectory.load(path).camera) == (FPS, CAMERA)
        return
    with pytest.raises(InvalidInput, match="give fps"):
        Trajectory.load(path, size=SIZE)
    if kind == "evaluation":
        with pytest.raises(InvalidInput, match=r"give size=\(height, width\)"):
            Trajectory.load(path, fps=FPS)
    else:
        width = {"megasam": 320, "colmap": 640}[kind]
        assert Trajectory.load(path, fps=FPS).camera.width == width


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("turn", "moves"),
    [((20, 0, 0), "right"), ((0, 20, 0), "up"), ((0, 0, 20), "right side down")],
    ids=["yaw", "pitch", "roll"],
)
def test_positive_angles_mean_the_same_in_every_format(tmp_path, kind, turn, moves):
    turns = _turns(*(np.array([0, angle]) for angle in turn))
    _, turned = Trajectory.load(_write(kind, tmp_path, turns), fps=5, size=SIZE).rotations
    side, _, ahead = turned.T  # of the camera, in the world
    seen = {"right": ahead[0], "up": -ahead[1], "right side down": side[1]}
    assert {name: value > 0.3 for name, value in seen.items()} == {
        name: name == moves for name in seen
    }


def test_the_published_evaluation_rows_are_pitch_yaw_roll_in_radians(tmp_path):
    for name in ("motion", "fov"):
        (tmp_path / name).mkdir()
    (tmp_path / "motion/a.txt").write_text("0 0.3\n0 0.5\n0 -0.1\n")
    (tmp_path / "fov/a.txt").write_text("90\n60\n")
    loaded = Trajectory.load(tmp_path / "motion/a.txt", fps=5, size=(270, 480))
    np.testing.assert_allclose(
        loaded.rotations[1], _turns(*np.degrees([0.5, 0.3, -0.1])), atol=1e-12
    )
    assert loaded.camera == Camera(90, 480, 270, 60)


def test_own_files_survive_exactly(tmp_path, motion):
    for suffix in (".npz", ".json"):
        for camera in (Camera(75, 640, 480), Camera(75, 640, 480, 40)):
            before = Trajectory(motion, camera, FPS)
            before.save(tmp_path / f"poses{suffix}")
            after = Trajectory.load(tmp_path / f"poses{suffix}")
            np.testing.assert_array_equal(after.rotations, motion)
            assert (after.camera, after.fps) == (camera, FPS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["poses.json", "poses.npz"]
    with pytest.raises(InvalidInput, match=r"saved as \.npz or \.json"):
        before.save(tmp_path / "poses.txt")


ORDERS = ["XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"]


def _from_the_inverse(turns, order):
    """Yaw, pitch, roll as the published code takes them: minus the angles of the inverse rotation."""
    angles = -Rotation.from_matrix(turns).inv().as_euler(order, degrees=True)
    return tuple(angles[:, order.index(axis)] for axis in "YXZ")


def _apart_deg(a, b):
    return np.degrees((Rotation.from_matrix(a).inv() * Rotation.from_matrix(b)).magnitude())


def test_the_published_order_of_angles_is_wrong_and_ours_is_not():
    """Fault of the published code: yaw, pitch and roll are minus the angles of the inverse rotation, read in the order in which the forward
    rotation is made (YXZ). The inverse of R_y R_x R_z turns about z first, so only ZXY fits. Over yaw ±30°, pitch ±45°, roll ±20° that is up to
    42° wrong (half of the grid more than 9°); ours is exact.
    """
    yaw, pitch, roll = (
        grid.ravel()
        for grid in np.meshgrid(
            np.linspace(-30, 30, 7), np.linspace(-45, 45, 7), np.linspace(-20, 20, 7)
        )
    )
    turns = _turns(yaw, pitch, roll)
    error = {order: _apart_deg(turns, _turns(*_from_the_inverse(turns, order))) for order in ORDERS}
    assert error["YXZ"].max() == pytest.approx(42.2, abs=0.1)
    assert np.median(error["YXZ"]) == pytest.approx(9.4, abs=0.1)
    assert {order: bool(error[order].max() > 10) for order in ORDERS} == {
        order: order != "ZXY" for order in ORDERS
    }
    ours = to_euler_deg(turns)
    assert _apart_deg(turns, _turns(*ours)).max() < 1e-6
    np.testing.assert_allclose(ours, (yaw, pitch, roll), atol=1e-9)


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_is_right_where_one_axis_turns(order):
    """Why the fault was not seen."""
    angles = np.linspace(-85, 85, 11)
    for axis in range(3):
        turns = _turns(*(angles if k == axis else 0 * angles for k in range(3)))
        np.testing.assert_allclose(_from_the_inverse(turns, order)[axis], angles, atol=1e-9)
        np.testing.assert_allclose(
            _apart_deg(turns, _turns(*_from_the_inverse(turns, order))), 0, atol=1e-5
        )


def test_a_combined_turn_in_the_published_order():
    """Yaw 150°, pitch 60°, roll 30°: more than 100° off, where ours gives the angles back."""
    turn = from_euler_deg([150], [60], [30])
    assert _apart_deg(turn, _turns(*_from_the_inverse(turn, "YXZ")))[0] == pytest.approx(
        111.8, abs=0.1
    )
    np.testing.assert_allclose(np.ravel(to_euler_deg(turn)), (150, 60, 30), atol=1e-9)


def test_megasams_field_of_view_is_that_of_the_whole_frame(tmp_path, motion):
    """Its pictures are cut to a multiple of 8 at the right and the bottom; the principal point tells the size before that."""
    whole = Trajectory.load(_write_megasam(tmp_path, motion, scale=0.55), fps=5).camera
    assert (whole.width, whole.height) == (352, 264)
    assert (whole.fov_x_deg, whole.fov_y) == pytest.approx((70, 50))


def test_pictures_in_an_npz_are_not_read(tmp_path, motion):
    """They may be large, and of objects."""
    path = _write_megasam(tmp_path, motion, images=np.array([{}], dtype=object))
    assert len(Trajectory.load(path, fps=5)) == FRAMES


def test_colmap_frames_are_ordered_by_their_numbers(tmp_path, motion):
    names = [f"video/{'0' * (k % 3)}{5 * k}.png" for k in range(FRAMES)]
    np.testing.assert_allclose(
        Trajectory.load(_write_colmap(tmp_path, motion, names=names), fps=5).rotations,
        motion,
        atol=1e-9,
    )


def test_frames_that_colmap_did_not_register_are_named(tmp_path, motion):
    names = [f"frame_{k:04}.png" for k in (0, 1, 2, 5, 6, 7, 8, 9, 10, 12, 13, 100)]
    with pytest.raises(
        InvalidInput,
        match=r"leaves out 89 of 101 frames.* frame_0003.png, frame_0004.png, frame_0011.png, frame_0014.png",
    ) as caught:
        Trajectory.load(_write_colmap(tmp_path, motion, names=names), fps=5)
    assert "and 84 more" in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "7 SIMPLE_PINHOLE 640 480 457 320 240",
        "7 SIMPLE_RADIAL 640 480 457 320 240 0.01",
        "7 RADIAL 640 480 457 320 240 0.01 -0.002",
        "7 OPENCV 640 480 457 457 320 240 0.01 -0.002 0.0001 0.0002",
    ],
)
def test_colmap_lenses_that_hardly_bend(tmp_path, motion, line):
    camera = Trajectory.load(_write_colmap(tmp_path, motion, camera=line), fps=5).camera
    assert (camera.fx, camera.fy) == pytest.approx((457, 457))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "7 SIMPLE_RADIAL 640 480 457 320 240 -0.1",
            "lens bends rays by up to 2.25 degrees.*undistort",
        ),
        ("7 OPENCV 640 480 457 457 320 240 0 0 0.02 0", "lens bends rays"),
        (
            "7 OPENCV_FISHEYE 640 480 457 457 320 240 0 0 0 0",
            "OPENCV_FISHEYE.*SIMPLE_PINHOLE, PINHOLE",
        ),
        ("7 PINHOLE 640 480 457 320 240", "CAMERA_ID MODEL WIDTH HEIGHT fx fy cx cy"),
        ("7 PINHOLE 640 480 457 457 200 240", "principal point"),
        ("7 PINHOLE 640 480 457 457 nan 240", "finite"),
        ("7 PINHOLE 640 480 -457 457 320 240", "positive"),
        ("7 PINHOLE 640", "cameras.txt line 3"),
        ("7", "cameras.txt line 3"),
        ("8 PINHOLE 640 480 457 457 320 240", "no camera 7"),
    ],
)
def test_colmap_cameras_that_are_refused(tmp_path, motion, line, words):
    with pytest.raises(InvalidInput, match=words):
        Trajectory.load(_write_colmap(tmp_path, motion, camera=line), fps=5)


def _image(fields="1 1 0 0 0 0 0 0 7 a1.png", points=""):
    return f"{fields}\n{points}\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "lists no picture"),
        ("# nothing\n\n", "lists no picture"),
        (_image("1 1 0 0 0 0 0 0 7"), "line 1 has 9 fields"),
        (_image("1 2 0 0 0 0 0 0 7 a1.png"), "length 2"),
        (_image("1 nan 0 0 0 0 0 0 7 a1.png"), "length nan"),
        (_image("1 one 0 0 0 0 0 0 7 a1.png"), "one"),
        (_image() + _image(), "a1.png twice"),
        ("1 1 0 0 0 0 0 0 7 a1.png\n2 1 0 0 0 0 0 0 7 a2.png\n", "line 2 is no line of points"),
        (_image() + _image("1 1 0 0 0 0 0 0 8 a2.png"), "2 different cameras"),
        (_image("1 1 0 0 0 0 0 0 7 " + "9" * 70_000), "line 1 is longer than 4096"),
        (_image() + "x" * 4095 + "\n" + "x", "line 3 is longer"),
    ],
    ids=range(11),
)
def test_broken_colmap_images_are_refused(tmp_path, motion, content, words):
    lines = "7 PINHOLE 640 480 457 457 320 240\n8 PINHOLE 640 480 400 457 320 240"
    _write_colmap(tmp_path, motion, camera=lines)
    (tmp_path / "images.txt").write_text(content)
    with pytest.raises(InvalidInput, match=words):
        Trajectory.load(tmp_path, fps=5)


def test_colmaps_binary_model_says_how_to_convert_it(tmp_path):
    (tmp_path / "images.bin").write_bytes(b"\0")
    with pytest.raises(InvalidInput, match=r"no cameras\.txt.*model_converter"):
        Trajectory.load(tmp_path, fps=5)


@pytest.mark.parametrize(
    ("motion_text", "fov_text", "words"),
    [
        ("0 0\n0 0\n", "60 40", r"shape \(2, 2\).*3 rows \(pitch, yaw, roll"),
        ("0 1\n0\n0 0\n", "60 40", "cannot be read"),
        ("", "60 40", "empty"),
        ("0 nan\n0 0\n0 0\n", "60 40", "not finite"),
        ("0 30\n0 0\n0 0\n", "60 40", "convert degrees"),
        ("a b\nc d\ne f\n", "60 40", "cannot be read"),
        ("0 0\n0 0\n0 0\n", "60", "holds 1 numbers"),
        ("0 0\n0 0\n0 0\n", "190 40", "fov_x_deg is 190"),
        ("0 0\n0 0\n0 0\n", None, "fov/a.txt"),
    ],
    ids=range(9),
)
def test_broken_evaluation_files_are_refused(tmp_path, motion_text, fov_text, words):
    for name, text in (("motion", motion_text), ("fov", fov_text)):
        if text is not None:
            (tmp_path / name).mkdir()
            (tmp_path / name / "a.txt").write_text(text)
    with pytest.raises(InvalidInput, match=words):
        Trajectory.load(tmp_path / "motion/a.txt", fps=5, size=SIZE)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cam_c2w": np.eye(4)}, r"must be \[T, 4, 4\]"),
        ({"cam_c2w": np.zeros((0, 4, 4))}, "at least one frame"),
        ({"cam_c2w": np.full((2, 4, 4), np.nan)}, "orthonormal"),
        ({"cam_c2w": np.diag([1.0, -1, 1, 1])[None]}, "mirrors"),
        ({"cam_c2w": np.eye(4, dtype=complex)[None]}, "real numbers"),
        ({"cam_c2w": np.array([["a"]])}, "real numbers"),
        ({"cam_c2w": np.array([{}], dtype=object)}, "cannot be read"),
        ({"intrinsic": np.eye(4)}, r"\[3, 3\]"),
        ({"intrinsic": np.full((3, 3), np.inf)}, "finite"),
        ({"intrinsic": np.eye(3)}, "principal point"),
    ],
    ids=range(10),
)
def test_broken_megasam_files_are_refused(tmp_path, motion, change, words):
    with pytest.raises(InvalidInput, match=words):
        Trajectory.load(_write_megasam(tmp_path, motion, **change), fps=5)


def test_an_array_that_would_exhaust_the_memory_is_refused(tmp_path):
    """Small on the disk, far too large in memory: nothing is unpacked."""
    with (
        zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("rotations.npy", "w", force_zip64=True) as file,
    ):
        for _ in range(257):
            file.write(bytes(1 << 20))
    with pytest.raises(InvalidInput, match="may have at most 256"):
        Trajectory.load(tmp_path / "bomb.npz")


def test_a_header_that_promises_more_than_there_is_is_refused(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**13, 3, 3)}
    )
    with zipfile.ZipFile(tmp_path / "liar.npz", "w") as archive:
        archive.writestr("rotations.npy", header.getvalue())
    with pytest.raises(InvalidInput, match="cannot be read"):
        Trajectory.load(tmp_path / "liar.npz")


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_files_give_one_kind_of_error(tmp_path, motion, kind):
    """Cut short or with a flipped byte anywhere, a file loads or is refused."""
    path = _write(kind, tmp_path, motion[:3])
    victim = path / "images.txt" if kind == "colmap" else path
    whole, read = victim.read_bytes(), 0
    random = np.random.default_rng(5)
    for k in range(150):
        data = bytearray(whole[: random.integers(len(whole))] if k % 2 else whole)
        if data:
            data[random.integers(min(len(data), 2_000) if kind != "megasam" else len(data))] = (
                random.integers(256)
            )
        victim.write_bytes(data)
        with contextlib.suppress(InvalidInput):
            Trajectory.load(path, fps=5, size=SIZE)
            read += 1
    assert read < 130, "a file that is cut short is refused"


def test_files_that_are_no_trajectory_are_refused(tmp_path):
    fields = {
        "schema": 1,
        "fps": [5, 1],
        "fov_deg": [60, 40],
        "square_pixels": False,
        "size": [64, 48],
        "rotations": np.eye(3)[None].tolist(),
    }
    cases = {
        "a.json": (json.dumps({"schema": 1}), "has no fps, fov_deg"),
        "b.json": ("no json", "cannot be read"),
        "c.json": ("[" * 100_000, "cannot be read"),
        "d.json": (json.dumps({**fields, "schema": 2}), "schema 2; this version reads 1"),
        "e.json": (json.dumps({**fields, "fps": [5, 0]}), "cannot be read"),
        "f.json": (json.dumps({**fields, "fps": [-5, 1]}), "must be positive"),
        "g.json": (
            json.dumps({**fields, "rotations": [[[2, 0, 0], [0, 1, 0], [0, 0, 1]]]}),
            "orthonormal",
        ),
        "h.json": (json.dumps({**fields, "size": [0, 48]}), "at least one pixel"),
        "i.npz": ("no zip", "cannot be read"),
        "j.csv": ("1,2,3", "npz, .json or .txt"),
    }
    for name, (content, words) in cases.items():
        (tmp_path / name).write_text(content)
        with pytest.raises(InvalidInput, match=words):
            Trajectory.load(tmp_path / name)
    with pytest.raises(InvalidInput, match="does not exist"):
        Trajectory.load(tmp_path / "absent.npz")
    np.savez(tmp_path / "k.npz", rotations=np.array([{}], dtype=object))
    with pytest.raises(InvalidInput, match="cannot be read"):
        Trajectory.load(tmp_path / "k.npz")
