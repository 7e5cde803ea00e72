import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from argus.sphere import from_euler_deg, to_euler_deg

ANGLES = st.floats(-180, 180)
PITCHES = st.floats(-89.9, 89.9)


def test_positive_yaw_turns_right():
    x, _, z = from_euler_deg(30, 0, 0) @ [0, 0, 1]
    np.testing.assert_allclose([x, z], [0.5, np.sqrt(0.75)])


def test_positive_pitch_looks_up():
    assert (from_euler_deg(0, 30, 0) @ [0, 0, 1])[1] < -0.49


def test_positive_roll_tilts_the_right_side_down():
    assert (from_euler_deg(0, 0, 30) @ [1, 0, 0])[1] > 0.49


def test_the_order_is_scipys_intrinsic_yxz():
    R = from_euler_deg(150, 60, 30)
    expected = Rotation.from_euler("YXZ", [150, 60, 30], degrees=True).as_matrix()
    np.testing.assert_allclose(R, expected, atol=1e-12)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(ANGLES, PITCHES, ANGLES)
def test_angles_survive_the_matrix(yaw, pitch, roll):
    """Except for whole turns: 180° and -180° are the same angle."""
    found = np.array(to_euler_deg(from_euler_deg(yaw, pitch, roll)))
    difference = (found - (yaw, pitch, roll) + 180) % 360 - 180
    np.testing.assert_allclose(difference, 0, atol=1e-7)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_matrices_survive_the_angles(seed):
    R = Rotation.random(random_state=seed).as_matrix()
    np.testing.assert_allclose(from_euler_deg(*to_euler_deg(R)), R, atol=1e-9)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(ANGLES, st.sampled_from([90, -90]), ANGLES)
def test_the_matrix_survives_gimbal_lock(yaw, pitch, roll):
    R = from_euler_deg(yaw, pitch, roll)
    angles = to_euler_deg(R)
    np.testing.assert_allclose(from_euler_deg(*angles), R, atol=1e-6)
    assert abs(angles[2]) == 0


def test_angles_broadcast():
    assert from_euler_deg(np.zeros(4), 10, [[1], [2]]).shape == (2, 4, 3, 3)
