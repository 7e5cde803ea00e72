import numpy as np
from scipy.spatial.transform import Rotation

from argus.sphere import from_euler_deg, to_euler_deg


def test_positive_yaw_turns_right():
    x, _, z = from_euler_deg(30, 0, 0) @ [0, 0, 1]
    np.testing.assert_allclose([x, z], [0.5, np.sqrt(0.75)])


def test_positive_pitch_looks_up():
    assert (from_euler_deg(0, 30, 0) @ [0, 0, 1])[1] < -0.49


def test_positive_roll_tilts_the_right_side_down():
    assert (from_euler_deg(0, 0, 30) @ [1, 0, 0])[1] > 0.49


def test_combined_rotation_survives_and_is_scipys_intrinsic_yxz():
    R = from_euler_deg(150, 60, 30)
    np.testing.assert_allclose(
        R, Rotation.from_euler("YXZ", [150, 60, 30], degrees=True).as_matrix(), atol=1e-12
    )
    np.testing.assert_allclose(to_euler_deg(R), (150, 60, 30), atol=1e-9)


def test_every_rotation_survives_euler_angles():
    R = Rotation.random(500, random_state=1).as_matrix()
    np.testing.assert_allclose(from_euler_deg(*to_euler_deg(R)), R, atol=1e-9)


def test_straight_up_keeps_the_matrix():
    for pitch in (90, -90):
        R = from_euler_deg(40, pitch, 25)
        yaw, angle, roll = to_euler_deg(R)
        np.testing.assert_allclose(from_euler_deg(yaw, angle, roll), R, atol=1e-6)
        assert abs(roll) == 0


def test_angles_broadcast():
    assert from_euler_deg(np.zeros(4), 10, [[1], [2]]).shape == (2, 4, 3, 3)
