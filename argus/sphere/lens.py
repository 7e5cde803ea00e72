"""Fisheye lenses: where a lens shows a direction in its picture (Kannala-Brandt model)."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from argus.errors import InvalidInput
from argus.sphere.arrays import Array, array_namespace
from argus.sphere.grid import Rays
from argus.sphere.rotations import from_euler_deg

_SAMPLES = 1024  # angles at which the radius is checked to increase


@dataclass(frozen=True)
class FisheyeLens:
    """Fisheye lens with a known circle, distortion and direction.

    A direction at θ radians from the optical axis is shown at the distance r(θ) from `center`:

        r(θ) = radius · d(θ) / d(θ_max),  d(θ) = θ + k1·θ³ + k2·θ⁵ + k3·θ⁷ + k4·θ⁹

    with θ_max = fov_deg/2. These are the model and the coefficients of OpenCV's `cv2.fisheye`,
    whose focal length is f = radius / d(θ_max).

    Attributes:
        fov_deg: field of view of the whole circle in degrees, in (0, 360].
        yaw_deg: direction of the optical axis, positive to the right of forward.
        pitch_deg: direction of the optical axis, positive upward.
        roll_deg: rotation about the optical axis, positive with the right side down.
        picture: (width, height) of the lens's picture in the unit of `center` and `radius`;
            (1, 1) for shares of the picture.
        center: (x, y) of the optical axis from the top left corner; None for the middle.
        radius: radius of the circle in units of the height; None for half the height.
        k: distortion coefficients (k1, k2, k3, k4); zeros for an ideal equidistant lens.
    """

    fov_deg: float
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    picture: tuple[float, float] = (1.0, 1.0)
    center: tuple[float, float] | None = None
    radius: float | None = None
    k: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}  # of lens files

    def __post_init__(self) -> None:
        if not 0 < self.fov_deg <= 360:
            raise InvalidInput(f"fov_deg is {self.fov_deg}, but must be in (0, 360]")
        if min(self.picture) <= 0:
            raise InvalidInput(f"picture is {self.picture}, but must be a (width, height) above 0")
        if self.radius is not None and self.radius <= 0:
            raise InvalidInput(f"radius is {self.radius}, but must be above 0")
        x, y = self.center_share
        if not (0 < x < 1 and 0 < y < 1):
            raise InvalidInput(
                f"center is {self.center}, but must be inside the picture of "
                f"{self.picture[0]:g} x {self.picture[1]:g}"
            )
        if not (np.diff(self.distort(np.linspace(0, self.half_fov, _SAMPLES))) > 0).all():
            raise InvalidInput(
                f"k is {self.k}, with which the radius does not increase up to fov_deg/2; "
                "give the coefficients of the equidistant model, in radians"
            )

    @property
    def half_fov(self) -> float:
        """Angle between the axis and the edge of the circle, in radians."""
        return math.radians(self.fov_deg) / 2

    @property
    def center_share(self) -> tuple[float, float]:
        """(x, y) of the optical axis as shares of width and height."""
        if self.center is None:
            return 0.5, 0.5
        return self.center[0] / self.picture[0], self.center[1] / self.picture[1]

    @property
    def radius_share(self) -> float:
        """Radius of the circle as a share of the height."""
        return 0.5 if self.radius is None else self.radius / self.picture[1]

    @property
    def rotation(self) -> np.ndarray:
        """Camera-to-world matrix `[3, 3]`."""
        return from_euler_deg(self.yaw_deg, self.pitch_deg, self.roll_deg)

    def distort(self, angle: Array) -> Array:
        """Return d(θ) of angles in radians."""
        if not any(self.k):
            return angle
        square = angle * angle
        k1, k2, k3, k4 = self.k
        return angle * (1 + square * (k1 + square * (k2 + square * (k3 + square * k4))))

    def project(self, rays: Rays, size: tuple[int, int], aspect: float) -> tuple[Array, ...]:
        """Project rays in camera axes to the lens's picture.

        Args:
            rays: x, y, z of any shape and positive length.
            size: (height, width) of the picture in pixels.
            aspect: width : height of the picture with square pixels.

        Returns:
            (angle from the axis in radians, column, row).
        """
        x, y, z = rays
        height, width = size
        xp = array_namespace(x)
        distance = xp.hypot(x, y)
        angle = xp.arctan2(distance, z)
        share = self.distort(angle) / float(self.distort(self.half_fov))
        rows = share * (self.radius_share * height) / xp.where(distance > 0, distance, 1.0)
        columns = rows * (width / (height * aspect))
        x_share, y_share = self.center_share
        return angle, x * columns + (x_share * width - 0.5), y * rows + (y_share * height - 0.5)
