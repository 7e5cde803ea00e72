"""Rooms that look alike in several directions: each shape with its period, and where it breaks.

World axes are x east, y down, z north in meters; the floor is y = 0 and the middle of a room is the
origin. Everything except people and a door is the same after a turn by the period.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from argus.sphere import Camera, MotionSettings, from_euler_deg, simulate_motion
from argus.synth.hashing import hash_uniform
from argus.synth.paths import CameraPath, Motion

_EYE_HEIGHT_M = 1.6
_HAND_SHAKE = MotionSettings(shake_deg=(0.8, 0.6, 0.4), drift_deg_s=(3, 0.3, 0.1))
_NO_SHAKE = MotionSettings(shake_deg=(0, 0, 0), jitter_deg=(0, 0, 0), drift_deg_s=(0, 0, 0))
_SPIN_DEG_S = 40.0


@dataclass(frozen=True)
class Room:
    """Room with vertical walls, a floor, a ceiling, round columns and people.

    Attributes:
        wall_distances_m: Distance of each wall from the middle; the walls face evenly spaced
            directions, the first one north.
        symmetry: Number of turns that map the room to itself; the period is 360° / symmetry. It
            divides the number of walls and that of the columns.
        height_m: Height of the ceiling.
        columns: (direction in degrees, distance from the middle in meters) of each column.
        column_radius_m: Radius of the columns.
        people: Number of people who walk around the middle.
        has_door: One wall has a door that the others lack.
        wander_m: Largest distance of the camera from the middle.
        baseline_m: Distance between the eyes of stereo videos; 0 shows one eye twice.
        is_omnidirectional: The eyes of stereo videos lie on a circle, to both sides of the
            direction of each column; otherwise they are a rig of two cameras side by side.
    """

    wall_distances_m: tuple[float, ...]
    symmetry: int
    height_m: float = 3.0
    columns: tuple[tuple[float, float], ...] = ()
    column_radius_m: float = 0.3
    people: int = 0
    has_door: bool = False
    wander_m: float = 0.2
    baseline_m: float = 0.065
    is_omnidirectional: bool = False

    @property
    def wall_classes(self) -> np.ndarray:
        """Number of each wall's pattern: walls of the same number look alike."""
        walls = len(self.wall_distances_m)
        return np.arange(walls) % (walls // self.symmetry)

    @property
    def column_positions(self) -> np.ndarray:
        """Positions of the columns on the floor (x, z), `[N, 2]`."""
        angles, distances = np.reshape(self.columns, (-1, 2)).T
        angles = np.radians(angles)
        return np.stack([distances * np.sin(angles), distances * np.cos(angles)], -1)

    def place_people(self, seed: int, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Return (center, half-size) of the ellipsoids of all people, `[N, 3]` each."""
        random = hash_uniform(seed, 501, np.arange(4)[:, None], np.arange(self.people))
        distance = min(self.wall_distances_m) * (0.4 + 0.35 * random[0])
        angle = 2 * np.pi * random[1] + (random[2] - 0.5) * 2 * time / distance
        half_height = 0.8 + 0.1 * random[3]
        center = np.stack([distance * np.sin(angle), -half_height, distance * np.cos(angle)], -1)
        return center, np.stack([0 * angle + 0.28, half_height, 0 * angle + 0.28], -1)

    def make_path(self, seed: int, frames: int, fps: Fraction, motion: Motion) -> CameraPath:
        """Draw a path around the middle: the camera walks back and forth, stands, or spins.

        Args:
            seed: Seed of the path.
            frames: Number of frames.
            fps: Frames per second.
            motion: Kind of motion; a drive is a walk at twice the speed.
        """
        moves = motion in (Motion.WALK, Motion.DRIVE)
        settings = _HAND_SHAKE if moves else _NO_SHAKE
        shake = simulate_motion((seed, 591), frames, fps, Camera(90, 16, 16), settings).rotations
        elapsed = np.arange(frames) / float(fps)
        heading, yaw, phase = (2 * np.pi * float(hash_uniform(seed, 592, n)) for n in range(3))
        along = self.wander_m * (
            np.sin(phase + elapsed * (2 if motion is Motion.DRIVE else 1)) if moves else 0.3
        )
        zeros = 0 * elapsed
        positions = np.stack(
            [
                along * np.sin(heading) + zeros,
                zeros - _EYE_HEIGHT_M,
                along * np.cos(heading) + zeros,
            ],
            -1,
        )
        spin = _SPIN_DEG_S * elapsed if motion is Motion.SPIN else zeros
        rotations = from_euler_deg(np.degrees(yaw) + spin, 0, 0) @ shake
        return CameraPath(rotations, positions, elapsed)


def _regular(walls: int, distance_m: float) -> tuple[float, ...]:
    return (distance_m,) * walls


def _ring(count: int, distance_m: float, first_deg: float = 0.0) -> tuple[tuple[float, float], ...]:
    """Return columns at equal angles."""
    return tuple((first_deg + 360 * k / count, distance_m) for k in range(count))


def _grid(spacing_m: float, cells: int) -> tuple[tuple[float, float], ...]:
    """Return columns at the corners of square cells, with the middle of a cell at the origin."""
    along = (np.arange(-cells, cells) + 0.5) * spacing_m
    x, z = (axis.reshape(-1) for axis in np.meshgrid(along, along))
    return tuple(zip(np.degrees(np.arctan2(x, z)), np.hypot(x, z), strict=True))


ROOMS: dict[str, Room] = {
    # period 90°
    "cube": Room(_regular(4, 2.5), 4, 3.6, wander_m=0.02),
    "hall": Room(_regular(4, 6.0), 4, 4.5, _grid(6.0, 1), people=3, wander_m=0.02),
    "cell with a door": Room(_regular(4, 3.0), 4, has_door=True, people=1),
    "chapel": Room(_regular(8, 5.0), 4, 6.0, people=2, wander_m=0.05),
    "parking deck": Room(_regular(4, 24.0), 4, 2.5, _grid(8.0, 2), 0.35, people=2, wander_m=0.6),
    "garage with a door": Room(
        _regular(4, 15.0), 4, 2.7, _grid(10.0, 1), 0.4, 1, has_door=True, wander_m=0.5
    ),
    # period 60°, 45° and 30°
    "hexagon": Room(_regular(6, 3.0), 6, 3.2, wander_m=0.1),
    "hexagonal hall": Room(_regular(6, 7.0), 6, 5.0, _ring(6, 4.5, 30), people=3, wander_m=0.05),
    "hexagon with a door": Room(_regular(6, 4.0), 6, 3.0, has_door=True, people=2),
    "rotunda": Room(_regular(12, 6.0), 12, 6.0, _ring(12, 4.5), wander_m=0.0),
    "colonnade": Room(_regular(8, 9.0), 8, 5.5, _ring(16, 5.0, 11.25), people=4, wander_m=0.0),
    # period 180°
    "corridor": Room((18.0, 1.3, 18.0, 1.3), 2, 2.6, wander_m=0.0),
    "long corridor": Room((40.0, 2.0, 40.0, 2.0), 2, 3.0, people=2, wander_m=0.6),
    "office": Room((3.0, 4.0, 3.0, 4.0), 2, 2.8, people=1, wander_m=0.0),
    "gallery": Room(_regular(4, 5.0), 2, 4.0, _ring(2, 3.0, 45), people=2, wander_m=0.05),
    "saloon": Room((6.0, 5.0, 5.0, 6.0, 5.0, 5.0), 2, 3.4, _ring(2, 3.0, 30), people=1),
}
"""Rooms by name."""
