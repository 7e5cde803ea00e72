"""Scenes other than a plain walk: whip pans, cuts within pans, a tilted camera, a brick wall."""

from collections.abc import Iterator

import numpy as np

from argus.sphere import erp_grid, from_euler_deg, rotate_rays
from argus.synth.clip_spec import ClipSpec
from argus.synth.hashing import hash_uniform
from argus.synth.paths import Motion
from argus.synth.texture import blend, offset_from_multiple, stripe_coverage

WHIP_PAN_DEG, WHIP_PAN_S = 160.0, 0.5
"""Angle and duration of the whip pan."""

PAN_DEG_S = 70.0
"""Speed of the pan with a cut in it."""

TILT_DEG = (12.0, 14.0)
"""Pitch and roll of the tilted camera."""

_WALL_DISTANCE_M, _WALL_HEIGHT_M = 1.6, 3.2
_MIN_BRICK_M, _MAX_BRICK_M = 0.22, 0.45  # length with the joint
_BRICK_HEIGHT_M = 0.15  # with the joint
_HALF_JOINT_M = 0.012
_JOINT_COLOR = np.array([0.72, 0.7, 0.66])


def render_whip_pan(spec: ClipSpec) -> Iterator[np.ndarray]:
    """Render a walk with a whip pan of half a second in its middle."""
    middle_s = spec.count / float(spec.fps) / 2

    def edit_rotations(rotations: np.ndarray, elapsed: np.ndarray) -> np.ndarray:
        progress = np.clip((elapsed - middle_s) / WHIP_PAN_S + 0.5, 0, 1)
        yaw = WHIP_PAN_DEG * progress * progress * (3 - 2 * progress)  # smoothstep
        return from_euler_deg(yaw, 0, 0) @ rotations

    return spec.render_erp(Motion.WALK, edit_rotations=edit_rotations)


def render_cut_in_pan(spec: ClipSpec) -> Iterator[np.ndarray]:
    """Render walks through two worlds, one after the other, while the camera pans steadily."""
    return (
        frame
        for seed_offset in range(2)
        for frame in spec.render_erp(
            Motion.WALK, count=spec.count // 2, seed_offset=seed_offset, edit_rotations=_pan
        )
    )


def _pan(rotations: np.ndarray, elapsed: np.ndarray) -> np.ndarray:
    return from_euler_deg(PAN_DEG_S * elapsed, 0, 0) @ rotations


def render_tilted_drive(spec: ClipSpec) -> Iterator[np.ndarray]:
    """Render a drive with a tilted camera."""
    return spec.render_erp(Motion.DRIVE, edit_rotations=_tilt)


def _tilt(rotations: np.ndarray, _: np.ndarray) -> np.ndarray:
    return rotations @ from_euler_deg(0, *TILT_DEG)


def render_brick_wall(spec: ClipSpec) -> Iterator[np.ndarray]:
    """Render a walk along a brick wall, close on the right."""
    path = spec.camera_path(Motion.WALK)
    forward = path.positions[-1] - path.positions[0]
    forward /= np.linalg.norm(forward)
    right = np.cross((0.0, 1.0, 0.0), forward)
    color = np.array([0.48, 0.24, 0.17]) * (0.8 + 0.5 * float(hash_uniform(spec.seed, 301)))
    for frame, rotation, eye in zip(
        spec.render_erp(Motion.WALK), path.rotations, path.positions, strict=True
    ):
        rays = _compute_unit_rays(spec.erp_size, rotation)
        walked = eye - path.positions[0]
        distance = (_WALL_DISTANCE_M - walked @ right) / np.maximum(rays @ right, 1e-6)
        height = -(eye[1] + distance * rays[..., 1])
        along = walked @ forward + distance * (rays @ forward)
        footprint = (distance * np.pi / spec.height).astype(np.float32)
        is_wall = (rays @ right > 0.01) & (height > 0) & (height < _WALL_HEIGHT_M)
        bricks = _shade_bricks(
            along[is_wall], height[is_wall], footprint[is_wall], color, spec.seed
        )
        frame = frame.copy()
        frame[is_wall] = np.clip(bricks * 255 + 0.5, 0, 255).astype(np.uint8)
        yield frame


def _compute_unit_rays(size: tuple[int, int], rotation: np.ndarray) -> np.ndarray:
    """Return unit rays `[H, W, 3]` in world axes."""
    rays = np.stack([axis[0] for axis in rotate_rays(erp_grid(size, rotation), rotation[None])], -1)
    return np.asarray(rays / np.linalg.norm(rays, axis=-1, keepdims=True))


def _shade_bricks(
    along: np.ndarray, height: np.ndarray, footprint: np.ndarray, color: np.ndarray, seed: int
) -> np.ndarray:
    """Return the colors `[N, 3]` of points on a wall.

    Args:
        along: Horizontal coordinates in meters.
        height: Heights in meters.
        footprint: Pixel sizes on the wall in meters.
        color: Mean color of the bricks `[3]`.
        seed: Seed of the sizes and the shades.
    """
    length = _MIN_BRICK_M + (_MAX_BRICK_M - _MIN_BRICK_M) * float(hash_uniform(seed, 303))
    course = np.floor(height / _BRICK_HEIGHT_M)
    shifted = along + length / 2 * (course % 2)
    shade = 0.75 + 0.5 * hash_uniform(
        seed, 302, np.floor(shifted / length).astype(np.int64), course.astype(np.int64)
    )
    # Bricks no larger than a pixel fade to the mean color.
    visibility = np.clip(length / (2 * footprint) - 0.5, 0, 1)
    joint = np.maximum(
        *(
            stripe_coverage(
                offset_from_multiple(coordinate.astype(np.float32), period),
                _HALF_JOINT_M,
                footprint,
            )
            for coordinate, period in ((height, _BRICK_HEIGHT_M), (shifted, length))
        )
    )
    bricks = color * (1 + visibility * (shade - 1))[:, None]
    return blend(bricks, _JOINT_COLOR, joint)
