import subprocess
import sys
from fractions import Fraction

import cv2
import numpy as np
import pytest

from argus.errors import InvalidInput
from argus.sphere import from_euler_deg, rotate_erp
from argus.synth import World, make_path, render_clip
from argus.synth.city import make_solids
from argus.synth.hashing import hash_uniform
from argus.synth.ray_caster import RayCaster

SIZE = (64, 128)


def test_the_same_seed_gives_the_same_pixels():
    first, same, other = (render_clip(seed, 2, SIZE).frames for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, same)
    assert np.abs(first.astype(int) - other).mean() > 10


def test_threads_do_not_change_the_pixels():
    threaded, single = (render_clip(5, 3, SIZE, threads=threads).frames for threads in (2, 1))
    np.testing.assert_array_equal(threaded, single)


def test_hashed_numbers_are_the_same_in_another_process():
    """They do not depend on Python's salted hash."""
    code = (
        "from argus.synth.hashing import hash_uniform; print(float(hash_uniform(7, -3, 12)).hex())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "99"},
    )
    assert done.stdout.strip() == float(hash_uniform(7, -3, 12)).hex()


def test_hashed_numbers_are_uniform_and_neighbors_are_uncorrelated():
    values = hash_uniform(1, np.arange(-100, 100)[:, None], np.arange(100)[None])
    assert values.min() >= 0
    assert values.max() < 1
    assert values.mean() == pytest.approx(0.5, abs=0.01)
    assert values.var() == pytest.approx(1 / 12, abs=0.003)
    assert abs(np.corrcoef(values[:-1].ravel(), values[1:].ravel())[0, 1]) < 0.03


@pytest.mark.parametrize("motion", ["walk", "drive", "still", "spin"])
def test_clips_have_the_statistics_of_real_videos(motion):
    """Variance, black share and change between frames are far from the curation thresholds."""
    for seed in range(3):
        frames = render_clip(seed, 4, SIZE, 2, motion).frames
        gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
        assert min(picture.var() for picture in gray) > 800
        assert max((picture <= 5).mean() for picture in gray) < 0.02
        if motion != "still":
            assert np.abs(np.diff(frames.astype(int), axis=0)).mean() / 255 > 0.01


def test_a_rotated_camera_sees_the_rotated_map():
    world, R = World(2), from_euler_deg(40, 20, -15)
    position, time = [[5.2, -1.65, 11.0]], [3.0]
    upright, rotated = (
        world.render(rotation[None], position, time, (128, 256), supersample=2).astype(float)
        for rotation in (np.eye(3), R)
    )
    assert np.abs(rotated - rotate_erp(upright, R)).mean() < 4
    assert np.abs(rotated - rotate_erp(upright, R.T)).mean() > 10


def test_frames_are_continuous_at_the_seam_and_the_poles():
    frame = render_clip(6, 1, (128, 256), supersample=2).frames[0].astype(float)
    column_steps = np.abs(np.diff(frame, axis=1)).mean((0, 2))
    seam_step = np.abs(frame[:, 0] - frame[:, -1]).mean()
    assert seam_step < 3 * np.sort(column_steps)[-20:].mean()
    assert np.abs(frame[0] - np.roll(frame[0], 128, axis=0)).mean() < 12


def test_edges_have_the_depth_of_the_rendered_surface():
    """Every point of an edge is seen at its exact distance, or hidden by a nearer solid."""
    world, eye, R = World(1), np.array([5.0, -1.7, 12.0]), from_euler_deg(25, 10, 5)
    caster = RayCaster(R, -eye[1], (256, 512))
    caster.intersect(make_solids(1, world.palette, eye, 0.0), eye)
    ends = world.find_edges(eye, 30)
    fractions = np.linspace(0.02, 0.98, 25)[None, :, None]
    points = (ends[:, :1] + fractions * (ends[:, 1:] - ends[:, :1])).reshape(-1, 3) - eye
    distance = np.linalg.norm(points, axis=1)
    in_range = (distance > 2) & (distance < 40)
    points, distance = points[in_range], distance[in_range]
    x, y, z = (points / distance[:, None] @ R).T
    column = np.rint((np.arctan2(x, z) / (2 * np.pi) + 0.5) * 512 - 0.5).astype(int)
    row = np.rint((0.5 - np.arcsin(-y) / np.pi) * 256 - 0.5).astype(int)
    depths = np.stack(
        [
            caster.depth[np.clip(row + i, 0, 255), (column + j) % 512]
            for i in (-1, 0, 1)
            for j in (-1, 0, 1)
        ]
    )
    assert (depths.min(0) <= distance * 1.05 + 0.2).all()

    def seen_share(at_distance):
        return (np.abs(depths - at_distance).min(0) < 0.02 * distance + 0.05).mean()

    assert seen_share(distance) > 0.25
    assert seen_share(distance + 1.5) < seen_share(distance) / 2


def test_edges_are_parallel_to_an_axis():
    ends = World(8).find_edges([0, -1.6, 0])
    direction = np.abs(ends[:, 1] - ends[:, 0])
    assert ((direction > 1e-9).sum(1) == 1).all()
    assert len(ends) > 50


def test_the_world_is_endless():
    """Frames far away in any direction are as rich."""
    for x, z in ((1e5, -3e5), (-1e6, 40.0)):
        frame = World(3).render(np.eye(3)[None], [[x + 5, -1.7, z]], [0.0], SIZE)[0]
        assert cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).var() > 500


@pytest.mark.parametrize(
    ("motion", "max_speed"), [("walk", 2), ("drive", 12), ("still", 0), ("spin", 0)]
)
def test_paths_are_smooth_orthonormal_and_above_the_street(motion, max_speed):
    path = make_path(11, 30, Fraction(30000, 1001), motion)
    speed = np.linalg.norm(np.diff(path.positions, axis=0), axis=1) * 30000 / 1001
    assert speed.max() <= max_speed + 1e-9
    assert (speed.min() > max_speed / 3) == (max_speed > 0)
    np.testing.assert_allclose(np.diff(path.times), 1001 / 30000, rtol=1e-9)
    products = path.rotations @ path.rotations.transpose(0, 2, 1)
    np.testing.assert_allclose(products, np.broadcast_to(np.eye(3), (30, 3, 3)), atol=1e-9)
    assert (path.positions[:, 1] < -1).all()


def test_supersampling_averages():
    path = make_path(1, 1, 5)
    poses = path.rotations, path.positions, path.times
    large = World(1).render(*poses, (128, 256))[0]
    small = World(1).render(*poses, SIZE, supersample=2)[0]
    np.testing.assert_allclose(small, large.reshape(64, 2, 128, 2, 3).mean((1, 3)), atol=1)


@pytest.mark.parametrize(
    ("call", "value"),
    [
        (lambda: World(-1), "seed is -1"),
        (lambda: World(0).render(np.eye(3)[None], [[0, 1, 0]], [0], SIZE), "positions"),
        (lambda: World(0).render(np.eye(3)[None], [[0, -1, 0]] * 2, [0], SIZE), r"\(2, 3\)"),
        (lambda: make_path(0, 3, 5, "fly"), "'fly'"),
    ],
)
def test_invalid_input_is_named(call, value):
    with pytest.raises(InvalidInput, match=value):
        call()
