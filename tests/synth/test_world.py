import subprocess
import sys
from fractions import Fraction

import cv2
import numpy as np
import pytest

from argus.errors import InvalidInput
from argus.sphere import from_euler_deg, rotate_erp
from argus.synth import World, make_path, render_clip
from argus.synth.canvas import Canvas
from argus.synth.city import solids
from argus.synth.hashing import uniform

SIZE = (64, 128)


def test_the_same_seed_gives_the_same_pixels():
    one, same, other = (render_clip(seed, 2, SIZE).frames for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one.astype(int) - other).mean() > 10


def test_threads_do_not_change_the_pixels():
    np.testing.assert_array_equal(
        render_clip(5, 3, SIZE, threads=2).frames, render_clip(5, 3, SIZE).frames
    )


def test_another_process_draws_the_same_numbers():
    """Nothing depends on Python's salted hash."""
    code = "from argus.synth.hashing import uniform; print(float(uniform(7, -3, 12)).hex())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "99"},
    )
    assert done.stdout.strip() == float(uniform(7, -3, 12)).hex()


def test_chance_is_uniform_and_has_no_pattern_between_neighbours():
    values = uniform(1, np.arange(-100, 100)[:, None], np.arange(100)[None])
    assert values.min() >= 0
    assert values.max() < 1
    assert values.mean() == pytest.approx(0.5, abs=0.01)
    assert values.var() == pytest.approx(1 / 12, abs=0.003)
    assert abs(np.corrcoef(values[:-1].ravel(), values[1:].ravel())[0, 1]) < 0.03


@pytest.mark.parametrize("motion", ["walk", "drive", "still", "spin"])
def test_clips_pass_as_real_footage(motion):
    """Variance, black share and change between frames are far on the good side of the curation thresholds."""
    for seed in range(3):
        frames = render_clip(seed, 4, SIZE, 2, motion).frames
        grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
        assert min(picture.var() for picture in grey) > 800
        assert max((picture <= 5).mean() for picture in grey) < 0.02
        if motion != "still":
            assert np.abs(np.diff(frames.astype(int), axis=0)).mean() / 255 > 0.01


def test_frames_show_the_pose_that_is_given():
    """A turned camera sees the turned map."""
    world, R = World(2), from_euler_deg(40, 20, -15)
    position, time = [[5.2, -1.65, 11.0]], [3.0]
    upright, turned = (
        world.render(pose[None], position, time, (128, 256), supersample=2).astype(float)
        for pose in (np.eye(3), R)
    )
    expected = rotate_erp(upright, R)
    assert np.abs(turned - expected).mean() < 4
    assert np.abs(turned - rotate_erp(upright, R.T)).mean() > 10


def test_seam_and_poles_are_ordinary_places():
    frame = render_clip(6, 1, (128, 256), supersample=2).frames[0].astype(float)
    steps = np.abs(np.diff(frame, axis=1)).mean((0, 2))
    seam = np.abs(frame[:, 0] - frame[:, -1]).mean()
    assert seam < 3 * np.sort(steps)[-20:].mean()
    assert np.abs(frame[0] - np.roll(frame[0], 128, axis=0)).mean() < 12


def test_lines_lie_where_the_frames_show_them():
    """Every point of a straight edge is seen at its exact distance, or hidden by something nearer."""
    world, eye, R = World(1), np.array([5.0, -1.7, 12.0]), from_euler_deg(25, 10, 5)
    canvas = Canvas(R, -eye[1], (256, 512))
    canvas.meet(solids(1, world.palette, eye, 0.0), eye)
    ends = world.lines(eye, 30)
    points = (
        ends[:, :1] + np.linspace(0.02, 0.98, 25)[None, :, None] * (ends[:, 1:] - ends[:, :1])
    ).reshape(-1, 3) - eye
    distance = np.linalg.norm(points, axis=1)
    points, distance = (
        points[(distance > 2) & (distance < 40)],
        distance[(distance > 2) & (distance < 40)],
    )
    x, y, z = (points / distance[:, None] @ R).T
    column = np.rint((np.arctan2(x, z) / (2 * np.pi) + 0.5) * 512 - 0.5).astype(int)
    row = np.rint((0.5 - np.arcsin(-y) / np.pi) * 256 - 0.5).astype(int)
    around = np.stack(
        [
            canvas.depth[np.clip(row + i, 0, 255), (column + j) % 512]
            for i in (-1, 0, 1)
            for j in (-1, 0, 1)
        ]
    )
    assert (around.min(0) <= distance * 1.05 + 0.2).all()
    seen = np.abs(around - distance).min(0) < 0.02 * distance + 0.05
    assert seen.mean() > 0.25
    shifted = np.abs(around - (distance + 1.5)).min(0) < 0.02 * distance + 0.05
    assert shifted.mean() < seen.mean() / 2


def test_lines_are_level_upright_or_along_the_streets():
    ends = World(8).lines([0, -1.6, 0])
    direction = np.abs(ends[:, 1] - ends[:, 0])
    assert ((direction > 1e-9).sum(1) == 1).all()
    assert len(ends) > 50


def test_the_world_goes_on_everywhere():
    """Far away in any direction there is street, and the frame is as rich."""
    for x, z in ((1e5, -3e5), (-1e6, 40.0)):
        frame = World(3).render(np.eye(3)[None], [[x + 5, -1.7, z]], [0.0], SIZE)[0]
        assert cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).var() > 500


def test_paths_are_smooth_exact_and_above_the_street():
    for motion, fastest in (("walk", 2), ("drive", 12), ("still", 0), ("spin", 0)):
        path = make_path(11, 30, Fraction(30000, 1001), motion)
        speed = np.linalg.norm(np.diff(path.positions, axis=0), axis=1) * 30000 / 1001
        assert speed.max() <= fastest + 1e-9
        assert (speed.min() > fastest / 3) == (fastest > 0)
        np.testing.assert_allclose(np.diff(path.times), 1001 / 30000, rtol=1e-9)
        np.testing.assert_allclose(
            path.rotations @ path.rotations.transpose(0, 2, 1),
            np.broadcast_to(np.eye(3), (30, 3, 3)),
            atol=1e-9,
        )
        assert (path.positions[:, 1] < -1).all()


def test_supersampling_is_an_average():
    path = make_path(1, 1, 5)
    big = World(1).render(path.rotations, path.positions, path.times, (128, 256))[0]
    small = World(1).render(path.rotations, path.positions, path.times, SIZE, supersample=2)[0]
    np.testing.assert_allclose(small, big.reshape(64, 2, 128, 2, 3).mean((1, 3)), atol=1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: World(-1), "seed"),
        (lambda: World(0).render(np.eye(3)[None], [[0, 1, 0]], [0], SIZE), "above the ground"),
        (lambda: World(0).render(np.eye(3)[None], [[0, -1, 0]] * 2, [0], SIZE), "do not fit"),
        (lambda: make_path(0, 3, 5, "fly"), "motion"),
    ],
)
def test_bad_input_is_said_clearly(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()
