"""How the sphere lies in a video's frames: what its metadata declares, what aspect and pixels say, and whether that can be used.

Only the whole sphere for one eye in one equirectangular map is wanted. Nothing is converted here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from argus.curate.footage import AS_STORED, Conversion
from argus.curate.halves import score_halves
from argus.curate.records import Score
from argus.curate.samples import StoredSamples
from argus.media import MediaInfo, SphericalMetadata
from schemas.config import FilterPolicy
from schemas.names import Layout, Reason

ASPECT_TOLERANCE = 0.03  # of 2:1; 640×322 is 0.6% off
_PROJECTIONS = {
    "half_equirectangular": Layout.HALF_ERP,
    "cubemap": Layout.CUBEMAP,
    "fisheye": Layout.DUAL_FISHEYE,
    "rectilinear": Layout.FLAT,
}
_DECLARED_REASONS = {
    Layout.PARTIAL: Reason.NOT_FULL_SPHERE,
    Layout.HALF_ERP: Reason.NOT_FULL_SPHERE,
    Layout.STEREO_TB: Reason.STEREO,
    Layout.STEREO_SBS: Reason.STEREO,
    Layout.FLAT: Reason.NOT_360,
}
"""Other declared layouts but mono ERP are not converted: UNSUPPORTED_LAYOUT."""


@dataclass(frozen=True)
class LayoutVerdict:
    """`reason` is None exactly when the layout can be used as it is."""

    declared: Layout | None
    layout: Layout
    reason: Reason | None
    detail: str
    scores: tuple[Score, ...] = ()
    conversion: Conversion = AS_STORED


def declared_layout(metadata: SphericalMetadata | None) -> Layout | None:
    """What the metadata says; None where there is none. A mesh or bounds come before stereo: a part of the sphere stays a part."""
    if metadata is None:
        return None
    if metadata.projection == "mesh" or any(metadata.bounds):
        return Layout.PARTIAL
    if metadata.projection == "equirectangular":
        return {"top-bottom": Layout.STEREO_TB, "left-right": Layout.STEREO_SBS}.get(metadata.stereo_mode, Layout.MONO_ERP)
    return _PROJECTIONS.get(metadata.projection, Layout.UNKNOWN)


def judge_layout(info: MediaInfo, stored: StoredSamples, policy: FilterPolicy) -> LayoutVerdict:
    """The layout by metadata, aspect and the similarity of halves (`argus.curate.halves`), strongest evidence first."""
    halves = score_halves(stored)
    threshold = policy.halves_similarity
    scores = tuple(Score("halves", name, value, threshold, value <= threshold) for name, value in halves.items())
    return replace(_judge(info, halves, policy), scores=scores)


def _judge(info: MediaInfo, halves: Mapping[str, float], policy: FilterPolicy) -> LayoutVerdict:
    stated = declared_layout(info.spherical)
    seen = _stereo(halves, policy)
    aspect = info.width * info.pixel_aspect / info.height if info.rotation % 180 == 0 else info.width / (info.height * info.pixel_aspect)
    shape = f"{info.width}×{info.height}"
    if stated not in (None, Layout.MONO_ERP):
        return LayoutVerdict(stated, stated, _DECLARED_REASONS.get(stated, Reason.UNSUPPORTED_LAYOUT), f"its metadata says {stated}")
    if seen and stated:
        return LayoutVerdict(stated, seen, Reason.LAYOUT_MISMATCH, f"its metadata says {stated}, but its halves show the same scene ({seen})")
    if seen:
        return LayoutVerdict(stated, seen, Reason.STEREO, f"its halves show the same scene ({seen})")
    if abs(float(aspect) / 2 - 1) <= ASPECT_TOLERANCE:
        return LayoutVerdict(stated, Layout.MONO_ERP, None, f"{shape} is 2:1")
    if stated and abs(float(aspect) * 9 / 16 - 1) <= ASPECT_TOLERANCE:
        return LayoutVerdict(stated, Layout.MONO_ERP_16X9, None, f"its metadata says {stated}, squeezed into {shape}")
    if stated:
        return LayoutVerdict(stated, Layout.UNKNOWN, Reason.LAYOUT_MISMATCH, f"its metadata says {stated}, but {shape} is not 2:1")
    return LayoutVerdict(stated, Layout.FLAT, Reason.NOT_360, f"{shape} is not 2:1, and no metadata says that it is a panorama")


def _stereo(halves: Mapping[str, float], policy: FilterPolicy) -> Layout | None:
    name = max(halves, key=lambda name: halves[name])
    if halves[name] <= policy.halves_similarity:
        return None
    return {"left_right": Layout.STEREO_SBS, "top_bottom": Layout.STEREO_TB}[name]
