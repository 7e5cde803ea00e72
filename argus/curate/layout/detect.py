"""Detection of a video's layout from its metadata, its pixels and the shape of its frames.

Metadata can be wrong: where pixels clearly contradict it, the video is dropped for that reason.
Where they show nothing, metadata is believed; without metadata, the shape of the frame.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from argus.curate.frame_sampling import NativeFrames
from argus.curate.layout.convert import NO_CONVERSION, Conversion, SourceProjection
from argus.curate.layout.evidence import compute_layout_scores
from argus.curate.layout.marking import mark_layout_scores
from argus.dataset import Score
from argus.media import MediaInfo, SphericalMetadata
from argus.sphere import CubeLayout
from schemas.config import FilterSettings
from schemas.names import Layout, Reason

ASPECT_TOLERANCE = 0.03
"""Largest relative deviation from 2:1; 640×322 deviates by 0.6%."""

_SQUEEZED_ASPECTS = (1.25, 1.97)  # width : height of whole maps that are squeezed to fit a screen
_MIN_BAND_ASPECT = 2.06  # width : height from which a closed picture is a band of the sphere
_SQUARE_ASPECTS = (0.9, 1.1)
_MIN_ROW_OF_FACES_ASPECT = 3.5  # width : height from which six faces may be side by side
_PRIOR = 0.1  # evidence added for the usual cube layout, where layouts hardly differ
_POLES_WEIGHT = 0.15  # of the evidence for poles, added to that for a closed seam
_EAC_POLES_WEIGHT = 0.3  # of the evidence for the poles of an EAC, subtracted from that for edges
_VR180_BOUNDS = (0.0, 0.0, 0.25, 0.25)  # a quarter of the width is missing on either side
_MIN_COVERAGE = 0.95  # of the sphere by a mesh, which then leaves out no more than a tripod
_ERP_LAYOUTS = frozenset({Layout.MONO_ERP, Layout.MONO_ERP_16X9, Layout.MONO_ERP_LETTERBOXED})
_CUBE_LAYOUTS = frozenset({Layout.EAC, Layout.CUBEMAP})
_DECLARED_LAYOUTS = {
    "half_equirectangular": Layout.HALF_ERP,
    "cubemap": Layout.CUBEMAP,
    "eac": Layout.EAC,
    "fisheye": Layout.DUAL_FISHEYE,
    "rectilinear": Layout.FLAT,
}
_STEREO_LAYOUTS = {"top-bottom": Layout.STEREO_TB, "left-right": Layout.STEREO_SBS}
_REASONS = {
    Layout.PARTIAL: Reason.NOT_FULL_SPHERE,
    Layout.HALF_ERP: Reason.NOT_FULL_SPHERE,
    Layout.STEREO_TB: Reason.STEREO,
    Layout.STEREO_SBS: Reason.STEREO,
    Layout.FLAT: Reason.NOT_360,
}
"""Why a layout that is not converted is dropped; UNSUPPORTED_LAYOUT for all others."""


@dataclass(frozen=True)
class LayoutVerdict:
    """Detected layout of a video.

    Attributes:
        declared: layout that the metadata declares, if any.
        layout: detected layout.
        reason: why the video cannot be used; None if it can, through `conversion`.
        detail: one sentence for a person.
        scores: all scores, whichever decided.
        conversion: conversion to mono ERP.
    """

    declared: Layout | None
    layout: Layout
    reason: Reason | None
    detail: str
    scores: tuple[Score, ...] = ()
    conversion: Conversion = NO_CONVERSION


@dataclass(frozen=True)
class _LayoutGuess:
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


def declared_layout(metadata: SphericalMetadata | None) -> Layout | None:
    """Return the layout that metadata declares, or None if it declares no projection.

    A mesh or bounds count before stereo: one eye of a part of the sphere is still a part.
    """
    if metadata is None or metadata.projection == "undeclared":
        return None
    if metadata.projection == "equirectangular":
        deviations = (abs(a - b) for a, b in zip(metadata.bounds, _VR180_BOUNDS, strict=True))
        if max(deviations) < 0.01:
            return Layout.HALF_ERP
    if metadata.projection == "mesh" and (metadata.coverage or 0.0) >= _MIN_COVERAGE:
        return Layout.UNKNOWN  # any projection can be written as a mesh
    if metadata.projection == "mesh" or any(metadata.bounds):
        return Layout.PARTIAL
    if metadata.projection == "equirectangular":
        return _STEREO_LAYOUTS.get(metadata.stereo_mode, Layout.MONO_ERP)
    return _DECLARED_LAYOUTS.get(metadata.projection, Layout.UNKNOWN)


def detect_layout(info: MediaInfo, native: NativeFrames, settings: FilterSettings) -> LayoutVerdict:
    """Detect the layout of a video and its conversion to mono ERP.

    Args:
        info: size, pixel aspect and spherical metadata of the video.
        native: sampled frames as the video stores them.
        settings: thresholds, and the layouts to convert.

    Returns:
        The verdict with all scores, whichever decided.
    """
    native_size = (info.height, info.width)
    values = compute_layout_scores(native, native_size)
    verdict = decide_layout(info, values, settings)
    values["erp_height"] = verdict.conversion.erp_height(native_size)
    scores = mark_layout_scores(
        (Score("layout", name, value) for name, value in values.items()),
        verdict.layout,
        settings,
        is_accepted=verdict.reason is None,
    )
    return replace(verdict, scores=scores)


def decide_layout(
    info: MediaInfo, scores: Mapping[str, float], settings: FilterSettings
) -> LayoutVerdict:
    """Decide from the scores of `compute_layout_scores` alone; the verdict has no scores.

    Raises:
        KeyError: a score is missing.
    """
    declared = declared_layout(info.spherical)
    guess = _guess_from_pixels(info, scores, settings)
    if declared is None:
        return _to_verdict(declared, _apply_declared_stereo(guess, info.spherical), settings)
    if declared is Layout.UNKNOWN and guess.is_certain:
        return _to_verdict(declared, guess, settings)
    if _agrees(declared, guess):
        conversion = guess.conversion or _guess_from_metadata(declared, info).conversion
        detail = f"the metadata declares {declared}, and {guess.detail}"
        guess = replace(guess, detail=detail, conversion=conversion)
        return _to_verdict(declared, guess, settings)
    if declared is Layout.PARTIAL or not guess.is_certain:
        return _to_verdict(declared, _guess_from_metadata(declared, info), settings)
    return LayoutVerdict(
        declared,
        guess.layout,
        Reason.LAYOUT_MISMATCH,
        f"the metadata declares {declared}, but {guess.detail}: {guess.layout}",
    )


def _agrees(declared: Layout, guess: _LayoutGuess) -> bool:
    """Return True if the pixels show the declared layout or a special case of it.

    EACs are declared as meshes or as cubemaps.
    """
    if declared is Layout.PARTIAL:
        return guess.is_certain and guess.layout in _CUBE_LAYOUTS
    layouts = {declared, guess.layout}
    return guess.layout is declared or layouts <= _ERP_LAYOUTS or layouts <= _CUBE_LAYOUTS


def _apply_declared_stereo(guess: _LayoutGuess, metadata: SphericalMetadata | None) -> _LayoutGuess:
    """Return two eyes that are declared without a projection, unless the pixels are certain.

    Nothing shows that each eye is a sphere, so there is no conversion.
    """
    if metadata is None or guess.is_certain or metadata.stereo_mode == "mono":
        return guess
    detail = f"the metadata declares two eyes ({metadata.stereo_mode}) and no projection"
    return _LayoutGuess(_STEREO_LAYOUTS[metadata.stereo_mode], False, detail)


def _guess_from_metadata(declared: Layout, info: MediaInfo) -> _LayoutGuess:
    """Return the layout for metadata that pixels neither confirm nor refute."""
    detail = f"the metadata declares {declared}"
    shape, aspect = _describe_shape(info), _shape_aspect(info)
    if declared in (Layout.STEREO_TB, Layout.STEREO_SBS):
        return _LayoutGuess(declared, True, detail, Conversion(crop=_first_eye(declared)))
    if declared is not Layout.MONO_ERP:
        return _LayoutGuess(declared, False, detail)
    if _is_2_to_1(aspect):
        return _LayoutGuess(declared, True, f"{detail}, and {shape} is 2:1", NO_CONVERSION)
    if _is_within(aspect, _SQUEEZED_ASPECTS):
        detail = f"{detail}, squeezed into {shape}"
        return _LayoutGuess(Layout.MONO_ERP_16X9, True, detail, NO_CONVERSION)
    return _LayoutGuess(Layout.UNKNOWN, False, f"{detail}, but {shape} is not 2:1")


def _to_verdict(
    declared: Layout | None, guess: _LayoutGuess, settings: FilterSettings
) -> LayoutVerdict:
    """Accept mono ERP and layouts that are to be converted; give all others a reason."""
    layout, detail = guess.layout, guess.detail
    if layout is Layout.MONO_ERP:
        return LayoutVerdict(declared, layout, None, detail)
    if layout in settings.convert and guess.conversion:
        return LayoutVerdict(declared, layout, None, detail, conversion=guess.conversion)
    if declared in _ERP_LAYOUTS and layout is Layout.UNKNOWN:
        return LayoutVerdict(declared, layout, Reason.LAYOUT_MISMATCH, detail)
    return LayoutVerdict(declared, layout, _REASONS.get(layout, Reason.UNSUPPORTED_LAYOUT), detail)


def _guess_from_pixels(
    info: MediaInfo, scores: Mapping[str, float], settings: FilterSettings
) -> _LayoutGuess:
    """Return the layout that pixels and shape suggest, by the strongest kind of evidence first."""
    return (
        _guess_fisheye(scores, settings)
        or _guess_cube(info, scores, settings)
        or _guess_stereo(info, scores, settings)
        or _guess_erp(info, scores, settings)
    )


def _guess_fisheye(scores: Mapping[str, float], settings: FilterSettings) -> _LayoutGuess | None:
    if scores["circles"] > settings.disc_evidence:
        # the black around the discs is equal in any case, so equal discs need more
        if scores["left_right"] > (1 + settings.halves_similarity) / 2:
            return _LayoutGuess(Layout.PARTIAL, True, "two discs on black show the same scene")
        conversion = Conversion(SourceProjection.DUAL_FISHEYE, fov_deg=settings.fisheye_fov_deg)
        return _LayoutGuess(
            Layout.DUAL_FISHEYE, True, "the picture shows two discs on black", conversion
        )
    if scores["circle"] > settings.disc_evidence:
        return _LayoutGuess(Layout.PARTIAL, True, "the picture shows one disc on black")
    return None


def _guess_cube(
    info: MediaInfo, scores: Mapping[str, float], settings: FilterSettings
) -> _LayoutGuess | None:
    candidates = {CubeLayout.EAC, CubeLayout.C3X2, CubeLayout.CBMP}
    if _shape_aspect(info) >= _MIN_ROW_OF_FACES_ASPECT:
        candidates = {CubeLayout.C6X1}
    # these two differ only in the faces above and below
    is_tagged = declared_layout(info.spherical) is Layout.CUBEMAP
    usual = CubeLayout.CBMP if is_tagged else CubeLayout.C3X2
    best = max(
        sorted(candidates), key=lambda kind: scores[f"cube_{kind}"] + _PRIOR * (kind == usual)
    )
    joined = scores[f"cube_{best}"]
    if (
        joined <= settings.layout_evidence
        or joined < scores["seam"]
        or scores["blank_sides"] > settings.blank_sides
    ):
        return None
    return _LayoutGuess(
        Layout.EAC if best == CubeLayout.EAC else Layout.CUBEMAP,
        True,
        f"the edges of six faces join as in a {best} picture",
        Conversion(SourceProjection(best), native_size=(info.height, info.width)),
    )


def _guess_stereo(
    info: MediaInfo, scores: Mapping[str, float], settings: FilterSettings
) -> _LayoutGuess | None:
    name = max(("left_right", "top_bottom"), key=lambda name: scores[name])
    if scores[name] <= settings.halves_similarity:
        return None
    least = settings.layout_evidence
    seam, poles = scores[f"seam_{name}"], scores[f"poles_{name}"]
    if scores["seam"] > least and seam < -least:
        return None  # one map around the sphere whose halves happen to be alike
    layout = {"left_right": Layout.STEREO_SBS, "top_bottom": Layout.STEREO_TB}[name]
    eye_aspect = _shape_aspect(info) * (2.0 if layout is Layout.STEREO_TB else 0.5)
    crop = Conversion(crop=_first_eye(layout))
    detail = f"the halves show the same scene ({name.replace('_', ' ')})"
    if seam > least:
        return _LayoutGuess(layout, True, f"{detail}, each closed at its seam", crop)
    if seam >= -least and poles > least and eye_aspect > _SQUEEZED_ASPECTS[1]:
        return _LayoutGuess(
            layout, True, f"{detail}, each with poles and as wide as a sphere", crop
        )
    if seam >= -least:
        return _LayoutGuess(layout, True, f"{detail}, but nothing shows that it is a whole sphere")
    if poles > 0:
        return _LayoutGuess(Layout.HALF_ERP, True, f"{detail}, with poles but open at the sides")
    return _LayoutGuess(Layout.FLAT, True, f"{detail}, open at the sides and without poles")


def _first_eye(layout: Layout) -> tuple[float, float, float, float]:
    """Return the crop of the left eye, which is the upper or the left half."""
    return (0.0, 0.0, 0.5, 1.0) if layout is Layout.STEREO_TB else (0.0, 0.0, 1.0, 0.5)


def _guess_erp(
    info: MediaInfo, scores: Mapping[str, float], settings: FilterSettings
) -> _LayoutGuess:
    """Classify one picture as a whole map, a part of one, or flat."""
    least = settings.layout_evidence
    seam, poles = scores["seam"], scores["poles"]
    box = tuple(scores[f"box_{side}"] for side in ("top", "left", "bottom", "right"))
    box_aspect = (box[3] - box[1]) / (box[2] - box[0])  # of shares of width and height
    aspect = _shape_aspect(info, box_aspect)
    is_boxed = box != (0.0, 0.0, 1.0, 1.0)
    is_map = _is_2_to_1(aspect)
    is_torn = (
        scores["cube_edges"] - _EAC_POLES_WEIGHT * scores["poles_as_eac"] < -settings.torn_edges
    )
    shape = _describe_shape(info) + (" within bars" if is_boxed else "")
    torn_detail = f"{shape} is torn along the edges of a cube"
    if seam + _POLES_WEIGHT * poles > least:
        if is_boxed and box_aspect > 1 and _is_2_to_1(_shape_aspect(info)):
            detail = f"{shape} is 2:1 and closed at the seam: the bars are black caps"
            return _LayoutGuess(Layout.MONO_ERP, True, detail, NO_CONVERSION)
        if is_map and is_torn:
            return _LayoutGuess(Layout.CONVERTED_TWICE, True, torn_detail)
        if is_map and is_boxed:
            return _letterboxed(shape, box, is_certain=True)
        return _guess_closed(aspect, poles, shape, least, is_map=is_map, is_boxed=is_boxed)
    if poles > least and _is_within(aspect, _SQUARE_ASPECTS):
        detail = f"{shape} has poles but is open at the sides"
        return _LayoutGuess(Layout.HALF_ERP, True, detail)
    is_blank = abs(seam) <= least and scores["blank_sides"] > settings.blank_sides
    if is_map and not is_blank:
        has_poles_and_may_close = poles > least and seam >= -least
        if is_torn and has_poles_and_may_close:
            return _LayoutGuess(Layout.CONVERTED_TWICE, False, torn_detail)
        if is_boxed and has_poles_and_may_close:
            return _letterboxed(shape, box, is_certain=False)
        if not is_boxed and (poles > least or seam >= -least) and poles >= -least:
            return _LayoutGuess(Layout.MONO_ERP, False, f"{shape} is 2:1", NO_CONVERSION)
    detail = f"{shape} does not join at its left and right edges" + ", which are blank" * is_blank
    return _LayoutGuess(Layout.FLAT, min(seam, poles) < -least, detail)


def _guess_closed(
    aspect: float, poles: float, shape: str, least: float, *, is_map: bool, is_boxed: bool
) -> _LayoutGuess:
    """Classify a picture whose first and last columns are neighbors."""
    if is_map:
        detail = f"{shape} is 2:1 and closed at the seam"
        return _LayoutGuess(Layout.MONO_ERP, True, detail, NO_CONVERSION)
    if aspect >= _MIN_BAND_ASPECT:
        detail = f"{shape} is closed at the seam, but too low for a whole sphere"
        return _LayoutGuess(Layout.PARTIAL, True, detail)
    if poles >= -least and _is_within(aspect, _SQUARE_ASPECTS):
        detail = f"{shape} has equal sides, and may have poles"
        return _LayoutGuess(Layout.HALF_ERP, False, detail)
    if poles > 0 and _is_within(aspect, _SQUEEZED_ASPECTS) and not is_boxed:
        detail = f"{shape} is closed at the seam and at the poles: a squeezed map"
        return _LayoutGuess(Layout.MONO_ERP_16X9, True, detail, NO_CONVERSION)
    return _LayoutGuess(Layout.FLAT, False, f"{shape} has no poles")


def _letterboxed(shape: str, box: tuple[float, ...], *, is_certain: bool) -> _LayoutGuess:
    top, left, bottom, right = box
    conversion = Conversion(crop=(top, left, bottom, right))
    return _LayoutGuess(
        Layout.MONO_ERP_LETTERBOXED, is_certain, f"{shape} is a 2:1 map", conversion
    )


def _describe_shape(info: MediaInfo) -> str:
    aspect = float(info.pixel_aspect)
    return f"{info.width}×{info.height}" + (f" of pixels {aspect:.3g}:1" if aspect != 1 else "")


def _shape_aspect(info: MediaInfo, box_aspect: float = 1.0) -> float:
    """Return width : height of the displayed frame.

    The pixel aspect is left out if the stored frame is 2:1 without it, or if the displayed one is
    2:1 and the stored one is a map that was squeezed to fit a screen.

    Args:
        info: size and pixel aspect of the video.
        box_aspect: width : height, in shares of the frame, of the part that counts.
    """
    stored = info.width / info.height * box_aspect
    displayed = stored * float(info.pixel_aspect)
    is_squeezed = _is_2_to_1(displayed) and _is_within(stored, _SQUEEZED_ASPECTS)
    return stored if _is_2_to_1(stored) or is_squeezed else displayed


def _is_2_to_1(aspect: float) -> bool:
    return abs(aspect / 2 - 1) <= ASPECT_TOLERANCE


def _is_within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= value <= bounds[1]
