"""What stands and moves where: an endless street grid in metres, a function of (seed, cell, time). x is east, y down, z north; the ground is y = 0.

Roads run along x = PERIOD·i and z = PERIOD·k. Traffic keeps right. Nothing is drawn here.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from argus.synth.hashing import uniform
from argus.synth.palette import Palette

PERIOD = 56.0
ROAD = 4.5  # half-width
KERB = 8.5  # where the pavement ends
EDGE_LINE = 4.1  # from the road's middle
CROSSING = 8.0  # painted lines end here, before a crossing
LANE = 2.2  # from the road's middle
CAR_GAP, FIGURE_GAP, TREE_GAP = 22.0, 9.0, 9.5
FAR, MIDDLE, NEAR = (
    168.0,
    110.0,
    60.0,
)  # metres to which buildings, then cars and trees, then people are drawn


class Material(IntEnum):
    """What a solid is made of."""

    WALL = 0
    CAR = 1
    CABIN = 2
    LEAVES = 3
    TRUNK = 4
    CLOTH = 5


ROUND = frozenset({Material.LEAVES, Material.CLOTH})
"""Materials of ellipsoids; all others are boxes."""


@dataclass(frozen=True)
class Solids:
    """N solids: boxes between two corners, or the ellipsoids inscribed in them."""

    low: np.ndarray  # [N, 3] metres
    high: np.ndarray  # [N, 3]
    colour: np.ndarray  # [N, 3] in [0, 1]
    material: np.ndarray  # [N] Material
    key: np.ndarray  # [N] in [0, 1): tells one from another

    @classmethod
    def of(
        cls,
        centre: np.ndarray,
        half: np.ndarray,
        colour: np.ndarray,
        material: Material,
        key: np.ndarray,
    ) -> "Solids":
        """Solids of one kind, from middles and half-sizes."""
        return cls(centre - half, centre + half, colour, np.full(len(centre), material), key)

    @property
    def round(self) -> np.ndarray:
        """Which are ellipsoids, bool `[N]`."""
        return np.isin(self.material, [int(material) for material in ROUND])

    def select(self, chosen: np.ndarray) -> "Solids":
        """Those at the indices or under the mask."""
        return Solids(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


def joined(parts: list[Solids]) -> Solids:
    """All solids of the parts."""
    return Solids(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in Solids.__dataclass_fields__
        )
    )


def lane_speed(seed: int, road: np.ndarray | int, along_z: bool, forward: bool) -> np.ndarray:
    """Speed of all cars of one lane, m/s, signed along the axis."""
    speed = 5 + 6 * uniform(seed, 11, road, along_z, forward)
    return speed if forward else -speed


def buildings(seed: int, palette: Palette, middle: np.ndarray, reach: float = FAR) -> Solids:
    """Four lots to a block, most of them built on."""
    first = np.floor((middle[[0, 2]] - reach) / PERIOD).astype(int)
    last = np.floor((middle[[0, 2]] + reach) / PERIOD).astype(int)
    i, k, a, b = (
        axis.reshape(-1)
        for axis in np.meshgrid(
            *(np.arange(first[n], last[n] + 1) for n in (0, 1)), [0, 1], [0, 1], indexing="ij"
        )
    )
    chance = uniform(seed, 21, np.arange(8)[:, None], i, k, a, b)
    lot = (PERIOD - 2 * KERB) / 2
    x0, z0 = PERIOD * i + KERB + lot * a, PERIOD * k + KERB + lot * b
    west, east, south, north = (0.3 + 2.7 * chance[n] for n in range(4))
    height = 6 + 20 * chance[4] ** 2 + 6 * chance[5]
    low = np.stack([x0 + west, -height, z0 + south], -1)
    high = np.stack([x0 + lot - east, 0 * height, z0 + lot - north], -1)
    stand = chance[6] < 0.85
    colour = palette.walls[(chance[7] * len(palette.walls)).astype(int)]
    kind = np.full(len(low), Material.WALL)
    return Solids(low, high, colour, kind, uniform(seed, 22, i, k, a, b)).select(stand)


def _along_roads(
    middle: np.ndarray,
    reach: float,
    gap: float,
    offset: float,
    speed_time: np.ndarray | float,
    axis: int,
) -> tuple[np.ndarray, ...]:
    """(road, number, place along, place across) of what stands every `gap` metres along the roads of one axis (0: along x, 2: along z)."""
    across, along = middle[2 - axis], middle[axis]
    roads = np.arange(np.floor((across - reach) / PERIOD), np.ceil((across + reach) / PERIOD) + 1)
    shift = np.broadcast_to(speed_time, roads.shape)
    first = np.floor((along - reach - shift) / gap)
    count = int(2 * reach / gap) + 2
    number = first[:, None] + np.arange(count)
    road = np.broadcast_to(roads[:, None], number.shape)
    place = number * gap + shift[:, None]
    return tuple(value.reshape(-1) for value in (road, number, place, road * PERIOD + offset))


def _placed(along: np.ndarray, across: np.ndarray, up: np.ndarray | float, axis: int) -> np.ndarray:
    """Positions [N, 3]; `up` is the height above the ground."""
    up = np.broadcast_to(up, along.shape)
    return np.stack([across, -up, along] if axis == 2 else [along, -up, across], -1)


def _sized(
    along: float | np.ndarray,
    across: float | np.ndarray,
    up: float | np.ndarray,
    axis: int,
    count: int,
) -> np.ndarray:
    sizes = [np.broadcast_to(size, (count,)) for size in (along, across, up)]
    return np.stack(
        [sizes[1], sizes[2], sizes[0]] if axis == 2 else [sizes[0], sizes[2], sizes[1]], -1
    )


def cars(seed: int, palette: Palette, middle: np.ndarray, time: float) -> Solids:
    """Every lane at its own speed; a body and a cabin to a car."""
    parts = []
    for axis in (0, 2):
        for forward in (False, True):
            side = LANE if forward == (axis == 2) else -LANE
            roads = np.arange(
                np.floor((middle[2 - axis] - MIDDLE) / PERIOD),
                np.ceil((middle[2 - axis] + MIDDLE) / PERIOD) + 1,
            )
            shift = lane_speed(seed, roads, axis == 2, forward) * time
            road, number, place, across = _along_roads(middle, MIDDLE, CAR_GAP, side, shift, axis)
            chance = uniform(seed, 31, np.arange(5)[:, None], axis, forward, road, number)
            place = place + (chance[0] - 0.5) * CAR_GAP / 2
            length, tall = 1.9 + 0.5 * chance[1], 0.42 + 0.2 * chance[2]
            colour = palette.paints[(chance[3] * len(palette.paints)).astype(int)]
            body = Solids.of(
                _placed(place, across, tall, axis),
                _sized(length, 0.9, tall, axis, len(place)),
                colour,
                Material.CAR,
                chance[3],
            )
            cabin = Solids.of(
                _placed(
                    place - 0.2 * length * (1 if forward else -1), across, 2 * tall + 0.28, axis
                ),
                _sized(0.55 * length, 0.78, 0.28, axis, len(place)),
                colour,
                Material.CABIN,
                chance[3],
            )
            parts += [part.select(chance[4] < 0.75) for part in (body, cabin)]
    return joined(parts)


def figures(seed: int, palette: Palette, middle: np.ndarray, time: float) -> Solids:
    """People on the pavements: legs, trunk and head."""
    parts = []
    for axis in (0, 2):
        for offset, speed in ((6.3, 1.2), (7.3, -1.35), (-6.3, -1.25), (-7.3, 1.3)):
            road, number, place, across = _along_roads(
                middle, NEAR, FIGURE_GAP, offset, speed * time, axis
            )
            chance = uniform(seed, 41, np.arange(5)[:, None], axis, int(offset * 10), road, number)
            place = place + (chance[0] - 0.5) * FIGURE_GAP * 0.8
            scale, count = 0.9 + 0.2 * chance[1], len(place)
            step = 0.03 * np.abs(np.sin(2 * np.pi * (0.9 * time + chance[2])))
            colours = (
                palette.cloths[(chance[2] * len(palette.cloths)).astype(int)],
                palette.cloths[(chance[3] * len(palette.cloths)).astype(int)],
                palette.skins[(chance[1] * len(palette.skins)).astype(int)],
            )
            for (up, thick, tall), colour in zip(
                ((0.45, 0.15, 0.47), (1.15, 0.24, 0.38), (1.66, 0.11, 0.14)), colours, strict=True
            ):
                where, size = (
                    _placed(place, across, up * scale + step, axis),
                    _sized(thick * scale, thick * scale, tall * scale, axis, count),
                )
                part = Solids.of(where, size, colour, Material.CLOTH, chance[0])
                parts.append(part.select(chance[4] < 0.6))
    return joined(parts)


def trees(seed: int, palette: Palette, middle: np.ndarray) -> Solids:
    """A row on each side of each road, not in the crossings."""
    parts = []
    for axis in (0, 2):
        for offset in (8.0, -8.0):
            road, number, place, across = _along_roads(middle, MIDDLE, TREE_GAP, offset, 0.0, axis)
            chance = uniform(seed, 51, np.arange(5)[:, None], axis, offset > 0, road, number)
            crown, up = 1.2 + 0.7 * chance[0], 3.4 + 1.3 * chance[1]
            colour = palette.leaves[(chance[2] * len(palette.leaves)).astype(int)]
            free = (np.abs(place - PERIOD * np.rint(place / PERIOD)) > KERB + 2.5) & (
                chance[3] < 0.7
            )
            size = _sized(0.14, 0.14, up / 2, axis, len(place))
            trunk = Solids.of(
                _placed(place, across, up / 2, axis),
                size,
                palette.bark + 0 * colour,
                Material.TRUNK,
                chance[4],
            )
            size = _sized(crown, crown, 1.25 * crown, axis, len(place))
            leaves = Solids.of(
                _placed(place, across, up, axis), size, colour, Material.LEAVES, chance[4]
            )
            parts += [trunk.select(free), leaves.select(free)]
    return joined(parts)


def solids(seed: int, palette: Palette, middle: np.ndarray, time: float) -> Solids:
    """All solids around a position `[3]` at a time in seconds, except those that enclose it."""
    everything = joined(
        [
            buildings(seed, palette, middle),
            cars(seed, palette, middle, time),
            figures(seed, palette, middle, time),
            trees(seed, palette, middle),
        ]
    )
    gap = np.maximum(np.maximum(everything.low - middle, middle - everything.high), 0)
    distance = np.linalg.norm(gap, axis=-1)
    chosen = np.flatnonzero((distance > 0.3) & (distance < FAR))
    return everything.select(chosen[np.argsort(distance[chosen], kind="stable")])


def lines(seed: int, palette: Palette, middle: np.ndarray, reach: float) -> np.ndarray:
    """Straight edges around a position, float64 `[N, 2, 3]` end points: all edges of buildings; kerbs and painted edge lines between crossings."""
    built = buildings(seed, palette, middle, reach)
    corners = np.stack(
        [
            np.where([a, b, c], built.high, built.low)
            for a in (0, 1)
            for b in (0, 1)
            for c in (0, 1)
        ],
        1,
    )  # [N, 8, 3]
    pairs = [(p, p | bit) for bit in (1, 2, 4) for p in range(8) if not p & bit]
    edges = [np.stack([corners[:, p], corners[:, q]], 1) for p, q in pairs]
    for axis in (0, 2):
        roads, starts = (
            PERIOD
            * np.arange(
                np.floor((middle[n] - reach) / PERIOD), np.ceil((middle[n] + reach) / PERIOD) + 1
            )
            for n in (2 - axis, axis)
        )
        road, start = (value.reshape(-1) for value in np.meshgrid(roads, starts))
        for offset in (ROAD, -ROAD, EDGE_LINE, -EDGE_LINE):
            ends = [
                _placed(start + at, road + offset, 0.0, axis)
                for at in (CROSSING, PERIOD - CROSSING)
            ]
            edges.append(np.stack(ends, 1))
    found: np.ndarray = np.concatenate(edges)
    return found
