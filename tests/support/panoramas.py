"""Textured panoramas and videos of them, for tests of processing."""

import cv2
import numpy as np

FPS = 10


def panorama(seed: int = 0, size: tuple[int, int] = (128, 256)) -> np.ndarray:
    """Return a textured map, closed at ±180° and the poles, from plane waves; uint8 [H, W, 3]."""
    height, width = size
    rng = np.random.default_rng(seed)
    lon = ((np.arange(width) + 0.5) / width - 0.5) * 2 * np.pi
    lat = (0.5 - (np.arange(height)[:, None] + 0.5) / height) * np.pi
    rays = np.stack(
        np.broadcast_arrays(np.cos(lat) * np.sin(lon), -np.sin(lat), np.cos(lat) * np.cos(lon)), -1
    )
    waves = rng.normal(size=(60, 3)) * rng.uniform(1, 16, (60, 1))
    picture = sum(
        np.cos((rays @ wave)[..., None] + rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.6, 3))
        for wave in waves
    )
    low, high = np.percentile(picture, (1, 99))
    return (np.clip((picture - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def turning(picture: np.ndarray, seconds: float = 3.0) -> np.ndarray:
    """Return a video of the map that turns 3% of a round per frame at the top and twice that at the bottom, more than a camera can, uint8 [T, H, W, 3]."""
    height, width = picture.shape[:2]
    rows = np.arange(height)[:, None]
    speed = max(1, width * 3 // 100) * (1 + rows / height)
    return np.stack(
        [
            picture[rows, (np.arange(width) - np.rint(speed * k).astype(int)) % width]
            for k in range(round(seconds * FPS))
        ]
    )


def still(picture: np.ndarray, seconds: float = 3.0) -> np.ndarray:
    return np.stack([picture] * round(seconds * FPS))


def blacked(frames: np.ndarray) -> np.ndarray:
    """Return the video with a black lower half, which was never filmed."""
    frames[:, frames.shape[1] // 2 :] = 0
    return frames


def stereo(axis: int) -> np.ndarray:
    """Two eyes, the second a few pixels aside, one below (0) or beside (1) the other in one 2:1 frame, uint8 [T, 128, 256, 3]."""
    eyes = [turning(np.roll(panorama(), shift, axis=1)) for shift in (0, 4)]
    halves = [
        np.stack(
            [
                cv2.resize(
                    frame, (256, 64) if axis == 0 else (128, 128), interpolation=cv2.INTER_AREA
                )
                for frame in eye
            ]
        )
        for eye in eyes
    ]
    return np.concatenate(halves, axis=axis + 1)


def moving(picture: np.ndarray) -> np.ndarray:
    """Return a video whose picture slides sideways but does not wrap, uint8 [T, H, W, 3]."""
    wide = cv2.resize(picture, None, fx=2, fy=1, interpolation=cv2.INTER_LINEAR)
    width = picture.shape[1]
    return np.stack([wide[:, 3 * k : 3 * k + width] for k in range(3 * FPS)])


def flat(size: tuple[int, int] = (128, 256)) -> np.ndarray:
    """Return a picture that does not close, and has no poles: a part of a map, stretched."""
    return np.asarray(
        cv2.resize(
            panorama(seed=3)[40:88, 20:100], (size[1], size[0]), interpolation=cv2.INTER_LINEAR
        )
    )


def cut_off() -> np.ndarray:
    """Return a map whose last quarter was cut off, and the rest stretched: it has poles, but its ends do not meet."""
    return np.asarray(
        cv2.resize(panorama(seed=3)[:, :192], (256, 128), interpolation=cv2.INTER_LINEAR)
    )
