"""Camera paths through a world, and rendered clips with exact poses."""

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

import numpy as np

from argus.errors import InvalidInput
from argus.sphere import Camera, MotionSettings, from_euler_deg, simulate_motion
from argus.synth.city import BLOCK, CAR_SPACING, LANE, lane_speed
from argus.synth.hashing import hash_uniform
from argus.synth.world import World


class Motion(StrEnum):
    """Kind of camera motion."""

    WALK = "walk"  # hand-held, along a sidewalk
    DRIVE = "drive"  # in a lane, at the speed of its cars
    STILL = "still"  # on a tripod, in a moving street
    SPIN = "spin"  # on a tripod that rotates


@dataclass(frozen=True, eq=False)
class CameraPath:
    """Poses of a camera over time, all float64."""

    rotations: np.ndarray  # [T, 3, 3] camera-to-world
    positions: np.ndarray  # [T, 3] meters
    times: np.ndarray  # [T] seconds


@dataclass(frozen=True, eq=False)
class SynthClip:
    """A rendered clip and its ground truth.

    Attributes:
        frames: uint8 `[T, H, W, 3]`.
        path: Exact poses.
        fps: Frames per second.
        edges: Straight 3-D edges around the middle of the path, `[N, 2, 3]`.
    """

    frames: np.ndarray
    path: CameraPath
    fps: Fraction
    edges: np.ndarray

    @property
    def rotations(self) -> np.ndarray:
        """Camera-to-world rotations `[T, 3, 3]`."""
        return self.path.rotations

    @property
    def positions(self) -> np.ndarray:
        """Camera positions `[T, 3]` in meters."""
        return self.path.positions


_HAND_SHAKE = MotionSettings(shake_deg=(1.5, 1.0, 0.6), drift_deg_s=(4, 0.5, 0.2))
_CAR_MOUNT_SHAKE = MotionSettings(
    shake_deg=(0.3, 0.3, 0.1), jitter_deg=(0.05, 0.08, 0.03), drift_deg_s=(0, 0, 0)
)
_NO_SHAKE = MotionSettings(shake_deg=(0, 0, 0), jitter_deg=(0, 0, 0), drift_deg_s=(0, 0, 0))


def make_path(
    seed: int,
    frames: int,
    fps: Fraction | int,
    motion: Motion | str = Motion.WALK,
    *,
    route: int = 0,
) -> CameraPath:
    """Draw the camera path of a seed: street, place and direction.

    Args:
        seed: Seed of the world.
        frames: Number of frames T.
        fps: Frames per second.
        motion: Kind of motion.
        route: Other numbers give other places in the same world.

    Raises:
        InvalidInput: An argument is out of range.
    """
    if motion not in set(Motion):
        raise InvalidInput(f"motion is '{motion}', but must be one of: {', '.join(Motion)}")
    motion = Motion(motion)
    settings = {Motion.WALK: _HAND_SHAKE, Motion.DRIVE: _CAR_MOUNT_SHAKE}.get(motion, _NO_SHAKE)
    shake = simulate_motion(
        (seed, route, 91), frames, Fraction(fps), Camera(90, 16, 16), settings
    ).rotations
    times = np.arange(frames) / float(fps) + 100 * float(hash_uniform(seed, route, 92))
    elapsed = times - times[0]
    road, cell = (int(np.floor(2000 * hash_uniform(seed, route, n))) - 1000 for n in (93, 94))
    axis_draw, direction_draw, start = (float(hash_uniform(seed, route, n)) for n in (95, 96, 97))
    axis, is_forward = (2 if axis_draw < 0.5 else 0), direction_draw < 0.5
    speed, road_offset, eye_height = _choose_lane(seed, motion, road, axis, is_forward)
    if motion is Motion.DRIVE:  # midway between two cars of the lane
        along = (cell + 0.5) * CAR_SPACING + speed * times
    else:
        along = BLOCK * (cell + start) + (1 if is_forward else -1) * speed * elapsed
    is_walk, is_spin = motion is Motion.WALK, motion is Motion.SPIN
    bounce = 0.025 * np.sin(2 * np.pi * 1.8 * elapsed) if is_walk else 0 * elapsed
    height = eye_height + bounce
    across = np.full(frames, BLOCK * road + road_offset)
    positions = np.stack([across, -height, along] if axis == 2 else [along, -height, across], -1)
    heading = (0 if is_forward else 180) if axis == 2 else (90 if is_forward else -90)
    spin = 40 * elapsed if is_spin else 0 * elapsed
    return CameraPath(from_euler_deg(heading + spin, 0, 0) @ shake, positions, times)


def _choose_lane(
    seed: int, motion: Motion, road: int, axis: int, is_forward: bool
) -> tuple[float, float, float]:
    """Return (speed in m/s, offset from the middle of the road, height of the camera) in meters."""
    right_hand_side = 1 if is_forward == (axis == 2) else -1
    if motion is Motion.DRIVE:
        speed = float(lane_speed(seed, road, axis == 2, is_forward))
        return speed, LANE * right_hand_side, 1.75
    return (1.4 if motion is Motion.WALK else 0.0), 5.3 * right_hand_side, 1.65


def render_clip(
    seed: int,
    frames: int,
    erp_size: tuple[int, int],
    fps: Fraction | int = 5,
    motion: Motion | str = Motion.WALK,
    *,
    route: int = 0,
    supersample: int = 1,
    threads: int = 1,
) -> SynthClip:
    """Render a clip along a path of a seed's world. The same arguments give the same pixels.

    Args:
        seed: Seed of the world.
        frames: Number of frames.
        erp_size: (height, width) of the frames.
        fps: Frames per second.
        motion: Kind of camera motion.
        route: Other numbers give other places in the same world.
        supersample: Samples per pixel along each axis.
        threads: Number of threads that share the frames.

    Raises:
        InvalidInput: An argument is out of range.
    """
    world = World(seed)
    path = make_path(seed, frames, fps, motion, route=route)
    pictures = world.render(
        path.rotations,
        path.positions,
        path.times,
        erp_size,
        supersample=supersample,
        threads=threads,
    )
    edges = world.find_edges(path.positions[frames // 2])
    return SynthClip(pictures, path, Fraction(fps), edges)
