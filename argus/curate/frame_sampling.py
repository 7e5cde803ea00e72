"""The frames that every filter judges: decoded once per video or clip, spread over its length, with successors.

Everything derived from them (small frames, grey, six views) is made once and shared between filters.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.curate.views import six_views
from argus.media import VideoReader
from argus.media.reader import resize

COUNT = 8
FOLLOWED = 3  # every third moment of a whole video has a successor, which costs all frames up to it
SIZE = (512, 1024)  # (height, width) of sampled ERP frames
SMALL = (256, 512)
VIEW_SIDE = 256


@dataclass(frozen=True, eq=False)
class StoredSamples:
    """Moments of a video as it is stored, before its layout is known."""

    frames: NDArray[np.uint8]  # [n, h, w, 3] RGB in the video's own shape
    following: NDArray[np.uint8]  # [n, h, w, 3] RGB; a moment without a successor repeats its frame
    gaps_s: NDArray[
        np.float64
    ]  # [n] seconds from each frame to what follows it; 0 where nothing does


@dataclass(frozen=True, eq=False)
class Samples:
    """At most `COUNT` moments in order, as mono ERP frames of `SIZE`, and what follows each at the rate of clips."""

    frames: NDArray[np.uint8]  # [n, 512, 1024, 3] RGB
    following: NDArray[
        np.uint8
    ]  # [n, 512, 1024, 3] RGB; a moment without a successor repeats its frame
    gaps_s: NDArray[
        np.float64
    ]  # [n] seconds from each frame to what follows it; 0 where nothing does

    @cached_property
    def small(self) -> NDArray[np.uint8]:
        """The frames at `SMALL`, [n, 256, 512, 3]."""
        return resized(self.frames, SMALL)

    @cached_property
    def small_following(self) -> NDArray[np.uint8]:
        """What follows, at `SMALL`, [n, 256, 512, 3]."""
        return resized(self.following, SMALL)

    @cached_property
    def grey(self) -> NDArray[np.uint8]:
        """Luma of the small frames, [n, 256, 512]."""
        return greys(self.small)

    @cached_property
    def views(self) -> NDArray[np.uint8]:
        """Six 90° views of each frame, [n, 6, 256, 256, 3], in the order of `argus.curate.views.VIEW_NAMES`."""
        return six_views(self.frames, VIEW_SIDE)


def sample_stored(reader: VideoReader, step: int) -> StoredSamples:
    """Spread moments of a video, just covering `SIZE`, and of every third one the frame `step` later. Raises VideoError when one cannot be decoded.

    A moment is a keyframe where there is one in its part of the video, since that is decoded alone; a successor costs all frames up to it.
    """
    moments = at_keyframes(spread(len(reader)), reader.keyframes, len(reader))
    later = np.minimum(moments + step, len(reader) - 1)
    after = np.where(np.arange(len(moments)) % FOLLOWED == 0, later, moments)
    pictures = reader.frames(np.concatenate([moments, after]), size=_covering(reader.size))
    return StoredSamples(
        pictures[: len(moments)], pictures[len(moments) :], (after - moments) / float(reader.fps)
    )


def sample_clip(frames: NDArray[np.uint8], fps: float) -> Samples:
    """Spread moments of a clip [T, H, W, 3] of mono ERP frames, at `SIZE`, and the next frames."""
    moments = spread(len(frames))
    after = np.minimum(moments + 1, len(frames) - 1)
    return Samples(
        resized(frames[moments], SIZE), resized(frames[after], SIZE), (after - moments) / fps
    )


def spread(length: int) -> NDArray[np.int64]:
    """The middles of at most `COUNT` equal parts of 0 … length−1, without repeats."""
    count = min(COUNT, length)
    return ((np.arange(count) + 0.5) * length / count).astype(np.int64)


def at_keyframes(
    moments: NDArray[np.int64], keyframes: NDArray[np.int64], length: int
) -> NDArray[np.int64]:
    """Each moment (as `spread` gives them) moved to the keyframe nearest to it, where one lies in its part of the video's `length` frames."""
    places = np.searchsorted(keyframes, moments)
    before, behind = (
        keyframes[np.maximum(places - 1, 0)],
        keyframes[np.minimum(places, len(keyframes) - 1)],
    )
    nearest = np.where(np.abs(before - moments) <= np.abs(behind - moments), before, behind)
    return np.where(nearest * len(moments) // length == np.arange(len(moments)), nearest, moments)


def greys(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Luma [n, H, W] of frames [n, H, W, 3]."""
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])


def resized(frames: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """[n, H, W, 3] at another size (H, W): averaged over area where smaller, linearly where larger."""
    if frames.shape[1:3] == size:
        return frames
    return np.stack([resize(frame, size) for frame in frames])


def _covering(stored: tuple[int, int]) -> tuple[int, int]:
    """(h, w) in the stored shape that just covers `SIZE`, never enlarged."""
    height, width = stored
    scale = min(1.0, max(SIZE[0] / height, SIZE[1] / width))
    return max(1, round(height * scale)), max(1, round(width * scale))
