"""What is filmed otherwise than on a plain walk: fast pans, cuts within them, a tilted camera, a brick wall along the way."""

from collections.abc import Iterator

import numpy as np

from argus.sphere import erp_grid, from_euler_deg, rotate_rays
from argus.synth.clip_spec import ClipSpec, Steer
from argus.synth.hashing import uniform
from argus.synth.paths import Motion
from argus.synth.texture import centred, mix, stripe

WHIP_DEG, WHIP_S = 160.0, 0.5
PAN_DEG_S = 70.0
TILT_DEG = (12.0, 14.0)
"""Pitch and roll of the camera that is held askew."""
_WALL_M, _WALL_HEIGHT_M = 1.6, 3.2  # to the right of the walk; above the ground
_BRICK_M = ((0.22, 0.45), 0.15)  # range of lengths, and height, with the joint
_JOINT_M = 0.012


def whip_pan(shot: ClipSpec) -> Iterator[np.ndarray]:
    """A walk; in its middle the camera is thrown round within half a second."""
    middle = shot.count / float(shot.fps) / 2

    def steer(rotations: np.ndarray, elapsed: np.ndarray) -> np.ndarray:
        part = np.clip((elapsed - middle) / WHIP_S + 0.5, 0, 1)
        return from_euler_deg(WHIP_DEG * part * part * (3 - 2 * part), 0, 0) @ rotations

    return shot.equirect(Motion.WALK, steer=steer)


def cut_in_pan(shot: ClipSpec) -> Iterator[np.ndarray]:
    """Two walks through two worlds, the camera turning all the time."""
    return (
        frame
        for world in range(2)
        for frame in shot.equirect(Motion.WALK, count=shot.count // 2, world=world, steer=_panned)
    )


def _panned(rotations: np.ndarray, elapsed: np.ndarray) -> np.ndarray:
    return from_euler_deg(PAN_DEG_S * elapsed, 0, 0) @ rotations


def tilted(shot: ClipSpec) -> Iterator[np.ndarray]:
    """A drive with the camera mounted askew."""
    steer: Steer = lambda rotations, _: rotations @ from_euler_deg(0, *TILT_DEG)  # noqa: E731
    return shot.equirect(Motion.DRIVE, steer=steer)


def brick_wall(shot: ClipSpec) -> Iterator[np.ndarray]:
    """A walk along a wall of bricks, near on the right."""
    path = shot.path(Motion.WALK)
    forward = path.positions[-1] - path.positions[0]
    forward /= np.linalg.norm(forward)
    right = np.cross((0.0, 1.0, 0.0), forward)
    colour = np.array([0.48, 0.24, 0.17]) * (0.8 + 0.5 * float(uniform(shot.seed, 301)))
    for frame, rotation, eye in zip(
        shot.equirect(Motion.WALK), path.rotations, path.positions, strict=True
    ):
        rays = _rays(shot.map_size, rotation)
        distance = (_WALL_M - (eye - path.positions[0]) @ right) / np.maximum(rays @ right, 1e-6)
        height = -(eye[1] + distance * rays[..., 1])
        along = (eye - path.positions[0]) @ forward + distance * (rays @ forward)
        footprint = (distance * np.pi / shot.height).ravel().astype(np.float32)
        shown = (rays @ right > 0.01) & (height > 0) & (height < _WALL_HEIGHT_M)
        bricks = _bricks(
            along.ravel()[shown.ravel()],
            height.ravel()[shown.ravel()],
            footprint[shown.ravel()],
            colour,
            shot.seed,
        )
        frame = frame.copy()
        frame[shown] = np.clip(bricks * 255 + 0.5, 0, 255).astype(np.uint8)
        yield frame


def _rays(size: tuple[int, int], rotation: np.ndarray) -> np.ndarray:
    """Unit rays `[H, W, 3]` in world axes."""
    rays = np.stack([axis[0] for axis in rotate_rays(erp_grid(size, rotation), rotation[None])], -1)
    return np.asarray(rays / np.linalg.norm(rays, axis=-1, keepdims=True))


def _bricks(
    along: np.ndarray, height: np.ndarray, footprint: np.ndarray, colour: np.ndarray, seed: int
) -> np.ndarray:
    """Colours `[N, 3]` at places on a wall, metres; `footprint` is a pixel's size there."""
    (least, most), tall = _BRICK_M
    length = least + (most - least) * float(uniform(seed, 303))
    course = np.floor(height / tall)
    shifted = along + length / 2 * (course % 2)
    shade = 0.75 + 0.5 * uniform(
        seed, 302, np.floor(shifted / length).astype(np.int64), course.astype(np.int64)
    )
    fine = np.clip(
        length / (2 * footprint) - 0.5, 0, 1
    )  # single bricks fade where they are no larger than a pixel
    edges = (
        centred(distance.astype(np.float32), period)
        for distance, period in ((height, tall), (shifted, length))
    )
    joint = np.maximum(*(stripe(edge, _JOINT_M, footprint) for edge in edges))
    return mix(colour * (1 + fine * (shade - 1))[:, None], np.array([0.72, 0.7, 0.66]), joint)
