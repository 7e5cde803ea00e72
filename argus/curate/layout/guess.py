"""Guesses of a video's layout from its pixels, by the strongest kind of evidence first."""

from collections.abc import Mapping
from dataclasses import dataclass

from argus.curate.layout.convert import NO_CONVERSION, Conversion, SourceProjection
from argus.media import MediaInfo
from argus.sphere import CubeLayout
from schemas.config import FilterSettings
from schemas.names import Layout

ASPECT_TOLERANCE = 0.03
"""Largest relative deviation from 2:1; 640×322 deviates by 0.6%."""

SQUEEZED_ASPECTS = (1.25, 1.97)
"""Width : height of whole maps that are squeezed to fit a screen."""

_MIN_BAND_ASPECT = 2.06  # width : height from which a closed picture is a band of the sphere
_SQUARE_ASPECTS = (0.9, 1.1)
_MIN_ASPECT_OF_TWO = 1.6  # width : height of two eyes side by side, each about square or wider
_MIN_ROW_OF_FACES_ASPECT = 3.5  # width : height from which six faces may be side by side
_PRIOR = 0.1  # evidence added for the usual cube layout, where layouts hardly differ
_POLES_WEIGHT = 0.15  # of the evidence for poles, added to that for a closed seam
_EAC_POLES_WEIGHT = 0.3  # of the evidence for the poles of an EAC, subtracted from that for edges
CUBE_LAYOUTS = frozenset({Layout.EAC, Layout.CUBEMAP})
"""Layouts of six faces."""

_EYE_NAMES = {Layout.STEREO_TB: "top_bottom", Layout.STEREO_SBS: "left_right"}


@dataclass(frozen=True)
class LayoutGuess:
    """Layout that the pixels suggest.

    Attributes:
        layout: the most likely layout.
        is_certain: False if the pixels allow others as well.
        detail: the observation, as a clause.
        conversion: conversion to mono ERP; None if there is none.
    """

    layout: Layout
    is_certain: bool
    detail: str
    conversion: Conversion | None = None


def guess_layout(
    info: MediaInfo,
    scores: Mapping[str, float],
    settings: FilterSettings,
    declared: Layout | None = None,
) -> LayoutGuess:
    """Guess the layout that pixels and shape suggest.

    Two eyes that are shown to be whole spheres count before a cube: edges of faces also seem to
    join where a scene repeats itself, but the halves of a cubemap never show the same scene.

    Args:
        info: size and pixel aspect of the video.
        scores: scores of `compute_layout_scores`.
        settings: thresholds.
        declared: layout that the metadata declares; it only chooses between two packings of cubes.

    Raises:
        KeyError: a score is missing.
    """
    if fisheye := _guess_fisheye(scores, settings):
        return fisheye
    stereo = _guess_stereo(info, scores, settings)
    if stereo and stereo.conversion:
        return stereo
    cube = _guess_cube(info, scores, settings, is_tagged=declared is Layout.CUBEMAP)
    return cube or stereo or _guess_erp(info, scores, settings)


def find_eyes(
    info: MediaInfo, scores: Mapping[str, float], settings: FilterSettings
) -> Layout | None:
    """Return the arrangement of two eyes whose halves show the same scene, or None.

    The left and the right half of one map look alike if the scene repeats itself after 180°; then
    they change differently. The upper and the lower half of one map never look alike.
    """
    if scores["top_bottom"] > settings.halves_similarity:
        return Layout.STEREO_TB
    is_alike = scores["left_right"] > settings.halves_similarity
    changes_alike = scores["changes_left_right"] >= settings.changes_similarity
    if is_alike and changes_alike and shape_aspect(info) >= _MIN_ASPECT_OF_TWO:
        return Layout.STEREO_SBS
    return None


def confirms_declared(
    declared: Layout,
    guess: LayoutGuess,
    info: MediaInfo,
    scores: Mapping[str, float],
    settings: FilterSettings,
) -> bool:
    """Return True if pixels show the declared layout, although they suggest another one more.

    A symmetric scene looks closed where it is not, and alike where it is another part of the
    sphere.

    Args:
        declared: layout that the metadata declares.
        guess: layout that the pixels suggest.
        info: size and pixel aspect of the video.
        scores: scores of `compute_layout_scores`.
        settings: thresholds.
    """
    least, aspect = settings.layout_evidence, shape_aspect(info)
    name = _EYE_NAMES.get(declared, "left_right")
    if declared in _EYE_NAMES:
        return find_eyes(info, scores, settings) is declared and scores[f"seam_{name}"] >= -least
    if declared is Layout.HALF_ERP:
        is_alike = scores[name] > settings.halves_similarity
        has_poles = scores["poles"] > least and scores[f"poles_{name}"] > least
        return is_alike and has_poles and is_2_to_1(aspect)
    if declared is not Layout.MONO_ERP or guess.layout not in CUBE_LAYOUTS:
        return False
    is_map = is_2_to_1(aspect) or is_within(aspect, SQUEEZED_ASPECTS)
    return is_map and min(scores["seam"], scores["poles"]) > least


def _guess_fisheye(scores: Mapping[str, float], settings: FilterSettings) -> LayoutGuess | None:
    if scores["circles"] > settings.disc_evidence:
        # the black around the discs is equal in any case, so equal discs need more
        is_alike = scores["left_right"] > (1 + settings.halves_similarity) / 2
        if is_alike and scores["changes_left_right"] >= settings.changes_similarity:
            return LayoutGuess(Layout.PARTIAL, True, "two discs on black show the same scene")
        conversion = Conversion(SourceProjection.DUAL_FISHEYE, fov_deg=settings.fisheye_fov_deg)
        return LayoutGuess(
            Layout.DUAL_FISHEYE, True, "the picture shows two discs on black", conversion
        )
    if scores["circle"] > settings.disc_evidence:
        return LayoutGuess(Layout.PARTIAL, True, "the picture shows one disc on black")
    return None


def _guess_cube(
    info: MediaInfo, scores: Mapping[str, float], settings: FilterSettings, *, is_tagged: bool
) -> LayoutGuess | None:
    candidates = {CubeLayout.EAC, CubeLayout.C3X2, CubeLayout.CBMP}
    if shape_aspect(info) >= _MIN_ROW_OF_FACES_ASPECT:
        candidates = {CubeLayout.C6X1}
    # these two differ only in the faces above and below
    usual = CubeLayout.CBMP if is_tagged else CubeLayout.C3X2
    best = max(
        sorted(candidates), key=lambda kind: scores[f"cube_{kind}"] + _PRIOR * (kind == usual)
    )
    joined = scores[f"cube_{best}"]
    if (
        joined <= settings.layout_evidence
        or joined < scores["seam"] + _POLES_WEIGHT * scores["poles"]
        or scores["blank_sides"] > settings.blank_sides
    ):
        return None
    return LayoutGuess(
        Layout.EAC if best == CubeLayout.EAC else Layout.CUBEMAP,
        True,
        f"the edges of six faces join as in a {best} picture",
        Conversion(SourceProjection(best), native_size=(info.height, info.width)),
    )


def _guess_stereo(
    info: MediaInfo, scores: Mapping[str, float], settings: FilterSettings
) -> LayoutGuess | None:
    layout = find_eyes(info, scores, settings)
    if layout is None:
        return None
    name = _EYE_NAMES[layout]
    least = settings.layout_evidence
    seam, poles = scores[f"seam_{name}"], scores[f"poles_{name}"]
    if scores["seam"] > least and seam < -least:
        return None  # one map around the sphere whose halves happen to be alike
    eye_aspect = shape_aspect(info) * (2.0 if layout is Layout.STEREO_TB else 0.5)
    crop = Conversion(crop=first_eye(layout))
    detail = f"the halves show the same scene ({name.replace('_', ' ')})"
    if seam > least:
        return LayoutGuess(layout, True, f"{detail}, each closed at its seam", crop)
    may_close = seam >= -least or layout is Layout.STEREO_SBS  # no half sphere is stored in 4:1
    if may_close and poles > least and eye_aspect > SQUEEZED_ASPECTS[1]:
        return LayoutGuess(layout, True, f"{detail}, each with poles and as wide as a sphere", crop)
    if seam >= -least:
        return LayoutGuess(layout, True, f"{detail}, but nothing shows that it is a whole sphere")
    if poles > 0:
        return LayoutGuess(Layout.HALF_ERP, True, f"{detail}, with poles but open at the sides")
    return LayoutGuess(Layout.FLAT, True, f"{detail}, open at the sides and without poles")


def first_eye(layout: Layout) -> tuple[float, float, float, float]:
    """Return the crop of the left eye, which is the upper or the left half."""
    return (0.0, 0.0, 0.5, 1.0) if layout is Layout.STEREO_TB else (0.0, 0.0, 1.0, 0.5)


def _guess_erp(
    info: MediaInfo, scores: Mapping[str, float], settings: FilterSettings
) -> LayoutGuess:
    """Classify one picture as a whole map, a part of one, or flat."""
    least = settings.layout_evidence
    seam, poles = scores["seam"], scores["poles"]
    box = tuple(scores[f"box_{side}"] for side in ("top", "left", "bottom", "right"))
    box_aspect = (box[3] - box[1]) / (box[2] - box[0])  # of shares of width and height
    aspect = shape_aspect(info, box_aspect)
    is_boxed = box != (0.0, 0.0, 1.0, 1.0)
    is_map = is_2_to_1(aspect)
    is_torn = (
        scores["cube_edges"] - _EAC_POLES_WEIGHT * scores["poles_as_eac"] < -settings.torn_edges
    )
    shape = describe_shape(info) + (" within bars" if is_boxed else "")
    torn_detail = f"{shape} is torn along the edges of a cube"
    if seam + _POLES_WEIGHT * poles > least:
        if is_boxed and box_aspect > 1 and is_2_to_1(shape_aspect(info)):
            detail = f"{shape} is 2:1 and closed at the seam: the bars are black caps"
            return LayoutGuess(Layout.MONO_ERP, True, detail, NO_CONVERSION)
        if is_map and is_torn:
            return LayoutGuess(Layout.CONVERTED_TWICE, True, torn_detail)
        if is_map and is_boxed:
            return _letterboxed(shape, box, is_certain=True)
        return _guess_closed(aspect, poles, shape, least, is_map=is_map, is_boxed=is_boxed)
    if poles > least and is_within(aspect, _SQUARE_ASPECTS):
        detail = f"{shape} has poles but is open at the sides"
        return LayoutGuess(Layout.HALF_ERP, True, detail)
    is_blank = abs(seam) <= least and scores["blank_sides"] > settings.blank_sides
    if is_map and not is_blank:
        has_poles_and_may_close = poles > least and seam >= -least
        if is_torn and has_poles_and_may_close:
            return LayoutGuess(Layout.CONVERTED_TWICE, False, torn_detail)
        if is_boxed and has_poles_and_may_close:
            return _letterboxed(shape, box, is_certain=False)
        if not is_boxed and (poles > least or seam >= -least) and poles >= -least:
            return LayoutGuess(Layout.MONO_ERP, False, f"{shape} is 2:1", NO_CONVERSION)
    detail = f"{shape} does not join at its left and right edges" + ", which are blank" * is_blank
    return LayoutGuess(Layout.FLAT, min(seam, poles) < -least, detail)


def _guess_closed(
    aspect: float, poles: float, shape: str, least: float, *, is_map: bool, is_boxed: bool
) -> LayoutGuess:
    """Classify a picture whose first and last columns are neighbors."""
    if is_map:
        detail = f"{shape} is 2:1 and closed at the seam"
        return LayoutGuess(Layout.MONO_ERP, True, detail, NO_CONVERSION)
    if aspect >= _MIN_BAND_ASPECT:
        detail = f"{shape} is closed at the seam, but too low for a whole sphere"
        return LayoutGuess(Layout.PARTIAL, True, detail)
    if poles >= -least and is_within(aspect, _SQUARE_ASPECTS):
        detail = f"{shape} has equal sides, and may have poles"
        return LayoutGuess(Layout.HALF_ERP, False, detail)
    if poles > 0 and is_within(aspect, SQUEEZED_ASPECTS) and not is_boxed:
        detail = f"{shape} is closed at the seam and at the poles: a squeezed map"
        return LayoutGuess(Layout.MONO_ERP_16X9, True, detail, NO_CONVERSION)
    return LayoutGuess(Layout.FLAT, False, f"{shape} has no poles")


def _letterboxed(shape: str, box: tuple[float, ...], *, is_certain: bool) -> LayoutGuess:
    top, left, bottom, right = box
    conversion = Conversion(crop=(top, left, bottom, right))
    return LayoutGuess(Layout.MONO_ERP_LETTERBOXED, is_certain, f"{shape} is a 2:1 map", conversion)


def describe_shape(info: MediaInfo) -> str:
    """Return the size of the frame, and its pixel aspect unless it is 1."""
    aspect = float(info.pixel_aspect)
    return f"{info.width}×{info.height}" + (f" of pixels {aspect:.3g}:1" if aspect != 1 else "")


def shape_aspect(info: MediaInfo, box_aspect: float = 1.0) -> float:
    """Return width : height of the displayed frame.

    The pixel aspect is left out if the stored frame is 2:1 without it, or if the displayed one is
    2:1 and the stored one is a map that was squeezed to fit a screen.

    Args:
        info: size and pixel aspect of the video.
        box_aspect: width : height, in shares of the frame, of the part that counts.
    """
    stored = info.width / info.height * box_aspect
    displayed = stored * float(info.pixel_aspect)
    is_squeezed = is_2_to_1(displayed) and is_within(stored, SQUEEZED_ASPECTS)
    return stored if is_2_to_1(stored) or is_squeezed else displayed


def is_2_to_1(aspect: float) -> bool:
    """Return True if width : height is 2:1 within `ASPECT_TOLERANCE`."""
    return abs(aspect / 2 - 1) <= ASPECT_TOLERANCE


def is_within(value: float, bounds: tuple[float, float]) -> bool:
    """Return True if the value is in the closed range."""
    return bounds[0] <= value <= bounds[1]
