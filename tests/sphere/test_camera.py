from fractions import Fraction

import numpy as np
import pytest

from argus.errors import InvalidInput
from argus.sphere import Camera, MotionSettings, simulate_motion
from argus.sphere.motion import motion_angles_deg


def test_square_pixels_unless_fov_y_is_given():
    assert Camera(90, 640, 480).fx == pytest.approx(320)
    assert Camera(90, 640, 480).fy == pytest.approx(320)
    assert Camera(90, 640, 480, 90).fy == pytest.approx(240)
    assert Camera(90, 640, 640).fov_y == pytest.approx(90)


def test_focal_length_and_intrinsics_give_the_same_camera():
    camera = Camera(70, 640, 480, 50)
    K = np.array([[camera.fx, 0, 320], [0, camera.fy, 240], [0, 0, 1]])
    for other in (
        Camera.from_focal(camera.fx, 640, 480, camera.fy),
        Camera.from_intrinsics(K, 640, 480),
    ):
        assert (other.fov_x_deg, other.fov_y) == pytest.approx((70, 50))
    assert Camera.from_focal(320, 640, 480).fov_x_deg == pytest.approx(90)


def test_a_resized_camera_sees_the_same():
    small = Camera(70, 640, 480).resized(100, 30)
    assert (small.fov_x_deg, small.fov_y) == pytest.approx((70, Camera(70, 640, 480).fov_y))


@pytest.mark.parametrize("fov", [0, 180, -5, float("nan")])
def test_impossible_fields_of_view_are_refused(fov):
    with pytest.raises(InvalidInput, match="fov_x_deg"):
        Camera(fov, 64, 64)


def test_an_off_centre_principal_point_is_refused():
    with pytest.raises(InvalidInput, match="principal point"):
        Camera.from_intrinsics([[300, 0, 200], [0, 300, 240], [0, 0, 1]], 640, 480)


def test_motion_is_a_function_of_its_seed():
    camera = Camera(60, 64, 64)
    one, same, other = (
        simulate_motion(seed, 25, Fraction(5), camera).rotations
        for seed in ((1, 2), (1, 2), (1, 3))
    )
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-4


def test_frame_zero_is_the_reference():
    trajectory = simulate_motion(4, 25, 5, Camera(60, 64, 64))
    np.testing.assert_allclose(trajectory.rotations[0], np.eye(3), atol=1e-12)
    assert (trajectory.fps, len(trajectory)) == (Fraction(5), 25)


def test_motion_has_the_published_constants():
    """Over many clips: drift is uniform within its bound and absent in a third, the rest is bounded shake and normal jitter."""
    t = np.arange(200) / 5
    slopes, residuals = [], []
    for seed in range(300):
        angles = motion_angles_deg(seed, 200, 5.0)
        fits = np.polynomial.polynomial.polyfit(t, angles.T, 1)
        slopes.append(fits[1])
        residuals.append(
            motion_angles_deg(
                seed, 200, 5.0, MotionSettings(shake_deg=(0, 0, 0), drift_deg_s=(0, 0, 0))
            ).std(1)
        )
    slopes = np.abs(slopes)  # [300, 3]
    assert (slopes.max(0) < np.array([15, 3, 1]) + 0.05).all()
    assert (slopes.max(0) > np.array([15, 3, 1]) * 0.95).all()
    np.testing.assert_allclose((slopes < 0.02 * np.array([1, 1, 1])).mean(0), 1 / 3, atol=0.1)
    np.testing.assert_allclose(np.mean(residuals, 0), (0.15, 0.15, 0.1), rtol=0.02)


def test_shake_swings_at_one_and_a_half_hertz():
    only_shake = MotionSettings(jitter_deg=(0, 0, 0), drift_deg_s=(0, 0, 0))
    angles = motion_angles_deg(7, 300, 30.0, only_shake)
    spectrum = np.abs(np.fft.rfft(angles, axis=1))
    np.testing.assert_allclose(np.fft.rfftfreq(300, 1 / 30)[spectrum.argmax(1)], 1.5)
    assert (np.abs(angles).max(1) <= [1, 0.5, 0.2]).all()
