"""Check of `argus tag`: the pixels of a video must look like the map that it is to declare."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from argus.errors import InvalidInput, VideoError
from schemas.config import ClipSettings, FilterSettings
from schemas.names import Layout, Reason

if TYPE_CHECKING:
    from argus.curate import LayoutVerdict
    from argus.media import SphericalMetadata


@dataclass(frozen=True)
class _Fit:
    """Declarations that fit a layout.

    Attributes:
        projections: those that fit.
        stereo_modes: those that fit.
        options: the options of `argus tag` for it; empty for the defaults.
    """

    projections: frozenset[str]
    stereo_modes: frozenset[str]
    options: str = ""


_ERP, _ANY_ERP = (
    frozenset({"equirectangular"}),
    frozenset({"equirectangular", "half_equirectangular"}),
)
_MONO = frozenset({"mono"})
_FITS = {
    Layout.MONO_ERP: _Fit(_ERP, _MONO),
    Layout.MONO_ERP_16X9: _Fit(_ERP, _MONO),
    Layout.STEREO_TB: _Fit(_ANY_ERP, frozenset({"top-bottom"}), "--stereo top-bottom"),
    Layout.STEREO_SBS: _Fit(_ANY_ERP, frozenset({"left-right"}), "--stereo left-right"),
    Layout.HALF_ERP: _Fit(
        frozenset({"half_equirectangular"}),
        frozenset({"mono", "top-bottom", "left-right"}),
        "--projection half_equirectangular",
    ),
    Layout.EAC: _Fit(frozenset({"eac"}), _MONO, "--projection eac"),
    Layout.CUBEMAP: _Fit(frozenset({"cubemap"}), _MONO, "--projection cubemap"),
}
_FINAL_REASONS = {
    Reason.TRUNCATED,
    Reason.UNSUPPORTED_LAYOUT,  # the raw pictures of a two-lens camera
}
_DECLARED_CUBEMAP = "cbmp"  # the order of faces that Spherical Video V2 declares
_REMEDIES = {
    Layout.CUBEMAP: "arrange its faces as in Spherical Video V2",
    Layout.MONO_ERP_LETTERBOXED: "crop the bars",
    Layout.DUAL_FISHEYE: "convert it with argus stitch",
}


def require_map(video: Path, metadata: "SphericalMetadata") -> None:
    """Check that a video without declared projection looks as it is to be declared.

    Args:
        video: the file.
        metadata: what is to be declared.

    Raises:
        InvalidInput: the pixels are no map of the sphere, or another one; in one line with the
            options that fit.
        VideoError: the frames cannot be decoded.
    """
    verdict = _detect(video, metadata)
    fit = _FITS.get(verdict.layout)
    if verdict.layout is Layout.CUBEMAP and verdict.conversion.projection != _DECLARED_CUBEMAP:
        fit = None
    if fit and metadata.projection in fit.projections and metadata.stereo_mode in fit.stereo_modes:
        return
    if fit is None:
        remedy = _REMEDIES.get(verdict.layout)
        advice = f"{remedy} first, or give --force" if remedy else "--force tags it all the same"
        raise InvalidInput(
            f"{video} declares no projection and does not look like a 360° map that players know: "
            f"{verdict.detail}; {advice}"
        )
    wanted = f"{metadata.projection} {metadata.stereo_mode}"
    options = fit.options or "--projection equirectangular --stereo mono"
    if verdict.layout is Layout.HALF_ERP:
        options += _describe_eyes(verdict)
    raise InvalidInput(
        f"{video} does not look like {wanted}: {verdict.detail}; give {options}, or --force"
    )


def _describe_eyes(verdict: "LayoutVerdict") -> str:
    """Return the option for two eyes of half a sphere each; empty for one eye."""
    limit = FilterSettings().halves_similarity
    names = {"left_right": "left-right", "top_bottom": "top-bottom"}
    alike = {
        names[score.name]: score.value or 0.0
        for score in verdict.scores
        if score.name in names and (score.value or 0.0) > limit
    }
    return f" --stereo {max(alike, key=alike.__getitem__)}" if alike else ""


def _detect(video: Path, metadata: "SphericalMetadata") -> "LayoutVerdict":
    """Return the layout that the pixels show.

    A file that FFmpeg cannot open for its faulty metadata alone is looked at in a tagged copy.
    """
    from argus.media import tag_spherical

    try:
        return _detect_layout(video)
    except VideoError as error:
        if error.reason in _FINAL_REASONS:
            raise
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "tagged.mp4"
            try:
                tag_spherical(video, copy, metadata)
            except (InvalidInput, OSError):
                raise error from None
            try:
                return _detect_layout(copy)
            except VideoError:
                raise VideoError(
                    error.reason, f"{error.message}; --force tags it without looking at its frames"
                ) from error


def _detect_layout(video: Path) -> "LayoutVerdict":
    from argus.curate import detect_layout, sample_native_frames
    from argus.media import open_video, require_no_camera

    with open_video(video) as reader:
        require_no_camera(video, reader.info)
        native = sample_native_frames(reader, reader.resample(ClipSettings().fps).fps)
        return detect_layout(replace(reader.info, spherical=None), native, FilterSettings())
