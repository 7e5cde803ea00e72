"""How the sphere lies in a video's frames: what its metadata declares, what its pixels show, and what is made of the two.

Numbers come from `argus.curate.layout.evidence`; here they are decided upon. Metadata may lie: where pixels clearly say otherwise, that is a reason of
its own; where they say nothing, metadata is believed, and without any the shape of the frame.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from argus.curate.frame_sampling import StoredSamples
from argus.curate.layout.convert import AS_STORED, Conversion, SourceProjection
from argus.curate.layout.evidence import score_pixels
from argus.curate.records import Score
from argus.media import MediaInfo, SphericalMetadata
from argus.sphere import CubeLayout
from schemas.config import FilterPolicy
from schemas.names import Layout, Reason

ASPECT_TOLERANCE = 0.03  # of 2:1; 640×322 is 0.6% off
_SQUEEZED = (1.25, 1.97)  # width : height of whole maps that are squeezed to fit a screen
_WIDE = 2.06  # from here on a closed picture is a band about the sphere
_SQUARE = (0.9, 1.1)
_TOLD = 0.1  # evidence that metadata, or custom, adds where layouts of faces hardly differ
_POLES_HELP = 0.15  # of the evidence for poles adds to, or takes from, that for a closed seam
_POLES_TELL = (
    0.3  # of the evidence for poles where an EAC would have them adds to that of torn edges
)
_LONG = 3.5  # from here on six faces may stand side by side
_HALF_BOUNDS = (0.0, 0.0, 0.25, 0.25)  # as VR180 is tagged: a quarter is missing on either side
_WHOLE = 0.95  # of the sphere: a mesh that covers so much leaves out no more than a tripod
_MAPS = frozenset({Layout.MONO_ERP, Layout.MONO_ERP_16X9, Layout.MONO_ERP_LETTERBOXED})
_CUBES = frozenset({Layout.EAC, Layout.CUBEMAP})
_PROJECTIONS = {
    "half_equirectangular": Layout.HALF_ERP,
    "cubemap": Layout.CUBEMAP,
    "eac": Layout.EAC,
    "fisheye": Layout.DUAL_FISHEYE,
    "rectilinear": Layout.FLAT,
}
_REASONS = {
    Layout.PARTIAL: Reason.NOT_FULL_SPHERE,
    Layout.HALF_ERP: Reason.NOT_FULL_SPHERE,
    Layout.STEREO_TB: Reason.STEREO,
    Layout.STEREO_SBS: Reason.STEREO,
    Layout.FLAT: Reason.NOT_360,
}
"""Why a layout is dropped that is not converted; others but mono ERP: UNSUPPORTED_LAYOUT."""


@dataclass(frozen=True)
class LayoutVerdict:
    """`reason` is None exactly when the video can be used, through its `conversion`."""

    declared: Layout | None
    layout: Layout
    reason: Reason | None
    detail: str
    scores: tuple[Score, ...] = ()
    conversion: Conversion = AS_STORED


@dataclass(frozen=True)
class Seen:
    """What the pixels show; when they are not `sure`, it is the likeliest of what they allow. Without a `conversion` it is no use."""

    layout: Layout
    sure: bool
    words: str
    conversion: Conversion | None = None


def declared_layout(metadata: SphericalMetadata | None) -> Layout | None:
    """What the metadata says; None where there is none. A mesh or bounds come before stereo: a part of the sphere stays a part."""
    if metadata is None:
        return None
    if (
        metadata.projection == "equirectangular"
        and max(abs(a - b) for a, b in zip(metadata.bounds, _HALF_BOUNDS, strict=True)) < 0.01
    ):
        return Layout.HALF_ERP
    if metadata.projection == "mesh" and (metadata.coverage or 0.0) >= _WHOLE:
        return Layout.UNKNOWN  # any projection can be written as a mesh
    if metadata.projection == "mesh" or any(metadata.bounds):
        return Layout.PARTIAL
    if metadata.projection == "equirectangular":
        return {"top-bottom": Layout.STEREO_TB, "left-right": Layout.STEREO_SBS}.get(
            metadata.stereo_mode, Layout.MONO_ERP
        )
    return _PROJECTIONS.get(metadata.projection, Layout.UNKNOWN)


def detect_layout(info: MediaInfo, stored: StoredSamples, policy: FilterPolicy) -> LayoutVerdict:
    """The layout by metadata and pixels, and how it becomes mono ERP; all scores are recorded, whichever decided."""
    numbers = score_pixels(stored, (info.height, info.width))
    verdict = decide_layout(info, numbers, policy)
    numbers["erp_height"] = verdict.conversion.erp_height((info.height, info.width))
    thresholds = {"left_right": policy.halves_similarity, "top_bottom": policy.halves_similarity}
    scores = tuple(
        Score("layout", name, value, thresholds.get(name), True) for name, value in numbers.items()
    )
    return replace(verdict, scores=scores)


def decide_layout(
    info: MediaInfo, numbers: Mapping[str, float], policy: FilterPolicy
) -> LayoutVerdict:
    """The verdict from the numbers of `score_pixels` alone."""
    stated = declared_layout(info.spherical)
    seen = _see(info, numbers, policy)
    if stated is None or (stated is Layout.UNKNOWN and seen.sure):
        return _verdict(stated, seen, policy)
    if _agree(stated, seen):
        words = f"its metadata says {stated}, and {seen.words}"
        return _verdict(
            stated,
            replace(
                seen,
                words=words,
                conversion=seen.conversion or _taken_at_its_word(stated, info).conversion,
            ),
            policy,
        )
    if stated is Layout.PARTIAL or not seen.sure:
        return _verdict(stated, _taken_at_its_word(stated, info), policy)
    return LayoutVerdict(
        stated,
        seen.layout,
        Reason.LAYOUT_MISMATCH,
        f"its metadata says {stated}, but {seen.words}: {seen.layout}",
    )


def _agree(stated: Layout, seen: Seen) -> bool:
    """Whether what is seen is what is stated, or a special case of it. EACs are declared as meshes or as cubemaps."""
    if stated is Layout.PARTIAL:
        return seen.sure and seen.layout in _CUBES
    return (
        seen.layout is stated or {stated, seen.layout} <= _MAPS or {stated, seen.layout} <= _CUBES
    )


def _taken_at_its_word(stated: Layout, info: MediaInfo) -> Seen:
    """What is made of metadata that pixels neither bear out nor refute."""
    words = f"its metadata says {stated}"
    shape = f"{info.width}×{info.height}"
    if stated in (Layout.STEREO_TB, Layout.STEREO_SBS):
        return Seen(stated, True, words, Conversion(crop=_first_eye(stated)))
    if stated is not Layout.MONO_ERP:
        return Seen(stated, False, words)
    if _is_map(info, 1.0):
        return Seen(stated, True, f"{words}, and {shape} is 2:1", AS_STORED)
    if _SQUEEZED[0] <= info.width / info.height <= _SQUEEZED[1]:
        return Seen(Layout.MONO_ERP_16X9, True, f"{words}, squeezed into {shape}", AS_STORED)
    return Seen(Layout.UNKNOWN, False, f"{words}, but {shape} is not 2:1")


def _verdict(stated: Layout | None, seen: Seen, policy: FilterPolicy) -> LayoutVerdict:
    if seen.layout is Layout.MONO_ERP:
        return LayoutVerdict(stated, seen.layout, None, seen.words)
    if seen.layout in policy.convert and seen.conversion:
        return LayoutVerdict(stated, seen.layout, None, seen.words, conversion=seen.conversion)
    if stated in _MAPS and seen.layout is Layout.UNKNOWN:
        return LayoutVerdict(stated, seen.layout, Reason.LAYOUT_MISMATCH, seen.words)
    return LayoutVerdict(
        stated, seen.layout, _REASONS.get(seen.layout, Reason.UNSUPPORTED_LAYOUT), seen.words
    )


def _see(info: MediaInfo, numbers: Mapping[str, float], policy: FilterPolicy) -> Seen:
    """The layout that pixels and shape speak for: strongest evidence first."""
    return (
        _see_lenses(numbers, policy)
        or _see_faces(info, numbers, policy)
        or _see_eyes(info, numbers, policy)
        or _see_map(info, numbers, policy)
    )


def _see_lenses(numbers: Mapping[str, float], policy: FilterPolicy) -> Seen | None:
    if numbers["circles"] > policy.disc_evidence:
        if (
            numbers["left_right"] > (1 + policy.halves_similarity) / 2
        ):  # the black about the discs is alike in any case
            return Seen(Layout.PARTIAL, True, "two discs on black show the same scene")
        conversion = Conversion(SourceProjection.DUAL_FISHEYE, fov_deg=policy.fisheye_fov_deg)
        return Seen(Layout.DUAL_FISHEYE, True, "it shows two discs on black", conversion)
    if numbers["circle"] > policy.disc_evidence:
        return Seen(Layout.PARTIAL, True, "it shows one disc on black")
    return None


def _see_faces(info: MediaInfo, numbers: Mapping[str, float], policy: FilterPolicy) -> Seen | None:
    shapes = (
        {CubeLayout.C6X1}
        if info.width / info.height >= _LONG
        else {CubeLayout.EAC, CubeLayout.C3X2, CubeLayout.CBMP}
    )
    told = (
        {CubeLayout.CBMP}
        if declared_layout(info.spherical) is Layout.CUBEMAP
        else {CubeLayout.C3X2}
    )  # they differ above and below alone
    best = max(sorted(shapes), key=lambda kind: numbers[f"cube_{kind}"] + _TOLD * (kind in told))
    joined = numbers[f"cube_{best}"]
    if (
        joined <= policy.layout_evidence
        or joined < numbers["seam"]
        or numbers["blank_sides"] > policy.blank_sides
    ):
        return None
    layout = Layout.EAC if best == CubeLayout.EAC else Layout.CUBEMAP
    return Seen(
        layout,
        True,
        f"the edges of six faces join as in a {best} picture",
        Conversion(SourceProjection(best), native=(info.height, info.width)),
    )


def _see_eyes(info: MediaInfo, numbers: Mapping[str, float], policy: FilterPolicy) -> Seen | None:
    name = max(("left_right", "top_bottom"), key=lambda name: numbers[name])
    least = policy.layout_evidence
    if numbers[name] <= policy.halves_similarity or (
        numbers["seam"] > least and numbers[f"seam_{name}"] < -least
    ):
        return None  # the second: one map about the sphere whose halves happen to be alike
    layout = {"left_right": Layout.STEREO_SBS, "top_bottom": Layout.STEREO_TB}[name]
    seam, poles = numbers[f"seam_{name}"], numbers[f"poles_{name}"]
    same = f"its halves show the same scene ({name.replace('_', ' ')})"
    if seam > least:
        return Seen(
            layout, True, f"{same}, each closed at its seam", Conversion(crop=_first_eye(layout))
        )
    if (
        seam >= -least
        and poles > least
        and info.width / info.height * (2.0 if layout is Layout.STEREO_TB else 0.5) > _SQUEEZED[1]
    ):
        return Seen(
            layout,
            True,
            f"{same}, each with poles and wide enough for the whole sphere",
            Conversion(crop=_first_eye(layout)),
        )
    if seam >= -least:
        return Seen(layout, True, f"{same}, and nothing shows whether it is the whole sphere")
    if poles > 0:
        return Seen(Layout.HALF_ERP, True, f"{same}, with poles but open at the sides")
    return Seen(Layout.FLAT, True, f"{same}, open at the sides and without poles")


def _first_eye(layout: Layout) -> tuple[float, float, float, float]:
    return (0.0, 0.0, 0.5, 1.0) if layout is Layout.STEREO_TB else (0.0, 0.0, 1.0, 0.5)


def _see_map(info: MediaInfo, numbers: Mapping[str, float], policy: FilterPolicy) -> Seen:
    """One picture: a whole map, part of one, or none."""
    least = policy.layout_evidence
    seam, poles = numbers["seam"], numbers["poles"]
    box = tuple(numbers[f"box_{side}"] for side in ("top", "left", "bottom", "right"))
    inner = (box[3] - box[1]) / (
        box[2] - box[0]
    )  # of the box's width to its height, both as shares
    aspect = info.width / info.height * inner
    boxed = box != (0.0, 0.0, 1.0, 1.0)
    shape = f"{info.width}×{info.height}" + (" within bars" if boxed else "")
    is_map = _is_map(info, inner)
    is_torn = numbers["cube_edges"] - _POLES_TELL * numbers["poles_as_eac"] < -policy.torn_edges
    if seam + _POLES_HELP * poles > least:
        if boxed and inner > 1 and _is_map(info, 1.0):
            return Seen(
                Layout.MONO_ERP,
                True,
                f"{shape} is 2:1 and closed at the seam: black caps",
                AS_STORED,
            )
        if is_map and is_torn:
            return Seen(Layout.CONVERTED_TWICE, True, f"{shape} is torn along the edges of a cube")
        if is_map and boxed:
            return _letterboxed(shape, box, sure=True)
        return _closed(aspect, poles, shape, least, is_map=is_map, boxed=boxed)
    if poles > least and _SQUARE[0] <= aspect <= _SQUARE[1]:
        return Seen(Layout.HALF_ERP, True, f"{shape} has poles but is open at the sides")
    is_blank = abs(seam) <= least and numbers["blank_sides"] > policy.blank_sides
    if is_map and is_torn and not is_blank and poles > least and seam >= -least:
        return Seen(Layout.CONVERTED_TWICE, False, f"{shape} is torn along the edges of a cube")
    if is_map and boxed and not is_blank and poles > least and seam >= -least:
        return _letterboxed(shape, box, sure=False)
    if (
        is_map
        and not boxed
        and not is_blank
        and (poles > least or seam >= -least)
        and poles >= -least
    ):
        return Seen(Layout.MONO_ERP, False, f"{shape} is 2:1", AS_STORED)
    return Seen(
        Layout.FLAT,
        min(seam, poles) < -least,
        f"{shape} does not close at its sides" + ", which are blank" * is_blank,
    )


def _closed(
    aspect: float, poles: float, shape: str, least: float, *, is_map: bool, boxed: bool
) -> Seen:
    """A picture whose first and last column are neighbours."""
    if is_map:
        return Seen(Layout.MONO_ERP, True, f"{shape} is 2:1 and closed at the seam", AS_STORED)
    if aspect >= _WIDE:
        return Seen(
            Layout.PARTIAL, True, f"{shape} is closed at the seam, but too low for the whole sphere"
        )
    if poles >= -least and _SQUARE[0] <= aspect <= _SQUARE[1]:
        return Seen(Layout.HALF_ERP, False, f"{shape} has sides alike, and may have poles")
    if poles > 0 and _SQUEEZED[0] <= aspect <= _SQUEEZED[1] and not boxed:
        return Seen(
            Layout.MONO_ERP_16X9,
            True,
            f"{shape} is closed at the seam and the poles: a squeezed map",
            AS_STORED,
        )
    return Seen(Layout.FLAT, False, f"{shape} has no poles")


def _letterboxed(shape: str, box: tuple[float, ...], *, sure: bool) -> Seen:
    top, left, bottom, right = box
    return Seen(
        Layout.MONO_ERP_LETTERBOXED,
        sure,
        f"{shape} is a 2:1 map",
        Conversion(crop=(top, left, bottom, right)),
    )


def _is_map(info: MediaInfo, inner: float) -> bool:
    """Whether width : height is 2 : 1, as stored or as shown; `inner` is that of the part that counts, in shares of the frame."""
    stored = info.width / info.height * inner
    shown = stored * float(info.pixel_aspect if info.rotation % 180 == 0 else 1 / info.pixel_aspect)
    is_squeezed = _SQUEEZED[0] <= stored <= _SQUEEZED[1]
    return abs(stored / 2 - 1) <= ASPECT_TOLERANCE or (
        abs(shown / 2 - 1) <= ASPECT_TOLERANCE and not is_squeezed
    )
