"""The layout detector: every layout from pixels alone, wrong metadata, and missing evidence."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from argus.curate.frame_sampling import NativeFrames, sample_native_frames
from argus.curate.layout import (
    NO_CONVERSION,
    LayoutVerdict,
    compute_layout_scores,
    decide_layout,
    detect_layout,
)
from argus.curate.layout.continuity import (
    PICTURE,
    cube_edges_in_erp,
    evidence,
    face_joins,
    seam_joins,
)
from argus.curate.layout.evidence import find_box
from argus.media import MediaInfo, SphericalMetadata, open_video, write_video
from argus.sphere import (
    CubeLayout,
    cube_to_erp,
    erp_to_cube,
)
from schemas.config import FilterSettings
from schemas.names import Layout, Reason
from tests.support.layouts import LAYOUTS, Frames, barred, detect, eyes, scaled, view


@pytest.fixture(scope="module", params=[301, 302])
def pair(request: pytest.FixtureRequest) -> tuple[Frames, Frames]:
    return eyes(request.param)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_detected_without_metadata(pair: tuple[Frames, Frames], name: str) -> None:
    layout, make = LAYOUTS[name]
    verdict = detect(make(*pair))
    assert verdict.layout == layout, verdict
    assert (verdict.reason is None) == (layout in {Layout.MONO_ERP, *FilterSettings().convert}), (
        verdict
    )
    assert all(np.isfinite(score.value) for score in verdict.scores)


@pytest.mark.parametrize("yaw", [0, 50, 96, 200])
def test_the_yaw_of_a_panorama_does_not_matter(pair: tuple[Frames, Frames], yaw: int) -> None:
    turned = np.roll(pair[0], yaw, axis=2)
    assert detect(turned).layout == Layout.MONO_ERP
    assert detect(scaled(turned, 192, 342)).layout == Layout.MONO_ERP_16X9
    assert (
        detect(scaled(turned, 192, 342), pixel_aspect=Fraction(9, 8)).layout == Layout.MONO_ERP_16X9
    )


@pytest.mark.parametrize(
    ("stored", "aspect", "layout"),
    [
        ((192, 192), Fraction(2), Layout.MONO_ERP),
        ((192, 144), Fraction(8, 3), Layout.MONO_ERP),
        ((192, 512), Fraction(3, 4), Layout.MONO_ERP),
        ((192, 192), Fraction(16, 9), Layout.MONO_ERP_16X9),
        ((192, 256), Fraction(4, 3), Layout.MONO_ERP_16X9),
        ((192, 384), Fraction(8, 9), Layout.MONO_ERP),  # 2:1 is a map, whatever its pixels
        ((192, 192), Fraction(1), Layout.HALF_ERP),
        ((192, 144), Fraction(4, 3), Layout.HALF_ERP),
    ],
)
def test_the_displayed_shape_of_a_map_counts(
    pair: tuple[Frames, Frames], stored: tuple[int, int], aspect: Fraction, layout: Layout
) -> None:
    verdict = detect(scaled(pair[0], *stored), pixel_aspect=aspect)
    assert verdict.layout == layout, verdict


@pytest.mark.parametrize("stored", [(192, 192), (192, 320), (192, 480)])
def test_the_displayed_shape_of_a_view_and_of_two_eyes_counts(
    pair: tuple[Frames, Frames], stored: tuple[int, int]
) -> None:
    wide = Fraction(2 * stored[0], stored[1])
    assert detect(scaled(view(pair[0], 2.0), *stored), pixel_aspect=wide).layout == Layout.FLAT
    eyes = scaled(np.concatenate(pair, 2), *stored)
    assert detect(eyes, pixel_aspect=2 * wide).layout == Layout.STEREO_SBS


DECLARATIONS = [
    ("side by side in 2:1", SphericalMetadata(), Reason.LAYOUT_MISMATCH),
    ("top-bottom", SphericalMetadata(stereo_mode="left-right"), Reason.LAYOUT_MISMATCH),
    ("2:1", SphericalMetadata(stereo_mode="top-bottom"), Reason.LAYOUT_MISMATCH),
    ("2:1", SphericalMetadata(projection="cubemap"), Reason.LAYOUT_MISMATCH),
    ("2:1", SphericalMetadata(projection="half_equirectangular"), Reason.LAYOUT_MISMATCH),
    ("eac", SphericalMetadata(), Reason.LAYOUT_MISMATCH),
    ("half, two eyes", SphericalMetadata(), Reason.LAYOUT_MISMATCH),
    ("fisheyes", SphericalMetadata(), Reason.LAYOUT_MISMATCH),
    ("twice", SphericalMetadata(), Reason.LAYOUT_MISMATCH),
    ("perspective in 2:1", SphericalMetadata(), Reason.LAYOUT_MISMATCH),
    ("2:1", SphericalMetadata(bounds=(0.1, 0.1, 0, 0)), Reason.NOT_FULL_SPHERE),
    ("half", SphericalMetadata(projection="half_equirectangular"), Reason.NOT_FULL_SPHERE),
    (
        "half, two eyes",
        SphericalMetadata(stereo_mode="left-right", bounds=(0, 0, 0.25, 0.25)),
        Reason.NOT_FULL_SPHERE,
    ),
    ("one fisheye", SphericalMetadata(projection="fisheye"), Reason.LAYOUT_MISMATCH),
    ("squeezed", SphericalMetadata(), None),
    ("letterboxed", SphericalMetadata(), None),
    ("top-bottom", SphericalMetadata(stereo_mode="top-bottom"), None),
    ("eac", SphericalMetadata(projection="eac"), None),
    ("eac", SphericalMetadata(projection="mesh"), None),
    ("2:1", SphericalMetadata(projection="mesh"), Reason.NOT_FULL_SPHERE),
    ("2:1", SphericalMetadata(projection="mesh", coverage=1.0), None),
    ("eac", SphericalMetadata(projection="cubemap"), None),
    ("2:1", SphericalMetadata(projection="unknown"), None),
    # two eyes without a projection: any 3D video declares them
    ("top-bottom", SphericalMetadata("undeclared", "top-bottom"), None),
    ("2:1", SphericalMetadata("undeclared", "left-right"), None),
    ("perspective in 2:1", SphericalMetadata("undeclared", "left-right"), Reason.NOT_360),
]


@pytest.mark.parametrize(
    ("name", "metadata", "reason"),
    DECLARATIONS,
    ids=lambda value: getattr(value, "projection", value),
)
def test_metadata_is_checked_against_the_pixels(
    pair: tuple[Frames, Frames], name: str, metadata: SphericalMetadata, reason: Reason | None
) -> None:
    verdict = detect(LAYOUTS[name][1](*pair), metadata)
    assert verdict.reason == reason, verdict
    if reason == Reason.LAYOUT_MISMATCH:
        assert verdict.layout == LAYOUTS[name][0]
        assert str(verdict.declared) in verdict.detail


@pytest.mark.parametrize(
    ("size", "metadata", "layout", "reason"),
    [
        ((128, 256), None, Layout.MONO_ERP, None),
        ((144, 256), None, Layout.FLAT, Reason.NOT_360),
        ((144, 256), SphericalMetadata(), Layout.MONO_ERP_16X9, None),
        ((128, 128), SphericalMetadata(stereo_mode="top-bottom"), Layout.STEREO_TB, None),
        (
            (128, 256),
            SphericalMetadata("undeclared", "left-right"),
            Layout.STEREO_SBS,
            Reason.STEREO,
        ),
        (
            (128, 128),
            SphericalMetadata("undeclared", "top-bottom"),
            Layout.STEREO_TB,
            Reason.STEREO,
        ),
        (
            (128, 192),
            SphericalMetadata(projection="cubemap"),
            Layout.CUBEMAP,
            Reason.UNSUPPORTED_LAYOUT,
        ),
        (
            (128, 256),
            SphericalMetadata(projection="fisheye"),
            Layout.DUAL_FISHEYE,
            Reason.UNSUPPORTED_LAYOUT,
        ),
    ],
)
@pytest.mark.parametrize("level", [0, 90])
def test_blank_pictures_are_no_evidence(
    size: tuple[int, int],
    metadata: SphericalMetadata | None,
    layout: Layout,
    reason: Reason | None,
    level: int,
) -> None:
    verdict = detect(np.full((3, *size, 3), level, np.uint8), metadata)
    assert (verdict.layout, verdict.reason) == (layout, reason)


def test_the_converted_layouts_are_a_setting(pair: tuple[Frames, Frames]) -> None:
    def reason(name: str, *convert: Layout) -> Reason | None:
        return detect(LAYOUTS[name][1](*pair), convert=convert).reason

    assert reason("top-bottom") == Reason.STEREO
    assert reason("side by side", Layout.STEREO_TB) == Reason.STEREO
    assert (
        reason("eac")
        == reason("squeezed")
        == reason("letterboxed")
        == reason("fisheyes")
        == Reason.UNSUPPORTED_LAYOUT
    )
    assert reason("fisheyes", Layout.DUAL_FISHEYE) is None


def test_a_changed_threshold_needs_no_pixels(pair: tuple[Frames, Frames]) -> None:
    frames = LAYOUTS["top-bottom"][1](*pair)
    scores = compute_layout_scores(
        NativeFrames(frames, frames, np.zeros(len(frames))), frames.shape[1:3]
    )
    info = MediaInfo(frames.shape[2], frames.shape[1], Fraction(1), len(frames), 4.0, "h264", "mp4")
    assert decide_layout(info, scores, FilterSettings()).layout == Layout.STEREO_TB
    assert (
        decide_layout(info, scores, FilterSettings(halves_similarity=1.0)).layout
        != Layout.STEREO_TB
    )


def test_a_horizon_and_margins_are_not_a_closed_seam() -> None:
    """Structure that all columns share is no evidence that two of them are neighbors."""
    page = np.full((4, 270, 480, 3), 250, np.uint8)
    page[:, :20] = page[:, -20:] = 0
    sea = np.full((4, 270, 480, 3), 200, np.uint8)
    sea[:, 140:] = (20, 60, 90)
    for k in range(4):
        cv2.putText(
            page[k],
            f"page {k} of a talk",
            (60, 90 + 30 * k),
            cv2.FONT_HERSHEY_SIMPLEX,
            1,
            (0, 0, 0),
            2,
        )
        cv2.circle(sea[k], (100 + 60 * k, 130), 20, (250, 250, 250), -1)
    assert detect(page).layout == detect(sea).layout == Layout.FLAT


def test_a_page_of_2_to_1_with_blank_sides_is_flat() -> None:
    page = np.full((4, 200, 400, 3), 250, np.uint8)
    page[:, :24] = (30, 60, 120)
    for k in range(4):
        for line in range(4):
            cv2.putText(
                page[k],
                f"line {line} of page {k}, at some length",
                (40, 60 + 36 * line),
                cv2.FONT_HERSHEY_SIMPLEX,
                0.5,
                (0, 0, 0),
                1,
            )
    verdict = detect(page)
    assert verdict.layout == Layout.FLAT, verdict
    assert detect(page, SphericalMetadata()).layout == Layout.MONO_ERP, (
        "lack of evidence against metadata"
    )


def test_small_maps_are_separated_from_those_converted_twice(pair: tuple[Frames, Frames]) -> None:
    """Maps of 96 rows: what enlarging blends across a tear is no evidence against it."""
    small = scaled(pair[0], 96, 192)
    twice = detect(cube_to_erp(small, (96, 192), CubeLayout.EAC))
    assert (twice.layout, twice.reason) == (Layout.CONVERTED_TWICE, Reason.UNSUPPORTED_LAYOUT), (
        twice
    )
    assert detect(small).layout == Layout.MONO_ERP
    assert detect(barred(small, 96, 226)).layout == Layout.MONO_ERP_LETTERBOXED


def test_without_a_visible_seam_poles_and_shape_show_a_whole_sphere(
    pair: tuple[Frames, Frames],
) -> None:
    """The sides may be smeared: each eye of a top-bottom video, and a map within bars, is 2:1 and has poles."""

    def decide(frames: Frames, **known: float) -> LayoutVerdict:
        height, width = frames.shape[1:3]
        scores = compute_layout_scores(
            NativeFrames(frames, frames, np.zeros(len(frames))), (height, width)
        )
        info = MediaInfo(width, height, Fraction(1), len(frames), 4.0, "h264", "mp4")
        return decide_layout(info, scores | known, FilterSettings())

    eyes_above = decide(LAYOUTS["top-bottom"][1](*pair), seam_top_bottom=-0.2)
    assert (eyes_above.reason, eyes_above.conversion.crop) == (None, (0.0, 0.0, 0.5, 1.0))
    eyes_beside = decide(LAYOUTS["side by side in 2:1"][1](*pair), seam_left_right=-0.2)
    assert eyes_beside.reason == Reason.STEREO, "each eye is square, as half a sphere is"
    bars = LAYOUTS["pillarboxed"][1](*pair)
    assert decide(bars, seam=-0.2).layout == Layout.MONO_ERP_LETTERBOXED
    assert (
        decide(bars, seam=-0.6).layout == decide(bars, seam=-0.2, poles=0.0).layout == Layout.FLAT
    )
    assert decide(bars, seam=-0.2, blank_sides=1.0).layout == Layout.FLAT


def test_black_caps_are_not_bars(pair: tuple[Frames, Frames]) -> None:
    """A map whose poles were never filmed, or that is lit in one place only, remains a whole map."""
    capped, lit = pair[0].copy(), np.zeros_like(pair[0])
    capped[:, :30] = capped[:, -30:] = 0
    lit[:, 70:110, 160:220] = pair[0][:, 70:110, 160:220]
    for frames in (capped, lit):
        assert (detect(frames).layout, detect(frames).conversion) == (
            Layout.MONO_ERP,
            NO_CONVERSION,
        )


def test_bars_are_found_to_the_pixel_and_caps_are_ignored() -> None:
    frames = np.random.default_rng(0).integers(60, 255, (3, 90, 160), np.uint8)
    barred = np.pad(frames, ((0, 0), (12, 12), (0, 0)))
    box = find_box(barred)
    assert (round(box.top * 114), round(box.bottom * 114), box.left, box.right) == (12, 102, 0, 1)
    capped = frames.copy()
    capped[:, -20:] = 0
    assert find_box(capped) == find_box(frames)


def test_joins_are_where_their_layout_puts_them(pair: tuple[Frames, Frames]) -> None:
    """The true joins are continuous and those of other layouts are not; edges within a band of an EAC are left out."""
    left = pair[0]

    def to_gray_pictures(frames: Frames) -> Frames:
        return np.stack(
            [
                cv2.cvtColor(
                    cv2.resize(frame, PICTURE[::-1], interpolation=cv2.INTER_LINEAR),
                    cv2.COLOR_RGB2GRAY,
                )
                for frame in frames
            ]
        )

    assert evidence(to_gray_pictures(left).astype(np.float32), seam_joins(1, 1)) > 0.9
    assert evidence(to_gray_pictures(left).astype(np.float32), cube_edges_in_erp()) > 0.9
    for stored in (CubeLayout.C3X2, CubeLayout.CBMP, CubeLayout.C6X1):
        pictures = to_gray_pictures(erp_to_cube(left, 128, stored)).astype(np.float32)
        assert max(CubeLayout, key=lambda layout: evidence(pictures, face_joins(layout))) == stored
    assert len(face_joins(CubeLayout.EAC).one) == 8


@pytest.mark.media
def test_a_real_half_sphere_is_detected(media: Path, tmp_path: Path) -> None:
    picture = cv2.cvtColor(
        cv2.imread(str(media / "images" / "negative_equirect180.png")), cv2.COLOR_BGR2RGB
    )
    write_video(
        tmp_path / "a.mp4", [cv2.resize(picture, (512, 512), interpolation=cv2.INTER_AREA)] * 4, 4
    )
    with open_video(tmp_path / "a.mp4") as reader:
        verdict = detect_layout(reader.info, sample_native_frames(reader, 1), FilterSettings())
    assert (verdict.layout, verdict.reason) == (Layout.HALF_ERP, Reason.NOT_FULL_SPHERE), verdict
