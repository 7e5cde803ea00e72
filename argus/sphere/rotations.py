"""Conversion between Euler angles in degrees and camera-to-world rotation matrices.

R = R_y(yaw) · R_x(pitch) · R_z(roll) in OpenCV axes (x right, y down, z forward). Positive yaw
turns right, positive pitch looks up, positive roll tilts the right side down.
"""

import numpy as np
from numpy.typing import ArrayLike


def from_euler_deg(yaw: ArrayLike, pitch: ArrayLike, roll: ArrayLike) -> np.ndarray:
    """Return the rotation matrices R_y(yaw) · R_x(pitch) · R_z(roll).

    These are the intrinsic "YXZ" angles of `scipy.spatial.transform.Rotation`.

    Args:
        yaw: Angles in degrees, positive to the right.
        pitch: Angles in degrees, positive upward.
        roll: Angles in degrees, positive with the right side down. The shapes of the three
            broadcast to `[...]`.

    Returns:
        Camera-to-world matrices, float64 `[..., 3, 3]`.
    """
    # The import takes a third of a second, which most processes need not spend.
    from scipy.spatial.transform import Rotation

    angles = np.stack(
        np.broadcast_arrays(*(np.asarray(angle, dtype=np.float64) for angle in (yaw, pitch, roll))),
        axis=-1,
    )
    matrices: np.ndarray = Rotation.from_euler(
        "YXZ", angles.reshape(-1, 3), degrees=True
    ).as_matrix()
    return matrices.reshape(*angles.shape[:-1], 3, 3)


def to_euler_deg(rotations: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the Euler angles of rotation matrices: the inverse of `from_euler_deg`.

    At pitch ±90 (gimbal lock) only a combination of yaw and roll is defined; roll is then 0.

    Args:
        rotations: Camera-to-world matrices `[..., 3, 3]`.

    Returns:
        (yaw, pitch, roll) in degrees, float64 `[...]` each. Pitch is in [-90, 90], yaw and roll
        are in [-180, 180].
    """
    R = np.asarray(rotations, dtype=np.float64)
    cos_pitch = np.hypot(R[..., 1, 0], R[..., 1, 1])
    is_locked = cos_pitch < 1e-9
    pitch = np.arctan2(-R[..., 1, 2], cos_pitch)
    yaw = np.where(
        is_locked, np.arctan2(-R[..., 2, 0], R[..., 0, 0]), np.arctan2(R[..., 0, 2], R[..., 2, 2])
    )
    roll = np.where(is_locked, 0.0, np.arctan2(R[..., 1, 0], R[..., 1, 1]))
    return np.degrees(yaw), np.degrees(pitch), np.degrees(roll)
