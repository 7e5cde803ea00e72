"""Euler angles at the edges, matrices inside: R = R_y(yaw) R_x(pitch) R_z(roll), camera-to-world, OpenCV axes.

Positive yaw turns right, positive pitch looks up, positive roll tilts the right side down.
"""

import numpy as np
from numpy.typing import ArrayLike


def from_euler_deg(yaw: ArrayLike, pitch: ArrayLike, roll: ArrayLike) -> np.ndarray:
    """Matrices `[..., 3, 3]` of angles in degrees (scipy's intrinsic "YXZ"); the three broadcast."""
    from scipy.spatial.transform import (
        Rotation,  # a third of a second that each process pays only where it needs it
    )

    angles = np.stack(
        np.broadcast_arrays(*(np.asarray(angle, dtype=np.float64) for angle in (yaw, pitch, roll))),
        axis=-1,
    )
    matrices: np.ndarray = Rotation.from_euler(
        "YXZ", angles.reshape(-1, 3), degrees=True
    ).as_matrix()
    return matrices.reshape(*angles.shape[:-1], 3, 3)


def to_euler_deg(rotations: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(yaw, pitch, roll) in degrees, each `[...]`, of matrices `[..., 3, 3]`; pitch in [-90, 90], the others in (-180, 180].

    At pitch ±90 only yaw and roll together are defined; roll is then 0.
    """
    R = np.asarray(rotations, dtype=np.float64)
    pitch = np.degrees(np.arctan2(-R[..., 1, 2], np.hypot(R[..., 1, 0], R[..., 1, 1])))
    upright = np.hypot(R[..., 1, 0], R[..., 1, 1]) < 1e-9  # gimbal lock
    yaw = np.where(
        upright, np.arctan2(-R[..., 2, 0], R[..., 0, 0]), np.arctan2(R[..., 0, 2], R[..., 2, 2])
    )
    roll = np.where(upright, 0.0, np.arctan2(R[..., 1, 0], R[..., 1, 1]))
    return np.degrees(yaw), pitch, np.degrees(roll)
