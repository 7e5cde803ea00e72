from fractions import Fraction

import numpy as np

from argus.sphere import Camera, MotionSettings, simulate_motion
from argus.sphere.motion import simulate_angles_deg

CAMERA = Camera(60, 64, 64)


def test_motion_is_a_function_of_its_seed():
    first, same, other = (
        simulate_motion(seed, 25, Fraction(5), CAMERA).rotations
        for seed in ((1, 2), (1, 2), (1, 3))
    )
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 1e-4


def test_frame_zero_is_the_reference():
    trajectory = simulate_motion(4, 25, 5, CAMERA)
    np.testing.assert_allclose(trajectory.rotations[0], np.eye(3), atol=1e-12)
    assert (trajectory.fps, len(trajectory)) == (Fraction(5), 25)


def test_motion_has_the_published_constants():
    """Over many clips, drift is uniform within its bound and zero for a third of the axes; the
    rest is bounded shake and normally distributed jitter."""
    t = np.arange(200) / 5
    only_jitter = MotionSettings(shake_deg=(0, 0, 0), drift_deg_s=(0, 0, 0))
    slopes, jitters = [], []
    for seed in range(300):
        angles = simulate_angles_deg(seed, 200, 5.0)
        slopes.append(np.polynomial.polynomial.polyfit(t, angles.T, 1)[1])
        jitters.append(simulate_angles_deg(seed, 200, 5.0, only_jitter).std(1))
    slopes = np.abs(slopes)  # [300, 3]
    assert (slopes.max(0) < np.array([15, 3, 1]) + 0.05).all()
    assert (slopes.max(0) > np.array([15, 3, 1]) * 0.95).all()
    np.testing.assert_allclose((slopes < 0.02).mean(0), 1 / 3, atol=0.1)
    np.testing.assert_allclose(np.mean(jitters, 0), (0.15, 0.15, 0.1), rtol=0.02)


def test_shake_has_a_frequency_of_one_and_a_half_hertz():
    only_shake = MotionSettings(jitter_deg=(0, 0, 0), drift_deg_s=(0, 0, 0))
    angles = simulate_angles_deg(7, 300, 30.0, only_shake)
    spectrum = np.abs(np.fft.rfft(angles, axis=1))
    np.testing.assert_allclose(np.fft.rfftfreq(300, 1 / 30)[spectrum.argmax(1)], 1.5)
    assert (np.abs(angles).max(1) <= [1, 0.5, 0.2]).all()
