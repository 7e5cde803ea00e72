"""What surfaces look like: ground, sky, walls, cars, leaves. Points and colours are float32 `[N, 3]`, footprints (pixel sizes) metres `[N]`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from argus.synth.city import CROSSING, EDGE_LINE, KERB, PERIOD, ROAD, Material
from argus.synth.hashing import uniform
from argus.synth.palette import Palette
from argus.synth.texture import Noise, area, centred, mix, stripe

HAZE = 120.0  # metres
_LIT = np.array([0.95, 0.85, 0.6], np.float32)
_PANE = np.array([0.16, 0.22, 0.3], np.float32)
_WHITE = np.array([0.93, 0.92, 0.88], np.float32)
_LAMP = np.array([1.0, 0.85, 0.7], np.float32)
_TYRE = np.array([0.07, 0.07, 0.08], np.float32)


def lit(albedo: np.ndarray, normal: np.ndarray, palette: Palette) -> np.ndarray:
    """Sunlight and sky light on a surface; `normal` `[N, 3]` or `[3]`."""
    direct = np.maximum(normal @ palette.sun.astype(np.float32), 0)[
        ..., None
    ] * palette.sunlight.astype(np.float32)
    above = (0.5 - 0.5 * normal[..., 1])[..., None]
    return albedo * (0.32 + 0.22 * above + 0.62 * direct)


def hazed(colour: np.ndarray, depth: np.ndarray, palette: Palette) -> np.ndarray:
    """The air between."""
    return mix(
        colour, palette.horizon.astype(np.float32), 1 - np.exp(-((depth / np.float32(HAZE)) ** 2))
    )


def ground(
    rays: np.ndarray,
    depth: np.ndarray,
    eye: np.ndarray,
    pixel: float,
    *,
    palette: Palette,
    noise: Noise,
    seed: int,
) -> np.ndarray:
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
    inner = mix(
        np.broadcast_to(palette.pavement.astype(np.float32) * 0.85, (len(x), 3)),
        palette.grass.astype(np.float32),
        lawn,
    )
    inner = inner * (1 + rough * (1 + 1.5 * lawn))[:, None]
    joints = np.maximum(
        stripe(centred(u, 1.5), 0.02, footprint), stripe(centred(v, 1.5), 0.02, footprint)
    )
    slabs = palette.pavement.astype(np.float32) * (1 + 0.6 * rough - 0.35 * joints)[:, None]
    patches = noise.mixed(u, v, footprint, ((3.0, 0.10), (0.3, 0.08)))
    tar = palette.asphalt.astype(np.float32) * (1 + 1.3 * rough + patches)[:, None]
    paint = np.maximum(_paint(lx, lz, ax, az, footprint), _paint(lz, lx, az, ax, footprint)) * (
        0.9 + 0.3 * np.clip(rough, -0.3, 0.3)
    )
    colour = mix(inner, slabs, area(close, KERB, footprint))
    colour = mix(colour, mix(tar, _WHITE, np.clip(paint, 0, 1)), area(close, ROAD, footprint))
    colour = mix(
        colour, palette.pavement.astype(np.float32) * 1.15, stripe(close - ROAD, 0.12, footprint)
    )
    return hazed(lit(colour, np.array([0, -1, 0], np.float32), palette), depth, palette)


def _lawns(x: np.ndarray, z: np.ndarray, cell: np.ndarray, seed: int) -> np.ndarray:
    """1 where a block is green, 0 where it is paved."""
    table = (uniform(seed, 61, np.arange(64)[:, None], np.arange(64)[None]) < 0.6).astype(
        np.float32
    )
    i, k = (
        (np.floor(axis / np.float32(PERIOD)) + np.float32(base % 64)).astype(np.int32) & 63
        for axis, base in ((x, cell[0]), (z, cell[1]))
    )
    return table[i, k]


def _paint(
    across: np.ndarray, along: np.ndarray, off: np.ndarray, ahead: np.ndarray, footprint: np.ndarray
) -> np.ndarray:
    """Share of white paint: a dashed middle line, edge lines, and zebra stripes before the crossing."""
    open_road = area(ahead - (PERIOD / 2), PERIOD / 2 - CROSSING, footprint)
    dashes = stripe(across, 0.1, footprint) * area(
        centred(along + np.float32(3.5), 7.0), 1.6, footprint
    )
    edges = stripe(off - EDGE_LINE, 0.08, footprint)
    zebra = (
        area(ahead - 6.3, 1.2, footprint)
        * area(off, 3.8, footprint)
        * stripe(centred(across, 1.1), 0.28, footprint)
    )
    return np.maximum(open_road * np.maximum(dashes, edges), zebra)


def sky(rays: np.ndarray, time: float, pixel: float, palette: Palette, noise: Noise) -> np.ndarray:
    """Gradient, drifting clouds and the sun."""
    up = np.maximum(-rays[:, 1], 0)
    colour = mix(
        np.broadcast_to(palette.horizon.astype(np.float32), rays.shape),
        palette.zenith.astype(np.float32),
        np.sqrt(up),
    )
    far = 1 / (up + 0.15)
    u, v = rays[:, 0] * far + np.float32(0.004 * time), rays[:, 2] * far
    puffs = noise.mixed(
        u, v, far * far * np.float32(pixel), ((2.2, 0.55), (0.8, 0.3), (0.3, 0.15), (0.11, 0.08))
    )
    cover = np.clip((puffs + np.float32(palette.clouds) - 0.45) * 1.6, 0, 1) * np.clip(up * 4, 0, 1)
    colour = mix(colour, _WHITE * (0.82 + 0.18 * np.clip(puffs, -1, 1))[:, None], cover * 0.9)
    towards = np.maximum(rays @ palette.sun.astype(np.float32), 0)
    glow = 0.35 * towards**24 + np.clip((towards - 0.9985) * 1500, 0, 1)
    return colour + glow[:, None] * palette.sunlight.astype(np.float32)


@dataclass(frozen=True)
class Spot:
    """N pixels of solids of one material."""

    point: np.ndarray  # [N, 3] metres from the solid's middle
    normal: np.ndarray  # [N, 3] unit
    half: np.ndarray  # [N, 3] half-size of the solid
    footprint: np.ndarray  # [N]
    colour: np.ndarray  # [N, 3]
    key: np.ndarray  # [N] in [0, 1): the solid's own number

    @property
    def upright(self) -> np.ndarray:
        """Whether a side is seen rather than the top or the bottom."""
        return np.abs(self.normal[:, 1]) < 0.5

    @property
    def along(self) -> np.ndarray:
        """Horizontal place on a side, metres."""
        return np.where(np.abs(self.normal[:, 0]) > 0.5, self.point[:, 2], self.point[:, 0])


def wall(spot: Spot, noise: Noise) -> np.ndarray:
    """Windows in rows, storeys of about 3 m, a plinth; a plain roof."""
    key, footprint, u = spot.key, spot.footprint, spot.along
    wide, storey = 2.2 + 1.6 * key, 2.9 + 0.4 * (key * 7 % 1)
    height = spot.half[:, 1] - spot.point[:, 1]  # above the ground
    dirt = noise.mixed(
        u + 31 * key,
        spot.point[:, 1] + 17 * key,
        footprint,
        ((0.2, 0.06), (1.5, 0.07), (8.0, 0.06)),
    )
    course = stripe(height - storey * np.rint(height / storey), 0.12, footprint)
    plaster = spot.colour * (1 + dirt - 0.25 * course)[:, None]
    column, row = np.floor(u / wide), np.floor(height / storey)
    across, up = u - wide * (column + 0.5), height - storey * (row + 0.55)
    frame = area(across, 0.34 * wide, footprint) * area(up, 0.33 * storey, footprint)
    pane = (
        area(across, 0.30 * wide, footprint)
        * area(up, 0.29 * storey, footprint)
        * (1 - stripe(across, 0.04, footprint))
    )
    shown = (
        spot.upright
        * (2 * spot.half[:, 1] - height > 0.5)
        * np.clip(1.5 - 0.5 * footprint / wide, 0.3, 1)
    )
    chance = _TABLE[
        (column.astype(np.int32) * 31 + row.astype(np.int32) * 17 + (key * 4096).astype(np.int32))
        & 1023
    ]
    glass = mix(_PANE * (0.6 + 0.8 * chance)[:, None], _LIT, (chance > 0.85).astype(np.float32))
    plaster = mix(mix(plaster, _WHITE, frame * shown * 0.8), glass, pane * shown)
    return mix(plaster, spot.colour * 0.5, area(height, 0.6, footprint) * 0.8)


def car(spot: Spot, _: Noise) -> np.ndarray:
    """Wheels on the long sides, lamps at the ends, dark below."""
    lengthways = spot.half[:, 2] > spot.half[:, 0]
    along, half = (
        np.where(lengthways, values[:, 2], values[:, 0]) for values in (spot.point, spot.half)
    )
    across, ends = (
        np.where(lengthways, spot.point[:, 0], spot.point[:, 2]),
        np.abs(np.where(lengthways, spot.normal[:, 2], spot.normal[:, 0])) > 0.5,
    )
    height = spot.half[:, 1] - spot.point[:, 1]
    wheel = np.hypot(np.abs(along) - 0.6 * half, height - 0.3)
    dark = (
        np.maximum(area(wheel, 0.32, spot.footprint) * ~ends, area(height, 0.18, spot.footprint))
        * spot.upright
    )
    lamp = (
        ends
        * area(height - 1.24 * spot.half[:, 1], 0.09, spot.footprint)
        * area(np.abs(across) - 0.65, 0.18, spot.footprint)
    )
    return mix(mix(spot.colour, _TYRE, dark), _LAMP, lamp)


def cabin(spot: Spot, _: Noise) -> np.ndarray:
    """Glass all round under a painted roof."""
    return mix(
        spot.colour,
        _PANE,
        area(spot.point[:, 1], 0.7 * spot.half[:, 1], spot.footprint) * spot.upright,
    )


def foliage(spot: Spot, noise: Noise) -> np.ndarray:
    """Speckled leaves."""
    x, y, z = spot.point.T
    octaves = ((0.25, 0.24), (0.8, 0.2))
    speck = noise.mixed(
        x + 0.5 * y + 9 * spot.key, z - 0.3 * x, spot.footprint, octaves
    ) + noise.mixed(y + 5 * spot.key, x - z, spot.footprint, octaves)
    return spot.colour * np.clip(1 + speck, 0.25, 1.9)[:, None]


def cloth(spot: Spot, noise: Noise) -> np.ndarray:
    """Faint folds; bark looks much the same."""
    folds = noise.mixed(
        spot.along + 5 * spot.key, spot.point[:, 1], spot.footprint, ((0.15, 0.12),)
    )
    return spot.colour * (1 + folds)[:, None]


LOOKS: dict[Material, Callable[[Spot, Noise], np.ndarray]] = {
    Material.WALL: wall,
    Material.CAR: car,
    Material.CABIN: cabin,
    Material.LEAVES: foliage,
    Material.TRUNK: cloth,
    Material.CLOTH: cloth,
}
"""Albedo `[N, 3]` of each material."""

_TABLE = uniform(71, np.arange(1024)).astype(np.float32)
