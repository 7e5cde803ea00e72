"""Shading: albedo of every material, the ground and the sky, lighting and haze.

Points and colors are float32 `[N, 3]`. Footprints, the sizes of pixels on the surface, are meters
`[N]`. Numbers without a unit are meters or shares.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from argus.synth.city import BLOCK, CROSSING, EDGE_LINE, ROAD, SIDEWALK, Material
from argus.synth.hashing import hash_uniform
from argus.synth.palette import Palette
from argus.synth.texture import (
    NoiseTexture,
    area_coverage,
    blend,
    offset_from_multiple,
    stripe_coverage,
)

_HAZE_DISTANCE = np.float32(120.0)
_WHITE = np.array([0.93, 0.92, 0.88], np.float32)
_WINDOW_LIT = np.array([0.95, 0.85, 0.6], np.float32)
_WINDOW_DARK = np.array([0.16, 0.22, 0.3], np.float32)
_CAR_LAMP = np.array([1.0, 0.85, 0.7], np.float32)
_TIRE = np.array([0.07, 0.07, 0.08], np.float32)
_RANDOM_TABLE = hash_uniform(71, np.arange(1024)).astype(np.float32)


def apply_light(albedo: np.ndarray, normal: np.ndarray, palette: Palette) -> np.ndarray:
    """Light a diffuse surface by sun and sky; `normal` is `[N, 3]` or `[3]`."""
    cosine = np.maximum(normal @ palette.sun_direction.astype(np.float32), 0)
    sunlight = cosine[..., None] * palette.sunlight.astype(np.float32)
    skylight = (0.5 - 0.5 * normal[..., 1])[..., None]
    return albedo * (0.32 + 0.22 * skylight + 0.62 * sunlight)


def apply_haze(color: np.ndarray, depth: np.ndarray, palette: Palette) -> np.ndarray:
    """Blend toward the color of the horizon with 1 - exp(-(depth / 120 m)²)."""
    return blend(
        color, palette.horizon.astype(np.float32), 1 - np.exp(-((depth / _HAZE_DISTANCE) ** 2))
    )


def shade_ground(
    rays: np.ndarray,
    depth: np.ndarray,
    eye: np.ndarray,
    pixel_rad: float,
    *,
    palette: Palette,
    noise: NoiseTexture,
    seed: int,
) -> np.ndarray:
    """Return the color of the ground where rays hit it.

    Args:
        rays: Unit rays `[N, 3]` in world axes.
        depth: Distances `[N]`.
        eye: Camera position `[3]`.
        pixel_rad: Size of a pixel in radians.
        palette: Colors of the world.
        noise: Noise of the world.
        seed: Seed of the world.
    """
    # Coordinates relative to the nearest crossing keep float32 precise far from the origin.
    cell = np.rint(eye[[0, 2]] / BLOCK)
    local_eye = (eye[[0, 2]] - BLOCK * cell).astype(np.float32)
    x, z = local_eye[0] + rays[:, 0] * depth, local_eye[1] + rays[:, 2] * depth
    footprint = depth * np.float32(pixel_rad) / np.sqrt(np.maximum(rays[:, 1], 1e-3))
    footprint = np.maximum(footprint, 1e-4)
    # Offsets from the nearest roads along z and along x.
    dx, dz = offset_from_multiple(x, BLOCK), offset_from_multiple(z, BLOCK)
    abs_dx, abs_dz = np.abs(dx), np.abs(dz)
    road_distance = np.minimum(abs_dx, abs_dz)
    u = x + np.float32(cell[0] * BLOCK % 4096)
    v = z + np.float32(cell[1] * BLOCK % 4096)
    roughness = noise.sum_octaves(u, v, footprint, ((0.12, 0.10), (0.7, 0.10), (9.0, 0.10)))
    sidewalk_color = palette.sidewalk.astype(np.float32)

    is_lawn = _find_lawns(x, z, cell, seed)
    paved = np.broadcast_to(sidewalk_color * 0.85, (len(x), 3))
    block = blend(paved, palette.grass.astype(np.float32), is_lawn)
    block = block * (1 + roughness * (1 + 1.5 * is_lawn))[:, None]
    joints = np.maximum(
        stripe_coverage(offset_from_multiple(u, 1.5), 0.02, footprint),
        stripe_coverage(offset_from_multiple(v, 1.5), 0.02, footprint),
    )
    sidewalk = sidewalk_color * (1 + 0.6 * roughness - 0.35 * joints)[:, None]
    patches = noise.sum_octaves(u, v, footprint, ((3.0, 0.10), (0.3, 0.08)))
    asphalt = palette.asphalt.astype(np.float32) * (1 + 1.3 * roughness + patches)[:, None]
    paint = np.maximum(
        _compute_road_paint(dx, dz, abs_dx, abs_dz, footprint),
        _compute_road_paint(dz, dx, abs_dz, abs_dx, footprint),
    ) * (0.9 + 0.3 * np.clip(roughness, -0.3, 0.3))
    road = blend(asphalt, _WHITE, np.clip(paint, 0, 1))

    color = blend(block, sidewalk, area_coverage(road_distance, SIDEWALK, footprint))
    color = blend(color, road, area_coverage(road_distance, ROAD, footprint))
    curb = stripe_coverage(road_distance - ROAD, 0.12, footprint)
    color = blend(color, sidewalk_color * 1.15, curb)
    color = apply_light(color, np.array([0, -1, 0], np.float32), palette)
    return apply_haze(color, depth, palette)


def _find_lawns(x: np.ndarray, z: np.ndarray, cell: np.ndarray, seed: int) -> np.ndarray:
    """Return 1 where a block is a lawn, 0 where it is paved."""
    random = hash_uniform(seed, 61, np.arange(64)[:, None], np.arange(64)[None])
    table = (random < 0.6).astype(np.float32)
    i, k = (
        (np.floor(axis / np.float32(BLOCK)) + np.float32(base % 64)).astype(np.int32) & 63
        for axis, base in ((x, cell[0]), (z, cell[1]))
    )
    return table[i, k]


def _compute_road_paint(
    across: np.ndarray,
    along: np.ndarray,
    abs_across: np.ndarray,
    abs_along: np.ndarray,
    footprint: np.ndarray,
) -> np.ndarray:
    """Return the share of white paint: dashed middle line, edge lines, and zebra crossings.

    `across` and `along` are offsets from the middle of the road and from the crossing.
    """
    is_open_road = area_coverage(abs_along - (BLOCK / 2), BLOCK / 2 - CROSSING, footprint)
    dash_offset = offset_from_multiple(along + np.float32(3.5), 7.0)
    dashes = stripe_coverage(across, 0.1, footprint) * area_coverage(dash_offset, 1.6, footprint)
    edges = stripe_coverage(abs_across - EDGE_LINE, 0.08, footprint)
    zebra = (
        area_coverage(abs_along - 6.3, 1.2, footprint)
        * area_coverage(abs_across, 3.8, footprint)
        * stripe_coverage(offset_from_multiple(across, 1.1), 0.28, footprint)
    )
    return np.maximum(is_open_road * np.maximum(dashes, edges), zebra)


def shade_sky(
    rays: np.ndarray, time: float, pixel_rad: float, palette: Palette, noise: NoiseTexture
) -> np.ndarray:
    """Return the color of the sky: a gradient, drifting clouds and the sun.

    Args:
        rays: Unit rays `[N, 3]` in world axes.
        time: Seconds.
        pixel_rad: Size of a pixel in radians.
        palette: Colors of the world.
        noise: Noise of the world.
    """
    up = np.maximum(-rays[:, 1], 0)
    horizon = np.broadcast_to(palette.horizon.astype(np.float32), rays.shape)
    color = blend(horizon, palette.zenith.astype(np.float32), np.sqrt(up))
    scale = 1 / (up + 0.15)
    u, v = rays[:, 0] * scale + np.float32(0.004 * time), rays[:, 2] * scale
    puffs = noise.sum_octaves(
        u,
        v,
        scale * scale * np.float32(pixel_rad),
        ((2.2, 0.55), (0.8, 0.3), (0.3, 0.15), (0.11, 0.08)),
    )
    cover = np.clip((puffs + np.float32(palette.cloudiness) - 0.45) * 1.6, 0, 1)
    cover = cover * np.clip(up * 4, 0, 1)
    clouds = _WHITE * (0.82 + 0.18 * np.clip(puffs, -1, 1))[:, None]
    color = blend(color, clouds, cover * 0.9)
    cosine = np.maximum(rays @ palette.sun_direction.astype(np.float32), 0)
    glow = 0.35 * cosine**24 + np.clip((cosine - 0.9985) * 1500, 0, 1)
    return color + glow[:, None] * palette.sunlight.astype(np.float32)


@dataclass(frozen=True)
class SurfacePoints:
    """Points on solids of one material, one per pixel."""

    point: np.ndarray  # [N, 3] meters from the center of the solid
    normal: np.ndarray  # [N, 3] unit
    half_size: np.ndarray  # [N, 3] of the solid
    footprint: np.ndarray  # [N]
    color: np.ndarray  # [N, 3] of the solid
    variation: np.ndarray  # [N] in [0, 1), random number of the solid

    @property
    def is_side(self) -> np.ndarray:
        """Mask of points on a side rather than on the top or the bottom."""
        return np.abs(self.normal[:, 1]) < 0.5

    @property
    def side_coordinate(self) -> np.ndarray:
        """Horizontal coordinate on a side, meters."""
        return np.where(np.abs(self.normal[:, 0]) > 0.5, self.point[:, 2], self.point[:, 0])


def wall_albedo(points: SurfacePoints, noise: NoiseTexture) -> np.ndarray:
    """Return walls with rows of windows, stories of about 3 m and a plinth; roofs are plain."""
    variation, footprint, u = points.variation, points.footprint, points.side_coordinate
    window_spacing, story = 2.2 + 1.6 * variation, 2.9 + 0.4 * (variation * 7 % 1)
    height = points.half_size[:, 1] - points.point[:, 1]  # above the ground
    dirt = noise.sum_octaves(
        u + 31 * variation,
        points.point[:, 1] + 17 * variation,
        footprint,
        ((0.2, 0.06), (1.5, 0.07), (8.0, 0.06)),
    )
    story_line = stripe_coverage(height - story * np.rint(height / story), 0.12, footprint)
    plaster = points.color * (1 + dirt - 0.25 * story_line)[:, None]
    column, row = np.floor(u / window_spacing), np.floor(height / story)
    across, up = u - window_spacing * (column + 0.5), height - story * (row + 0.55)
    frame = area_coverage(across, 0.34 * window_spacing, footprint) * area_coverage(
        up, 0.33 * story, footprint
    )
    pane = (
        area_coverage(across, 0.30 * window_spacing, footprint)
        * area_coverage(up, 0.29 * story, footprint)
        * (1 - stripe_coverage(across, 0.04, footprint))
    )
    visibility = (
        points.is_side
        * (2 * points.half_size[:, 1] - height > 0.5)
        * np.clip(1.5 - 0.5 * footprint / window_spacing, 0.3, 1)
    )
    window = (
        column.astype(np.int32) * 31
        + row.astype(np.int32) * 17
        + (variation * 4096).astype(np.int32)
    )
    random = _RANDOM_TABLE[window & 1023]
    dark = _WINDOW_DARK * (0.6 + 0.8 * random)[:, None]
    glass = blend(dark, _WINDOW_LIT, (random > 0.85).astype(np.float32))
    wall = blend(blend(plaster, _WHITE, frame * visibility * 0.8), glass, pane * visibility)
    return blend(wall, points.color * 0.5, area_coverage(height, 0.6, footprint) * 0.8)


def car_body_albedo(points: SurfacePoints, _: NoiseTexture) -> np.ndarray:
    """Return car bodies: wheels on the long sides, lamps at the ends, dark below."""
    is_along_z = points.half_size[:, 2] > points.half_size[:, 0]
    along, half_length = (
        np.where(is_along_z, values[:, 2], values[:, 0])
        for values in (points.point, points.half_size)
    )
    across = np.where(is_along_z, points.point[:, 0], points.point[:, 2])
    is_end = np.abs(np.where(is_along_z, points.normal[:, 2], points.normal[:, 0])) > 0.5
    height = points.half_size[:, 1] - points.point[:, 1]
    wheel_distance = np.hypot(np.abs(along) - 0.6 * half_length, height - 0.3)
    wheels = area_coverage(wheel_distance, 0.32, points.footprint) * ~is_end
    dark = np.maximum(wheels, area_coverage(height, 0.18, points.footprint)) * points.is_side
    lamps = (
        is_end
        * area_coverage(height - 1.24 * points.half_size[:, 1], 0.09, points.footprint)
        * area_coverage(np.abs(across) - 0.65, 0.18, points.footprint)
    )
    return blend(blend(points.color, _TIRE, dark), _CAR_LAMP, lamps)


def car_cabin_albedo(points: SurfacePoints, _: NoiseTexture) -> np.ndarray:
    """Return car cabins: glass on all sides under a painted roof."""
    glass = area_coverage(points.point[:, 1], 0.7 * points.half_size[:, 1], points.footprint)
    return blend(points.color, _WINDOW_DARK, glass * points.is_side)


def foliage_albedo(points: SurfacePoints, noise: NoiseTexture) -> np.ndarray:
    """Return speckled leaves."""
    x, y, z = points.point.T
    octaves = ((0.25, 0.24), (0.8, 0.2))
    speckle = noise.sum_octaves(
        x + 0.5 * y + 9 * points.variation, z - 0.3 * x, points.footprint, octaves
    ) + noise.sum_octaves(y + 5 * points.variation, x - z, points.footprint, octaves)
    return points.color * np.clip(1 + speckle, 0.25, 1.9)[:, None]


def cloth_albedo(points: SurfacePoints, noise: NoiseTexture) -> np.ndarray:
    """Return cloth with faint folds; also used for bark."""
    folds = noise.sum_octaves(
        points.side_coordinate + 5 * points.variation,
        points.point[:, 1],
        points.footprint,
        ((0.15, 0.12),),
    )
    return points.color * (1 + folds)[:, None]


ALBEDO_FUNCTIONS: dict[Material, Callable[[SurfacePoints, NoiseTexture], np.ndarray]] = {
    Material.WALL: wall_albedo,
    Material.CAR_BODY: car_body_albedo,
    Material.CAR_CABIN: car_cabin_albedo,
    Material.LEAVES: foliage_albedo,
    Material.TRUNK: cloth_albedo,
    Material.CLOTH: cloth_albedo,
}
"""Function of each material that returns the albedo `[N, 3]` of surface points."""
