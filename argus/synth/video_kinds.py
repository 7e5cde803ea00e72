"""Kinds of videos by name: what each shows, how the sphere lies in its frames, and what a refresh may make of it. Files are not written here."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

import cv2
import numpy as np

from argus.media import SphericalMetadata
from argus.sphere import (
    Camera,
    CubeLayout,
    cube_to_erp,
    erp_to_cube,
    erp_to_fisheye,
    erp_to_view,
    from_euler_deg,
    rotate_erp,
)
from argus.synth import cartoons, overlays, scenes
from argus.synth.clip_spec import ClipSpec, Frames
from argus.synth.paths import Motion
from schemas.names import Layout, Reason

FISHEYE_FOV_DEG = 200
PART = (0.0, 0.25, 0.125, 0.125)
"""What a partial map lacks at top, bottom, left and right, as shares of the whole one."""


@dataclass(frozen=True)
class VideoKind:
    """A kind of video.

    `reasons` are those any one of which a drop may rightly give; empty where it is kept as stored. `also` are other right names of the layout.
    `spherical` is what a tagged file declares, None where no metadata can. `shots` follow one another, cut hard. `damage` is done to the written
    bytes. Without `frames` there is only sound. `tilt_deg` is the camera's tilt against gravity, and `nadir_share` how much of the sphere within
    40° of the nadir goes with the camera; None where they are not set.
    """

    layout: Layout
    frames: Frames | None
    reasons: frozenset[Reason] = frozenset()
    spherical: SphericalMetadata | None = None
    shots: int = 1
    damage: Callable[[bytes], bytes] | None = None
    also: frozenset[Layout] = frozenset()
    pixel_aspect: Fraction = Fraction(1)
    tilt_deg: float | None = None
    nadir_share: float | None = None


def _of(frames: Frames, change: Callable[[np.ndarray], np.ndarray]) -> Frames:
    return lambda shot: map(change, frames(shot))


def _moving(motion: Motion) -> Frames:
    return lambda shot: shot.equirect(motion)


_walk, _drive = _moving(Motion.WALK), _moving(Motion.DRIVE)


def _first(shot: ClipSpec) -> np.ndarray:
    return next(shot.equirect(Motion.STILL))


def _three_worlds(shot: ClipSpec) -> Iterator[np.ndarray]:
    return (
        frame
        for world in range(3)
        for frame in shot.equirect(Motion.WALK, count=shot.count // 3, world=world)
    )


def _stereo(axis: int, change: Callable[[np.ndarray], np.ndarray] = np.asarray) -> Frames:
    """The left eye on top of the right one (axis 0) or left of it (1)."""
    return lambda shot: (
        np.concatenate([change(eye) for eye in pair], axis) for pair in shot.eyes()
    )


def _resized(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    shrinks = size[0] * size[1] < frame.shape[0] * frame.shape[1]
    return np.asarray(
        cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    )


def _half_sphere(frame: np.ndarray) -> np.ndarray:
    """Longitudes -90° to 90° of a map; its pixels as they are."""
    quarter = frame.shape[1] // 4
    return frame[:, quarter : 3 * quarter]


def _part(frame: np.ndarray) -> np.ndarray:
    """Without what `PART` says."""
    height, width = frame.shape[:2]
    top, bottom, left, right = (
        round(share * side)
        for share, side in zip(PART, (height, height, width, width), strict=True)
    )
    return frame[top : height - bottom, left : width - right]


def _cube(layout: CubeLayout) -> Callable[[np.ndarray], np.ndarray]:
    return lambda frame: erp_to_cube(frame[None], frame.shape[0] // 2, layout)[0]


def _eac(frame: np.ndarray) -> np.ndarray:
    """16:9, as YouTube's are: its 3840×2160 has faces of 1280×1080."""
    height = frame.shape[0]
    return erp_to_cube(frame[None], (height // 2, 2 * round(height * 8 / 27)), CubeLayout.EAC)[0]


def _twice_converted(frame: np.ndarray) -> np.ndarray:
    """A map that was taken for an EAC and made a map again."""
    height, width = frame.shape[:2]
    packed = _resized(frame, (height, width // 6 * 6))
    return cube_to_erp(packed[None], (height, width), CubeLayout.EAC)[0]


def _fisheyes(frame: np.ndarray) -> np.ndarray:
    return erp_to_fisheye(frame[None], FISHEYE_FOV_DEG, frame.shape[0])[0]


def _tiny_planet(frame: np.ndarray) -> np.ndarray:
    """The ground as a little ball, the sky around it."""
    height = frame.shape[0]
    size = 2 * round(1.15 * height)  # the frame's corners lie in the circle
    planet = erp_to_fisheye(
        rotate_erp(frame[None], from_euler_deg(0, -90, 0)), 340, size, lenses=1
    )[0]
    top, left = (size - height) // 2, (size - 2 * height) // 2
    return planet[top : top + height, left : left + 2 * height]


def _views(aspect: float) -> Frames:
    """An ordinary video: a 90° view of the world."""

    def frames(shot: ClipSpec) -> Iterator[np.ndarray]:
        height, width = shot.size(aspect)
        camera = Camera(90, width, height)
        return (
            erp_to_view(frame[None], np.eye(3), camera)[0] for frame in shot.equirect(Motion.WALK)
        )

    return frames


def _stretched(frame: np.ndarray) -> np.ndarray:
    return _resized(frame, (frame.shape[0], 2 * frame.shape[0]))


def _squeezed(frame: np.ndarray) -> np.ndarray:
    """A whole map in 16:9."""
    height = frame.shape[0]
    return _resized(frame, (height, 2 * round(height * 8 / 9)))


def _boxed(frame: np.ndarray) -> np.ndarray:
    """Black beside a picture, or above and below, so that all is 2:1."""
    return _within(frame, 2)


def _within(frame: np.ndarray, aspect: float) -> np.ndarray:
    """Black beside a picture, or above and below, so that all has an aspect."""
    height, width = frame.shape[:2]
    wide, tall = (
        max(width, 2 * round(height * aspect / 2)),
        max(height, 2 * int(width / aspect / 2)),
    )
    left, top = (wide - width) // 2, (tall - height) // 2
    return np.pad(frame, ((top, tall - height - top), (left, wide - width - left), (0, 0)))


def _nearly(frame: np.ndarray) -> np.ndarray:
    """1.99:1, as some cameras store it."""
    height = frame.shape[0]
    return _resized(frame, (height, 2 * round(0.995 * height)))


def _half_width(frame: np.ndarray) -> np.ndarray:
    return np.asarray((frame[:, 0::2].astype(np.uint16) + frame[:, 1::2] + 1) // 2, dtype=np.uint8)


def _half_height(frame: np.ndarray) -> np.ndarray:
    return np.asarray((frame[0::2].astype(np.uint16) + frame[1::2] + 1) // 2, dtype=np.uint8)


def _blackened(frame: np.ndarray) -> np.ndarray:
    return np.concatenate([frame[: len(frame) * 11 // 20], 0 * frame[len(frame) * 11 // 20 :]])


def _dimmed(frame: np.ndarray) -> np.ndarray:
    return np.asarray(frame // 24 + 6, dtype=np.uint8)


def _blurred(frame: np.ndarray) -> np.ndarray:
    """Out of focus by 3.5°."""
    width = frame.shape[1]
    wide = np.concatenate([frame[:, -width // 4 :], frame, frame[:, : width // 4]], axis=1)
    return np.asarray(
        cv2.GaussianBlur(wide, (0, 0), 3.5 * width / 360)[:, width // 4 : width // 4 + width]
    )


def _fogged(frame: np.ndarray) -> np.ndarray:
    return np.asarray(150 + (frame.astype(np.int16) - 128) // 12, dtype=np.uint8)


def _without_seam(frame: np.ndarray) -> np.ndarray:
    """What is left when a quarter of the map is cut off and the rest stretched: its two ends do not meet."""
    width = frame.shape[1]
    return frame[:, np.arange(width) * 3 // 4]


def _cap_share(radius_deg: float) -> float:
    """Of the cap within 40°."""
    return float((1 - np.cos(np.radians(radius_deg))) / (1 - np.cos(np.radians(40.0))))


def _noisy(start: bytes) -> Callable[[bytes], bytes]:
    """Noise from a marker on; with none, from the 64th byte on."""

    def damage(data: bytes) -> bytes:
        at = data.index(start) + len(start) if start else 64
        return data[:at] + np.random.default_rng(len(data)).bytes(len(data) - at)

    return damage


def _truncated(data: bytes) -> bytes:
    pictures = data.index(b"mdat") + 4
    return data[: pictures + (len(data) - pictures) // 4]


_MONO, _TOP_BOTTOM, _LEFT_RIGHT = (
    SphericalMetadata(stereo_mode=mode) for mode in ("mono", "top-bottom", "left-right")
)
_HALF = (0.0, 0.0, 0.25, 0.25)
_TILT_DEG = float(np.degrees(np.arccos(from_euler_deg(0, *scenes.TILT_DEG)[1, 1])))
_STEREO, _FLAT = frozenset({Reason.STEREO}), frozenset({Reason.NOT_360})
_PART, _PACKED = frozenset({Reason.NOT_FULL_SPHERE}), frozenset({Reason.UNSUPPORTED_LAYOUT})
_UNREADABLE = frozenset({Reason.CORRUPT, Reason.NOT_A_VIDEO, Reason.DECODER_CRASHED})


def _content(frames: Frames, *reasons: Reason, shots: int = 1) -> VideoKind:
    """A whole sphere."""
    return VideoKind(Layout.MONO_ERP, frames, frozenset(reasons), _MONO, shots)


def _short(shot: ClipSpec) -> Iterator[np.ndarray]:
    """Enough to be broken."""
    return shot.equirect(Motion.DRIVE, count=max(2, shot.count // 3))


def _broken(
    damage: Callable[[bytes], bytes], reasons: frozenset[Reason], frames: Frames = _short
) -> VideoKind:
    return VideoKind(Layout.NONE, frames, reasons, _MONO, damage=damage)


def _blank(shot: ClipSpec) -> list[np.ndarray]:
    return [np.zeros((shot.height, 2 * shot.height, 3), np.uint8)]


VIDEO_KINDS: dict[str, VideoKind] = {
    # whole spheres that are kept
    "walk": _content(_walk),
    "drive": _content(_drive),
    "cuts": _content(_three_worlds, shots=3),
    "whip_pan": _content(scenes.whip_pan),
    "cut_in_pan": _content(scenes.cut_in_pan, shots=2),
    "brick_wall": _content(scenes.brick_wall),
    "tilted": replace(_content(scenes.tilted), tilt_deg=_TILT_DEG),
    "operator": replace(
        _content(overlays.with_operator(_walk)), nadir_share=_cap_share(overlays.PATCH_DEG)
    ),
    "covered_tripod": _content(overlays.capped(_drive, 0, 22)),
    "mono_erp_1.99": _content(_of(_walk, _nearly)),
    "mono_erp_16x9": VideoKind(Layout.MONO_ERP_16X9, _of(_walk, _squeezed), spherical=_MONO),
    "mono_erp_anamorphic": VideoKind(
        Layout.MONO_ERP_16X9, _of(_walk, _squeezed), spherical=_MONO, pixel_aspect=Fraction(9, 8)
    ),
    "mono_erp_letterboxed": VideoKind(
        Layout.MONO_ERP_LETTERBOXED, _of(_walk, partial(_within, aspect=16 / 9)), spherical=_MONO
    ),
    "mono_erp_pillarboxed": VideoKind(
        Layout.MONO_ERP_LETTERBOXED, _of(_walk, partial(_within, aspect=2.35)), spherical=_MONO
    ),
    # other layouts
    "stereo_tb": VideoKind(Layout.STEREO_TB, _stereo(0), _STEREO, _TOP_BOTTOM),
    "stereo_tb_2to1": VideoKind(Layout.STEREO_TB, _stereo(0, _half_height), _STEREO, _TOP_BOTTOM),
    "stereo_sbs": VideoKind(Layout.STEREO_SBS, _stereo(1), _STEREO, _LEFT_RIGHT),
    "stereo_sbs_2to1": VideoKind(Layout.STEREO_SBS, _stereo(1, _half_width), _STEREO, _LEFT_RIGHT),
    "vr180": VideoKind(
        Layout.HALF_ERP,
        _stereo(1, _half_sphere),
        _PART | _STEREO,
        SphericalMetadata(stereo_mode="left-right", bounds=_HALF),
    ),
    "vr180_mono": VideoKind(
        Layout.HALF_ERP, _of(_walk, _half_sphere), _PART, SphericalMetadata(bounds=_HALF)
    ),
    "partial": VideoKind(Layout.PARTIAL, _of(_walk, _part), _PART, SphericalMetadata(bounds=PART)),
    "partial_unsaid": VideoKind(
        Layout.PARTIAL, _of(_walk, _part), _PART | _FLAT, also=frozenset({Layout.FLAT})
    ),
    "partial_mesh": VideoKind(
        Layout.PARTIAL, _of(_walk, _part), _PART, SphericalMetadata(projection="mesh")
    ),
    "cubemap_3x2": VideoKind(Layout.CUBEMAP, _of(_walk, _cube(CubeLayout.C3X2)), _PACKED),
    "cubemap_v2": VideoKind(
        Layout.CUBEMAP,
        _of(_walk, _cube(CubeLayout.CBMP)),
        _PACKED,
        SphericalMetadata(projection="cubemap"),
    ),
    "cubemap_6x1": VideoKind(Layout.CUBEMAP, _of(_walk, _cube(CubeLayout.C6X1)), _PACKED),
    "eac": VideoKind(Layout.EAC, _of(_walk, _eac), _PACKED, SphericalMetadata(projection="eac")),
    "dual_fisheye": VideoKind(Layout.DUAL_FISHEYE, _of(_walk, _fisheyes), _PACKED),
    "twice_converted": VideoKind(Layout.CONVERTED_TWICE, _of(_walk, _twice_converted), _PACKED),
    # ordinary videos
    "perspective_16x9": VideoKind(Layout.FLAT, _views(16 / 9), _FLAT),
    "perspective_2to1": VideoKind(Layout.FLAT, _views(2), _FLAT | {Reason.SEAM}),
    "perspective_stretched": VideoKind(
        Layout.FLAT, _of(_views(16 / 9), _stretched), _FLAT | {Reason.SEAM}
    ),
    "perspective_pillarboxed": VideoKind(
        Layout.FLAT, _of(_views(4 / 3), _boxed), _FLAT | {Reason.BLACK}
    ),
    "perspective_letterboxed": VideoKind(
        Layout.FLAT, _of(_views(2.8), _boxed), _FLAT | {Reason.BLACK, Reason.SEAM}
    ),
    "perspective_vertical": VideoKind(Layout.FLAT, _views(9 / 16), _FLAT),
    "perspective_square": VideoKind(Layout.FLAT, _views(1), _FLAT),
    "cartoon": VideoKind(Layout.FLAT, cartoons.cartoon, _FLAT),
    "cartoon_letterboxed": VideoKind(
        Layout.FLAT,
        _of(partial(cartoons.cartoon, aspect=2.39), partial(_within, aspect=16 / 9)),
        _FLAT,
    ),
    "slides": VideoKind(Layout.FLAT, cartoons.slides, _FLAT),
    "slides_2to1": VideoKind(
        Layout.FLAT, partial(cartoons.slides, aspect=2.0), _FLAT | {Reason.SEAM, Reason.STATIC}
    ),
    "tiny_planet": VideoKind(Layout.FLAT, _of(_walk, _tiny_planet), _FLAT | {Reason.SEAM}),
    # whole spheres that are not worth keeping
    "static": _content(lambda shot: [_first(shot)] * shot.count, Reason.STATIC),
    "tripod": _content(_moving(Motion.STILL), Reason.STATIC),
    "spin": _content(_moving(Motion.SPIN), Reason.STATIC),
    "title": _content(overlays.lettered(_walk, "CITY WALK", (20, 60)), Reason.TEXT),
    "watermark": _content(overlays.lettered(_drive, "@cityrides", (-45, -15), 0.8), Reason.TEXT),
    "blurred": _content(_of(_walk, _blurred), Reason.BLURRED, Reason.LOW_VARIANCE),
    "dark": _content(_of(_walk, _dimmed), Reason.LOW_VARIANCE, Reason.EXPOSURE, Reason.BLACK),
    "night": _content(overlays.at_night(_walk), Reason.EXPOSURE, Reason.LOW_VARIANCE),
    "overexposed": _content(overlays.burnt_out(_walk), Reason.EXPOSURE, Reason.LOW_VARIANCE),
    "caps": _content(overlays.capped(_drive, 0, 52), Reason.BLACK),
    "caps_of_a_band": replace(
        _content(
            overlays.capped(_drive, 30, 40),
            Reason.BLACK,
            Reason.NOT_FULL_SPHERE,
            Reason.LAYOUT_MISMATCH,
        ),
        also=frozenset({Layout.PARTIAL}),
    ),
    "half_black": _content(_of(_drive, _blackened), Reason.BLACK),
    "black": _content(
        lambda shot: [_first(shot) * 0] * shot.count,
        Reason.BLACK,
        Reason.LOW_VARIANCE,
        Reason.STATIC,
    ),
    "fog": _content(_of(_drive, _fogged), Reason.LOW_VARIANCE, Reason.STATIC),
    "broken_seam": replace(
        _content(_of(_drive, _without_seam), Reason.SEAM, Reason.NOT_360),
        also=frozenset({Layout.PARTIAL, Layout.FLAT}),
    ),
    "too_short": _content(
        lambda shot: shot.equirect(Motion.DRIVE, count=max(2, round(shot.fps / 2))),
        Reason.TOO_SHORT,
    ),
    "one_frame": _content(lambda shot: [_first(shot)], Reason.TOO_SHORT, Reason.STATIC),
    # files that hold no readable video
    "corrupt": _broken(_noisy(b"mdat"), _UNREADABLE),
    "corrupt_index": _broken(_noisy(b""), _UNREADABLE),
    "truncated": _broken(_truncated, _UNREADABLE | {Reason.TRUNCATED}),
    "empty": _broken(lambda _: b"", frozenset({Reason.EMPTY_FILE}), _blank),
    "text": _broken(
        lambda _: b"This is a line of text, and no video.\n" * 40,
        _UNREADABLE - {Reason.DECODER_CRASHED},
        _blank,
    ),
    "audio_only": VideoKind(Layout.NONE, None, frozenset({Reason.NO_VIDEO_STREAM})),
}
"""Every kind of video that the world can be written as."""

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
        VIDEO_KINDS[_name], reasons=VIDEO_KINDS[_name].reasons | {Reason.LAYOUT_MISMATCH}, spherical=_MONO
    )
