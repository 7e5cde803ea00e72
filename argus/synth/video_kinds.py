"""Table of the kinds of synthetic videos: content, layout, and the correct curation decision."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

import numpy as np

from argus.media import SphericalMetadata
from argus.sphere import Camera, CubeLayout, erp_to_view, from_euler_deg
from argus.synth import cartoons, overlays, scenes, transforms
from argus.synth.clip_spec import ClipSpec, FrameSource
from argus.synth.paths import Motion
from schemas.names import Layout, Reason


@dataclass(frozen=True)
class VideoKind:
    """A kind of video and what curation should find in it.

    Attributes:
        layout: Correct layout.
        render: Function that renders the frames; None for a file with sound only.
        reasons: Acceptable reasons to drop the video; empty if it is kept as stored.
        spherical: Metadata that a tagged file declares; None if no metadata can.
        shots: Number of shots of equal length, separated by hard cuts.
        damage: Function that damages the bytes of the file.
        other_layouts: Further acceptable layouts.
        pixel_aspect: Width of a pixel divided by its height.
        tilt_deg: Tilt of the camera against gravity; None if unspecified.
        nadir_share: Share of the sphere within 40° of the nadir that moves with the camera; None
            if unspecified.
    """

    layout: Layout
    render: FrameSource | None
    reasons: frozenset[Reason] = frozenset()
    spherical: SphericalMetadata | None = None
    shots: int = 1
    damage: Callable[[bytes], bytes] | None = None
    other_layouts: frozenset[Layout] = frozenset()
    pixel_aspect: Fraction = Fraction(1)
    tilt_deg: float | None = None
    nadir_share: float | None = None


def _transform(source: FrameSource, function: Callable[[np.ndarray], np.ndarray]) -> FrameSource:
    """Apply a function to every frame."""
    return lambda spec: map(function, source(spec))


def _render_motion(motion: Motion) -> FrameSource:
    return lambda spec: spec.render_erp(motion)


_walk, _drive = _render_motion(Motion.WALK), _render_motion(Motion.DRIVE)


def _render_first_frame(spec: ClipSpec) -> np.ndarray:
    return next(spec.render_erp(Motion.STILL))


def _render_three_worlds(spec: ClipSpec) -> Iterator[np.ndarray]:
    return (
        frame
        for seed_offset in range(3)
        for frame in spec.render_erp(Motion.WALK, count=spec.count // 3, seed_offset=seed_offset)
    )


def _render_stereo(
    axis: int, function: Callable[[np.ndarray], np.ndarray] = np.asarray
) -> FrameSource:
    """Render the left eye above the right one (axis 0) or to the left of it (axis 1)."""
    return lambda spec: (
        np.concatenate([function(eye) for eye in pair], axis) for pair in spec.render_stereo_erp()
    )


def _render_perspective(aspect: float) -> FrameSource:
    """Render an ordinary video: a view of 90° that moves with the camera."""

    def render(spec: ClipSpec) -> Iterator[np.ndarray]:
        height, width = spec.frame_size(aspect)
        camera = Camera(90, width, height)
        return (
            erp_to_view(frame[None], np.eye(3), camera)[0] for frame in spec.render_erp(Motion.WALK)
        )

    return render


def _render_short_drive(spec: ClipSpec) -> Iterator[np.ndarray]:
    """Render a third of the frames: enough for a file that gets damaged."""
    return spec.render_erp(Motion.DRIVE, count=max(2, spec.count // 3))


def _render_blank(spec: ClipSpec) -> list[np.ndarray]:
    return [np.zeros((spec.height, 2 * spec.height, 3), np.uint8)]


def _compute_cap_share(radius_deg: float) -> float:
    """Return the share of the cap of 40° that a smaller cap covers."""
    return float((1 - np.cos(np.radians(radius_deg))) / (1 - np.cos(np.radians(40.0))))


def _replace_by_noise(start: bytes) -> Callable[[bytes], bytes]:
    """Return a function that replaces all bytes after a marker; without one, after 64 bytes."""

    def damage(data: bytes) -> bytes:
        position = data.index(start) + len(start) if start else 64
        noise = np.random.default_rng(len(data)).bytes(len(data) - position)
        return data[:position] + noise

    return damage


def _truncate(data: bytes) -> bytes:
    """Keep a quarter of the media data."""
    media = data.index(b"mdat") + 4
    return data[: media + (len(data) - media) // 4]


_MONO, _TOP_BOTTOM, _LEFT_RIGHT = (
    SphericalMetadata(stereo_mode=mode) for mode in ("mono", "top-bottom", "left-right")
)
_HALF_BOUNDS = (0.0, 0.0, 0.25, 0.25)
_TILT_DEG = float(np.degrees(np.arccos(from_euler_deg(0, *scenes.TILT_DEG)[1, 1])))
_STEREO, _FLAT = frozenset({Reason.STEREO}), frozenset({Reason.NOT_360})
_PARTIAL = frozenset({Reason.NOT_FULL_SPHERE})
_UNSUPPORTED = frozenset({Reason.UNSUPPORTED_LAYOUT})
_UNREADABLE = frozenset({Reason.CORRUPT, Reason.NOT_A_VIDEO, Reason.DECODER_CRASHED})


def _erp_kind(source: FrameSource, *reasons: Reason, shots: int = 1) -> VideoKind:
    """Return a kind of whole mono ERP maps."""
    return VideoKind(Layout.MONO_ERP, source, frozenset(reasons), _MONO, shots)


def _damaged_kind(
    damage: Callable[[bytes], bytes],
    reasons: frozenset[Reason],
    source: FrameSource = _render_short_drive,
) -> VideoKind:
    return VideoKind(Layout.NONE, source, reasons, _MONO, damage=damage)


VIDEO_KINDS: dict[str, VideoKind] = {
    # Whole spheres that are kept.
    "walk": _erp_kind(_walk),
    "drive": _erp_kind(_drive),
    "cuts": _erp_kind(_render_three_worlds, shots=3),
    "whip_pan": _erp_kind(scenes.render_whip_pan),
    "cut_in_pan": _erp_kind(scenes.render_cut_in_pan, shots=2),
    "brick_wall": _erp_kind(scenes.render_brick_wall),
    "tilted": replace(_erp_kind(scenes.render_tilted_drive), tilt_deg=_TILT_DEG),
    "operator": replace(
        _erp_kind(overlays.add_operator(_walk)),
        nadir_share=_compute_cap_share(overlays.OPERATOR_RADIUS_DEG),
    ),
    "covered_tripod": _erp_kind(overlays.add_caps(_drive, 0, 22)),
    "mono_erp_1.99": _erp_kind(_transform(_walk, transforms.squeeze_to_1_99)),
    "mono_erp_16x9": VideoKind(
        Layout.MONO_ERP_16X9, _transform(_walk, transforms.squeeze_to_16_9), spherical=_MONO
    ),
    "mono_erp_anamorphic": VideoKind(
        Layout.MONO_ERP_16X9,
        _transform(_walk, transforms.squeeze_to_16_9),
        spherical=_MONO,
        pixel_aspect=Fraction(9, 8),
    ),
    "mono_erp_letterboxed": VideoKind(
        Layout.MONO_ERP_LETTERBOXED,
        _transform(_walk, partial(transforms.add_bars, aspect=16 / 9)),
        spherical=_MONO,
    ),
    "mono_erp_pillarboxed": VideoKind(
        Layout.MONO_ERP_LETTERBOXED,
        _transform(_walk, partial(transforms.add_bars, aspect=2.35)),
        spherical=_MONO,
    ),
    # Other layouts.
    "stereo_tb": VideoKind(Layout.STEREO_TB, _render_stereo(0), _STEREO, _TOP_BOTTOM),
    "stereo_tb_2to1": VideoKind(
        Layout.STEREO_TB, _render_stereo(0, transforms.halve_height), _STEREO, _TOP_BOTTOM
    ),
    "stereo_sbs": VideoKind(Layout.STEREO_SBS, _render_stereo(1), _STEREO, _LEFT_RIGHT),
    "stereo_sbs_2to1": VideoKind(
        Layout.STEREO_SBS, _render_stereo(1, transforms.halve_width), _STEREO, _LEFT_RIGHT
    ),
    "vr180": VideoKind(
        Layout.HALF_ERP,
        _render_stereo(1, transforms.crop_half_sphere),
        _PARTIAL | _STEREO,
        SphericalMetadata(stereo_mode="left-right", bounds=_HALF_BOUNDS),
    ),
    "vr180_mono": VideoKind(
        Layout.HALF_ERP,
        _transform(_walk, transforms.crop_half_sphere),
        _PARTIAL,
        SphericalMetadata(bounds=_HALF_BOUNDS),
    ),
    "partial": VideoKind(
        Layout.PARTIAL,
        _transform(_walk, transforms.crop_partial),
        _PARTIAL,
        SphericalMetadata(bounds=transforms.PARTIAL_BOUNDS),
    ),
    "partial_unsaid": VideoKind(
        Layout.PARTIAL,
        _transform(_walk, transforms.crop_partial),
        _PARTIAL | _FLAT,
        other_layouts=frozenset({Layout.FLAT}),
    ),
    "partial_mesh": VideoKind(
        Layout.PARTIAL,
        _transform(_walk, transforms.crop_partial),
        _PARTIAL,
        SphericalMetadata(projection="mesh"),
    ),
    "cubemap_3x2": VideoKind(
        Layout.CUBEMAP,
        _transform(_walk, partial(transforms.to_cube, layout=CubeLayout.C3X2)),
        _UNSUPPORTED,
    ),
    "cubemap_v2": VideoKind(
        Layout.CUBEMAP,
        _transform(_walk, partial(transforms.to_cube, layout=CubeLayout.CBMP)),
        _UNSUPPORTED,
        SphericalMetadata(projection="cubemap"),
    ),
    "cubemap_6x1": VideoKind(
        Layout.CUBEMAP,
        _transform(_walk, partial(transforms.to_cube, layout=CubeLayout.C6X1)),
        _UNSUPPORTED,
    ),
    "eac": VideoKind(
        Layout.EAC,
        _transform(_walk, transforms.to_eac),
        _UNSUPPORTED,
        SphericalMetadata(projection="eac"),
    ),
    "dual_fisheye": VideoKind(
        Layout.DUAL_FISHEYE, _transform(_walk, transforms.to_dual_fisheye), _UNSUPPORTED
    ),
    "twice_converted": VideoKind(
        Layout.CONVERTED_TWICE, _transform(_walk, transforms.convert_twice), _UNSUPPORTED
    ),
    # Videos that are not spherical.
    "perspective_16x9": VideoKind(Layout.FLAT, _render_perspective(16 / 9), _FLAT),
    "perspective_2to1": VideoKind(Layout.FLAT, _render_perspective(2), _FLAT | {Reason.SEAM}),
    "perspective_stretched": VideoKind(
        Layout.FLAT,
        _transform(_render_perspective(16 / 9), transforms.stretch_to_2_to_1),
        _FLAT | {Reason.SEAM},
    ),
    "perspective_pillarboxed": VideoKind(
        Layout.FLAT,
        _transform(_render_perspective(4 / 3), partial(transforms.add_bars, aspect=2)),
        _FLAT | {Reason.BLACK},
    ),
    "perspective_letterboxed": VideoKind(
        Layout.FLAT,
        _transform(_render_perspective(2.8), partial(transforms.add_bars, aspect=2)),
        _FLAT | {Reason.BLACK, Reason.SEAM},
    ),
    "perspective_vertical": VideoKind(Layout.FLAT, _render_perspective(9 / 16), _FLAT),
    "perspective_square": VideoKind(Layout.FLAT, _render_perspective(1), _FLAT),
    "cartoon": VideoKind(Layout.FLAT, cartoons.render_cartoon, _FLAT),
    "cartoon_letterboxed": VideoKind(
        Layout.FLAT,
        _transform(
            partial(cartoons.render_cartoon, aspect=2.39),
            partial(transforms.add_bars, aspect=16 / 9),
        ),
        _FLAT,
    ),
    "slides": VideoKind(Layout.FLAT, cartoons.render_slides, _FLAT),
    "slides_2to1": VideoKind(
        Layout.FLAT,
        partial(cartoons.render_slides, aspect=2.0),
        _FLAT | {Reason.SEAM, Reason.STATIC},
    ),
    "tiny_planet": VideoKind(
        Layout.FLAT, _transform(_walk, transforms.to_tiny_planet), _FLAT | {Reason.SEAM}
    ),
    # Whole spheres that are dropped for their content.
    "static": _erp_kind(lambda spec: [_render_first_frame(spec)] * spec.count, Reason.STATIC),
    "tripod": _erp_kind(_render_motion(Motion.STILL), Reason.STATIC),
    "spin": _erp_kind(_render_motion(Motion.SPIN), Reason.STATIC),
    "title": _erp_kind(overlays.add_text(_walk, "CITY WALK", (20, 60)), Reason.TEXT),
    "watermark": _erp_kind(overlays.add_text(_drive, "@cityrides", (-45, -15), 0.8), Reason.TEXT),
    "blurred": _erp_kind(_transform(_walk, transforms.blur), Reason.BLURRED, Reason.LOW_VARIANCE),
    "dark": _erp_kind(
        _transform(_walk, transforms.dim), Reason.LOW_VARIANCE, Reason.EXPOSURE, Reason.BLACK
    ),
    "night": _erp_kind(overlays.darken_to_night(_walk), Reason.EXPOSURE, Reason.LOW_VARIANCE),
    "overexposed": _erp_kind(overlays.overexpose(_walk), Reason.EXPOSURE, Reason.LOW_VARIANCE),
    "caps": _erp_kind(overlays.add_caps(_drive, 0, 52), Reason.BLACK),
    "caps_of_a_band": replace(
        _erp_kind(
            overlays.add_caps(_drive, 30, 40),
            Reason.BLACK,
            Reason.NOT_FULL_SPHERE,
            Reason.LAYOUT_MISMATCH,
        ),
        other_layouts=frozenset({Layout.PARTIAL}),
    ),
    "half_black": _erp_kind(_transform(_drive, transforms.blacken_bottom), Reason.BLACK),
    "black": _erp_kind(
        lambda spec: [_render_first_frame(spec) * 0] * spec.count,
        Reason.BLACK,
        Reason.LOW_VARIANCE,
        Reason.STATIC,
    ),
    "fog": _erp_kind(_transform(_drive, transforms.add_fog), Reason.LOW_VARIANCE, Reason.STATIC),
    "broken_seam": replace(
        _erp_kind(_transform(_drive, transforms.break_seam), Reason.SEAM, Reason.NOT_360),
        other_layouts=frozenset({Layout.PARTIAL, Layout.FLAT}),
    ),
    "too_short": _erp_kind(
        lambda spec: spec.render_erp(Motion.DRIVE, count=max(2, round(spec.fps / 2))),
        Reason.TOO_SHORT,
    ),
    "one_frame": _erp_kind(
        lambda spec: [_render_first_frame(spec)], Reason.TOO_SHORT, Reason.STATIC
    ),
    # Files without a readable video.
    "corrupt": _damaged_kind(_replace_by_noise(b"mdat"), _UNREADABLE),
    "corrupt_index": _damaged_kind(_replace_by_noise(b""), _UNREADABLE),
    "truncated": _damaged_kind(_truncate, _UNREADABLE | {Reason.TRUNCATED}),
    "empty": _damaged_kind(lambda _: b"", frozenset({Reason.EMPTY_FILE}), _render_blank),
    "text": _damaged_kind(
        lambda _: b"This is a line of text, and no video.\n" * 40,
        _UNREADABLE - {Reason.DECODER_CRASHED},
        _render_blank,
    ),
    "audio_only": VideoKind(Layout.NONE, None, frozenset({Reason.NO_VIDEO_STREAM})),
}
"""All kinds of videos by name."""

for _name in (
    "stereo_tb",
    "stereo_sbs",
    "stereo_sbs_2to1",
    "vr180",
    "eac",
    "perspective_16x9",
    "perspective_2to1",
):
    VIDEO_KINDS[f"{_name}_mistagged"] = replace(
        VIDEO_KINDS[_name],
        reasons=VIDEO_KINDS[_name].reasons | {Reason.LAYOUT_MISMATCH},
        spherical=_MONO,
    )
