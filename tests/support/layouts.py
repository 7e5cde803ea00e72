"""Pictures of the sphere in every layout, rendered from a synthetic walk or a room."""

from collections.abc import Callable
from fractions import Fraction

import cv2
import numpy as np

from argus.curate import NativeFrames
from argus.curate.layout import LayoutVerdict, detect_layout
from argus.media import MediaInfo, SphericalMetadata
from argus.sphere import (
    Camera,
    CubeLayout,
    cube_to_erp,
    erp_to_cube,
    erp_to_fisheye,
    erp_to_view,
    from_euler_deg,
)
from argus.synth import ROOMS, Motion, World, make_path, render_room
from schemas.config import FilterSettings
from schemas.names import Layout

HEIGHT, WIDTH = 192, 384
Frames = np.ndarray


def eyes(seed: int, count: int = 4) -> tuple[Frames, Frames]:
    """Render a walk for a left and a right eye, each uint8 [n, 192, 384, 3]."""
    path = make_path(seed, count, Fraction(1))
    aside = 0.0325 * path.rotations[:1, :, 0]
    left, right = (
        World(seed).render(
            path.rotations, path.positions + side * aside, path.times, (HEIGHT, WIDTH)
        )
        for side in (-1, 1)
    )
    return left, right


def room_eyes(name: str, seed: int, count: int = 4) -> tuple[Frames, Frames]:
    """Render a symmetric room for a left and a right eye, each uint8 [n, 192, 384, 3]."""
    room = ROOMS[name]
    path = room.make_path(seed, count, Fraction(1), Motion.WALK)
    left, right = (
        np.stack(
            list(
                render_room(
                    room, seed, path, (HEIGHT, WIDTH), eye_offset_m=side * room.baseline_m / 2
                )
            )
        )
        for side in (-1, 1)
    )
    return left, right


def detect(
    frames: Frames,
    metadata: SphericalMetadata | None = None,
    *,
    pixel_aspect: Fraction = Fraction(1),
    **settings: object,
) -> LayoutVerdict:
    """Detect the layout of stored frames, with a few gray levels of noise in place of an encoder."""
    noise = np.random.default_rng(0).normal(0, 2, frames.shape)
    noisy = np.clip(frames + noise, 0, 255).astype(np.uint8)
    height, width = frames.shape[1:3]
    info = MediaInfo(
        width,
        height,
        Fraction(1),
        len(frames),
        float(len(frames)),
        "h264",
        "mp4",
        pixel_aspect=pixel_aspect,
        spherical=metadata,
    )
    return detect_layout(
        info,
        NativeFrames(noisy, noisy, np.zeros(len(frames))),
        FilterSettings.model_validate(settings),
    )


def scaled(frames: Frames, height: int, width: int) -> Frames:
    return np.stack(
        [cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames]
    )


def barred(frames: Frames, height: int, width: int) -> Frames:
    top, left = (height - frames.shape[1]) // 2, (width - frames.shape[2]) // 2
    return np.pad(
        frames,
        (
            (0, 0),
            (top, height - top - frames.shape[1]),
            (left, width - left - frames.shape[2]),
            (0, 0),
        ),
    )


def stacked(axis: int, height: int = 0, width: int = 0) -> Callable[[Frames, Frames], Frames]:
    def both(left: Frames, right: Frames) -> Frames:
        frames = np.concatenate([left, right], axis)
        return scaled(frames, height or frames.shape[1], width or frames.shape[2])

    return both


def front(frames: Frames) -> Frames:
    """Return the front half of a map."""
    return frames[:, :, WIDTH // 4 : WIDTH * 3 // 4]


def view(frames: Frames, aspect: float, fov_deg: float = 80) -> Frames:
    camera = Camera(fov_deg, round(HEIGHT * aspect), HEIGHT)
    return np.asarray(
        erp_to_view(frames, np.stack([from_euler_deg(25, -5, 0)] * len(frames)), camera)
    )


def planet(frames: Frames) -> Frames:
    """Render a stereographic view straight down."""
    y, x = (np.mgrid[0:HEIGHT, 0:HEIGHT] + 0.5 - HEIGHT / 2) / HEIGHT * 4
    column = (np.arctan2(x, y) / (2 * np.pi) + 0.5) * WIDTH - 0.5
    row = (1 - 2 * np.arctan(np.hypot(x, y)) / np.pi) * HEIGHT - 0.5
    return np.stack(
        [
            cv2.remap(frame, np.float32(column), np.float32(row), cv2.INTER_LINEAR)
            for frame in frames
        ]
    )


LAYOUTS: dict[str, tuple[Layout, Callable[[Frames, Frames], Frames]]] = {
    "2:1": (Layout.MONO_ERP, lambda left, _: left),
    "1.99:1": (Layout.MONO_ERP, lambda left, _: scaled(left, 162, 322)),
    "squeezed": (Layout.MONO_ERP_16X9, lambda left, _: scaled(left, 192, 342)),
    "letterboxed": (Layout.MONO_ERP_LETTERBOXED, lambda left, _: barred(left, 216, 384)),
    "pillarboxed": (Layout.MONO_ERP_LETTERBOXED, lambda left, _: barred(left, 192, 452)),
    "top-bottom": (Layout.STEREO_TB, stacked(1)),
    "top-bottom in 2:1": (Layout.STEREO_TB, stacked(1, 192, 384)),
    "side by side": (Layout.STEREO_SBS, stacked(2)),
    "side by side in 2:1": (Layout.STEREO_SBS, stacked(2, 192, 384)),
    "half": (Layout.HALF_ERP, lambda left, _: front(left)),
    "half, two eyes": (
        Layout.HALF_ERP,
        lambda left, right: np.concatenate([front(left), front(right)], 2),
    ),
    "half on black": (Layout.HALF_ERP, lambda left, _: barred(front(left), HEIGHT, WIDTH)),
    "eac": (Layout.EAC, lambda left, _: erp_to_cube(left, 96, CubeLayout.EAC)),
    "eac in 16:9": (Layout.EAC, lambda left, _: erp_to_cube(left, (96, 114), CubeLayout.EAC)),
    "3x2": (Layout.CUBEMAP, lambda left, _: erp_to_cube(left, 96, CubeLayout.C3X2)),
    "3x2 as tagged": (Layout.CUBEMAP, lambda left, _: erp_to_cube(left, 96, CubeLayout.CBMP)),
    "6x1": (Layout.CUBEMAP, lambda left, _: erp_to_cube(left, 96, CubeLayout.C6X1)),
    "fisheyes": (Layout.DUAL_FISHEYE, lambda left, _: erp_to_fisheye(left, 190, HEIGHT)),
    "fisheyes of two eyes": (
        Layout.PARTIAL,
        lambda left, right: np.concatenate(
            [erp_to_fisheye(eye, 180, HEIGHT, lenses=1) for eye in (left, right)], 2
        ),
    ),
    "one fisheye": (Layout.PARTIAL, lambda left, _: erp_to_fisheye(left, 180, HEIGHT, lenses=1)),
    "a band": (Layout.PARTIAL, lambda left, _: left[:, 40:-40]),
    "twice": (
        Layout.CONVERTED_TWICE,
        lambda left, _: cube_to_erp(scaled(left, 192, 288), (HEIGHT, WIDTH), CubeLayout.EAC),
    ),
    "perspective": (Layout.FLAT, lambda left, _: view(left, 16 / 9)),
    "perspective in 2:1": (Layout.FLAT, lambda left, _: view(left, 2, 95)),
    "perspective, square": (Layout.FLAT, lambda left, _: view(left, 1)),
    "perspective, letterboxed into 2:1": (
        Layout.FLAT,
        lambda left, _: barred(view(left, 2.4, 95), 230, 462),
    ),
    "perspective, pillarboxed into 2:1": (
        Layout.FLAT,
        lambda left, _: barred(view(left, 4 / 3), HEIGHT, WIDTH),
    ),
    "tiny planet": (Layout.FLAT, lambda left, _: planet(left)),
}
