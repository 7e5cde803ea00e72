"""Overlaid text in difficult places: touching letters, the seam, the zenith, before still walls; and look-alikes."""

from functools import cache

import cv2
import numpy as np
import pytest

from argus.curate import SampledFrames
from argus.curate.filters import TextFilter
from argus.curate.frame_sampling import ERP_SIZE
from argus.sphere import from_euler_deg, rotate_erp, solid_angle
from schemas.config import FilterSettings

LIMIT = FilterSettings().text_share
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
