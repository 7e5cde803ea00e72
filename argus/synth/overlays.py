"""Changes to rendered frames in the camera's own axes: text, a nadir patch, caps, exposure."""

from collections.abc import Iterator

import cv2
import numpy as np

from argus.sphere import Camera, from_euler_deg, solid_angle, view_to_erp
from argus.synth.clip_spec import ClipSpec, FrameSource
from argus.synth.hashing import hash_uniform
from argus.synth.texture import NoiseTexture

OPERATOR_RADIUS_DEG = 30.0
"""Radius of the nadir patch that stands for an operator."""

_FONT = cv2.FONT_HERSHEY_DUPLEX
_TEXT_CAMERA = Camera(100, 1600, 800)
_MIN_LETTER_DEG, _MAX_LETTER_DEG = 6.0, 9.0  # height of a letter
_OUTLINE_PIXELS = 10  # of the text camera; 0.9°


def add_text(
    source: FrameSource, text: str, pitch_range_deg: tuple[float, float], opacity: float = 1.0
) -> FrameSource:
    """Overlay white text with a dark outline that moves with the camera.

    The seed determines the size of the text, its yaw, and its pitch within a range.

    Args:
        source: Frames to draw on.
        text: The text.
        pitch_range_deg: Minimum and maximum pitch.
        opacity: Opacity in [0, 1].
    """

    def render(spec: ClipSpec) -> Iterator[np.ndarray]:
        yaw, pitch, size = (float(hash_uniform(spec.seed, 402, n)) for n in range(3))
        low, high = pitch_range_deg
        direction = (360 * yaw, low + (high - low) * pitch)
        letters = _draw_text(text, _MIN_LETTER_DEG + (_MAX_LETTER_DEG - _MIN_LETTER_DEG) * size)
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _OUTLINE_PIXELS + 1,) * 2)
        outline_alpha, text_alpha = (
            opacity * _project_alpha(view, direction, spec.erp_size)
            for view in (cv2.dilate(letters, kernel), letters)
        )
        for frame in source(spec):
            outlined = _composite(frame, np.full(3, 15.0), outline_alpha)
            yield _composite(outlined, np.full(3, 245.0), text_alpha)

    return render


def _draw_text(text: str, letter_deg: float) -> np.ndarray:
    """Draw text in the middle of the text camera's picture, uint8 `[800, 1600]`."""
    letter_pixels = letter_deg * np.pi / 180 * _TEXT_CAMERA.fx
    scale = letter_pixels / cv2.getTextSize("H", _FONT, 1, 1)[0][1]
    line_width = max(1, round(letter_pixels / 12))
    (width, height), _ = cv2.getTextSize(text, _FONT, scale, line_width)
    view = np.zeros((_TEXT_CAMERA.height, _TEXT_CAMERA.width), np.uint8)
    cv2.putText(
        view,
        text,
        ((_TEXT_CAMERA.width - width) // 2, (_TEXT_CAMERA.height + height) // 2),
        _FONT,
        scale,
        (255,),
        line_width,
        cv2.LINE_AA,
    )
    return view


def _project_alpha(
    view: np.ndarray, direction_deg: tuple[float, float], size: tuple[int, int]
) -> np.ndarray:
    """Project a picture of the text camera to an alpha map, float32 `[H, W, 1]` in [0, 1]."""
    rotation = from_euler_deg(*direction_deg, 0)[None]
    levels, _ = view_to_erp(view[None, ..., None], rotation, _TEXT_CAMERA, size)
    alpha: np.ndarray = np.asarray(levels, np.float32)[0] / 255
    return alpha


def add_operator(source: FrameSource) -> FrameSource:
    """Overlay a patterned patch about the nadir that moves with the camera."""

    def render(spec: ClipSpec) -> Iterator[np.ndarray]:
        height, width = spec.erp_size
        nadir_deg = 180 - (np.arange(height)[:, None] + 0.5) * 180 / height
        lon = ((np.arange(width) + 0.5) / width) * 2 * np.pi
        x, y = (np.asarray(nadir_deg * axis(lon), np.float32) for axis in (np.sin, np.cos))
        pattern = NoiseTexture(spec.seed + 401).sum_octaves(
            x.ravel(),
            y.ravel(),
            np.full(x.size, 180 / height, np.float32),
            ((9.0, 1.0), (20.0, 1.0)),
        )
        colors = 110 + 60 * pattern.reshape(height, width, 1) * np.array([1.0, 0.9, 0.8])
        colors = np.clip(colors, 0, 255)
        is_patch = np.asarray(nadir_deg <= OPERATOR_RADIUS_DEG, np.float32)[..., None]
        alpha = np.repeat(is_patch, width, axis=1)
        return (_composite(frame, colors, alpha) for frame in source(spec))

    return render


def add_caps(source: FrameSource, zenith_deg: float, nadir_deg: float) -> FrameSource:
    """Cover the poles with black caps of these radii."""

    def render(spec: ClipSpec) -> Iterator[np.ndarray]:
        top, bottom = (round(spec.height * radius / 180) for radius in (zenith_deg, nadir_deg))
        mask = np.ones((spec.height, 1, 1), np.uint8)
        mask[:top] = mask[spec.height - bottom :] = 0
        return (frame * mask for frame in source(spec))

    return render


def overexpose(source: FrameSource, share: float = 0.76) -> FrameSource:
    """Brighten frames until a share of the sphere is white in the first one."""

    def render(spec: ClipSpec) -> Iterator[np.ndarray]:
        first, *rest = source(spec)
        gain = 256 / max(4, _find_level(first.min(axis=2), share))
        return (
            np.minimum(frame.astype(np.float32) * gain, 255).astype(np.uint8)
            for frame in (first, *rest)
        )

    return render


def darken_to_night(source: FrameSource, share: float = 0.13) -> FrameSource:
    """Keep only the brightest parts of the ground lit; the rest becomes nearly black.

    Args:
        source: Frames to darken.
        share: Share of the sphere that stays lit in the first frame.
    """

    def render(spec: ClipSpec) -> Iterator[np.ndarray]:
        is_ground = (np.arange(spec.height) >= spec.height // 2)[:, None]
        first, *rest = source(spec)
        level = float(_find_level(first.max(axis=2) * is_ground, share))
        for frame in (first, *rest):
            light = np.clip((frame.max(axis=2) * is_ground - level) / 12, 0, 1)[..., None]
            yield np.minimum(9 + frame * (0.012 + 0.95 * light), 255).astype(np.uint8)

    return render


def _find_level(values: np.ndarray, share: float) -> int:
    """Return the level that a share of the sphere exceeds; values are uint8 `[H, W]`."""
    weights = solid_angle(values.shape).ravel() / (4 * np.pi)
    histogram = np.bincount(values.ravel(), weights=weights, minlength=256)
    return int(np.searchsorted(np.cumsum(histogram), 1 - share))


def _composite(frame: np.ndarray, color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Alpha-blend a color over a frame."""
    return np.asarray(frame + alpha * (color - frame) + 0.5, dtype=np.uint8)
