"""Motion: what moves, and what only rotates with the camera."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from argus.curate.filters import MotionFilter, TextFilter
from argus.curate.frame_sampling import ERP_SIZE, SampledFrames, evenly_spaced, resize_frames
from argus.media import open_video
from argus.sphere import from_euler_deg, rotate_erp
from argus.synth import Motion, World, make_path
from schemas.config import FilterSettings
from schemas.names import Reason
from tests.support.sampled_frames import FPS, sample_world

SETTINGS = FilterSettings()


@pytest.mark.parametrize("seed", [61, 62, 63])
@pytest.mark.parametrize("motion", Motion)
def test_a_spinning_tripod_is_static_and_a_walk_is_not(motion: Motion, seed: int) -> None:
    scores = MotionFilter().score(sample_world(motion, seed))
    verdict = MotionFilter().decide(scores, SETTINGS)
    moves = motion in (Motion.WALK, Motion.DRIVE)
    assert (verdict.kept, verdict.reason, verdict.value) == (
        moves,
        None if moves else Reason.STATIC,
        scores["share"],
    )
    assert scores["share"] > 0.55 if moves else scores["share"] < 0.22
    if motion is Motion.SPIN:
        assert scores["turn_deg_s"] == pytest.approx(40, abs=1.5)


def test_rotation_about_any_axis_is_measured_and_is_no_motion() -> None:
    still = sample_world(Motion.WALK).frames[:3]
    turns = from_euler_deg([20, -30, 3], [5, -4, 0], [3, 2, -8])
    angles = np.degrees(np.arccos((np.trace(turns, axis1=1, axis2=2) - 1) / 2))
    scores = MotionFilter().score(SampledFrames(still, rotate_erp(still, turns), np.full(3, 1.0)))
    assert scores["share"] < 0.1
    assert scores["turn_deg_s"] == pytest.approx(np.median(angles), abs=0.5)


def test_a_slow_walk_is_motion() -> None:
    walk = make_path(64, 40, FPS, Motion.WALK)
    slow = (
        walk.positions[:1] + (walk.positions - walk.positions[:1]) * 0.4
    )  # half a meter per second
    chosen = [3, 4, 20, 21, 35, 36]
    frames = resize_frames(
        World(64).render(walk.rotations[chosen], slow[chosen], walk.times[chosen], (128, 256)),
        ERP_SIZE,
    )
    assert (
        MotionFilter().score(SampledFrames(frames[::2], frames[1::2], np.full(3, 1 / FPS)))["share"]
        > 1.5 * SETTINGS.moving_share
    )


def test_without_next_frames_or_texture_the_motion_is_zero() -> None:
    walk = sample_world(Motion.WALK)
    blank = np.full((2, *ERP_SIZE, 3), 90, np.uint8)
    for samples in (
        SampledFrames(walk.frames[:1], walk.frames[:1], np.zeros(1)),
        SampledFrames(blank, blank, np.full(2, 0.2)),
    ):
        assert set(MotionFilter().score(samples).values()) == {0.0}


def test_a_whole_video_is_decided_by_the_pair_with_the_most_motion() -> None:
    walk, spin = sample_world(Motion.WALK), sample_world(Motion.STILL)
    mixed = SampledFrames(
        *(
            np.concatenate([a[:1], b[:7]])
            for a, b in ((walk.frames, spin.frames), (walk.next_frames, spin.next_frames))
        ),
        walk.intervals_s,
    )
    scores = MotionFilter().score(mixed)
    assert not MotionFilter().decide(scores, SETTINGS).kept
    assert MotionFilter(decide_by="largest_share").decide(scores, SETTINGS).kept


def test_a_passer_by_does_not_move_the_wall_behind_it() -> None:
    """Flow is smooth and spreads beyond moving pixels; unchanged pixels have not moved."""
    still = sample_world(Motion.STILL).frames[:3]
    before, after = still.copy(), still.copy()
    figure = cv2.resize(
        np.random.default_rng(4).integers(0, 255, (20, 8, 3), np.uint8),
        (80, 200),
        interpolation=cv2.INTER_LINEAR,
    )
    before[:, 200:400, 500:580] = after[:, 200:400, 512:592] = figure
    share = MotionFilter().score(SampledFrames(before, after, np.full(3, 1 / FPS)))["share"]
    own = 80 / 1024 * (np.sin(np.radians(20)) + np.sin(np.radians(51))) / 2
    assert own / 2 < share < 4 * own


@pytest.mark.media
@pytest.mark.slow
def test_real_scenes_are_moving_or_static(media: Path) -> None:
    moving = {
        "overpass.mp4": True,
        "prison_handheld.mp4": True,
        "tunnel_16x9.webm": True,
        "city_cg.ts": True,
        "lobby_4k_1s_static.mp4": False,
    }
    for name, moves in moving.items():
        with open_video(media / "360" / name) as reader:
            step = max(1, round(reader.fps / 5))
            first = evenly_spaced(len(reader) - step)
            frames = reader.frames(np.unique(np.concatenate([first, first + step])), size=ERP_SIZE)
        order = np.unique(np.concatenate([first, first + step]), return_inverse=True)[1]
        samples = SampledFrames(
            frames[order[: len(first)]],
            frames[order[len(first) :]],
            np.full(len(first), step / float(reader.fps)),
        )
        assert MotionFilter().decide(MotionFilter().score(samples), SETTINGS).kept == moves, name
        assert TextFilter().score(samples)["share"] < SETTINGS.text_share, name
    still = cv2.cvtColor(cv2.imread(str(media / "images" / "street_b0.png")), cv2.COLOR_BGR2RGB)
    spun = resize_frames(still[None], ERP_SIZE)
    turned = rotate_erp(
        np.repeat(spun, 4, axis=0), from_euler_deg([5, 8, 20, 40], [1, 0, -2, 3], 0)
    )
    assert (
        MotionFilter().score(SampledFrames(np.repeat(spun, 4, axis=0), turned, np.full(4, 0.2)))[
            "share"
        ]
        < 0.1
    )
