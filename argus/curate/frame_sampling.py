"""Frames on which layout detection and filters run: decoded once per video or clip and shared.

Each sampled frame comes with the next frame at the rate of clips. Derived pictures (small frames,
luma, six views) are computed once and cached.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.curate.views import six_views
from argus.media import VideoReader, resize_frame

MAX_SAMPLES = 8
"""Largest number of frames that are sampled from a video or clip."""

NEXT_FRAME_STEP = 3
"""Every third sample of a video has a next frame: decoding it costs all frames in between."""

ERP_SIZE = (512, 1024)
"""(height, width) of sampled ERP frames."""

SMALL_SIZE = (256, 512)
"""(height, width) of small frames."""

VIEW_SIDE = 256
"""Side of a perspective view in pixels."""


@dataclass(frozen=True, eq=False)
class NativeFrames:
    """Sampled frames in the layout in which the video stores them.

    Attributes:
        frames: uint8 [n, h, w, 3] RGB, in the aspect ratio of the video.
        next_frames: uint8 [n, h, w, 3] RGB; equal to `frames` where `intervals_s` is 0.
        intervals_s: float64 [n], seconds from each frame to its next frame; 0 if it has none.
    """

    frames: NDArray[np.uint8]
    next_frames: NDArray[np.uint8]
    intervals_s: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SampledFrames:
    """At most `MAX_SAMPLES` mono ERP frames in order, each with the next frame.

    Attributes:
        frames: uint8 [n, 512, 1024, 3] RGB.
        next_frames: uint8 [n, 512, 1024, 3] RGB; equal to `frames` where `intervals_s` is 0.
        intervals_s: float64 [n], seconds from each frame to its next frame; 0 if it has none.
    """

    frames: NDArray[np.uint8]
    next_frames: NDArray[np.uint8]
    intervals_s: NDArray[np.float64]

    @cached_property
    def small(self) -> NDArray[np.uint8]:
        """Frames at `SMALL_SIZE`, [n, 256, 512, 3]."""
        return resize_frames(self.frames, SMALL_SIZE)

    @cached_property
    def small_next(self) -> NDArray[np.uint8]:
        """Next frames at `SMALL_SIZE`, [n, 256, 512, 3]."""
        return resize_frames(self.next_frames, SMALL_SIZE)

    @cached_property
    def gray(self) -> NDArray[np.uint8]:
        """Luma of the small frames, [n, 256, 512]."""
        return to_gray(self.small)

    @cached_property
    def views(self) -> NDArray[np.uint8]:
        """Six 90° views of each frame in the order of `VIEW_NAMES`, [n, 6, 256, 256, 3]."""
        return six_views(self.frames, VIEW_SIDE)


def sample_native_frames(reader: VideoReader, stride: int) -> NativeFrames:
    """Decode evenly spaced frames of a video and, for every third one, the frame `stride` later.

    A keyframe is preferred in each part of the video because it decodes without its predecessors.

    Args:
        reader: an open video.
        stride: source frames between two frames of a clip.

    Returns:
        Frames of the smallest size in the native aspect ratio that covers `ERP_SIZE`, never
        enlarged.

    Raises:
        VideoError: a frame cannot be decoded.
    """
    count = len(reader)
    indices = snap_to_keyframes(evenly_spaced(count), reader.keyframes, count)
    later = np.minimum(indices + stride, count - 1)
    next_indices = np.where(np.arange(len(indices)) % NEXT_FRAME_STEP == 0, later, indices)
    size = _covering_size(reader.size)
    frames = reader.frames(np.concatenate([indices, next_indices]), size=size)
    intervals_s = (next_indices - indices) / float(reader.fps)
    return NativeFrames(frames[: len(indices)], frames[len(indices) :], intervals_s)


def sample_clip_frames(frames: NDArray[np.uint8], fps: float) -> SampledFrames:
    """Select evenly spaced frames of a clip and their next frames, at `ERP_SIZE`.

    Args:
        frames: mono ERP, uint8 [T, H, W, 3].
        fps: frame rate of the clip.
    """
    indices = evenly_spaced(len(frames))
    next_indices = np.minimum(indices + 1, len(frames) - 1)
    return SampledFrames(
        resize_frames(frames[indices], ERP_SIZE),
        resize_frames(frames[next_indices], ERP_SIZE),
        (next_indices - indices) / fps,
    )


def evenly_spaced(length: int) -> NDArray[np.int64]:
    """Return the middles of at most `MAX_SAMPLES` equal parts of 0 … length−1, without repeats."""
    count = min(MAX_SAMPLES, length)
    return ((np.arange(count) + 0.5) * length / count).astype(np.int64)


def snap_to_keyframes(
    indices: NDArray[np.int64], keyframes: NDArray[np.int64], length: int
) -> NDArray[np.int64]:
    """Move each frame index to the nearest keyframe that lies in the same part of the video.

    Args:
        indices: frame indices as `evenly_spaced` returns them.
        keyframes: ascending frame indices.
        length: number of frames of the video.

    Returns:
        One index per part; unchanged where the part has no keyframe.
    """
    insertion = np.searchsorted(keyframes, indices)
    before = keyframes[np.maximum(insertion - 1, 0)]
    after = keyframes[np.minimum(insertion, len(keyframes) - 1)]
    nearest = np.where(np.abs(before - indices) <= np.abs(after - indices), before, after)
    return np.where(nearest * len(indices) // length == np.arange(len(indices)), nearest, indices)


def to_gray(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the luma [n, H, W] of RGB frames [n, H, W, 3]."""
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])


def resize_frames(frames: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize frames [n, H, W, 3] to `size` (H, W): area average to shrink, linear to enlarge."""
    if frames.shape[1:3] == size:
        return frames
    return np.stack([resize_frame(frame, size) for frame in frames])


def _covering_size(native_size: tuple[int, int]) -> tuple[int, int]:
    """Return the smallest (h, w) of the native aspect ratio that covers `ERP_SIZE`."""
    height, width = native_size
    scale = min(1.0, max(ERP_SIZE[0] / height, ERP_SIZE[1] / width))
    return max(1, round(height * scale)), max(1, round(width * scale))
