"""Orientation of frames from the display matrix, by the rules of FFmpeg's autorotate."""

import math
import struct
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Orientation:
    """Rotation and flip that turn the coded frames upright.

    Multiples of 90° turn the frame. Any other angle is a rotation about the center within a frame
    of the same size, whose corners stay black; it is never mirrored.

    Attributes:
        is_mirrored: True if the frame is flipped left to right before it is rotated.
        rotation_deg: counter-clockwise rotation in whole degrees, 0 .. 359.
    """

    is_mirrored: bool = False
    rotation_deg: int = 0

    @property
    def is_right_angle(self) -> bool:
        """True if only flips and quarter turns are needed."""
        return self.rotation_deg % 90 == 0

    @property
    def swaps_axes(self) -> bool:
        """True if width and height of the upright frame are those of the coded one, swapped."""
        return self.rotation_deg in {90, 270}


def read_orientation(frame: Any) -> Orientation:
    """Return the orientation of a decoded PyAV frame, from its display matrix if it has one."""
    item = next((item for item in frame.side_data if item.type.name == "DISPLAYMATRIX"), None)
    data = bytes(item) if item is not None else b""
    return parse_display_matrix(struct.unpack_from("=9i", data)) if data else Orientation()


def parse_display_matrix(matrix: tuple[int, ...]) -> Orientation:
    """Return the orientation that nine fixed-point numbers describe.

    As in fftools' `configure_input_video_filter`: the angle is that of the first row, rounded to
    degrees; at multiples of 90° the signs of single entries tell a flip.
    """
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    if not (a or c) or not (b or d):
        return Orientation()
    degrees = math.degrees(math.atan2(b / math.hypot(b, d), a / math.hypot(a, c)))
    clockwise = int(degrees + math.copysign(0.5, degrees)) % 360  # as C's round
    if clockwise == 1:
        return Orientation()  # neither a rotation nor a flip there
    if clockwise == 0:
        return Orientation(d < 0, 180 if d < 0 else 0)
    if clockwise == 90:
        return Orientation(c > 0, 90 if c > 0 else 270)
    if clockwise == 180:
        return Orientation(d >= 0, 180 if d < 0 else 0)
    if clockwise == 270:
        return Orientation(c < 0, 270 if c < 0 else 90)
    return Orientation(rotation_deg=360 - clockwise)
