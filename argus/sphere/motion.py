"""Simulated camera motion of the Argus paper (arXiv 2504.07940, Eq. 3; the constants as the authors confirmed them)."""

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
    """Shake and drift of (yaw, pitch, roll), in degrees and degrees per second."""

    shake_deg: tuple[float, float, float] = (1.0, 0.5, 0.2)  # A
    jitter_deg: tuple[float, float, float] = (0.15, 0.15, 0.1)  # s
    drift_deg_s: tuple[float, float, float] = (
        15.0,
        3.0,
        1.0,
    )  # bound of d; the paper has no roll drift
    still: float = 1 / 3  # probability that an axis does not drift
    shake_hz: float = 1.5


_DEFAULT = MotionSettings()


def simulate_motion(
    seed: int | Sequence[int],
    frames: int,
    fps: Fraction | float,
    camera: Camera,
    motion: MotionSettings = _DEFAULT,
) -> Trajectory:
    """A trajectory whose frame 0 is the reference orientation (identity).

    Each angle at t = k/fps is A·U(0,1)·sin(2π(1.5·t + U(0,1))) + d·t + N(0, s²). A function of its arguments alone; `seed` is
    whatever numpy's SeedSequence takes, so (seed, epoch, sample) works.
    """
    if frames < 1:
        raise InvalidInput(f"frames is {frames}, but a trajectory has at least one")
    rate = Fraction(fps)
    if rate <= 0:
        raise InvalidInput(f"fps is {fps}, but must be positive")
    angles = motion_angles_deg(seed, frames, float(rate), motion)
    return Trajectory(from_euler_deg(*angles), camera, rate).relative()


def motion_angles_deg(
    seed: int | Sequence[int], frames: int, fps: float, motion: MotionSettings = _DEFAULT
) -> np.ndarray:
    """The angles of Eq. 3 before frame 0 becomes the reference: (yaw, pitch, roll) `[3, T]`, degrees."""
    random = np.random.default_rng(np.random.SeedSequence(seed))
    t = np.arange(frames) / fps
    size, phase = random.random((3, 1)), random.random((3, 1))
    drift = random.uniform(-1, 1, (3, 1)) * np.reshape(motion.drift_deg_s, (3, 1))
    drift = np.where(random.random((3, 1)) < motion.still, 0.0, drift)
    jitter = random.normal(size=(3, frames)) * np.reshape(motion.jitter_deg, (3, 1))
    shake = (
        np.reshape(motion.shake_deg, (3, 1))
        * size
        * np.sin(2 * np.pi * (motion.shake_hz * t + phase))
    )
    angles: np.ndarray = shake + drift * t + jitter
    return angles
