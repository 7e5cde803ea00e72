"""Overlaid text in difficult places: touching letters, the seam, the zenith, before still walls; and look-alikes."""

from functools import cache

import cv2
import numpy as np
import pytest

from argus.curate import SampledFrames
from argus.curate.filters import TextFilter
from argus.curate.frame_sampling import ERP_SIZE
from argus.sphere import from_euler_deg, rotate_erp, solid_angle
from argus.synth import Motion
from schemas.config import FilterSettings
from schemas.names import Reason
from tests.support.sampled_frames import (
    change_frames,
    render_alley,
    repeat_frame,
    sample_brick_walk,
    sample_world,
    write_letters,
)

SETTINGS = FilterSettings()
LIMIT = SETTINGS.text_share
WEIGHTS = solid_angle(ERP_SIZE) / (4 * np.pi)


@cache
def changing_scene(count: int = 6) -> np.ndarray:
    """Return frames of a scene that changes completely from one to the next, [n, 512, 1024, 3]."""
    coarse = np.random.default_rng(8).integers(40, 160, (count, 128, 256, 3), np.uint8)
    return np.stack(
        [cv2.resize(one, ERP_SIZE[::-1], interpolation=cv2.INTER_CUBIC) for one in coarse]
    )


@cache
def lettering(words: str, scale: float = 1.0, bold: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Return how much outline and ink cover each pixel, [2, 512, 1024, 1] in [0, 1], centered in the map."""
    (width, _), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_DUPLEX, scale, bold)
    covers = np.zeros((2, *ERP_SIZE), np.uint8)
    for cover, thick in zip(covers, (bold + 5, bold), strict=True):
        cv2.putText(
            cover,
            words,
            ((ERP_SIZE[1] - width) // 2, ERP_SIZE[0] // 2 + 10),
            cv2.FONT_HERSHEY_DUPLEX,
            scale,
            (255,),
            thick,
            cv2.LINE_AA,
        )
    return covers[..., None].astype(np.float32) / 255


def share(frames: np.ndarray) -> float:
    return TextFilter().score(SampledFrames(frames, frames, np.zeros(len(frames))))["share"]


def overlay(frames: np.ndarray, covers: np.ndarray) -> np.ndarray:
    """Write white ink with a black outline over each frame."""
    outline, ink = covers
    return np.asarray(frames * (1 - outline) * (1 - ink) + 250 * ink, np.uint8)


def area(covers: np.ndarray) -> float:
    """Return the share of the sphere under ink and outline; the filter also counts the gaps between letters."""
    return float(WEIGHTS[covers.max(axis=0)[..., 0] > 0.5].sum())


@pytest.mark.parametrize("columns", [0, 128, 330, 512])
def test_bold_letters_that_touch_are_found_at_every_yaw(columns: int) -> None:
    covers = np.roll(lettering("CITY WALK"), columns, axis=2)
    assert (
        3 * LIMIT
        < 0.8 * area(covers)
        < share(overlay(changing_scene(), covers))
        < 1.6 * area(covers)
    )


@pytest.mark.parametrize("pitch_deg", [25, 50, 65, 90])
@pytest.mark.parametrize("yaw_deg", [0, 45])
def test_text_overhead_is_found(pitch_deg: float, yaw_deg: float) -> None:
    covers = np.asarray(
        rotate_erp(lettering("www.example.org", 0.9, 3), from_euler_deg(yaw_deg, -pitch_deg, 0))
    )
    assert 0.6 * area(covers) < share(overlay(changing_scene(), covers)) < 1.6 * area(covers)


def test_text_before_almost_still_walls_is_found_and_the_walls_are_not() -> None:
    far = changing_scene().copy()
    far[:, 190:330, 360:680] = far[:, 190:330, 360:680] // 8 + 80
    for row in range(192, 324, 14):
        for column in range(364, 672, 14):
            far[:, row : row + 7, column : column + 8] += 45
    assert share(far) == 0
    assert share(overlay(far, lettering("CITY WALK"))) > 2 * LIMIT


def test_a_broken_curb_ahead_is_no_text() -> None:
    road = changing_scene().copy()
    for column in range(332, 692):
        row = 330 - (column - 512) ** 2 // 400
        road[:, row : row + 7, column] = 230 if column % 20 < 16 else 100
        road[:, row + 7 : row + 13, column] = 20
    assert share(road) == 0


@pytest.mark.parametrize("motion", [Motion.WALK, Motion.DRIVE, Motion.SPIN])
@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("My Holiday 2019", (300, 130)),
        ("Stock Video", (420, 270)),
        ("and then we went home", (250, 340)),
    ],
)
def test_text_over_sky_and_scene_is_found(
    motion: Motion, words: str, place: tuple[int, int]
) -> None:
    found = TextFilter()
    scores = found.score(change_frames(sample_world(motion), write_letters(words, place)))
    verdict = found.decide(scores, SETTINGS)
    assert (verdict.kept, verdict.reason, verdict.threshold) == (
        False,
        Reason.TEXT,
        SETTINGS.text_share,
    )
    assert 1.2 * SETTINGS.text_share < verdict.value < 0.03


def test_a_title_over_half_of_the_clip_is_found() -> None:
    walk = sample_world(Motion.WALK)
    titled = change_frames(walk, write_letters("Chapter One", (430, 200), 1.5))
    half = SampledFrames(
        np.concatenate([titled.frames[:4], walk.frames[4:]]), walk.next_frames, walk.intervals_s
    )
    assert TextFilter().score(half)["share"] > SETTINGS.text_share


@pytest.mark.parametrize("motion", [Motion.WALK, Motion.DRIVE, Motion.SPIN])
def test_a_city_is_not_text(motion: Motion) -> None:
    assert TextFilter().score(sample_world(motion))["share"] < SETTINGS.text_share / 2


def test_a_brick_wall_is_not_text() -> None:
    for samples in (
        sample_brick_walk(0.0),
        sample_brick_walk(1.0),
        repeat_frame(render_alley(0.0)),
    ):
        assert TextFilter().score(samples)["share"] < SETTINGS.text_share / 4
    assert (
        TextFilter().score(
            change_frames(sample_brick_walk(1.0), write_letters("My Holiday 2019", (390, 120)))
        )["share"]
        > SETTINGS.text_share
    )


def test_in_a_still_scene_no_text_is_reported() -> None:
    scores = TextFilter().score(
        repeat_frame(
            write_letters("My Holiday 2019", (300, 130))(sample_world(Motion.STILL).frames[0])
        )
    )
    assert scores == {"share": 0.0, "static_share": 1.0}
