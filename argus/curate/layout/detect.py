"""Detection of a video's layout from its metadata, its pixels and the shape of its frames.

Metadata can be wrong: where pixels clearly contradict it, the video is dropped for that reason.
Where they show nothing, or show the declared layout among others, metadata is believed; without
metadata, the shape of the frame.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from argus.curate.frame_sampling import NativeFrames
from argus.curate.layout.convert import NO_CONVERSION, Conversion
from argus.curate.layout.evidence import compute_layout_scores
from argus.curate.layout.guess import (
    CUBE_LAYOUTS,
    SQUEEZED_ASPECTS,
    LayoutGuess,
    confirms_declared,
    describe_shape,
    first_eye,
    guess_layout,
    is_2_to_1,
    is_within,
    shape_aspect,
)
from argus.curate.layout.marking import mark_layout_scores
from argus.dataset import Score
from argus.media import MediaInfo, SphericalMetadata
from schemas.config import FilterSettings
from schemas.names import Layout, Reason

_VR180_BOUNDS = (0.0, 0.0, 0.25, 0.25)  # a quarter of the width is missing on either side
_MIN_COVERAGE = 0.95  # of the sphere by a mesh, which then leaves out no more than a tripod
_ERP_LAYOUTS = frozenset({Layout.MONO_ERP, Layout.MONO_ERP_16X9, Layout.MONO_ERP_LETTERBOXED})
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
    guess = guess_layout(info, scores, settings, declared)
    if declared is None:
        return _to_verdict(declared, _apply_declared_stereo(guess, info.spherical), settings)
    if declared is Layout.UNKNOWN and guess.is_certain:
        return _to_verdict(declared, guess, settings)
    if _agrees(declared, guess):
        conversion = guess.conversion or _guess_from_metadata(declared, info).conversion
        detail = f"the metadata declares {declared}, and {guess.detail}"
        guess = replace(guess, detail=detail, conversion=conversion)
        return _to_verdict(declared, guess, settings)
    is_confirmed = confirms_declared(declared, guess, info, scores, settings)
    if declared is Layout.PARTIAL or not guess.is_certain or is_confirmed:
        return _to_verdict(declared, _guess_from_metadata(declared, info), settings)
    return LayoutVerdict(
        declared,
        guess.layout,
        Reason.LAYOUT_MISMATCH,
        f"the metadata declares {declared}, but {guess.detail}: {guess.layout}",
    )


def _agrees(declared: Layout, guess: LayoutGuess) -> bool:
    """Return True if the pixels show the declared layout or a special case of it.

    EACs are declared as meshes or as cubemaps.
    """
    if declared is Layout.PARTIAL:
        return guess.is_certain and guess.layout in CUBE_LAYOUTS
    layouts = {declared, guess.layout}
    return guess.layout is declared or layouts <= _ERP_LAYOUTS or layouts <= CUBE_LAYOUTS


def _apply_declared_stereo(guess: LayoutGuess, metadata: SphericalMetadata | None) -> LayoutGuess:
    """Return two eyes that are declared without a projection, unless the pixels are certain.

    Nothing shows that each eye is a sphere, so there is no conversion.
    """
    if metadata is None or guess.is_certain or metadata.stereo_mode == "mono":
        return guess
    detail = f"the metadata declares two eyes ({metadata.stereo_mode}) and no projection"
    return LayoutGuess(_STEREO_LAYOUTS[metadata.stereo_mode], False, detail)


def _guess_from_metadata(declared: Layout, info: MediaInfo) -> LayoutGuess:
    """Return the layout for metadata that pixels neither confirm nor refute."""
    detail = f"the metadata declares {declared}"
    shape, aspect = describe_shape(info), shape_aspect(info)
    if declared in (Layout.STEREO_TB, Layout.STEREO_SBS):
        return LayoutGuess(declared, True, detail, Conversion(crop=first_eye(declared)))
    if declared is not Layout.MONO_ERP:
        return LayoutGuess(declared, False, detail)
    if is_2_to_1(aspect):
        return LayoutGuess(declared, True, f"{detail}, and {shape} is 2:1", NO_CONVERSION)
    if is_within(aspect, SQUEEZED_ASPECTS):
        detail = f"{detail}, squeezed into {shape}"
        return LayoutGuess(Layout.MONO_ERP_16X9, True, detail, NO_CONVERSION)
    return LayoutGuess(Layout.UNKNOWN, False, f"{detail}, but {shape} is not 2:1")


def _to_verdict(
    declared: Layout | None, guess: LayoutGuess, settings: FilterSettings
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
