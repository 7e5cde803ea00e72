"""The text scorer on its published weights: captions at every yaw, signs in the scene, look-alikes."""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from argus.curate import ERP_SIZE, SampledFrames, resize_frames
from argus.curate.scorers import ClipSamples, Scorer, load_scorers, score_clip
from argus.networks import NETWORKS, fetch_weights
from argus.synth import Board, CameraPath, Caption, Motion, World, make_path
from tests.support.sampled_frames import sample_brick_walk, sample_world

pytestmark = pytest.mark.slow

FRAMES, CLIP_FRAMES = 4, 8  # of most tests; of a clip in curation
STEP_S, SEED = 1.2, 61


@pytest.fixture(scope="session")
def scorers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scorer, ...]:
    """Load the networks from the wheel of their package, as `argus weights fetch` does."""
    pytest.importorskip("onnxruntime", reason="the extra `pretrained` is not installed")
    folder = tmp_path_factory.mktemp("weights")
    for file in NETWORKS["text_ocr"].files:
        fetch_weights(folder, file, lambda *_: None)
    return load_scorers(["text_ocr"], folder, "cpu")


def camera_path(motion: Motion, count: int = FRAMES) -> CameraPath:
    path = make_path(SEED, count * round(5 * STEP_S), 5, motion)
    chosen = np.arange(count) * round(5 * STEP_S)
    return CameraPath(path.rotations[chosen], path.positions[chosen], path.times[chosen])


@cache
def scene(motion: Motion, count: int = FRAMES) -> np.ndarray:
    """Return frames [n, 512, 1024, 3] of the synthetic city, without any text."""
    path = camera_path(motion, count)
    frames = World(SEED).render(path.rotations, path.positions, path.times, (256, 512))
    return resize_frames(frames, ERP_SIZE)


def scores_of(scorers: tuple[Scorer, ...], frames: np.ndarray) -> dict[str, float]:
    sampled = SampledFrames(frames, frames, np.zeros(len(frames)))
    strip = np.zeros((len(frames), 27, 48, 3), np.uint8)
    return score_clip(ClipSamples(sampled, strip, 5.0), scorers)["text_ocr"]


def overlay(frames: np.ndarray, caption: Callable[[int], Caption]) -> np.ndarray:
    """Write the caption of each frame over it."""
    return np.stack([caption(k).write_over(frame) for k, frame in enumerate(frames)])


def area_of(caption: Caption) -> float:
    """Return about the share of the sphere in the box of a caption."""
    return len(caption.text) * 0.8 * caption.letter_deg * 1.3 * caption.letter_deg / 41253


CAPTIONS = {
    "title": Caption("City Walk 2019", pitch_deg=20, letter_deg=8),
    "lower third": Caption("and then we went home", pitch_deg=-35, letter_deg=5),
    "watermark": Caption("@cityrides", pitch_deg=-15, letter_deg=5, opacity=0.7),
    "flat": Caption("Stock Video", pitch_deg=45, letter_deg=7, is_flat=True),
}


@pytest.mark.parametrize("name", CAPTIONS)
@pytest.mark.parametrize("yaw_deg", range(0, 360, 30))
def test_a_caption_is_found_at_every_yaw(
    scorers: tuple[Scorer, ...], name: str, yaw_deg: float
) -> None:
    caption = CAPTIONS[name]
    turned = Caption(**{**vars(caption), "yaw_deg": yaw_deg})
    scores = scores_of(scorers, overlay(scene(Motion.WALK), lambda _: turned))
    assert 0.4 * area_of(caption) < scores["overlay_share"] < 4 * area_of(caption)
    assert scores["scene_share"] < 0.2 * scores["overlay_share"]


@pytest.mark.parametrize("pitch_deg", [-90, -70, -50, 0, 55, 80])
def test_a_caption_is_found_at_every_latitude(
    scorers: tuple[Scorer, ...], pitch_deg: float
) -> None:
    caption = Caption("Welcome home", 75, pitch_deg, 7)
    frames = scene(Motion.DRIVE, CLIP_FRAMES)  # before a bright sky, some are read in part
    scores = scores_of(scorers, overlay(frames, lambda _: caption))
    assert scores["overlay_share"] > 0.4 * area_of(caption)


@pytest.mark.parametrize("name", ["title", "lower third"])
def test_a_caption_upside_down_is_found(scorers: tuple[Scorer, ...], name: str) -> None:
    turned = overlay(scene(Motion.WALK)[:, ::-1, ::-1], lambda _: CAPTIONS[name])
    scores = scores_of(scorers, np.ascontiguousarray(turned[:, ::-1, ::-1]))
    assert scores["overlay_share"] > 0.4 * area_of(CAPTIONS[name])


@pytest.mark.parametrize("yaw_deg", [0, 100, 180])
def test_a_burned_in_clock_is_overlaid_although_it_changes(
    scorers: tuple[Scorer, ...], yaw_deg: float
) -> None:
    frames = overlay(
        scene(Motion.DRIVE), lambda k: Caption(f"10:24:3{k}", yaw_deg, -25, letter_deg=6)
    )
    assert scores_of(scorers, frames)["overlay_share"] > 0.001


@pytest.mark.parametrize("motion", [Motion.WALK, Motion.SPIN])
@pytest.mark.parametrize("side_deg", [90, -90, 0])
def test_a_sign_belongs_to_the_scene(
    scorers: tuple[Scorer, ...], motion: Motion, side_deg: float
) -> None:
    path = camera_path(motion)
    heading = path.rotations[0, :, 2]
    heading_deg = math.degrees(math.atan2(heading[0], heading[2])) + side_deg
    ahead = np.array([math.sin(math.radians(heading_deg)), 0, math.cos(math.radians(heading_deg))])
    start = path.positions[0 if side_deg else -1]
    x, y, z = start + (2.5 if side_deg else 5) * ahead
    board = Board("COFFEE BAR", (x, y - 0.4, z), heading_deg)
    scores = scores_of(scorers, board.stand_in(scene(motion), path))
    assert scores["scene_share"] > 0.001
    assert scores["overlay_share"] == 0


def test_before_a_still_scene_text_is_ambiguous(scorers: tuple[Scorer, ...]) -> None:
    frames = overlay(scene(Motion.STILL), lambda _: CAPTIONS["title"])
    scores = scores_of(scorers, frames)
    assert scores["ambiguous_share"] > 0.4 * area_of(CAPTIONS["title"])
    assert scores["overlay_share"] == scores["scene_share"] == 0
    brighter = np.stack([frame // 3 * 2 + 10 * k for k, frame in enumerate(frames)])
    assert scores_of(scorers, brighter.astype(np.uint8))["overlay_share"] == 0


@pytest.mark.parametrize("motion", list(Motion))
def test_windows_and_railings_are_no_text(scorers: tuple[Scorer, ...], motion: Motion) -> None:
    scores = scores_of(scorers, sample_world(motion, height=192).frames)
    assert set(scores.values()) == {0.0}


def test_bricks_are_no_text(scorers: tuple[Scorer, ...]) -> None:
    assert set(scores_of(scorers, sample_brick_walk(1.0).frames).values()) == {0.0}
