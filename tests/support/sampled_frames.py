"""Sampled frames of the synthetic world and of drawn scenes, for the tests of filters."""

from collections.abc import Callable
from fractions import Fraction
from functools import cache

import cv2
import numpy as np

from argus.curate import ERP_SIZE, SampledFrames, evenly_spaced, resize_frames
from argus.media import decode_clip, encode_clip
from argus.sphere import from_euler_deg, rotate_erp
from argus.synth import Motion, World, make_path

FPS = 5
SECONDS = 8


@cache
def sample_world(motion: Motion, seed: int = 61, height: int = 96) -> SampledFrames:
    """Eight frames over eight seconds and their next frames, encoded and decoded as in a video."""
    first = evenly_spaced(SECONDS * FPS - 1)
    path = make_path(seed, SECONDS * FPS, FPS, motion)
    chosen = np.stack([first, first + 1], axis=1).ravel()
    pictures = World(seed).render(
        path.rotations[chosen], path.positions[chosen], path.times[chosen], (height, 2 * height)
    )
    frames = resize_frames(decode_clip(encode_clip(pictures, Fraction(FPS))), ERP_SIZE)
    return SampledFrames(frames[::2], frames[1::2], np.full(len(first), 1 / FPS))


def change_frames(
    samples: SampledFrames, change: Callable[[np.ndarray], np.ndarray]
) -> SampledFrames:
    """Return samples in which `change` was applied to each frame [512, 1024, 3]."""
    frames, next_frames = (
        np.stack([change(frame) for frame in part])
        for part in (samples.frames, samples.next_frames)
    )
    return SampledFrames(frames, next_frames, samples.intervals_s)


def repeat_frame(frame: np.ndarray, count: int = 5) -> SampledFrames:
    frames = resize_frames(np.stack([frame] * count), ERP_SIZE)
    return SampledFrames(frames, frames, np.full(count, 1 / FPS))


def write_letters(
    words: str, place: tuple[int, int], size: float = 1.0
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that writes white words with a dark outline into a map of 1024 columns."""

    def change(frame: np.ndarray) -> np.ndarray:
        frame = frame.copy()
        for color, width in (((20, 20, 20), 6), ((255, 255, 255), 3)):
            cv2.putText(
                frame, words, place, cv2.FONT_HERSHEY_SIMPLEX, size, color, width, cv2.LINE_AA
            )
        return frame

    return change


def cover_nadir(radius_deg: float, seed: int = 5) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that covers the nadir with a fixed pattern."""
    pattern = cv2.resize(
        np.random.default_rng(seed).integers(0, 255, (64, 128, 3), np.uint8),
        ERP_SIZE[::-1],
        interpolation=cv2.INTER_LINEAR,
    )
    rows = round(radius_deg / 180 * ERP_SIZE[0])
    return lambda frame: np.concatenate([frame[:-rows], pattern[-rows:]])


def black_caps(zenith_deg: float, nadir_deg: float) -> Callable[[np.ndarray], np.ndarray]:
    top, bottom = (round(angle / 180 * ERP_SIZE[0]) for angle in (zenith_deg, nadir_deg))
    return lambda frame: np.concatenate(
        [frame[:top] * 0, frame[top : ERP_SIZE[0] - bottom], frame[ERP_SIZE[0] - bottom :] * 0]
    )


def render_alley(position: float) -> np.ndarray:
    """Render a lane between two brick walls under the sky, uint8 [512, 1024, 3]."""
    lon = ((np.arange(1024) + 0.5) / 1024 - 0.5) * 2 * np.pi
    lat = (0.5 - (np.arange(512)[:, None] + 0.5) / 512) * np.pi
    x, y, z = np.cos(lat) * np.sin(lon), -np.sin(lat) + 0 * lon, np.cos(lat) * np.cos(lon)
    far = 2.5 / np.maximum(np.abs(x), 1e-6)  # to the walls
    along, high = z * far + position, 1.6 - y * far
    course = np.floor(high / 0.3)
    mortar = ((high / 0.3) % 1 < 0.18) | ((along / 0.8 + 0.5 * (course % 2)) % 1 < 0.08)
    shade = np.sin(course * 12.9 + np.floor(along / 0.8 + 0.5 * (course % 2)) * 78.2) * 20
    brick = np.where(mortar, 200, 120 + shade)[..., None] * np.array([1.0, 0.7, 0.6])
    ground = 1.6 / np.maximum(y, 1e-6)
    stones = 90 + 40 * np.sin(3 * ground * x) * np.sin(3 * (ground * z + position))
    picture = np.where((high < 0)[..., None], stones[..., None] * np.ones(3), brick)
    return np.clip(
        np.where((high > 5)[..., None], np.array([150, 190, 240]), picture), 0, 255
    ).astype(np.uint8)


@cache
def sample_brick_walk(shake_deg: float) -> SampledFrames:
    """Sample a walk along brick walls, on rails or hand-held."""
    places = np.arange(8) * 1.3
    shake = from_euler_deg(*np.random.default_rng(3).normal(0, shake_deg, (3, 8)))
    frames, next_frames = (
        rotate_erp(np.stack([render_alley(z + ahead) for z in places]), shake)
        for ahead in (0, 0.26)
    )
    return SampledFrames(frames, next_frames, np.full(8, 1 / FPS))
