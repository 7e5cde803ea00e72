"""Ordinary videos that no camera filmed: a cartoon and a talk's slides."""

from collections.abc import Iterator

import cv2
import numpy as np

from argus.synth.clip_spec import ClipSpec

_FINE = 2  # drawn so many times as large, then averaged
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def cartoon(shot: ClipSpec, aspect: float = 16 / 9) -> Iterator[np.ndarray]:
    """Outlined figures that hop before flat hills and a plain sky."""
    height, width = (side * _FINE for side in shot.size(aspect))
    chance = np.random.default_rng((shot.seed, 501))
    sky, hill, *paints = (
        tuple(int(level) for level in chance.integers(60, 250, 3)) for _ in range(8)
    )
    hills, figures = chance.uniform(0, 1, (5, 3)), chance.uniform(0, 1, (6, 5))
    line = max(2, height // 90)
    for k in range(shot.count):
        time = k / float(shot.fps)
        picture = np.full((height, width, 3), sky, np.uint8)
        for place, tall, wide in hills:
            middle = (int(width * ((place - 0.04 * time) % 1.2)), int(height * 0.95))
            axes = (int(width * (0.15 + 0.2 * wide)), int(height * (0.2 + 0.35 * tall)))
            cv2.ellipse(picture, middle, axes, 0, 0, 360, hill, -1, cv2.LINE_AA)
            cv2.ellipse(picture, middle, axes, 0, 0, 360, (20, 20, 20), line, cv2.LINE_AA)
        for (place, size, speed, phase, _), paint in zip(figures, paints, strict=True):
            hop = abs(np.sin(2 * np.pi * (time * (0.6 + speed) + phase)))
            middle = (
                int(width * ((place + (speed - 0.5) * 0.5 * time) % 1)),
                int(height * (0.8 - 0.25 * hop)),
            )
            radius = int(height * (0.06 + 0.08 * size))
            cv2.circle(picture, middle, radius, paint, -1, cv2.LINE_AA)
            cv2.circle(picture, middle, radius, (20, 20, 20), line, cv2.LINE_AA)
            for side in (-1, 1):
                cv2.circle(
                    picture,
                    (middle[0] + side * radius // 3, middle[1] - radius // 4),
                    max(2, radius // 6),
                    (20, 20, 20),
                    -1,
                    cv2.LINE_AA,
                )
        yield _reduced(picture)


def slides(shot: ClipSpec, aspect: float = 16 / 9) -> Iterator[np.ndarray]:
    """Pages of text and bars on white, each for a third of the video; a pointer moves about."""
    height, width = (side * _FINE for side in shot.size(aspect))
    chance = np.random.default_rng((shot.seed, 502))
    pages = [_page(height, width, chance) for _ in range(3)]
    for k in range(shot.count):
        picture = pages[min(2, 3 * k // shot.count)].copy()
        angle = 2 * np.pi * k / shot.count
        cv2.circle(
            picture,
            (int(width * (0.5 + 0.3 * np.cos(angle))), int(height * (0.5 + 0.3 * np.sin(angle)))),
            height // 50,
            (200, 30, 30),
            -1,
        )
        yield _reduced(picture)


def _page(height: int, width: int, chance: np.random.Generator) -> np.ndarray:
    page = np.full((height, width, 3), 250, np.uint8)
    accent = tuple(int(level) for level in chance.integers(20, 160, 3))
    cv2.rectangle(page, (0, 0), (width, height // 8), accent, -1)
    scale, thick = height / 500, max(1, height // 250)
    cv2.putText(
        page,
        "results of the year",
        (width // 20, height // 11),
        _FONT,
        scale * 1.2,
        (255, 255, 255),
        2 * thick,
        cv2.LINE_AA,
    )
    for line in range(5):
        words = " ".join("abcdefghijklmnop"[: 2 + int(chance.integers(7))] for _ in range(3))
        cv2.putText(
            page,
            f"- {words}",
            (width // 12, height * (5 + 3 * line) // 21),
            _FONT,
            scale,
            (30, 30, 30),
            thick,
            cv2.LINE_AA,
        )
    for bar, tall in enumerate(chance.uniform(0.1, 0.5, 4)):
        left = width * (13 + 2 * bar) // 22
        cv2.rectangle(
            page,
            (left, int(height * (0.92 - tall))),
            (left + width // 14, int(height * 0.92)),
            accent,
            -1,
        )
    return page


def _reduced(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    return np.asarray(
        cv2.resize(picture, (width // _FINE, height // _FINE), interpolation=cv2.INTER_AREA)
    )
