"""Shot detection: cuts and dissolves are found under any rotation, pans and flashes are not, and clips end with shots."""

from fractions import Fraction
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from argus.curate import ClipSpan, VideoSource, process_video
from argus.curate.clipping import split_at_shots
from argus.curate.shot_detection import DetectedShot, detect_shots, dissimilarity
from argus.media import open_video, write_video
from argus.sphere import from_euler_deg, rotate_erp
from argus.synth import render_clip
from schemas.config import ClipSettings, CurateConfig, FilterSettings
from schemas.names import Decision, Reason

FPS = 5
THRESHOLD = FilterSettings().shot_boundary
CONFIG = CurateConfig(catalogue="none", clip=ClipSettings(height=64, min_clip_s=1.0))
SOURCE = VideoSource("url:0123456789abcdef", "https://example.com/a.mp4")


@cache
def walk(seed: int) -> np.ndarray:
    """Render 2.4 seconds at the rate of clips, uint8 [12, 64, 128, 3]."""
    return render_clip(seed, 12, (64, 128), FPS, "walk").frames


def two_shots() -> np.ndarray:
    return np.concatenate([walk(47)[:6], walk(42)[:6]])


def panned(frames: np.ndarray, deg_s: float, *, pitch_deg_s: float = 0.0) -> np.ndarray:
    """Rotate the camera at the given speed; smear each frame over half of the rotation to the next."""
    width = frames.shape[2]
    smear = max(1, round(deg_s / FPS / 2 / 360 * width))
    blurred = [
        cv2.blur(np.concatenate([frame] * 3, axis=1), (smear, 1))[:, width : 2 * width]
        for frame in frames
    ]
    times = np.arange(len(frames)) / FPS
    return rotate_erp(
        np.stack(blurred),
        from_euler_deg(deg_s * times, 0, 0) @ from_euler_deg(0, pitch_deg_s * times, 0),
    )


def spans_of(shots: list[DetectedShot]) -> list[tuple[int, int]]:
    return [(shot.start, shot.stop) for shot in shots]


PANS = [(0, 0), (180, 0), (400, 0), (900, 0), (0, 200), (90, 300)]


@pytest.mark.parametrize(("yaw", "pitch"), PANS)
def test_a_cut_is_found_whatever_the_camera_does(yaw: float, pitch: float) -> None:
    assert spans_of(detect_shots(panned(two_shots(), yaw, pitch_deg_s=pitch), THRESHOLD)) == [
        (0, 6),
        (6, 12),
    ]


@pytest.mark.parametrize(("yaw", "pitch"), PANS)
def test_a_pan_is_no_cut(yaw: float, pitch: float) -> None:
    (shot,) = detect_shots(panned(walk(47), yaw, pitch_deg_s=pitch), THRESHOLD)
    assert shot.max_score < THRESHOLD / 2


def test_a_whip_pan_within_a_still_shot_is_no_cut() -> None:
    """The camera turns by half a circle in a fifth of a second, between two still parts."""
    frames = walk(43)[:8]
    turned = panned(frames, 900)
    assert (
        len(
            detect_shots(
                np.concatenate([frames[:4], turned[4:5], np.roll(frames[5:], 64, axis=2)]),
                THRESHOLD,
            )
        )
        == 1
    )


def test_dissimilarity_ignores_rotation() -> None:
    one = walk(47)[0]
    other = rotate_erp(one[None], from_euler_deg(70, -35, 20))[0]
    assert dissimilarity(one, other) < 0.2 < 0.3 < dissimilarity(one, walk(42)[0])


def test_a_change_of_exposure_is_no_cut() -> None:
    frames = walk(44).astype(np.float32)
    flash = frames.copy()
    flash[6] = np.minimum(255, flash[6] * 1.8 + 60)
    step = frames * np.where(np.arange(12) < 6, 1, 0.6)[:, None, None, None]
    ramp = frames * np.linspace(1, 0.6, 12)[:, None, None, None]
    for changed in (flash, step, ramp):
        assert len(detect_shots(changed.astype(np.uint8), THRESHOLD)) == 1


@pytest.mark.parametrize("length", [4, 8])
def test_the_frames_of_a_dissolve_belong_to_no_shot(length: int) -> None:
    one, other = (
        render_clip(45, 8 + length, (64, 128), FPS, "still").frames,
        render_clip(46, 8 + length, (64, 128), FPS, "still").frames,
    )
    share = np.clip((np.arange(8 + length) - 3) / length, 0, 1)[:, None, None, None]
    shots = detect_shots((one * (1 - share) + other * share).astype(np.uint8), THRESHOLD)
    assert spans_of(shots) == [(0, 4), (3 + length, 8 + length)]


def test_a_fade_through_black_separates_two_shots() -> None:
    frames = two_shots().astype(np.float32) * np.abs(np.linspace(-1, 1, 12))[:, None, None, None]
    shots = detect_shots(frames.astype(np.uint8), THRESHOLD)
    assert len(shots) >= 2
    assert not any(shot.start < 5 and shot.stop > 7 for shot in shots)


def test_few_frames_are_one_shot() -> None:
    assert spans_of(detect_shots(walk(47)[:1], THRESHOLD)) == [(0, 1)]
    assert spans_of(detect_shots(walk(47)[:2], THRESHOLD)) == [(0, 2)]


def test_a_span_is_split_at_its_shots_and_keeps_its_times() -> None:
    span = ClipSpan(np.arange(0, 60, 6), np.arange(10) / 5, 0, 2000)
    shots = [DetectedShot(0, 6, 0.01), DetectedShot(7, 10, 0.02)]
    found = split_at_shots(span, shots, 0.5)
    assert [
        (part.start_ms, part.end_ms, part.indices.tolist(), shot.max_score) for part, shot in found
    ] == [
        (0, 1200, [0, 6, 12, 18, 24, 30], 0.01),
        (1400, 2000, [42, 48, 54], 0.02),
    ]
    assert [part.start_ms for part, _ in split_at_shots(span, shots, 1.0)] == [0]
    assert [part.end_ms for part, _ in split_at_shots(span, [DetectedShot(0, 10, 0.0)], 0.5)] == [
        2000
    ]


def test_clips_end_at_cuts_and_store_their_largest_boundary_score(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, two_shots(), FPS)
    video = process_video(path, SOURCE, CONFIG)
    assert [(clip.start_ms, clip.end_ms, clip.frames, clip.decision) for clip in video.clips] == [
        (0, 1200, 6, Decision.KEPT),
        (1200, 2400, 6, Decision.KEPT),
    ]
    for clip in video.clips:
        score = next(score for score in clip.scores if score.filter == "shots")
        assert score.value is not None
        assert (score.name, score.value < THRESHOLD, score.threshold, score.kept) == (
            "max_score",
            True,
            THRESHOLD,
            True,
        )
    whole = process_video(
        path, SOURCE, CONFIG.model_copy(update={"filters": FilterSettings(shot_boundary=1.0)})
    )
    (clip,) = whole.clips
    assert (clip.end_ms, clip.high_quality) == (2400, False), "a cut inside the clip"
    assert next(score.value for score in clip.scores if score.filter == "shots") > THRESHOLD


def test_a_video_of_short_shots_is_too_short(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, two_shots(), FPS)
    video = process_video(
        path, SOURCE, CONFIG.model_copy(update={"clip": ClipSettings(height=64, min_clip_s=2.0)})
    )
    assert (video.reason, video.clips, video.detail) == (
        Reason.TOO_SHORT,
        (),
        "none of its shots is 2 s long",
    )


@pytest.mark.media
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "crop"),
    [
        ("overpass.mp4", 1),
        ("prison_handheld.mp4", 1),
        ("tunnel_16x9.webm", 1),
        ("tunnel_16x9_reupload.mp4", 1),
        ("car_halfblack_text.mp4", 1),
        ("city_cg.ts", 1),
        ("jungle_stereo_tb_v1meta.mp4", 2),
        ("geyser_stereo_tb.ts", 2),
    ],
)
def test_real_panoramas_have_no_boundary(media: Path, name: str, crop: int) -> None:
    """`crop` is the number of eyes, of which the upper one is taken."""
    with open_video(media / "360" / name) as reader:
        step = max(1, round(reader.fps / Fraction(FPS)))
        frames = reader.frames(np.arange(0, len(reader), step)[:75], size=(64 * crop, 128))[:, :64]
    (shot,) = detect_shots(frames, THRESHOLD)
    assert shot.max_score < THRESHOLD
    assert len(detect_shots(np.concatenate([frames[:5], walk(47)[:5]]), THRESHOLD)) == 2
