"""Camera paths through a world, and whole clips with exact poses."""

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

import numpy as np

from argus.errors import InvalidInput
from argus.sphere import Camera, MotionSettings, from_euler_deg, simulate_motion
from argus.synth.city import CAR_GAP, LANE, PERIOD, lane_speed
from argus.synth.hashing import uniform
from argus.synth.world import World


class Motion(StrEnum):
    """How a camera moves."""

    WALK = "walk"  # along a pavement, hand-held
    DRIVE = "drive"  # in a lane, at its cars' speed
    STILL = "still"  # on a tripod; the street goes on
    SPIN = "spin"  # on a tripod that turns


@dataclass(frozen=True, eq=False)
class CameraPath:
    """Camera-to-world rotations `[T, 3, 3]`, positions `[T, 3]` in metres, times `[T]` in seconds; all float64."""

    rotations: np.ndarray
    positions: np.ndarray
    times: np.ndarray


@dataclass(frozen=True, eq=False)
class SynthClip:
    """Frames uint8 `[T, H, W, 3]`, their exact path, the rate, and straight 3-D edges around the path's middle, `[N, 2, 3]`."""

    frames: np.ndarray
    path: CameraPath
    fps: Fraction
    lines: np.ndarray

    @property
    def rotations(self) -> np.ndarray:
        return self.path.rotations

    @property
    def positions(self) -> np.ndarray:
        return self.path.positions


_HAND = MotionSettings(shake_deg=(1.5, 1.0, 0.6), drift_deg_s=(4, 0.5, 0.2))
_MOUNT = MotionSettings(
    shake_deg=(0.3, 0.3, 0.1), jitter_deg=(0.05, 0.08, 0.03), drift_deg_s=(0, 0, 0)
)
_TRIPOD = MotionSettings(shake_deg=(0, 0, 0), jitter_deg=(0, 0, 0), drift_deg_s=(0, 0, 0))


def make_path(
    seed: int,
    frames: int,
    fps: Fraction | int,
    motion: Motion | str = Motion.WALK,
    *,
    route: int = 0,
) -> CameraPath:
    """The path of a seed: its street, place and direction; other routes are other places of the same world. Raises InvalidInput."""
    if motion not in set(Motion):
        raise InvalidInput(f"motion is '{motion}', but must be one of: {', '.join(Motion)}")
    motion = Motion(motion)
    settings = {Motion.WALK: _HAND, Motion.DRIVE: _MOUNT}.get(motion, _TRIPOD)
    shake = simulate_motion(
        (seed, route, 91), frames, Fraction(fps), Camera(90, 16, 16), settings
    ).rotations
    times = np.arange(frames) / float(fps) + 100 * float(uniform(seed, route, 92))
    elapsed = times - times[0]
    road, cell = (int(np.floor(2000 * uniform(seed, route, n))) - 1000 for n in (93, 94))
    north, forward, start = (float(uniform(seed, route, n)) for n in (95, 96, 97))
    axis, ahead = (2 if north < 0.5 else 0), forward < 0.5
    speed, across, eye = _gait(seed, motion, road, axis, ahead)
    sign = 1 if ahead else -1
    midway = (cell + 0.5) * CAR_GAP + speed * times  # between two cars of the lane
    along = midway if motion is Motion.DRIVE else PERIOD * (cell + start) + sign * speed * elapsed
    height = eye + (
        0.025 * np.sin(2 * np.pi * 1.8 * elapsed) if motion is Motion.WALK else 0 * elapsed
    )
    side = np.full(frames, PERIOD * road + across)
    positions = np.stack([side, -height, along] if axis == 2 else [along, -height, side], -1)
    heading = (0 if ahead else 180) if axis == 2 else (90 if ahead else -90)
    turn = 40 * elapsed if motion is Motion.SPIN else 0 * elapsed
    return CameraPath(from_euler_deg(heading + turn, 0, 0) @ shake, positions, times)


def _gait(
    seed: int, motion: Motion, road: int, axis: int, ahead: bool
) -> tuple[float, float, float]:
    """(speed m/s, metres from the road's middle, height of the camera)."""
    keeps_right = 1 if ahead == (axis == 2) else -1
    if motion is Motion.DRIVE:
        return float(lane_speed(seed, road, axis == 2, ahead)), LANE * keeps_right, 1.75
    return (1.4 if motion is Motion.WALK else 0.0), 5.3 * keeps_right, 1.65


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
    """A clip of a seed's world along its path. The same arguments give the same pixels. Raises InvalidInput."""
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
    return SynthClip(pictures, path, Fraction(fps), world.lines(path.positions[frames // 2]))
