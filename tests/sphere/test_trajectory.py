"""Trajectories survive every file format; the files are written by code outside the package."""

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from argus.errors import InvalidInput
from argus.sphere import Camera, Trajectory, from_euler_deg, to_euler_deg
from tests.support.pose_files import (
    CAMERA,
    FORMATS,
    FPS,
    SIZE,
    rotation_matrices,
    write_trajectory,
)


@pytest.fixture(scope="module")
def motion():
    """Rotations [12, 3, 3] about all axes; frame 0 is not the identity, frame 1 is large in all
    three angles."""
    yaw, pitch, roll = (
        np.linspace(first, last, 12) for first, last in ((-170, 175), (-75, 80), (40, -35))
    )
    yaw[1], pitch[1], roll[1] = 150, 60, 30
    return rotation_matrices(yaw, pitch, roll)


@pytest.mark.parametrize("kind", FORMATS)
def test_rotations_survive_every_format(tmp_path, motion, kind):
    """Nothing is mirrored, inverted or reordered."""
    loaded = Trajectory.load(write_trajectory(kind, tmp_path, motion), fps=FPS, size=SIZE)
    np.testing.assert_allclose(loaded.relative().rotations, motion[0].T @ motion, rtol=0, atol=1e-6)
    np.testing.assert_allclose(loaded.rotations, motion, rtol=0, atol=1e-6)
    angles = [angle[1] for angle in to_euler_deg(loaded.rotations)]
    np.testing.assert_allclose(angles, (150, 60, 30), atol=1e-4)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_camera_survives_every_format(tmp_path, motion, kind):
    path = write_trajectory(kind, tmp_path, motion)
    loaded = Trajectory.load(path, fps=FPS, size=SIZE)
    assert (loaded.camera.fov_x_deg, loaded.camera.fov_y) == pytest.approx((70, 50), abs=1e-9)
    assert (loaded.camera.width, loaded.camera.height, loaded.fps) == (640, 480, FPS)
    resized = Trajectory.load(path, fps=25, size=(90, 160))
    assert (resized.camera.fov_x_deg, resized.camera.fov_y) == pytest.approx((70, 50), abs=1e-9)
    assert (resized.camera.width, resized.camera.height, resized.fps) == (160, 90, 25)


@pytest.mark.parametrize("kind", FORMATS)
def test_values_that_a_format_lacks_are_required(tmp_path, motion, kind):
    path = write_trajectory(kind, tmp_path, motion)
    if kind in ("npz", "json"):
        assert (Trajectory.load(path).fps, Trajectory.load(path).camera) == (FPS, CAMERA)
        return
    with pytest.raises(InvalidInput, match="fps"):
        Trajectory.load(path, size=SIZE)
    if kind == "evaluation":
        with pytest.raises(InvalidInput, match="size"):
            Trajectory.load(path, fps=FPS)
    else:
        width = {"megasam": 320, "colmap": 640}[kind]
        assert Trajectory.load(path, fps=FPS).camera.width == width


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("angles", "direction"),
    [((20, 0, 0), "right"), ((0, 20, 0), "up"), ((0, 0, 20), "right side down")],
    ids=["yaw", "pitch", "roll"],
)
def test_positive_angles_mean_the_same_in_every_format(tmp_path, kind, angles, direction):
    rotations = rotation_matrices(*(np.array([0, angle]) for angle in angles))
    path = write_trajectory(kind, tmp_path, rotations)
    right, _, forward = Trajectory.load(path, fps=5, size=SIZE).rotations[1].T
    moves = {"right": forward[0], "up": -forward[1], "right side down": right[1]}
    assert [name for name, value in moves.items() if value > 0.3] == [direction]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.integers(1, 9),
    st.integers(0, 1000),
    st.builds(
        Camera,
        st.floats(1, 179),
        st.integers(1, 5000),
        st.integers(1, 5000),
        st.none() | st.floats(1, 179),
    ),
    st.fractions(Fraction(1, 10), 240, max_denominator=1001),
    st.sampled_from(["npz", "json"]),
)
def test_saved_files_give_the_trajectory_back(tmp_path_factory, frames, seed, camera, fps, suffix):
    saved = Trajectory(Rotation.random(frames, random_state=seed).as_matrix(), camera, fps)
    folder = tmp_path_factory.mktemp("poses")
    saved.save(folder / f"poses.{suffix}")
    loaded = Trajectory.load(folder / f"poses.{suffix}")
    np.testing.assert_array_equal(loaded.rotations, saved.rotations)
    assert (loaded.camera.width, loaded.camera.height) == (camera.width, camera.height)
    assert loaded.camera.fov_x_deg == pytest.approx(camera.fov_x_deg, abs=1e-9)
    assert loaded.camera.fov_y == pytest.approx(camera.fov_y, abs=1e-9)
    assert loaded.fps == fps
    assert [path.name for path in folder.iterdir()] == [f"poses.{suffix}"]


def test_another_suffix_is_rejected(tmp_path, motion):
    with pytest.raises(InvalidInput, match=r"poses\.txt"):
        Trajectory(motion, CAMERA, FPS).save(tmp_path / "poses.txt")


ORDERS = ["XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"]


def angles_of_the_inverse(rotations, order):
    """Return (yaw, pitch, roll) as the published code does: minus the inverse rotation's angles."""
    angles = -Rotation.from_matrix(rotations).inv().as_euler(order, degrees=True)
    return tuple(angles[:, order.index(axis)] for axis in "YXZ")


def distance_deg(a, b):
    return np.degrees((Rotation.from_matrix(a).inv() * Rotation.from_matrix(b)).magnitude())


def published_error_deg(rotations, order):
    return distance_deg(rotations, rotation_matrices(*angles_of_the_inverse(rotations, order)))


def test_the_published_order_of_angles_is_wrong_and_ours_is_not():
    """The published code takes yaw, pitch and roll as minus the angles of the inverse rotation, in
    the order of the forward rotation (YXZ). The inverse of R_y R_x R_z rotates about z first, so
    only ZXY is correct. Over yaw ±30°, pitch ±45°, roll ±20° the error is up to 42° (for half of
    the grid more than 9°); ours is exact."""
    yaw, pitch, roll = (
        grid.ravel()
        for grid in np.meshgrid(
            np.linspace(-30, 30, 7), np.linspace(-45, 45, 7), np.linspace(-20, 20, 7)
        )
    )
    rotations = rotation_matrices(yaw, pitch, roll)
    errors = {order: published_error_deg(rotations, order) for order in ORDERS}
    assert errors["YXZ"].max() == pytest.approx(42.2, abs=0.1)
    assert np.median(errors["YXZ"]) == pytest.approx(9.4, abs=0.1)
    assert [order for order in ORDERS if errors[order].max() < 10] == ["ZXY"]
    ours = to_euler_deg(rotations)
    assert distance_deg(rotations, rotation_matrices(*ours)).max() < 1e-6
    np.testing.assert_allclose(ours, (yaw, pitch, roll), atol=1e-9)


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_is_correct_for_rotations_about_one_axis(order):
    """Such rotations do not reveal the error."""
    angles = np.linspace(-85, 85, 11)
    for axis in range(3):
        rotations = rotation_matrices(*(angles if k == axis else 0 * angles for k in range(3)))
        found = angles_of_the_inverse(rotations, order)[axis]
        np.testing.assert_allclose(found, angles, atol=1e-9)
        np.testing.assert_allclose(published_error_deg(rotations, order), 0, atol=1e-5)


def test_the_published_order_is_far_off_for_a_large_rotation():
    """Yaw 150°, pitch 60°, roll 30°: more than 100° off."""
    rotation = from_euler_deg([150], [60], [30])
    assert published_error_deg(rotation, "YXZ")[0] == pytest.approx(111.8, abs=0.1)
    np.testing.assert_allclose(np.ravel(to_euler_deg(rotation)), (150, 60, 30), atol=1e-9)


FIELDS = {
    "schema": 1,
    "fps": [5, 1],
    "fov_deg": [60, 40],
    "square_pixels": False,
    "size": [64, 48],
    "rotations": np.eye(3)[None].tolist(),
}


@pytest.mark.parametrize(
    ("name", "content", "value"),
    [
        ("fields.json", json.dumps({"schema": 1}), "fov_deg"),
        ("text.json", "no json", "JSONDecodeError"),
        ("deep.json", "[" * 100_000, "RecursionError"),
        ("schema.json", json.dumps({**FIELDS, "schema": 2}), "2.*1"),
        ("zero.json", json.dumps({**FIELDS, "fps": [5, 0]}), "ZeroDivisionError"),
        ("negative.json", json.dumps({**FIELDS, "fps": [-5, 1]}), "fps is -5"),
        (
            "stretched.json",
            json.dumps({**FIELDS, "rotations": [[[2, 0, 0], [0, 1, 0], [0, 0, 1]]]}),
            "rotations",
        ),
        ("size.json", json.dumps({**FIELDS, "size": [0, 48]}), "0x48"),
        ("text.npz", "no zip", "BadZipFile"),
        ("other.csv", "1,2,3", r"\.npz, \.json"),
    ],
)
def test_files_that_are_not_trajectories_are_rejected(tmp_path, name, content, value):
    (tmp_path / name).write_text(content)
    with pytest.raises(InvalidInput, match=f"{name}.*{value}"):
        Trajectory.load(tmp_path / name)


def test_missing_files_and_pickles_are_rejected(tmp_path):
    with pytest.raises(InvalidInput, match=r"missing\.npz"):
        Trajectory.load(tmp_path / "missing.npz")
    np.savez(tmp_path / "pickle.npz", rotations=np.array([{}], dtype=object))
    with pytest.raises(InvalidInput, match=r"pickle\.npz"):
        Trajectory.load(tmp_path / "pickle.npz")
