"""Videos whose frames are shown for unequal times, and their times."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

_TIME_BASE = Fraction(1, 90_000)

Times = NDArray[np.float64]


def write_timed(path: Path, frames: NDArray[np.uint8], times: Sequence[float] | Times) -> Path:
    """Encode frames [T, H, W, 3] as lossless H.264, each shown from its time in seconds on."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"qp": "0", "g": "12"})
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        stream.thread_count = 1
        stream.codec_context.time_base = _TIME_BASE
        for picture, time in zip(frames, times, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time / _TIME_BASE), _TIME_BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def slow_then_fast(slow_s: float = 4.0, fast_s: float = 4.0) -> Times:
    """Return times of frames at 2 per second, then at 30 per second."""
    return np.concatenate([np.arange(0, slow_s, 0.5), slow_s + np.arange(0, fast_s, 1 / 30)])


def bursts(gap_s: float = 5.0, burst_s: float = 3.0, count: int = 2) -> Times:
    """Return times of a screen recording: bursts at 30 per second, a held frame after each."""
    starts = np.arange(count) * (burst_s + gap_s)
    burst = np.arange(0, burst_s, 1 / 30)
    return np.concatenate([*(start + burst for start in starts), [count * (burst_s + gap_s)]])


def phone(seconds: float = 6.0, seed: int = 0) -> Times:
    """Return times of a phone: 29.7 to 30.1 frames per second, never exactly regular."""
    rates = np.random.default_rng(seed).uniform(29.7, 30.1, round(30 * seconds))
    return np.concatenate([[0.0], np.cumsum(1 / rates)[:-1]])


def with_dropped_frames(seconds: float = 6.0) -> Times:
    """Return times at 30 per second of which two in a row are missing in every second."""
    numbers = np.arange(round(30 * seconds))
    return numbers[~np.isin(numbers % 30, (10, 11))] / 30
