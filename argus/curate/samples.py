"""The frames that every filter judges: decoded once per video or clip, small, spread over its length."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.media import VideoReader

COUNT = 8
SIZE = (256, 512)  # (height, width)


@dataclass(frozen=True)
class Samples:
    """At most `COUNT` frames in order, squashed to `SIZE`; every filter reads them as an ERP."""

    frames: NDArray[np.uint8]  # [n, 256, 512, 3] RGB

    @property
    def grey(self) -> NDArray[np.uint8]:
        """Luma of the frames, [n, 256, 512]."""
        return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in self.frames])


def sample_video(reader: VideoReader) -> Samples:
    """Spread frames of a video. Raises VideoError when one cannot be decoded."""
    return Samples(reader.frames(spread(len(reader)), size=SIZE))


def sample_frames(frames: NDArray[np.uint8]) -> Samples:
    """Spread frames of a clip [T, H, W, 3]."""
    height, width = SIZE
    chosen = frames[spread(len(frames))]
    return Samples(np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in chosen]))


def spread(length: int) -> NDArray[np.int64]:
    """The middles of at most `COUNT` equal parts of 0 … length−1, without repeats."""
    count = min(COUNT, length)
    return ((np.arange(count) + 0.5) * length / count).astype(np.int64)


def thumbnail(samples: Samples, aspect: float) -> bytes:
    """JPEG 256×128 of the middle frame in its video's aspect (width / height), on black."""
    height, width = (128, round(128 * aspect)) if aspect <= 2 else (round(256 / aspect), 256)
    picture = cv2.resize(samples.frames[len(samples.frames) // 2], (max(width, 1), max(height, 1)), interpolation=cv2.INTER_AREA)
    canvas = np.zeros((128, 256, 3), np.uint8)
    top, left = (128 - picture.shape[0]) // 2, (256 - picture.shape[1]) // 2
    canvas[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    _, data = cv2.imencode(".jpg", cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return data.tobytes()
