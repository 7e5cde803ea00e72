"""Black caps, exposure, blur, nadir, tilt and seam: one example per reason, and what is measured."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from argus.curate import Filter, clip_filters, recipe_digest, video_filters
from argus.curate.filters import (
    BlurFilter,
    CapsFilter,
    ExposureFilter,
    NadirFilter,
    SeamFilter,
    UprightFilter,
)
from argus.curate.frame_sampling import ERP_SIZE, SampledFrames, resize_frames
from argus.sphere import from_euler_deg, rotate_erp
from argus.synth import Motion
from schemas.config import CurateConfig, FilterSettings
from schemas.names import Reason
from tests.support.sampled_frames import (
    black_caps,
    change_frames,
    cover_nadir,
    repeat_frame,
    sample_world,
)

SETTINGS = FilterSettings()


@dataclass(frozen=True)
class Case:
    name: str
    filter: Filter
    change: Callable[[np.ndarray], np.ndarray]
    reason: Reason
    value: tuple[float, float]  # the deciding score lies between
    settings: FilterSettings = SETTINGS


CASES = [
    Case("caps", CapsFilter(5), black_caps(40, 30), Reason.BLACK, (0.18, 0.19)),
    Case("dark", ExposureFilter(), lambda frame: frame // 24, Reason.EXPOSURE, (0.99, 1.0)),
    Case(
        "burnt",
        ExposureFilter(),
        lambda frame: cv2.convertScaleAbs(frame, alpha=4, beta=60),
        Reason.EXPOSURE,
        (0.72, 1.0),
    ),
    Case(
        "blurred",
        BlurFilter(),
        lambda frame: cv2.GaussianBlur(frame, (0, 0), 10),
        Reason.BLURRED,
        (0.2, 0.7),
    ),
    Case(
        "operator",
        NadirFilter(),
        cover_nadir(38),
        Reason.OPERATOR,
        (0.6, 1.0),
        FilterSettings(nadir_share=0.5),
    ),
    Case(
        "tilted",
        UprightFilter(),
        lambda frame: rotate_erp(frame[None], from_euler_deg(0, 9, 15))[0],
        Reason.TILTED,
        (16, 19),
        FilterSettings(tilt_deg=10, tilt_support=0.1),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_reason_has_an_example(case: Case) -> None:
    walk = sample_world(Motion.WALK, height=160)
    scores = case.filter.score(change_frames(walk, case.change))
    verdict = case.filter.decide(scores, case.settings)
    assert (verdict.kept, verdict.reason, scores[verdict.name]) == (
        False,
        case.reason,
        verdict.value,
    )
    assert case.value[0] <= verdict.value <= case.value[1], scores
    assert case.filter.decide(case.filter.score(walk), case.settings).kept


def test_caps_are_measured_in_degrees_and_solid_angle() -> None:
    scores = CapsFilter(5).score(change_frames(sample_world(Motion.WALK), black_caps(20, 40)))
    assert (scores["zenith_deg"], scores["nadir_deg"]) == (
        pytest.approx(20, abs=1),
        pytest.approx(40, abs=1),
    )
    assert scores["share"] == pytest.approx(
        (2 - np.cos(np.radians(20)) - np.cos(np.radians(40))) / 2, abs=0.005
    )
    assert CapsFilter(5).score(repeat_frame(np.zeros((*ERP_SIZE, 3), np.uint8)))["share"] == 1.0


def test_exposure_is_measured_by_solid_angle() -> None:
    frame = np.full((*ERP_SIZE, 3), 100, np.uint8)
    frame[: ERP_SIZE[0] // 4] = 255  # a quarter of the rows, but 15% of the sphere
    scores = ExposureFilter().score(repeat_frame(frame))
    assert scores["bright"] == pytest.approx((1 - np.cos(np.pi / 4)) / 2, abs=1e-3)
    assert scores["mean"] == pytest.approx((100 + 155 * scores["bright"]) / 255, abs=1e-3)


def test_sharpness_falls_with_blur_and_not_with_contrast() -> None:
    walk = sample_world(Motion.WALK)
    sharpness = [
        BlurFilter().score(
            change_frames(walk, lambda frame, sigma=sigma: cv2.GaussianBlur(frame, (0, 0), sigma))
        )["coarse"]
        for sigma in (2, 5, 9)
    ]
    plain = BlurFilter().score(walk)["coarse"]
    assert plain > sharpness[0] > sharpness[1] > sharpness[2]
    assert BlurFilter().score(change_frames(walk, lambda frame: frame // 2 + 60))[
        "coarse"
    ] == pytest.approx(plain, rel=0.1)
    small = resize_frames(resize_frames(walk.frames, (128, 256)), ERP_SIZE)
    assert (
        BlurFilter()
        .decide(BlurFilter().score(SampledFrames(small, small, walk.intervals_s)), SETTINGS)
        .kept
    ), "a small video is not blurred"


@pytest.mark.parametrize(("pitch", "roll"), [(0, 0), (12, 0), (0, -15), (-10, 8), (-22, 5)])
def test_pitch_and_roll_are_estimated(pitch: float, roll: float) -> None:
    scores = UprightFilter().score(
        change_frames(
            sample_world(Motion.DRIVE, height=160),
            lambda frame: rotate_erp(frame[None], from_euler_deg(0, pitch, roll))[0],
        )
    )
    assert (scores["pitch_deg"], scores["roll_deg"]) == (
        pytest.approx(pitch, abs=1.5),
        pytest.approx(roll, abs=1.5),
    )
    assert scores["tilt_deg"] == pytest.approx(
        np.degrees(np.arccos(np.cos(np.radians(pitch)) * np.cos(np.radians(roll)))), abs=1.5
    )
    assert scores["support"] > SETTINGS.tilt_support / 2


def test_by_default_neither_operator_nor_tilt_drops() -> None:
    walk = change_frames(
        sample_world(Motion.WALK),
        lambda frame: cover_nadir(38)(rotate_erp(frame[None], from_euler_deg(0, 0, 20))[0]),
    )
    assert all(
        one.decide(one.score(walk), SETTINGS).kept for one in (NadirFilter(), UprightFilter())
    )


def test_the_operator_is_separated_from_the_ground() -> None:
    walk = sample_world(Motion.DRIVE)
    bare, stood = (
        NadirFilter().score(samples)["share"]
        for samples in (walk, change_frames(walk, cover_nadir(25)))
    )
    assert bare < 0.1 < 0.25 < stood < 0.6


@pytest.mark.parametrize("radius_deg", [20, 25, 30, 35])
def test_the_operator_share_is_the_solid_angle_of_the_cap(radius_deg: float) -> None:
    of_cap = (1 - np.cos(np.radians(radius_deg))) / (1 - np.cos(np.radians(40)))
    assert NadirFilter().score(change_frames(sample_world(Motion.DRIVE), cover_nadir(radius_deg)))[
        "share"
    ] == pytest.approx(of_cap, abs=0.1)


def test_encoded_white_counts_as_bright() -> None:
    """An encoder with 34 dB errs by 5 levels, clipped at 255."""
    coded = np.clip(np.random.default_rng(2).normal(255, 5, (*ERP_SIZE, 3)), 0, 255).astype(
        np.uint8
    )
    samples = repeat_frame(coded, 2)
    assert ExposureFilter().score(samples)["bright"] > 0.97
    assert (
        ExposureFilter().score(repeat_frame(np.full((*ERP_SIZE, 3), 240, np.uint8), 2))["bright"]
        == 0
    )


@pytest.mark.parametrize("rows", [96, 160, 512])
def test_an_enlarged_map_keeps_its_seam(rows: int) -> None:
    """Enlarging spreads every step over several columns, except the one at the seam."""
    noise = (
        np.random.default_rng(rows)
        .integers(0, 255, (rows, 2 * rows, 1), np.uint8)
        .repeat(3, axis=2)
    )
    around = np.concatenate([noise] * 3, axis=1)  # a map is smooth across its seam too
    closed = cv2.normalize(
        cv2.GaussianBlur(around, (0, 0), rows / 24)[:, 2 * rows : 4 * rows],
        None,
        0,
        255,
        cv2.NORM_MINMAX,
    )
    broken = closed[:, np.arange(2 * rows) * 3 // 4]
    for picture, reason in ((closed, None), (broken, Reason.SEAM)):
        scores = SeamFilter().score(repeat_frame(picture, 2))
        verdict = SeamFilter().decide(scores, SETTINGS)
        assert verdict.reason == reason, scores
    assert SeamFilter().score(repeat_frame(closed, 2))["seam_ratio"] < SETTINGS.seam_ratio / 2


def test_the_recipe_depends_on_the_versions_of_filters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    filters = [*video_filters(SETTINGS), *clip_filters()]
    assert all(one.name and one.version >= 1 for one in filters)
    config = CurateConfig(catalogue="none")
    before = recipe_digest(config)
    monkeypatch.setattr(BlurFilter, "version", BlurFilter.version + 1)
    assert recipe_digest(config) != before
