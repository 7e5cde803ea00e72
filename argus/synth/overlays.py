"""What lies over the world in the camera's own frame: lettering, an operator at the nadir, caps, light."""

from collections.abc import Iterator

import cv2
import numpy as np

from argus.sphere import Camera, from_euler_deg, solid_angle, view_to_erp
from argus.synth.clip_spec import ClipSpec, Frames
from argus.synth.hashing import uniform
from argus.synth.texture import Noise

PATCH_DEG = 30.0
"""Radius of the operator's patch."""
_FONT = cv2.FONT_HERSHEY_DUPLEX
_VIEW = Camera(100, 1600, 800)
_LETTER_DEG = (6.0, 9.0)  # height of a letter
_OUTLINE = 10  # of its pixels, 0.9°


def lettered(
    frames: Frames, text: str, pitch_deg: tuple[float, float], opacity: float = 1.0
) -> Frames:
    """White lettering with a dark outline; how large it is, at which yaw and, within a range, at which pitch of the camera, follows from the seed."""

    def shown(shot: ClipSpec) -> Iterator[np.ndarray]:
        yaw, pitch, large = (float(uniform(shot.seed, 402, n)) for n in range(3))
        direction = (360 * yaw, pitch_deg[0] + (pitch_deg[1] - pitch_deg[0]) * pitch)
        letters = _letters(text, _LETTER_DEG[0] + (_LETTER_DEG[1] - _LETTER_DEG[0]) * large)
        wider = cv2.dilate(
            letters, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _OUTLINE + 1,) * 2)
        )
        outline, ink = (
            opacity * _on_sphere(view, direction, shot.map_size) for view in (wider, letters)
        )
        for frame in frames(shot):
            yield _over(_over(frame, np.full(3, 15.0), outline), np.full(3, 245.0), ink)

    return shown


def _letters(text: str, letter_deg: float) -> np.ndarray:
    """Lettering in the middle of the view, uint8 `[800, 1600]`."""
    letter = letter_deg * np.pi / 180 * _VIEW.fx  # pixels
    scale = letter / cv2.getTextSize("H", _FONT, 1, 1)[0][1]
    bold = max(1, round(letter / 12))
    (width, height), _ = cv2.getTextSize(text, _FONT, scale, bold)
    view = np.zeros((_VIEW.height, _VIEW.width), np.uint8)
    cv2.putText(
        view,
        text,
        ((_VIEW.width - width) // 2, (_VIEW.height + height) // 2),
        _FONT,
        scale,
        (255,),
        bold,
        cv2.LINE_AA,
    )
    return view


def _on_sphere(
    view: np.ndarray, direction_deg: tuple[float, float], size: tuple[int, int]
) -> np.ndarray:
    """The share of each pixel of a map `[H, W, 1]` that a view covers in ink."""
    ink, _ = view_to_erp(
        view[None, ..., None], from_euler_deg(*direction_deg, 0)[None], _VIEW, size
    )
    share: np.ndarray = np.asarray(ink, np.float32)[0] / 255
    return share


def with_operator(frames: Frames) -> Frames:
    """A patterned patch about the nadir that goes with the camera."""

    def shown(shot: ClipSpec) -> Iterator[np.ndarray]:
        height, width = shot.map_size
        below = 180 - (np.arange(height)[:, None] + 0.5) * 180 / height  # degrees from the nadir
        lon = ((np.arange(width) + 0.5) / width) * 2 * np.pi
        x, y = (np.asarray(below * wave(lon), np.float32) for wave in (np.sin, np.cos))
        pattern = Noise(shot.seed + 401).mixed(
            x.ravel(),
            y.ravel(),
            np.full(x.size, 180 / height, np.float32),
            ((9.0, 1.0), (20.0, 1.0)),
        )
        colours = 110 + 60 * pattern.reshape(height, width, 1) * np.array([1.0, 0.9, 0.8])
        covered = np.repeat(np.asarray(below <= PATCH_DEG, np.float32)[..., None], width, axis=1)
        return (_over(frame, np.clip(colours, 0, 255), covered) for frame in frames(shot))

    return shown


def capped(frames: Frames, zenith_deg: float, nadir_deg: float) -> Frames:
    """Black caps of these radii."""

    def shown(shot: ClipSpec) -> Iterator[np.ndarray]:
        top, bottom = (round(shot.height * radius / 180) for radius in (zenith_deg, nadir_deg))
        keep = np.ones((shot.height, 1, 1), np.uint8)
        keep[:top] = keep[shot.height - bottom :] = 0
        return (frame * keep for frame in frames(shot))

    return shown


def burnt_out(frames: Frames, share: float = 0.76) -> Frames:
    """So bright that this share of the sphere is white in the first frame."""

    def shown(shot: ClipSpec) -> Iterator[np.ndarray]:
        first, *rest = frames(shot)
        gain = 256 / max(4, _level(first.min(axis=2), share))
        return (
            np.minimum(frame.astype(np.float32) * gain, 255).astype(np.uint8)
            for frame in (first, *rest)
        )

    return shown


def at_night(frames: Frames, share: float = 0.13) -> Frames:
    """What is brightest on the ground is lit, as much as this share of the sphere in the first frame; the sky and all else are all but black."""

    def shown(shot: ClipSpec) -> Iterator[np.ndarray]:
        ground = (np.arange(shot.height) >= shot.height // 2)[:, None]
        first, *rest = frames(shot)
        level = _level(first.max(axis=2) * ground, share)
        for frame in (first, *rest):
            light = np.clip((frame.max(axis=2) * ground - float(level)) / 12, 0, 1)[..., None]
            yield np.minimum(9 + frame * (0.012 + 0.95 * light), 255).astype(np.uint8)

    return shown


def _level(values: np.ndarray, share: float) -> int:
    """The level that this share of the sphere is above; values uint8 `[H, W]`."""
    weight = np.bincount(
        values.ravel(), weights=solid_angle(values.shape).ravel() / (4 * np.pi), minlength=256
    )
    return int(np.searchsorted(np.cumsum(weight), 1 - share))


def _over(frame: np.ndarray, colour: np.ndarray, ink: np.ndarray) -> np.ndarray:
    return np.asarray(frame + ink * (colour - frame) + 0.5, dtype=np.uint8)
