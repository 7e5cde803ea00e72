"""Videos of a variable rate: clips play at the speed of the video, and only uneven spans go."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from argus.curate import VideoSource, clip_spans, process_video, sample_native_frames
from argus.curate.recompute import recompute
from argus.curate.records import PriorResult
from argus.dataset import CuratedVideo, SourceRow
from argus.media import FrameSampling, decode_clip, open_video
from schemas.config import ClipSettings, CurateConfig, FilterSettings
from schemas.names import Decision, Reason
from tests.support.panoramas import panorama
from tests.support.processed import ProcessedVideo, place_clips, stage_row
from tests.support.variable_rate import (
    Times,
    bursts,
    phone,
    slow_then_fast,
    with_dropped_frames,
    write_timed,
)

SOURCE = VideoSource("url:0123456789abcdef", "https://example.com/a.mp4")
PICTURE = panorama()
Clip = tuple[int, int, Reason | None]


def config(**filters: float) -> CurateConfig:
    return CurateConfig(
        catalogue="none",
        clip=ClipSettings(height=64),
        filters=FilterSettings(sharpness=0.3, **filters),
    )


def turned(times: Times) -> NDArray[np.uint8]:
    """Return the map as it has turned at some times, uint8 [n, 128, 256, 3]."""
    rows = np.arange(128)[:, None]
    speed = 70 * (1 + rows / 128)  # pixels per second, more than a camera's rotation below
    return np.stack(
        [
            PICTURE[rows, (np.arange(256) - np.rint(speed * time).astype(int)) % 256]
            for time in times
        ]
    )


def write(path: Path, times: Times) -> Path:
    return write_timed(path, turned(times), times)


def clips_of(video: CuratedVideo) -> list[Clip]:
    return [(clip.start_ms, clip.end_ms, clip.reason) for clip in video.clips]


def repeated(video: CuratedVideo) -> list[float | None]:
    return [
        score.value
        for clip in video.clips
        for score in clip.scores
        if (score.filter, score.name) == ("rate", "repeated")
    ]


SLOW_THEN_FAST = [(0, 4000, Reason.UNEVEN_RATE), (4000, 8000, None)]


@pytest.mark.parametrize(
    ("ending", "times", "expected"),
    [
        ("mp4", slow_then_fast(), SLOW_THEN_FAST),
        ("ts", slow_then_fast(), SLOW_THEN_FAST),
        (
            "mkv",
            bursts(gap_s=5.0, burst_s=3.0),
            [
                (0, 3000, None),
                (3000, 8000, Reason.UNEVEN_RATE),
                (8000, 11000, None),
                (11000, 16000, Reason.UNEVEN_RATE),
            ],
        ),
        ("mp4", with_dropped_frames(), [(0, 6000, None)]),
    ],
    ids=["slow then fast", "transport stream", "bursts", "dropped frames"],
)
def test_only_uneven_spans_are_dropped(
    ending: str, times: Times, expected: list[Clip], tmp_path: Path
) -> None:
    video = process_video(write(tmp_path / f"a.{ending}", times), SOURCE, config(), tmp_path)
    assert video.media is not None
    assert video.media.is_variable_rate
    assert video.decision is Decision.KEPT
    found = clips_of(video)
    assert [reason for *_, reason in found] == [reason for *_, reason in expected]
    for (start, end, _), (wanted_start, wanted_end, _) in zip(found, expected, strict=True):
        assert (start, end) == (
            pytest.approx(wanted_start, abs=205),
            pytest.approx(wanted_end, abs=205),
        )
    assert len(repeated(video)) == len(video.clips)
    assert_plays_at_the_true_speed(video, times, tmp_path)


def assert_plays_at_the_true_speed(video: CuratedVideo, times: Times, folder: Path) -> None:
    for clip in video.kept_clips:
        assert clip.file is not None
        stored = decode_clip((folder / clip.file.name).read_bytes())
        shown = clip.start_ms / 1000 + np.arange(len(stored)) / float(clip.file.fps)
        near = times[np.searchsorted(times, shown + 2e-3, side="right") - 1]
        for picture, wanted in zip(stored, turned(near), strict=True):
            wanted = cv2.resize(wanted, (128, 64), interpolation=cv2.INTER_AREA)
            assert np.abs(picture.astype(int) - wanted).mean() < 12
        assert float(clip.file.fps) == pytest.approx(5.0, rel=1e-3)


@pytest.mark.parametrize("times", [phone(), np.arange(120) / 30, np.arange(60) / 10])
def test_a_constant_rate_has_no_score(times: Times, tmp_path: Path) -> None:
    video = process_video(write(tmp_path / "a.mp4", times), SOURCE, config(), tmp_path)
    assert repeated(video) == []
    assert video.decision is Decision.KEPT


def test_a_still_picture_at_a_constant_rate_is_static_not_uneven(tmp_path: Path) -> None:
    path = write_timed(tmp_path / "a.mp4", turned(np.zeros(60)), np.arange(60) / 10)
    assert process_video(path, SOURCE, config(), tmp_path).reason is Reason.STATIC


@pytest.mark.parametrize(
    ("repeats", "expected"),
    [
        ([], [(0, 10_000), (10_000, 20_000)]),
        ([20], [(0, 10_000), (10_000, 20_000)]),  # one hiccup
        (range(20, 24), [(0, 10_000), (10_000, 20_000)]),  # less than a second
        (range(20, 25), [(0, 4000), (5000, 15_000), (15_000, 20_000)]),  # a second
        (range(20, 32), [(0, 4000), (4000, 6400), (6400, 16_400), (16_400, 20_000)]),
        ([*range(20, 30), *range(38, 50)], [(0, 4000), (4000, 10_000), (10_000, 20_000)]),
        (range(5, 50), [(0, 10_000), (10_000, 20_000)]),  # the start is too short for a clip
        (range(1, 100), [(0, 10_000), (10_000, 20_000)]),
        (range(60, 95), [(0, 10_000), (10_000, 12_000), (12_000, 20_000)]),
    ],
)
def test_spans_end_where_frames_repeat_for_a_second(
    repeats: list[int], expected: list[tuple[int, int]]
) -> None:
    is_new = ~np.isin(np.arange(100), np.asarray(repeats, int))
    sampling = FrameSampling(Fraction(5), 6 * (np.cumsum(is_new) - 1), np.arange(100) / 5)
    spans = clip_spans(sampling, 20.0, ClipSettings())
    assert [(span.start_ms, span.end_ms) for span in spans] == expected
    kept = np.concatenate([span.indices for span in spans])
    assert set(kept) <= set(sampling.indices)


@pytest.mark.parametrize("times", [slow_then_fast(), bursts(), with_dropped_frames()])
def test_samples_are_spread_over_the_time_of_the_video(times: Times, tmp_path: Path) -> None:
    with open_video(write(tmp_path / "a.mkv", times)) as reader:
        native = sample_native_frames(reader, Fraction(5))
        shown = reader.timestamps
    pictures = [cv2.resize(one, (256, 128)) for one in native.frames]
    wanted = turned(shown)
    numbers = [
        int(np.argmin([np.abs(one.astype(int) - picture).mean() for picture in wanted]))
        for one in pictures
    ]
    parts = np.arange(9) / 8 * (shown[-1] + 1e-3)
    for number, start, end in zip(numbers, parts, parts[1:], strict=False):
        held_until = shown[min(number + 1, len(shown) - 1)]
        assert shown[number] < end
        assert held_until > start
    assert (native.intervals_s <= 1).all()
    assert (native.intervals_s[::3] > 0).any()


def process(path: Path, folder: Path, **filters: float) -> ProcessedVideo:
    video = process_video(path, SOURCE, config(**filters), folder)
    row = place_clips(stage_row(path, SOURCE, video, config(**filters), folder))
    return ProcessedVideo(path, SOURCE, folder, row)


@pytest.mark.parametrize("share", [0.05, 0.7])
def test_another_threshold_decides_from_stored_scores(share: float, tmp_path: Path) -> None:
    done = process(write(tmp_path / "a.mp4", slow_then_fast()), tmp_path)
    again = done.again(config(repeated_share=share))
    (tmp_path / "fresh").mkdir()
    fresh = done.fresh(config(repeated_share=share), tmp_path / "fresh")
    if fresh.clips[0].decision is Decision.KEPT:
        assert again is None, "the uneven clip has no bytes"
    else:
        assert again is not None
        assert clips_of(again) == clips_of(fresh)
        assert (again.decision, again.detail) == (fresh.decision, fresh.detail)


def test_a_row_whose_frames_were_chosen_by_number_is_measured_again(tmp_path: Path) -> None:
    done = process(write(tmp_path / "a.mp4", slow_then_fast()), tmp_path)
    assert done.row.media is not None
    old = without_rate(replace(done.row, media=replace(done.row.media, irregularity=0.0)))
    assert done.again(config(variance=400.0), old) is None
    (tmp_path / "again").mkdir()
    found = recompute(
        done.path, SOURCE, PriorResult(old), config(variance=400.0), tmp_path / "again"
    )
    assert clips_of(found) == clips_of(done.row)
    assert [clip.shard for clip in found.clips] == [None, None]


def test_recomputing_reads_the_same_frames(tmp_path: Path) -> None:
    done = process(write(tmp_path / "a.mp4", slow_then_fast()), tmp_path)
    bare = replace(done.row, clips=tuple(replace(one, shard=None) for one in done.row.clips))
    (tmp_path / "again").mkdir()
    stale = frozenset({"static", "blur"})
    found = recompute(done.path, SOURCE, PriorResult(bare, stale), config(), tmp_path / "again")
    assert clips_of(found) == clips_of(done.row)
    assert set(found.measured_filters) == {"static", "blur"}
    (name,) = (clip.file.name for clip in found.kept_clips if clip.file)
    assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()


def without_rate(row: SourceRow) -> SourceRow:
    clips = (
        replace(clip, scores=tuple(one for one in clip.scores if one.filter != "rate"))
        for clip in row.clips
    )
    return replace(row, clips=tuple(clips))
