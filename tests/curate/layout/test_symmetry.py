"""Rooms that look alike in several directions: a period of 60° to 180° is neither stereo nor a cube."""

from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from argus.curate.frame_sampling import sample_native_frames
from argus.curate.layout import LayoutVerdict, detect_layout
from argus.curate.layout.evidence import correlate_changes
from argus.media import SphericalMetadata, open_video
from argus.synth import SymmetricCase, make_symmetric_cases
from schemas.config import FilterSettings
from schemas.names import Layout, Reason
from tests.support.layouts import LAYOUTS, Frames, detect, front, room_eyes

MONO, HALF = SphericalMetadata(), SphericalMetadata(bounds=(0, 0, 0.25, 0.25))
TOP_BOTTOM = SphericalMetadata(stereo_mode="top-bottom")
LEFT_RIGHT = SphericalMetadata(stereo_mode="left-right")
PERIODS = {"gallery": 180, "cube": 90, "hexagon": 60}  # in degrees
MIN_ACCURACY = 0.95


@cache
def frames_of(room: str, layout: str) -> Frames:
    return LAYOUTS[layout][1](*room_eyes(room, 11))


@pytest.mark.parametrize("room", PERIODS)
@pytest.mark.parametrize("metadata", [None, MONO], ids=["undeclared", "declared"])
@pytest.mark.parametrize("layout", ["2:1", "squeezed"])
def test_one_map_is_not_stereo(room: str, layout: str, metadata: SphericalMetadata | None) -> None:
    verdict = detect(frames_of(room, layout), metadata)
    assert (verdict.layout, verdict.reason) == (LAYOUTS[layout][0], None), verdict


@pytest.mark.parametrize("room", PERIODS)
@pytest.mark.parametrize("metadata", [None, TOP_BOTTOM], ids=["undeclared", "declared"])
@pytest.mark.parametrize("layout", ["top-bottom", "top-bottom in 2:1"])
def test_two_eyes_are_neither_a_cube_nor_side_by_side(
    room: str, layout: str, metadata: SphericalMetadata | None
) -> None:
    verdict = detect(frames_of(room, layout), metadata)
    assert (verdict.layout, verdict.reason) == (Layout.STEREO_TB, None), verdict


@pytest.mark.parametrize("room", PERIODS)
@pytest.mark.parametrize("metadata", [None, LEFT_RIGHT], ids=["undeclared", "declared"])
def test_two_eyes_side_by_side_are_stereo(room: str, metadata: SphericalMetadata | None) -> None:
    verdict = detect(frames_of(room, "side by side"), metadata)
    assert (verdict.layout, verdict.reason) == (Layout.STEREO_SBS, None), verdict


@pytest.mark.parametrize("room", PERIODS)
@pytest.mark.parametrize("layout", ["eac", "3x2"])
def test_cubes_of_symmetric_rooms_are_cubes(room: str, layout: str) -> None:
    assert detect(frames_of(room, layout)).layout == LAYOUTS[layout][0]


@pytest.mark.parametrize("room", PERIODS)
def test_wrong_metadata_is_found_in_symmetric_rooms(room: str) -> None:
    for layout, metadata in (("top-bottom", MONO), ("eac", MONO), ("2:1", TOP_BOTTOM)):
        verdict = detect(frames_of(room, layout), metadata)
        found = verdict.layout, verdict.reason
        assert found == (LAYOUTS[layout][0], Reason.LAYOUT_MISMATCH), verdict


@pytest.mark.parametrize("room", PERIODS)
def test_declared_half_spheres_of_symmetric_rooms_are_halves(room: str) -> None:
    """Each eye is closed at its sides if the period is 180°, as that of a whole sphere is."""
    left, right = room_eyes(room, 11)
    eyes = np.concatenate([front(left), front(right)], 2)
    verdict = detect(eyes, HALF)
    assert (verdict.layout, verdict.reason) == (Layout.HALF_ERP, Reason.NOT_FULL_SPHERE), verdict


@pytest.mark.parametrize("room", ["gallery", "hexagon"])
def test_two_eyes_change_alike_and_halves_of_a_map_do_not(room: str) -> None:
    threshold = FilterSettings().changes_similarity
    one = frames_of(room, "2:1").mean(-1, dtype=np.float32)
    two = frames_of(room, "side by side").mean(-1, dtype=np.float32)
    assert correlate_changes(one) < threshold <= correlate_changes(two)
    assert correlate_changes(np.stack([one[0]] * 3)) == 1.0


def test_changes_of_light_and_noise_are_no_changes() -> None:
    one = frames_of("gallery", "2:1")[0].mean(-1, dtype=np.float32)
    lights = one + np.float32([0, 20, -20])[:, None, None]
    noise = np.random.default_rng(0).normal(0, 4, lights.shape).astype(np.float32)
    assert correlate_changes(lights + noise) == 1.0


def test_the_halves_of_the_symmetric_set_have_nothing_in_common() -> None:
    tuning, scored = (make_symmetric_cases(is_scored=is_scored) for is_scored in (False, True))
    for name in ("room", "seed", "height", "fps"):
        values = {getattr(case, name) for case in tuning}
        assert not values & {getattr(case, name) for case in scored}, name


@pytest.mark.slow
@pytest.mark.parametrize("is_scored", [False, True], ids=["tuning", "scored"])
def test_the_symmetric_set_is_recognized(is_scored: bool, tmp_path: Path) -> None:
    cases = make_symmetric_cases(is_scored=is_scored)
    wrong = [case.name for case in cases if not _is_recognized(case, tmp_path / "video.mp4")]
    print(f"{len(cases) - len(wrong)} of {len(cases)}; wrong: {'; '.join(wrong)}")
    assert len(wrong) <= (1 - MIN_ACCURACY) * len(cases)


def _is_recognized(case: SymmetricCase, path: Path) -> bool:
    truth = case.write(path)
    return _detect_file(path).layout is truth.layout


def _detect_file(path: Path) -> LayoutVerdict:
    with open_video(path) as reader:
        return detect_layout(
            reader.info, sample_native_frames(reader, Fraction(5)), FilterSettings()
        )
