"""Generated clips with a known shot boundary, or with something that is none.

A clip lasts four seconds at 25 frames per second. `at_clip_rate` takes every fifth frame, which is the rate of stored clips.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.sphere import from_euler_deg, rotate_erp
from argus.synth import render_clip

NATIVE_FPS, CLIP_FPS = 25, 5
STEP = NATIVE_FPS // CLIP_FPS
FRAMES = 4 * NATIVE_FPS
SIZE = (64, 128)

Frames = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ShotCase:
    """A clip and its truth.

    Attributes:
        kind: what happens in it.
        frames: uint8 [T, H, W, 3].
        boundary: last frame of the first shot and first frame of the second; None without one.
    """

    kind: str
    frames: Frames
    boundary: tuple[int, int] | None = None

    def at_clip_rate(self) -> "ShotCase":
        """Return the clip at five frames per second."""
        boundary = self.boundary and (self.boundary[0] // STEP, -(-self.boundary[1] // STEP))
        return ShotCase(self.kind, self.frames[::STEP], boundary or None)


def make_shot_cases(seeds: range) -> Iterator[ShotCase]:
    """Yield every kind for each seed; the place of the boundary differs by seed."""
    for seed in seeds:
        last = 30 + 7 * seed % 41
        for kind, make in _KINDS.items():
            yield make(kind, seed, last)


@cache
def _shot(seed: int, motion: str, route: int = 0) -> Frames:
    return render_clip(seed, FRAMES, SIZE, NATIVE_FPS, motion, route=route).frames


def _cut(motion: str, *, deg_s: float = 0.0, same_world: bool = False) -> Callable[..., ShotCase]:
    def make(kind: str, seed: int, last: int) -> ShotCase:
        other = _shot(seed, motion, 7) if same_world else _shot(seed + 500, motion)
        frames = np.concatenate([_shot(seed, motion)[: last + 1], other[last + 1 :]])
        return ShotCase(kind, _pan(frames, deg_s) if deg_s else frames, (last, last + 1))

    return make


def _mix(length: int, *, through_black: bool = False) -> Callable[..., ShotCase]:
    def make(kind: str, seed: int, last: int) -> ShotCase:
        share = np.clip((np.arange(FRAMES) - last) / length, 0, 1)[:, None, None, None]
        one, other = _shot(seed, "walk"), _shot(seed + 500, "walk")
        if through_black:
            mixed = one * np.maximum(0, 1 - 2 * share) + other * np.maximum(0, 2 * share - 1)
        else:
            mixed = one * (1 - share) + other * share
        return ShotCase(kind, mixed.astype(np.uint8), (last, last + length))

    return make


def _plain(motion: str, *, deg_s: float = 0.0) -> Callable[..., ShotCase]:
    def make(kind: str, seed: int, _last: int) -> ShotCase:
        frames = _shot(seed, motion)
        return ShotCase(kind, _pan(frames, deg_s) if deg_s else frames)

    return make


def _whip(kind: str, seed: int, last: int) -> ShotCase:
    """Turn by half a circle within a fifth of a second, between two still parts."""
    yaw_deg = 180 * np.clip((np.arange(FRAMES) - last) / 5, 0, 1)
    return ShotCase(kind, _turn(_shot(seed, "still"), yaw_deg))


def _flash(kind: str, seed: int, last: int) -> ShotCase:
    frames = _shot(seed, "walk").copy()
    last -= last % STEP  # at the rate of clips too
    frames[last : last + 2] = np.minimum(255, frames[last : last + 2] * 1.8 + 60).astype(np.uint8)
    return ShotCase(kind, frames)


def _darker(kind: str, seed: int, last: int) -> ShotCase:
    gain = np.where(np.arange(FRAMES) > last, 0.6, 1.0)[:, None, None, None]
    return ShotCase(kind, (_shot(seed, "walk") * gain).astype(np.uint8))


def _frozen(kind: str, seed: int, _last: int) -> ShotCase:
    return ShotCase(kind, np.repeat(_shot(seed, "walk")[:1], FRAMES, axis=0))


def _pan(frames: Frames, deg_s: float) -> Frames:
    return _turn(frames, deg_s * np.arange(len(frames)) / NATIVE_FPS)


def _turn(frames: Frames, yaw_deg: NDArray[np.float64]) -> Frames:
    """Rotate the camera; smear each frame over half of its rotation to the next."""
    width = frames.shape[2]
    smears = np.abs(np.diff(yaw_deg, append=yaw_deg[-1])) / 2 / 360 * width
    smeared = [
        cv2.blur(np.concatenate([frame] * 3, axis=1), (max(1, round(smear)), 1))[:, width:-width]
        for frame, smear in zip(frames, smears, strict=True)
    ]
    return rotate_erp(np.stack(smeared), from_euler_deg(yaw_deg, 0, 0))


_KINDS: dict[str, Callable[[str, int, int], ShotCase]] = {
    "cut, walking": _cut("walk"),
    "cut, driving": _cut("drive"),
    "cut, tripod": _cut("still"),
    "cut in a pan of 90°/s": _cut("walk", deg_s=90),
    "cut in a pan of 400°/s": _cut("walk", deg_s=400),
    "cut to another street of one town": _cut("walk", same_world=True),
    "dissolve of 0.4 s": _mix(10),
    "dissolve of 1.2 s": _mix(30),
    "fade through black, 1.2 s": _mix(30, through_black=True),
    "walking": _plain("walk"),
    "driving": _plain("drive"),
    "spinning tripod": _plain("spin"),
    "pan of 400°/s": _plain("walk", deg_s=400),
    "whip pan of 180° in 0.2 s": _whip,
    "flash of 0.08 s": _flash,
    "exposure step": _darker,
    "frozen": _frozen,
}
