"""Functions of one frame, uint8 `[h, w, 3]`: other layouts of an ERP map, bars, and defects."""

import cv2
import numpy as np

from argus.sphere import (
    CubeLayout,
    cube_to_erp,
    erp_to_cube,
    erp_to_fisheye,
    from_euler_deg,
    rotate_erp,
)

FISHEYE_FOV_DEG = 200
"""Field of view of each lens of a dual fisheye."""

PARTIAL_BOUNDS = (0.0, 0.25, 0.125, 0.125)
"""Shares of the map that a partial map lacks at top, bottom, left and right."""


def resize(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize to (height, width): by area averages if it gets smaller, else bilinearly."""
    is_smaller = size[0] * size[1] < frame.shape[0] * frame.shape[1]
    interpolation = cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(frame, size[::-1], interpolation=interpolation))


def crop_half_sphere(frame: np.ndarray) -> np.ndarray:
    """Return longitudes -90° to 90° of an ERP map."""
    quarter = frame.shape[1] // 4
    return frame[:, quarter : 3 * quarter]


def crop_partial(frame: np.ndarray) -> np.ndarray:
    """Crop an ERP map by `PARTIAL_BOUNDS`."""
    height, width = frame.shape[:2]
    top, bottom, left, right = (
        round(share * side)
        for share, side in zip(PARTIAL_BOUNDS, (height, height, width, width), strict=True)
    )
    return frame[top : height - bottom, left : width - right]


def to_cube(frame: np.ndarray, layout: CubeLayout) -> np.ndarray:
    """Convert an ERP map to a cubemap with faces half as high as the map."""
    return erp_to_cube(frame[None], frame.shape[0] // 2, layout)[0]


def to_eac(frame: np.ndarray) -> np.ndarray:
    """Convert to a 16:9 EAC; YouTube's 3840×2160 has faces of 1280×1080."""
    height = frame.shape[0]
    return erp_to_cube(frame[None], (height // 2, 2 * round(height * 8 / 27)), CubeLayout.EAC)[0]


def convert_twice(frame: np.ndarray) -> np.ndarray:
    """Convert an ERP map to ERP as if it were an EAC."""
    height, width = frame.shape[:2]
    cube = resize(frame, (height, width // 6 * 6))
    return cube_to_erp(cube[None], (height, width), CubeLayout.EAC)[0]


def to_dual_fisheye(frame: np.ndarray) -> np.ndarray:
    """Convert an ERP map to two fisheye circles side by side."""
    return erp_to_fisheye(frame[None], FISHEYE_FOV_DEG, frame.shape[0])[0]


def to_tiny_planet(frame: np.ndarray) -> np.ndarray:
    """Convert to a "tiny planet": an equidistant fisheye picture of 340° that looks down."""
    height = frame.shape[0]
    size = 2 * round(1.15 * height)  # the corners of the frame lie in the circle
    looking_down = rotate_erp(frame[None], from_euler_deg(0, -90, 0))
    planet = erp_to_fisheye(looking_down, 340, size, lenses=1)[0]
    top, left = (size - height) // 2, (size - 2 * height) // 2
    return planet[top : top + height, left : left + 2 * height]


def stretch_to_2_to_1(frame: np.ndarray) -> np.ndarray:
    """Stretch a picture to an aspect ratio of 2:1."""
    return resize(frame, (frame.shape[0], 2 * frame.shape[0]))


def squeeze_to_16_9(frame: np.ndarray) -> np.ndarray:
    """Squeeze an ERP map to an aspect ratio of 16:9."""
    height = frame.shape[0]
    return resize(frame, (height, 2 * round(height * 8 / 9)))


def squeeze_to_1_99(frame: np.ndarray) -> np.ndarray:
    """Squeeze an ERP map to an aspect ratio of 1.99:1, which some cameras store."""
    height = frame.shape[0]
    return resize(frame, (height, 2 * round(0.995 * height)))


def add_bars(frame: np.ndarray, aspect: float) -> np.ndarray:
    """Pad a picture with black bars to an aspect ratio."""
    height, width = frame.shape[:2]
    new_width = max(width, 2 * round(height * aspect / 2))
    new_height = max(height, 2 * int(width / aspect / 2))
    left, top = (new_width - width) // 2, (new_height - height) // 2
    bottom, right = new_height - height - top, new_width - width - left
    return np.pad(frame, ((top, bottom), (left, right), (0, 0)))


def halve_width(frame: np.ndarray) -> np.ndarray:
    """Average pairs of columns."""
    return np.asarray((frame[:, 0::2].astype(np.uint16) + frame[:, 1::2] + 1) // 2, dtype=np.uint8)


def halve_height(frame: np.ndarray) -> np.ndarray:
    """Average pairs of rows."""
    return np.asarray((frame[0::2].astype(np.uint16) + frame[1::2] + 1) // 2, dtype=np.uint8)


def blacken_bottom(frame: np.ndarray) -> np.ndarray:
    """Set the lower 45% of the rows to black."""
    first = len(frame) * 11 // 20
    return np.concatenate([frame[:first], 0 * frame[first:]])


def dim(frame: np.ndarray) -> np.ndarray:
    """Reduce the levels to 6 .. 16."""
    return np.asarray(frame // 24 + 6, dtype=np.uint8)


def blur(frame: np.ndarray) -> np.ndarray:
    """Blur an ERP map with a standard deviation of 3.5°, across the seam too."""
    width = frame.shape[1]
    wide = np.concatenate([frame[:, -width // 4 :], frame, frame[:, : width // 4]], axis=1)
    blurred = cv2.GaussianBlur(wide, (0, 0), 3.5 * width / 360)
    return np.asarray(blurred[:, width // 4 : width // 4 + width])


def add_fog(frame: np.ndarray) -> np.ndarray:
    """Reduce the contrast to a twelfth, about a light gray."""
    return np.asarray(150 + (frame.astype(np.int16) - 128) // 12, dtype=np.uint8)


def break_seam(frame: np.ndarray) -> np.ndarray:
    """Cut off a quarter of the columns and stretch the rest, so that the ends do not meet."""
    width = frame.shape[1]
    return frame[:, np.arange(width) * 3 // 4]
