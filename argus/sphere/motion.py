"""Simulated camera motion of the Argus paper (arXiv 2504.07940, Eq. 3).

The default constants are those that the authors confirmed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from argus.errors import InvalidInput
from argus.sphere.camera import Camera
from argus.sphere.rotations import from_euler_deg
from argus.sphere.trajectory import Trajectory


@dataclass(frozen=True)
class MotionSettings:
    """Constants of the simulated motion, for (yaw, pitch, roll).

    Attributes:
        shake_deg: Maximum shake amplitude A in degrees.
        jitter_deg: Standard deviation s of the per-frame jitter in degrees.
        drift_deg_s: Maximum drift rate d in degrees per second. The paper has no roll drift.
        still: Probability that an axis does not drift.
        shake_hz: Shake frequency in hertz.
    """

    shake_deg: tuple[float, float, float] = (1.0, 0.5, 0.2)
    jitter_deg: tuple[float, float, float] = (0.15, 0.15, 0.1)
    drift_deg_s: tuple[float, float, float] = (15.0, 3.0, 1.0)
    still: float = 1 / 3
    shake_hz: float = 1.5


_DEFAULT_MOTION = MotionSettings()


def simulate_motion(
    seed: int | Sequence[int],
    frames: int,
    fps: Fraction | float,
    camera: Camera,
    motion: MotionSettings = _DEFAULT_MOTION,
) -> Trajectory:
    """Simulate a hand-held camera (arXiv 2504.07940, Eq. 3).

    Each angle at t = k/fps is A·U(0,1)·sin(2π·(1.5·t + U(0,1))) + d·t + N(0, s²), where the uniform
    draws and d are constant over the clip.

    Args:
        seed: Entropy of `numpy.random.SeedSequence`, such as (seed, epoch, sample). The same
            arguments give the same trajectory.
        frames: Number of frames T, at least 1.
        fps: Frames per second.
        camera: Camera of the trajectory.
        motion: Constants of the motion.

    Returns:
        A trajectory of T frames whose frame 0 is the reference orientation (identity).

    Raises:
        InvalidInput: `frames` or `fps` is not positive.
    """
    if frames < 1:
        raise InvalidInput(f"frames is {frames}, but must be at least 1")
    rate = Fraction(fps)
    if rate <= 0:
        raise InvalidInput(f"fps is {fps}, but must be positive")
    angles = simulate_angles_deg(seed, frames, float(rate), motion)
    return Trajectory(from_euler_deg(*angles), camera, rate).relative()


def simulate_angles_deg(
    seed: int | Sequence[int], frames: int, fps: float, motion: MotionSettings = _DEFAULT_MOTION
) -> np.ndarray:
    """Return the angles of Eq. 3, before frame 0 becomes the reference orientation.

    Args:
        seed: Entropy of `numpy.random.SeedSequence`.
        frames: Number of frames T.
        fps: Frames per second.
        motion: Constants of the motion.

    Returns:
        (yaw, pitch, roll) in degrees, float64 `[3, T]`.
    """
    generator = np.random.default_rng(np.random.SeedSequence(seed))
    t = np.arange(frames) / fps
    amplitude, phase = generator.random((3, 1)), generator.random((3, 1))
    drift = generator.uniform(-1, 1, (3, 1)) * np.reshape(motion.drift_deg_s, (3, 1))
    drift = np.where(generator.random((3, 1)) < motion.still, 0.0, drift)
    jitter = generator.normal(size=(3, frames)) * np.reshape(motion.jitter_deg, (3, 1))
    shake = (
        np.reshape(motion.shake_deg, (3, 1))
        * amplitude
        * np.sin(2 * np.pi * (motion.shake_hz * t + phase))
    )
    angles: np.ndarray = shake + drift * t + jitter
    return angles
