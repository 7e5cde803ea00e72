"""Text in ERP frames: captions that stay in the picture, and boards that stand in the scene."""

from dataclasses import dataclass

import cv2
import numpy as np

from argus.sphere import Camera, erp_grid, from_euler_deg, rotate_rays, view_to_erp
from argus.synth.paths import CameraPath

_FONT = cv2.FONT_HERSHEY_DUPLEX
_CAMERA = Camera(110, 2048, 1024)
_INK, _OUTLINE = 245.0, 15.0  # gray levels
_BOARD_INK, _BOARD_COLOR = (250, 250, 245), (20, 50, 120)
_BOARD_LETTER = 96  # pixels of a letter in a board's picture


@dataclass(frozen=True)
class Caption:
    """White text with a dark outline that stays at its place in the picture.

    Attributes:
        text: ASCII characters.
        yaw_deg: longitude of its middle.
        pitch_deg: latitude of its middle.
        letter_deg: height of a capital letter.
        is_flat: True if it is written into the ERP map, else onto the sphere.
        opacity: in [0, 1].
    """

    text: str
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    letter_deg: float = 6.0
    is_flat: bool = False
    opacity: float = 1.0

    def write_over(self, frame: np.ndarray) -> np.ndarray:
        """Return a frame, uint8 `[H, W, 3]`, with the caption."""
        size = frame.shape[:2]
        canvas = size if self.is_flat else (_CAMERA.height, _CAMERA.width)
        pixels_per_deg = size[0] / 180 if self.is_flat else np.pi / 180 * _CAMERA.fx
        letters = draw_text(self.text, self.letter_deg * pixels_per_deg, canvas)
        spread = 2 * max(1, round(self.letter_deg * pixels_per_deg / 10)) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (spread, spread))
        for color, layer in ((_OUTLINE, cv2.dilate(letters, kernel)), (_INK, letters)):
            cover = self.opacity * self._place(layer, size)[..., None] / np.float32(255)
            frame = np.asarray(frame + cover * (color - frame) + 0.5, np.uint8)
        return frame

    def _place(self, layer: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Return a layer of letters, drawn in the middle of its canvas, as a map `[H, W]`."""
        if self.is_flat:
            shift = round(-self.pitch_deg / 180 * size[0]), round(self.yaw_deg / 360 * size[1])
            return np.roll(layer, shift, axis=(0, 1))
        rotation = from_euler_deg(self.yaw_deg, self.pitch_deg, 0)[None]
        return np.asarray(view_to_erp(layer[None, ..., None], rotation, _CAMERA, size)[0])[
            0, ..., 0
        ]


@dataclass(frozen=True)
class Board:
    """Upright board with text in the scene. It hides all behind it, and nothing hides it.

    Attributes:
        text: ASCII characters.
        position: of its middle in world axes, meters.
        heading_deg: heading of a camera that faces it.
        letter_m: height of a capital letter.
    """

    text: str
    position: tuple[float, float, float]
    heading_deg: float
    letter_m: float = 0.4

    def stand_in(self, frames: np.ndarray, path: CameraPath) -> np.ndarray:
        """Return frames, uint8 `[T, H, W, 3]`, of a camera on a path with the board."""
        picture = self._paint()
        poses = zip(frames, path.rotations, path.positions, strict=True)
        return np.stack([self._draw(picture, *pose) for pose in poses])

    def _paint(self) -> np.ndarray:
        letters = draw_text(self.text, _BOARD_LETTER, None)[..., None] / np.float32(255)
        return np.asarray(_BOARD_COLOR + letters * np.subtract(_BOARD_INK, _BOARD_COLOR), np.uint8)

    def _draw(
        self, picture: np.ndarray, frame: np.ndarray, rotation: np.ndarray, eye: np.ndarray
    ) -> np.ndarray:
        rays = np.stack(
            [axis[0] for axis in rotate_rays(erp_grid(frame.shape[:2], rotation), rotation[None])],
            -1,
        )
        right, down, ahead = from_euler_deg(self.heading_deg, 0, 0).T
        offset = np.subtract(self.position, eye)
        distance = (offset @ ahead) / np.maximum(rays @ ahead, 1e-6)  # to the board's plane
        points = rays * distance[..., None] - offset
        pixels_per_m = _BOARD_LETTER / self.letter_m
        x, y = (
            np.asarray(points @ axis * pixels_per_m + length / 2, np.float32)
            for axis, length in ((right, picture.shape[1]), (down, picture.shape[0]))
        )
        is_board = (distance > 0) & (rays @ ahead > 1e-3)
        is_board &= (abs(x * 2 / picture.shape[1] - 1) < 1) & (
            abs(y * 2 / picture.shape[0] - 1) < 1
        )
        # Pixels of a far board average over its picture's.
        step = max(1.0, float(np.linalg.norm(offset)) * np.pi / frame.shape[0] * pixels_per_m)
        blurred = cv2.GaussianBlur(picture, (0, 0), step / 2)
        colors = cv2.remap(blurred, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.where(is_board[..., None], colors, frame)


def draw_text(text: str, letter_pixels: float, size: tuple[int, int] | None) -> np.ndarray:
    """Draw text in the middle of a picture, uint8 `[h, w]`.

    Args:
        text: ASCII characters.
        letter_pixels: height of a capital letter.
        size: (height, width) of the picture; None for that of the text with a margin.
    """
    scale = letter_pixels / cv2.getTextSize("H", _FONT, 1, 1)[0][1]
    stroke = max(1, round(letter_pixels / 10))
    (width, height), _ = cv2.getTextSize(text, _FONT, scale, stroke)
    margin = round(letter_pixels * 0.6)
    rows, columns = size or (height + 2 * margin, width + 2 * margin)
    picture = np.zeros((rows, columns), np.uint8)
    origin = ((columns - width) // 2, (rows + height) // 2)
    cv2.putText(picture, text, origin, _FONT, scale, (255,), stroke, cv2.LINE_AA)
    return picture
