"""Faults of a moment: only the bad span goes, wherever the encoder put its keyframes."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from argus.curate import VideoSource, process_video
from argus.dataset import CuratedVideo
from argus.synth import render_clip
from schemas.config import ClipSettings, CurateConfig
from schemas.names import Decision, Reason

FPS = 5
SOURCE = VideoSource("url:0123456789abcdef", "https://example.com/a.mp4")
Frames = NDArray[np.uint8]


@cache
def walk(seconds: int, seed: int = 47) -> Frames:
    return render_clip(seed, seconds * FPS, (64, 128), FPS, "walk").frames


def faded(frames: Frames, gain: NDArray[np.float64]) -> Frames:
    return (frames * gain[:, None, None, None]).astype(np.uint8)


def replaced(frames: Frames, first: int, last: int, level: int) -> Frames:
    """Replace the frames before `last` from `first` on by a gray level."""
    changed = frames.copy()
    changed[first:last] = level
    return changed


def with_title(frames: Frames, count: int) -> Frames:
    """Show a title on black first."""
    changed = replaced(frames, 0, count, 0)
    for frame in changed[:count]:
        cv2.putText(frame, "A TITLE", (30, 34), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (230,) * 3, 1)
    return changed


def times(frames: Frames) -> NDArray[np.float64]:
    return np.arange(len(frames)) / FPS


def seconds_left(frames: Frames) -> NDArray[np.float64]:
    return (len(frames) - np.arange(len(frames))) / FPS


FAULTS: dict[str, Callable[[Frames], Frames]] = {
    "black first frame": lambda frames: replaced(frames, 0, 1, 0),
    "white first frame": lambda frames: replaced(frames, 0, 1, 255),
    "black last frame": lambda frames: replaced(frames, len(frames) - 1, len(frames), 0),
    "fade-in": lambda frames: faded(frames, np.clip(times(frames) / 0.5, 0, 1)),
    "long fade-in": lambda frames: faded(frames, np.clip(times(frames) / 1.5, 0, 1)),
    "fade-out": lambda frames: faded(frames, np.clip(seconds_left(frames) / 0.5, 0, 1)),
    "black in the middle": lambda frames: replaced(
        frames, len(frames) // 2, len(frames) // 2 + 3, 0
    ),
    "flash": lambda frames: replaced(frames, len(frames) // 2, len(frames) // 2 + 1, 255),
    "title on black": lambda frames: with_title(frames, 4),
}


def curate(path: Path, frames: Frames, gop: int, clip_s: float) -> CuratedVideo:
    """Process frames that are encoded with a keyframe at every `gop`-th frame and nowhere else."""
    with av.open(str(path), "w") as container:
        options = {"crf": "18", "preset": "ultrafast", "g": str(gop), "sc_threshold": "0"}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    clips = ClipSettings(height=64, clip_s=clip_s, min_clip_s=1.0)
    return process_video(path, SOURCE, CurateConfig(catalogue="none", clip=clips))


def kept_ms(video: CuratedVideo) -> int:
    return sum(clip.end_ms - clip.start_ms for clip in video.kept_clips)


def check_only_the_span_goes(folder: Path, fault: str, seconds: int, gops: tuple[int, ...]) -> None:
    frames = FAULTS[fault](walk(seconds))
    videos = [curate(folder / f"{gop}.mp4", frames, gop, seconds / 2) for gop in gops]
    for video in videos:
        assert video.decision is Decision.KEPT, video.detail
        assert all(clip.decision is Decision.KEPT for clip in video.clips)
        assert kept_ms(video) >= 1000 * (seconds - 1.7)
        assert kept_ms(video) < 1000 * seconds, "the blank frames are in no clip"
    spans = {tuple((clip.start_ms, clip.end_ms) for clip in video.clips) for video in videos}
    assert len(spans) == 1, "keyframes do not count"


@pytest.mark.parametrize("fault", ["black first frame", "fade-out"])
def test_only_the_bad_span_goes(tmp_path: Path, fault: str) -> None:
    check_only_the_span_goes(tmp_path, fault, 6, (1, 300))


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_only_the_bad_span_of_half_a_minute_goes(tmp_path: Path, fault: str) -> None:
    check_only_the_span_goes(tmp_path, fault, 30, (1, 10, 300))


@pytest.mark.parametrize("level", [20, 120, 220])
def test_a_fogged_video_is_dropped_although_one_frame_shows_something(
    tmp_path: Path, level: int
) -> None:
    frames = walk(6) // 8 + np.uint8(level)
    frames[0] = walk(6)[0]
    video = curate(tmp_path / "a.mp4", frames, 300, 3.0)
    assert (video.decision, video.reason, video.clips) == (
        Decision.DROPPED,
        Reason.LOW_VARIANCE,
        (),
    )


@pytest.mark.parametrize("level", [0, 255])
def test_a_long_blank_span_is_a_dropped_clip(tmp_path: Path, level: int) -> None:
    """The first half of the video is blank: its clip says why it is missing."""
    video = curate(tmp_path / "a.mp4", replaced(walk(6), 0, 15, level), 300, 6.0)
    blank, shown = video.clips
    assert (blank.decision, blank.reason) == (Decision.DROPPED, Reason.LOW_VARIANCE)
    assert (blank.start_ms, blank.end_ms, shown.end_ms) == (0, 3000, 6000)
    assert shown.decision is Decision.KEPT


def test_still_pictures_at_both_ends_do_not_drop_the_middle(tmp_path: Path) -> None:
    """An opening picture and a closing one, both 2 seconds, around a walk of 5 seconds."""
    middle = walk(6)[:25]
    frames = np.concatenate([walk(2, 42)[:1].repeat(10, 0), middle, walk(2, 44)[:1].repeat(10, 0)])
    for gop in (1, 300):
        video = curate(tmp_path / "a.mp4", frames, gop, 9.0)
        reasons = [clip.reason for clip in video.clips]
        assert reasons == [Reason.STATIC, None, Reason.STATIC]


def test_a_still_video_is_dropped_whatever_flashes_in_it(tmp_path: Path) -> None:
    """One pair of frames differs, and looks like motion; the clips on both sides stand still."""
    frames = replaced(walk(6)[:1].repeat(30, 0), 15, 16, 255)
    video = curate(tmp_path / "a.mp4", frames, 300, 6.0)
    assert (video.decision, video.reason) == (Decision.DROPPED, Reason.STATIC)
