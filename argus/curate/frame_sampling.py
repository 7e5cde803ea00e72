"""Frames on which layout detection and filters run: decoded once per video or clip and shared.

Each sampled frame comes with the next frame at the rate of clips. Derived pictures (small frames,
luma, six views) are computed once and cached.
"""

from dataclasses import dataclass
from fractions import Fraction
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

MAX_INTERVAL_S = 1.0
"""A frame that a video of a variable rate shows for longer has no next frame."""

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


def sample_native_frames(reader: VideoReader, clip_fps: Fraction) -> NativeFrames:
    """Decode evenly spaced frames of a video and, for every third one, the next frame of a clip.

    A keyframe is preferred in each part of the video because it decodes without its predecessors.
    At a variable rate, parts and next frames are found by time.

    Args:
        reader: an open video.
        clip_fps: frame rate of its clips.

    Returns:
        Frames of the smallest size in the native aspect ratio that covers `ERP_SIZE`, never
        enlarged.

    Raises:
        VideoError: a frame cannot be decoded.
    """
    indices, later, intervals_s = _choose_frames(reader, clip_fps)
    has_next = (np.arange(len(indices)) % NEXT_FRAME_STEP == 0) & (intervals_s > 0)
    next_indices = np.where(has_next, later, indices)
    size = _covering_size(reader.size)
    frames = reader.frames(np.concatenate([indices, next_indices]), size=size)
    return NativeFrames(
        frames[: len(indices)], frames[len(indices) :], np.where(has_next, intervals_s, 0.0)
    )


def _choose_frames(
    reader: VideoReader, clip_fps: Fraction
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Choose frames of a video.

    Returns:
        Frame numbers, the number of each one's next frame, and the seconds between them; 0 where
        there is none.
    """
    count, times = len(reader), reader.timestamps
    if not reader.info.is_variable_rate:
        indices = snap_to_keyframes(evenly_spaced(count), reader.keyframes, count)
        later = np.minimum(indices + int(reader.fps / clip_fps), count - 1)
        return indices, later, (later - indices) / float(reader.fps)
    positions = np.rint(times * 1000).astype(np.int64)  # of frames, in milliseconds
    length = int(positions[-1]) + 1
    chosen = snap_to_keyframes(evenly_spaced(length), positions[reader.keyframes], length)
    indices = np.unique(reader.indices_at(chosen / 1000))
    wanted = np.minimum(times[indices] + 1 / float(clip_fps), times[-1])
    later = np.maximum(reader.indices_at(wanted), np.minimum(indices + 1, count - 1))
    intervals_s = times[later] - times[indices]
    return indices, later, np.where(intervals_s <= MAX_INTERVAL_S, intervals_s, 0.0)


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
