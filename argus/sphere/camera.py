"""Pinhole camera: field of view, picture size, and the intrinsic parameters that follow."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from argus.errors import InvalidInput


@dataclass(frozen=True)
class Camera:
    """Pinhole camera with its principal point in the middle of the picture.

    Pixel (u, v) looks along ((u + ½ - width/2) / fx, (v + ½ - height/2) / fy, 1) in the camera's
    axes: x right, y down, z forward (OpenCV).

    Attributes:
        fov_x_deg: Horizontal field of view in degrees, in (0, 180).
        width: Picture width in pixels.
        height: Picture height in pixels.
        fov_y_deg: Vertical field of view in degrees, in (0, 180); None for square pixels (fy = fx).
    """

    fov_x_deg: float
    width: int
    height: int
    fov_y_deg: float | None = None

    def __post_init__(self) -> None:
        for name, fov in (("fov_x_deg", self.fov_x_deg), ("fov_y_deg", self.fov_y_deg)):
            if fov is not None and not 0 < fov < 180:
                raise InvalidInput(
                    f"{name} is {fov}, but must be more than 0 and less than 180 degrees"
                )
        if self.width < 1 or self.height < 1:
            raise InvalidInput(
                f"a camera needs at least 1x1 pixels, got {self.width}x{self.height}"
            )

    @classmethod
    def from_focal(cls, fx: float, width: int, height: int, fy: float | None = None) -> Self:
        """Create a camera from focal lengths: fov = 2·atan(size / (2·f)).

        Args:
            fx: Horizontal focal length in pixels.
            width: Picture width in pixels.
            height: Picture height in pixels.
            fy: Vertical focal length in pixels; None for square pixels.

        Raises:
            InvalidInput: A focal length or a size is not positive.
        """
        if not fx > 0 or (fy is not None and not fy > 0):
            raise InvalidInput(f"focal lengths must be positive, got fx={fx}, fy={fy}")
        fov_y = None if fy is None or fy == fx else math.degrees(2 * math.atan2(height / 2, fy))
        return cls(math.degrees(2 * math.atan2(width / 2, fx)), width, height, fov_y)

    @classmethod
    def from_intrinsics(cls, intrinsics: ArrayLike, width: int, height: int) -> Self:
        """Create a camera from an intrinsic matrix.

        Args:
            intrinsics: K `[3, 3]` in pixels, with the corner of the picture at (0, 0). The
                principal point must lie within 2% of the middle; others are not modeled.
            width: Picture width in pixels.
            height: Picture height in pixels.

        Raises:
            InvalidInput: K has another shape, an off-center principal point or a focal length
                that is not positive.
        """
        K = np.asarray(intrinsics, dtype=np.float64)
        if K.shape != (3, 3):
            raise InvalidInput(f"intrinsics must be [3, 3], got shape {K.shape}")
        if not (
            abs(K[0, 2] - width / 2) <= 0.02 * width + 0.5
            and abs(K[1, 2] - height / 2) <= 0.02 * height + 0.5
        ):
            raise InvalidInput(
                f"principal point ({K[0, 2]:.1f}, {K[1, 2]:.1f}) is not in the middle of "
                f"{width}x{height}; crop the frames around it first"
            )
        return cls.from_focal(float(K[0, 0]), width, height, float(K[1, 1]))

    @property
    def fx(self) -> float:
        """Horizontal focal length in pixels."""
        return self.width / (2 * math.tan(math.radians(self.fov_x_deg) / 2))

    @property
    def fy(self) -> float:
        """Vertical focal length in pixels."""
        if self.fov_y_deg is None:
            return self.fx
        return self.height / (2 * math.tan(math.radians(self.fov_y_deg) / 2))

    @property
    def fov_y(self) -> float:
        """Vertical field of view in degrees, also for square pixels."""
        return math.degrees(2 * math.atan2(self.height / 2, self.fy))

    @property
    def pixels_per_radian(self) -> tuple[float, float]:
        """Mean pixels per radian along x and y."""
        return self.width / math.radians(self.fov_x_deg), self.height / math.radians(self.fov_y)

    def with_size(self, width: int, height: int) -> "Camera":
        """Return a camera with the same field of view and another picture size in pixels."""
        return Camera(self.fov_x_deg, width, height, self.fov_y)
