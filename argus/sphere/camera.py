"""`Camera`: a perspective picture's field of view and size, with the principal point in its middle."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from argus.errors import InvalidInput


@dataclass(frozen=True)
class Camera:
    """Field of view in degrees, size in pixels. Pixel (u, v) looks along ((u + ½ - w/2) / fx, (v + ½ - h/2) / fy, 1).

    Without `fov_y_deg` pixels are square (fy = fx).
    """

    fov_x_deg: float
    width: int
    height: int
    fov_y_deg: float | None = None

    def __post_init__(self) -> None:
        for name, fov in (("fov_x_deg", self.fov_x_deg), ("fov_y_deg", self.fov_y_deg)):
            if fov is not None and not 0 < fov < 180:
                raise InvalidInput(
                    f"{name} is {fov}, but a perspective camera sees more than 0 and less than 180 degrees"
                )
        if self.width < 1 or self.height < 1:
            raise InvalidInput(
                f"a camera's picture has at least one pixel, got {self.width}x{self.height}"
            )

    @classmethod
    def from_focal(cls, fx: float, width: int, height: int, fy: float | None = None) -> Self:
        """From focal lengths in pixels."""
        if not fx > 0 or (fy is not None and not fy > 0):
            raise InvalidInput(f"focal lengths must be positive, got fx={fx}, fy={fy}")
        fov_y = None if fy is None or fy == fx else math.degrees(2 * math.atan2(height / 2, fy))
        return cls(math.degrees(2 * math.atan2(width / 2, fx)), width, height, fov_y)

    @classmethod
    def from_intrinsics(cls, intrinsics: ArrayLike, width: int, height: int) -> Self:
        """From a matrix K `[3, 3]`; its principal point must lie within 2% of the middle (others are not modelled)."""
        K = np.asarray(intrinsics, dtype=np.float64)
        if K.shape != (3, 3):
            raise InvalidInput(f"intrinsics must be [3, 3], got shape {K.shape}")
        if not (
            abs(K[0, 2] - width / 2) <= 0.02 * width + 0.5
            and abs(K[1, 2] - height / 2) <= 0.02 * height + 0.5
        ):
            raise InvalidInput(
                f"principal point ({K[0, 2]:.1f}, {K[1, 2]:.1f}) is not in the middle of {width}x{height}; crop the frames around it first"
            )
        return cls.from_focal(float(K[0, 0]), width, height, float(K[1, 1]))

    @property
    def fx(self) -> float:
        """Focal length along x, pixels."""
        return self.width / (2 * math.tan(math.radians(self.fov_x_deg) / 2))

    @property
    def fy(self) -> float:
        """Focal length along y, pixels."""
        return (
            self.fx
            if self.fov_y_deg is None
            else self.height / (2 * math.tan(math.radians(self.fov_y_deg) / 2))
        )

    @property
    def fov_y(self) -> float:
        """Vertical field of view, degrees."""
        return math.degrees(2 * math.atan2(self.height / 2, self.fy))

    @property
    def density(self) -> tuple[float, float]:
        """Mean pixels per radian along x and y."""
        return self.width / math.radians(self.fov_x_deg), self.height / math.radians(self.fov_y)

    def resized(self, width: int, height: int) -> "Camera":
        """The same field of view on another number of pixels."""
        return Camera(self.fov_x_deg, width, height, self.fov_y)
