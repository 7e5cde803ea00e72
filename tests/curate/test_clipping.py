"""Clips of processed videos: spans, rates, bytes, and the recipe that shapes them."""

import pickle
import tracemalloc
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from argus.curate import (
    VideoSource,
    clip_spans,
    process_isolated,
    process_video,
    recipe_digest,
)
from argus.media import FrameSampling, decode_clip, frame_stride, write_video
from schemas.config import ClipSettings, CurateConfig, FetchSettings, FilterSettings
from schemas.names import Decision, Reason
from tests.support.panoramas import FPS, panorama, still, turning

FILTERS = FilterSettings(sharpness=0.3)  # the pictures below are smooth
CONFIG = CurateConfig(catalogue="none", clip=ClipSettings(height=64), filters=FILTERS)
SOURCE = VideoSource("url:0123456789abcdef", "https://example.com/a.mp4")


def written(folder: Path) -> dict[str, bytes]:
    """Return the written files by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in [*folder.glob("clips/*"), *folder.glob("*.jpg")]
    }


def test_a_child_process_gives_the_same_result(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, turning(panorama()), FPS)
    video = process_isolated(path, SOURCE, CONFIG, tmp_path)
    files = written(tmp_path)
    assert (process_video(path, SOURCE, CONFIG, tmp_path), written(tmp_path)) == (video, files)
    assert sorted(files) == ["clips/0-3000.mp4", "thumb.jpg"]
    seconds = video.stage_seconds
    assert seconds is not None
    assert all((seconds.decode, seconds.filters, seconds.encode))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_clips(tmp_path: Path) -> None:
    peaks = []
    config = CONFIG.model_copy(update={"clip": ClipSettings(height=512, clip_s=2.0)})
    for seconds in (4.0, 16.0):
        path = tmp_path / f"{seconds}.mp4"
        write_video(path, turning(panorama(), seconds), FPS)
        tracemalloc.start()
        video = process_video(path, SOURCE, config, tmp_path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(video.clips) == seconds / 2
        assert len(pickle.dumps(video)) < 10_000 * len(video.clips), (
            "a child hands over no pictures"
        )
    assert peaks[1] < 1.1 * peaks[0], "the contact sheet alone grows, to at most 19 MB"


def test_clips_hold_every_nth_frame_at_the_true_rate(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    frames = turning(panorama(), 7.0)
    write_video(path, frames, FPS)
    video = process_video(
        path,
        SOURCE,
        CONFIG.model_copy(update={"clip": ClipSettings(height=64, clip_s=3.0, min_clip_s=1.0)}),
        tmp_path,
    )
    assert [clip.clip_id for clip in video.clips] == [
        f"{SOURCE.source_id}@{a}-{b}" for a, b in ((0, 3000), (3000, 6000), (6000, 7000))
    ]
    for clip in video.clips:
        assert clip.decision is Decision.KEPT
        assert clip.file is not None
        assert (clip.file.fps, clip.file.height, clip.file.width) == (Fraction(5), 64, 128)
        stored = decode_clip((tmp_path / clip.file.name).read_bytes())
        assert len(stored) == clip.frames
        for number, picture in enumerate(stored):
            source = cv2.resize(
                frames[clip.start_ms * FPS // 1000 + 2 * number],
                (128, 64),
                interpolation=cv2.INTER_AREA,
            )
            assert np.abs(picture.astype(int) - source).mean() < 12, "its neighbors differ by 30"


def test_only_a_static_clip_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, np.concatenate([turning(panorama(), 3.0), still(panorama(1), 3.0)]), FPS)
    video = process_video(
        path,
        SOURCE,
        CONFIG.model_copy(update={"clip": ClipSettings(height=64, clip_s=3.0)}),
        tmp_path,
    )
    assert [(clip.decision, clip.reason, clip.file is None) for clip in video.clips] == [
        (Decision.KEPT, None, False),
        (Decision.DROPPED, Reason.STATIC, True),
    ]
    assert video.detail == "1 of 2 clips kept"


def test_the_same_video_gives_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, turning(panorama()), FPS)
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    assert process_video(path, SOURCE, CONFIG, first) == process_video(path, SOURCE, CONFIG, second)
    assert written(first) == written(second)


@pytest.mark.parametrize(
    ("fps", "n"),
    [
        (Fraction(30000, 1001), 6),
        (Fraction(24), 5),
        (Fraction(5), 1),
        (Fraction(1), 1),
        (Fraction(60), 12),
    ],
)
def test_the_stride_comes_nearest_to_the_target_rate(fps: Fraction, n: int) -> None:
    assert frame_stride(fps, 5.0) == n


@pytest.mark.parametrize(
    ("seconds", "ends"),
    [
        (25.0, [10_000, 20_000, 25_000]),
        (11.9, [10_000]),
        (12.0, [10_000, 12_000]),
        (2.0, [2000]),
        (1.9, []),
    ],
)
def test_a_tail_of_the_least_length_is_kept(seconds: float, ends: list[int]) -> None:
    times = np.arange(round(seconds * FPS)) / FPS
    sampling = FrameSampling(Fraction(5), np.arange(0, len(times), 2), times[::2])
    spans = clip_spans(sampling, float(times[-1]) + 1 / FPS, ClipSettings())
    assert [span.end_ms for span in spans] == ends


def test_the_recipe_digest_depends_on_what_shapes_clips_only() -> None:
    same = [
        CONFIG,
        CONFIG.model_copy(
            update={
                "run_id": "x",
                "home": "y",
                "dataset": "z",
                "fetch": FetchSettings(attempts=9),
                "chunk_size": 5,
            }
        ),
    ]
    other = [
        CONFIG.model_copy(update={"clip": ClipSettings(height=64, crf=20)}),
        CONFIG.model_copy(update={"filters": FilterSettings(variance=400.0)}),
    ]
    assert len({recipe_digest(config) for config in same}) == 1
    assert len({recipe_digest(config) for config in [CONFIG, *other]}) == 3
