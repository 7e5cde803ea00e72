"""What surfaces look like: ground, sky, walls, cars, leaves. Points and colours are float32 `[N, 3]`, footprints (pixel sizes) metres `[N]`."""

import numpy as np

from argus.synth.chance import uniform
from argus.synth.city import CROSSING, EDGE_LINE, KERB, PERIOD, ROAD, Material
from argus.synth.palette import Palette
from argus.synth.texture import Noise, area, centred, mix, stripe

HAZE = 120.0  # metres
_LIT = np.array([0.95, 0.85, 0.6], np.float32)
_PANE = np.array([0.16, 0.22, 0.3], np.float32)
_WHITE = np.array([0.93, 0.92, 0.88], np.float32)
_TYRE = np.array([0.07, 0.07, 0.08], np.float32)


def lit(albedo: np.ndarray, normal: np.ndarray, palette: Palette) -> np.ndarray:
    """Sunlight and sky light on a surface; `normal` `[N, 3]` or `[3]`."""
    direct = np.maximum(normal @ palette.sun.astype(np.float32), 0)[..., None] * palette.sunlight.astype(np.float32)
    above = (0.5 - 0.5 * normal[..., 1])[..., None]
    return albedo * (0.32 + 0.22 * above + 0.62 * direct)


def hazed(colour: np.ndarray, depth: np.ndarray, palette: Palette) -> np.ndarray:
    """The air between."""
    return mix(colour, palette.horizon.astype(np.float32), 1 - np.exp(-((depth / np.float32(HAZE)) ** 2)))


def ground(rays: np.ndarray, depth: np.ndarray, eye: np.ndarray, pixel: float, palette: Palette, noise: Noise, seed: int) -> np.ndarray:
    """Colour of the street where rays `[N, 3]` meet it."""
    cell = np.rint(eye[[0, 2]] / PERIOD)
    near = (eye[[0, 2]] - PERIOD * cell).astype(np.float32)
    x, z = near[0] + rays[:, 0] * depth, near[1] + rays[:, 2] * depth
    footprint = np.maximum(depth * np.float32(pixel) / np.sqrt(np.maximum(rays[:, 1], 1e-3)), 1e-4)
    lx, lz = centred(x, PERIOD), centred(z, PERIOD)
    ax, az = np.abs(lx), np.abs(lz)
    close = np.minimum(ax, az)
    u, v = x + np.float32(cell[0] * PERIOD % 4096), z + np.float32(cell[1] * PERIOD % 4096)
    rough = noise.mixed(u, v, footprint, ((0.12, 0.10), (0.7, 0.10), (9.0, 0.10)))

    lawn = _lawns(x, z, cell, seed)
    inner = mix(np.broadcast_to(palette.pavement.astype(np.float32) * 0.85, (len(x), 3)), palette.grass.astype(np.float32), lawn)
    inner = inner * (1 + rough * (1 + 1.5 * lawn))[:, None]
    joints = np.maximum(stripe(centred(u, 1.5), 0.02, footprint), stripe(centred(v, 1.5), 0.02, footprint))
    slabs = palette.pavement.astype(np.float32) * (1 + 0.6 * rough - 0.35 * joints)[:, None]
    patches = noise.mixed(u, v, footprint, ((3.0, 0.10), (0.3, 0.08)))
    tar = palette.asphalt.astype(np.float32) * (1 + 1.3 * rough + patches)[:, None]
    paint = np.maximum(_paint(lx, lz, ax, az, footprint), _paint(lz, lx, az, ax, footprint)) * (0.9 + 0.3 * np.clip(rough, -0.3, 0.3))
    colour = mix(inner, slabs, area(close, KERB, footprint))
    colour = mix(colour, mix(tar, _WHITE, np.clip(paint, 0, 1)), area(close, ROAD, footprint))
    colour = mix(colour, palette.pavement.astype(np.float32) * 1.15, stripe(close - ROAD, 0.12, footprint))
    return hazed(lit(colour, np.array([0, -1, 0], np.float32), palette), depth, palette)


def _lawns(x: np.ndarray, z: np.ndarray, cell: np.ndarray, seed: int) -> np.ndarray:
    """1 where a block is green, 0 where it is paved."""
    table = (uniform(seed, 61, np.arange(64)[:, None], np.arange(64)[None]) < 0.6).astype(np.float32)
    i, k = ((np.floor(axis / np.float32(PERIOD)) + np.float32(base % 64)).astype(np.int32) & 63 for axis, base in ((x, cell[0]), (z, cell[1])))
    return table[i, k]


def _paint(across: np.ndarray, along: np.ndarray, off: np.ndarray, ahead: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Share of white paint: a dashed middle line, edge lines, and zebra stripes before the crossing."""
    open_road = area(ahead - (PERIOD / 2), PERIOD / 2 - CROSSING, footprint)
    dashes = stripe(across, 0.1, footprint) * area(centred(along + np.float32(3.5), 7.0), 1.6, footprint)
    edges = stripe(off - EDGE_LINE, 0.08, footprint)
    zebra = area(ahead - 6.3, 1.2, footprint) * area(off, 3.8, footprint) * stripe(centred(across, 1.1), 0.28, footprint)
    return np.maximum(open_road * np.maximum(dashes, edges), zebra)


def sky(rays: np.ndarray, time: float, pixel: float, palette: Palette, noise: Noise) -> np.ndarray:
    """Gradient, drifting clouds and the sun."""
    up = np.maximum(-rays[:, 1], 0)
    colour = mix(np.broadcast_to(palette.horizon.astype(np.float32), rays.shape), palette.zenith.astype(np.float32), np.sqrt(up))
    far = 1 / (up + 0.15)
    u, v = rays[:, 0] * far + np.float32(0.004 * time), rays[:, 2] * far
    puffs = noise.mixed(u, v, far * far * np.float32(pixel), ((2.2, 0.55), (0.8, 0.3), (0.3, 0.15), (0.11, 0.08)))
    cover = np.clip((puffs + np.float32(palette.clouds) - 0.45) * 1.6, 0, 1) * np.clip(up * 4, 0, 1)
    colour = mix(colour, _WHITE * (0.82 + 0.18 * np.clip(puffs, -1, 1))[:, None], cover * 0.9)
    towards = np.maximum(rays @ palette.sun.astype(np.float32), 0)
    glow = 0.35 * towards**24 + np.clip((towards - 0.9985) * 1500, 0, 1)
    return colour + glow[:, None] * palette.sunlight.astype(np.float32)


def solid(
    material: Material,
    point: np.ndarray,
    normal: np.ndarray,
    half: np.ndarray,
    footprint: np.ndarray,
    *,
    colour: np.ndarray,
    key: float,
    noise: Noise,
) -> np.ndarray:
    """Albedo of a solid at points relative to its middle; `normal` `[N, 3]` unit, `half` `[3]` its half-size."""
    colour = colour.astype(np.float32)
    sideways = np.abs(normal[:, 0]) > 0.5
    u = np.where(sideways, point[:, 2], point[:, 0])
    v = point[:, 1]
    if material == Material.WALL:
        return _wall(u, v, normal, half, footprint, colour, key, noise)
    if material == Material.CAR:
        return _car(point, normal, half, footprint, colour)
    if material == Material.CABIN:
        glass = area(v, float(half[1]) * 0.7, footprint) * (np.abs(normal[:, 1]) < 0.5)
        return mix(np.broadcast_to(colour, point.shape), _PANE, glass)
    if material == Material.LEAVES:
        speck = noise.mixed(point[:, 0] + point[:, 1] + 9 * key, point[:, 2] - point[:, 1], footprint, ((0.25, 0.3), (0.8, 0.25)))
        return colour * np.clip(1 + speck, 0.25, 1.9)[:, None]
    folds = noise.mixed(u + 5 * key, v, footprint, ((0.15, 0.12),))
    return colour * (1 + folds)[:, None]


def _wall(
    u: np.ndarray, v: np.ndarray, normal: np.ndarray, half: np.ndarray, footprint: np.ndarray, colour: np.ndarray, key: float, noise: Noise
) -> np.ndarray:
    """Windows in rows, storeys of about 3 m, a plinth; a plain roof."""
    wide, storey = 2.2 + 1.6 * key, 2.9 + 0.4 * (key * 7 % 1)
    height = half[1] - v  # above the ground
    dirt = noise.mixed(u + 31 * key, v + 17 * key, footprint, ((0.2, 0.06), (1.5, 0.07), (8.0, 0.06)))
    wall = colour * (1 + dirt)[:, None]
    courses = stripe(centred(height, storey), 0.12, footprint)
    wall = wall * (1 - 0.25 * courses)[:, None]
    column, row = np.floor(u / np.float32(wide)), np.floor(height / np.float32(storey))
    across, up = u - wide * (column + 0.5), height - storey * (row + 0.55)
    frame = area(across, 0.34 * wide, footprint) * area(up, 0.33 * storey, footprint)
    pane = area(across, 0.30 * wide, footprint) * area(up, 0.29 * storey, footprint) * (1 - stripe(across, 0.04, footprint))
    shown = (np.abs(normal[:, 1]) < 0.5) * (half[1] * 2 - height > 0.5) * np.clip(1.5 - 0.5 * footprint / wide, 0.3, 1)
    chance = _TABLE[(column.astype(np.int32) * 31 + row.astype(np.int32) * 17 + int(key * 4096)) & 1023]
    glass = mix(_PANE * (0.6 + 0.8 * chance)[:, None], _LIT, (chance > 0.85).astype(np.float32))
    wall = mix(wall, np.broadcast_to(_WHITE, wall.shape), frame * shown * 0.8)
    wall = mix(wall, glass, pane * shown)
    return mix(wall, colour * 0.5, area(height, 0.6, footprint) * 0.8)


def _car(point: np.ndarray, normal: np.ndarray, half: np.ndarray, footprint: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Wheels on the long sides, lamps at the ends, dark below."""
    length = 2 if half[2] > half[0] else 0
    along, height = point[:, length], half[1] - point[:, 1]
    ends = np.abs(normal[:, length]) > 0.5
    wheel = np.full(len(along), np.inf, np.float32)
    for place in (-0.6, 0.6):
        wheel = np.minimum(wheel, np.hypot(along - place * half[length], height - 0.3))
    dark = np.maximum(area(wheel, 0.32, footprint) * ~ends, area(height, 0.18, footprint))
    body = mix(np.broadcast_to(colour, point.shape), _TYRE, dark * (np.abs(normal[:, 1]) < 0.5))
    lamps = ends * area(height - 0.62 * 2 * half[1], 0.09, footprint) * area(np.abs(point[:, 2 - length]) - 0.65, 0.18, footprint)
    return mix(body, np.array([1.0, 0.85, 0.7], np.float32), lamps)


_TABLE = uniform(71, np.arange(1024)).astype(np.float32)
