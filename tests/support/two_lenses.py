"""Pictures of two-lens cameras, rendered from the definitions of their formats.

A scene is a smooth function of the direction, so that each format's picture is exact: nothing here
samples another picture or uses `argus.sphere`.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

SEAM_BAND_DEG = 5.0
GOPRO_SIZES = {"5.6K": (1344, 4096, 64), "3K": (736, 2272, 32)}  # height, width, overlap


def show_scene(rays: NDArray[np.floating], phase: float = 0.0) -> NDArray[np.uint8]:
    """Return the colors of directions [..., 3] of any length; `phase` changes over time."""
    unit = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    random = np.random.default_rng(11)
    waves = [
        np.sin(
            unit @ (random.normal(size=3) * random.uniform(2, 12)) + random.uniform(0, 6) + phase
        )
        for _ in range(12)
    ]
    colors = np.stack([sum(waves[channel::3]) for channel in range(3)], -1)
    return np.rint(127 + 30 * colors).clip(0, 255).astype(np.uint8)


@cache
def show_map(size: tuple[int, int], phase: float = 0.0) -> NDArray[np.uint8]:
    """Return the scene as an ERP map [H, W, 3]: longitude to the right, latitude upward."""
    height, width = size
    lon = ((np.arange(width) + 0.5) / width - 0.5) * 2 * np.pi
    lat = (0.5 - (np.arange(height)[:, None] + 0.5) / height) * np.pi
    x, y, z = np.cos(lat) * np.sin(lon), -np.sin(lat) + 0 * lon, np.cos(lat) * np.cos(lon)
    return show_scene(np.stack([x, y, z], -1), phase)


def turn(yaw_deg: float, pitch_deg: float, roll_deg: float) -> NDArray[np.float64]:
    """Return R_y(yaw) · R_x(pitch) · R_z(roll) in axes x right, y down, z forward."""
    yaw, pitch, roll = np.radians([yaw_deg, pitch_deg, roll_deg])
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array(
        [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    )
    about_z = np.array(
        [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    )
    return about_y @ about_x @ about_z


def show_through_lens(
    lens: dict, size: tuple[int, int], phase: float = 0.0, rim_deg: float = 3.0
) -> NDArray[np.uint8]:
    """Return what a lens of a lens file shows of the scene; black beyond its circle.

    Args:
        lens: an entry of "lenses" with all fields: `picture`, `center`, `radius`, `fov_deg`, `k`
            and the three angles.
        size: (height, width) of the picture.
        phase: of the scene.
        rim_deg: how far beyond the field of view the picture goes on.
    """
    height, width = size
    scale = height / lens["picture"][1]
    x = (np.arange(width) + 0.5) - lens["center"][0] * scale
    y = (np.arange(height)[:, None] + 0.5) - lens["center"][1] * scale
    radius = np.hypot(x, y)
    limit = np.radians(lens["fov_deg"]) / 2
    angles = np.linspace(0, limit + np.radians(rim_deg), 20000)
    powers = (1, *lens["k"])
    heights = sum(k * angles ** (2 * n + 1) for n, k in enumerate(powers))
    edge = sum(k * limit ** (2 * n + 1) for n, k in enumerate(powers))
    radii = heights / edge * lens["radius"] * scale
    theta = np.interp(radius, radii, angles)
    spread = np.sin(theta) / np.where(radius > 0, radius, 1)
    rays = np.stack([x * spread, y * spread, np.cos(theta)], -1)
    world = rays @ turn(lens["yaw_deg"], lens["pitch_deg"], lens["roll_deg"]).T
    return np.where((radius <= radii[-1])[..., None], show_scene(world, phase), 0).astype(np.uint8)


def show_gopro_tracks(
    size: tuple[int, int], overlap: int, phase: float = 0.0
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the pictures of both tracks of a GoPro MAX: left, front, right; down, back, up.

    The middle face is square. A side face, which two lenses see, is cut in the middle: both halves
    go on for half of `overlap` columns, so that these are there twice.

    Args:
        size: (height, width) of a track.
        overlap: columns that each side face has twice.
        phase: of the scene.
    """
    height, width = size
    side = (width - height) // 2
    unique = side - overlap
    column = np.arange(side)
    halves = np.where(column < side // 2, column, column - overlap)
    u = np.concatenate(
        [(halves + 0.5) / unique, (np.arange(height) + 0.5) / height, (halves + 0.5) / unique]
    )
    face = np.repeat([0, 1, 2], [side, height, side])
    v = (np.arange(height) + 0.5) / height
    # equi-angular: equal steps are equal angles
    a, b = np.meshgrid(np.tan((u - 0.5) * np.pi / 2), np.tan((v - 0.5) * np.pi / 2))
    one = np.ones_like(a)
    upper = {0: (-one, b, a), 1: (a, b, one), 2: (one, b, -a)}
    # below, the picture's top is the right of the sphere, and the band runs from front to front
    lower = {0: (-b, one, -a), 1: (-b, -a, -one), 2: (-b, -one, a)}
    pictures = []
    for faces in (upper, lower):
        rays = np.zeros((height, width, 3))
        for number, axes in faces.items():
            rays[:, face == number] = np.stack(axes, -1)[:, face == number]
        pictures.append(show_scene(rays, phase))
    return pictures[0], pictures[1]


def measure_psnr(ours: NDArray[np.uint8], theirs: NDArray[np.uint8], mask: NDArray[np.bool_]):
    """Return the peak signal-to-noise ratio in dB of the pixels of a mask [H, W]."""
    error = (ours.astype(float) - theirs)[mask]
    return 10 * np.log10(255**2 / np.mean(error**2))


def mask_seam_of_lenses(size: tuple[int, int], axis: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return where an ERP map [H, W] is more than the seam band from 90° off an axis [3]."""
    height, width = size
    lon = ((np.arange(width) + 0.5) / width - 0.5) * 2 * np.pi
    lat = (0.5 - (np.arange(height)[:, None] + 0.5) / height) * np.pi
    along = np.stack(
        [np.cos(lat) * np.sin(lon), -np.sin(lat) + 0 * lon, np.cos(lat) * np.cos(lon)], -1
    ) @ (np.asarray(axis) / np.linalg.norm(axis))
    return np.abs(np.degrees(np.arcsin(along.clip(-1, 1)))) > SEAM_BAND_DEG
