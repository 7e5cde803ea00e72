"""Drawn videos: a cartoon and the slides of a talk."""

from collections.abc import Iterator

import cv2
import numpy as np

from argus.synth.clip_spec import ClipSpec

_SUPERSAMPLE = 2  # drawn this many times as large, then averaged
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_OUTLINE_COLOR = (20, 20, 20)
_FILLED = -1  # line width of OpenCV's drawing functions


def render_cartoon(spec: ClipSpec, aspect: float = 16 / 9) -> Iterator[np.ndarray]:
    """Draw outlined figures that hop in front of flat hills and a plain sky."""
    height, width = (side * _SUPERSAMPLE for side in spec.frame_size(aspect))
    generator = np.random.default_rng((spec.seed, 501))
    sky, hill_color, *figure_colors = (
        tuple(int(level) for level in generator.integers(60, 250, 3)) for _ in range(8)
    )
    hills, figures = generator.uniform(0, 1, (5, 3)), generator.uniform(0, 1, (6, 5))
    line_width = max(2, height // 90)
    for k in range(spec.count):
        time = k / float(spec.fps)
        picture = np.full((height, width, 3), sky, np.uint8)
        for position, hill_height, hill_width in hills:
            center = (int(width * ((position - 0.04 * time) % 1.2)), int(height * 0.95))
            axes = (
                int(width * (0.15 + 0.2 * hill_width)),
                int(height * (0.2 + 0.35 * hill_height)),
            )
            for color, line in ((hill_color, _FILLED), (_OUTLINE_COLOR, line_width)):
                cv2.ellipse(picture, center, axes, 0, 0, 360, color, line, cv2.LINE_AA)
        for figure, color in zip(figures, figure_colors, strict=True):
            _draw_figure(picture, figure, color, time, line_width)
        yield _downscale(picture)


def _draw_figure(
    picture: np.ndarray,
    figure: np.ndarray,
    color: tuple[int, ...],
    time: float,
    line_width: int,
) -> None:
    """Draw a hopping ball with two eyes; `figure` holds random numbers in [0, 1)."""
    height, width = picture.shape[:2]
    position, size, speed, phase, _ = figure
    hop = abs(np.sin(2 * np.pi * (time * (0.6 + speed) + phase)))
    x = int(width * ((position + (speed - 0.5) * 0.5 * time) % 1))
    y = int(height * (0.8 - 0.25 * hop))
    radius = int(height * (0.06 + 0.08 * size))
    cv2.circle(picture, (x, y), radius, color, _FILLED, cv2.LINE_AA)
    cv2.circle(picture, (x, y), radius, _OUTLINE_COLOR, line_width, cv2.LINE_AA)
    for side in (-1, 1):
        eye = (x + side * radius // 3, y - radius // 4)
        cv2.circle(picture, eye, max(2, radius // 6), _OUTLINE_COLOR, _FILLED, cv2.LINE_AA)


def render_slides(spec: ClipSpec, aspect: float = 16 / 9) -> Iterator[np.ndarray]:
    """Draw three slides of text and bars, each for a third of the video, and a moving pointer."""
    height, width = (side * _SUPERSAMPLE for side in spec.frame_size(aspect))
    generator = np.random.default_rng((spec.seed, 502))
    slides = [_draw_slide(height, width, generator) for _ in range(3)]
    for k in range(spec.count):
        picture = slides[min(2, 3 * k // spec.count)].copy()
        angle = 2 * np.pi * k / spec.count
        pointer = (
            int(width * (0.5 + 0.3 * np.cos(angle))),
            int(height * (0.5 + 0.3 * np.sin(angle))),
        )
        cv2.circle(picture, pointer, height // 50, (200, 30, 30), _FILLED)
        yield _downscale(picture)


def _draw_slide(height: int, width: int, generator: np.random.Generator) -> np.ndarray:
    slide = np.full((height, width, 3), 250, np.uint8)
    accent = tuple(int(level) for level in generator.integers(20, 160, 3))
    cv2.rectangle(slide, (0, 0), (width, height // 8), accent, _FILLED)
    scale, line_width = height / 500, max(1, height // 250)
    cv2.putText(
        slide,
        "results of the year",
        (width // 20, height // 11),
        _FONT,
        scale * 1.2,
        (255, 255, 255),
        2 * line_width,
        cv2.LINE_AA,
    )
    for line in range(5):
        words = " ".join("abcdefghijklmnop"[: 2 + int(generator.integers(7))] for _ in range(3))
        cv2.putText(
            slide,
            f"- {words}",
            (width // 12, height * (5 + 3 * line) // 21),
            _FONT,
            scale,
            (30, 30, 30),
            line_width,
            cv2.LINE_AA,
        )
    for bar, bar_height in enumerate(generator.uniform(0.1, 0.5, 4)):
        left = width * (13 + 2 * bar) // 22
        cv2.rectangle(
            slide,
            (left, int(height * (0.92 - bar_height))),
            (left + width // 14, int(height * 0.92)),
            accent,
            _FILLED,
        )
    return slide


def _downscale(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    size = (width // _SUPERSAMPLE, height // _SUPERSAMPLE)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
