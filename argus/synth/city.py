"""Geometry of an endless street grid, a pure function of (seed, cell, time). No rendering.

Lengths are meters, times seconds. x is east, y down, z north; the ground is y = 0. Roads run along
x = BLOCK·i and z = BLOCK·k. Traffic keeps right. Axes are 0 for x and 2 for z.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from argus.synth.hashing import hash_uniform
from argus.synth.palette import Palette

BLOCK = 56.0  # distance between parallel roads
ROAD = 4.5  # half the width of a road
SIDEWALK = 8.5  # outer edge of the sidewalk, from the middle of the road
EDGE_LINE = 4.1  # painted line, from the middle of the road
CROSSING = 8.0  # painted lines end at this distance from a crossing
LANE = 2.2  # middle of a lane, from the middle of the road
CAR_SPACING, PEDESTRIAN_SPACING, TREE_SPACING = 22.0, 9.0, 9.5
BUILDING_RANGE = 168.0  # distance to which buildings are placed
STREET_RANGE = 110.0  # distance to which cars and trees are placed
PEDESTRIAN_RANGE = 60.0


class Material(IntEnum):
    """Surface material of a solid."""

    WALL = 0
    CAR_BODY = 1
    CAR_CABIN = 2
    LEAVES = 3
    TRUNK = 4
    CLOTH = 5


ELLIPSOID_MATERIALS = frozenset({Material.LEAVES, Material.CLOTH})
"""Materials of ellipsoids; all others are materials of boxes."""


@dataclass(frozen=True)
class Solids:
    """N solids: axis-aligned boxes, or the ellipsoids inscribed in them."""

    low: np.ndarray  # [N, 3] meters, corner with the smallest coordinates
    high: np.ndarray  # [N, 3] meters, opposite corner
    color: np.ndarray  # [N, 3] in [0, 1]
    material: np.ndarray  # [N] Material
    variation: np.ndarray  # [N] random number in [0, 1) that varies the texture

    @classmethod
    def from_centers(
        cls,
        center: np.ndarray,
        half_size: np.ndarray,
        color: np.ndarray,
        material: Material,
        variation: np.ndarray,
    ) -> "Solids":
        """Create solids of one material from centers and half-sizes `[N, 3]`."""
        materials = np.full(len(center), material)
        return cls(center - half_size, center + half_size, color, materials, variation)

    @property
    def is_ellipsoid(self) -> np.ndarray:
        """Mask of the ellipsoids, bool `[N]`."""
        return np.isin(self.material, [int(material) for material in ELLIPSOID_MATERIALS])

    def select(self, index: np.ndarray) -> "Solids":
        """Return the solids at indices or under a mask."""
        return Solids(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


def concatenate_solids(parts: list[Solids]) -> Solids:
    """Return the solids of all parts."""
    return Solids(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in Solids.__dataclass_fields__
        )
    )


def lane_speed(seed: int, road: np.ndarray | int, is_along_z: bool, is_forward: bool) -> np.ndarray:
    """Return the speed of all cars of a lane in m/s, signed along the axis."""
    speed = 5 + 6 * hash_uniform(seed, 11, road, is_along_z, is_forward)
    return speed if is_forward else -speed


def make_buildings(
    seed: int, palette: Palette, position: np.ndarray, reach: float = BUILDING_RANGE
) -> Solids:
    """Place the buildings around a position: four lots per block, most of them built on."""
    first = np.floor((position[[0, 2]] - reach) / BLOCK).astype(int)
    last = np.floor((position[[0, 2]] + reach) / BLOCK).astype(int)
    i, k, a, b = (
        axis.reshape(-1)
        for axis in np.meshgrid(
            *(np.arange(first[n], last[n] + 1) for n in (0, 1)), [0, 1], [0, 1], indexing="ij"
        )
    )
    random = hash_uniform(seed, 21, np.arange(8)[:, None], i, k, a, b)
    lot = (BLOCK - 2 * SIDEWALK) / 2
    x0, z0 = BLOCK * i + SIDEWALK + lot * a, BLOCK * k + SIDEWALK + lot * b
    west, east, south, north = (0.3 + 2.7 * random[n] for n in range(4))
    height = 6 + 20 * random[4] ** 2 + 6 * random[5]
    low = np.stack([x0 + west, -height, z0 + south], -1)
    high = np.stack([x0 + lot - east, 0 * height, z0 + lot - north], -1)
    is_built = random[6] < 0.85
    color = palette.walls[(random[7] * len(palette.walls)).astype(int)]
    material = np.full(len(low), Material.WALL)
    return Solids(low, high, color, material, hash_uniform(seed, 22, i, k, a, b)).select(is_built)


def _place_along_roads(
    position: np.ndarray,
    reach: float,
    spacing: float,
    offset: float,
    shift: np.ndarray | float,
    axis: int,
) -> tuple[np.ndarray, ...]:
    """Return the places at regular distances along the roads of one axis, near a position.

    Args:
        position: `[3]` meters.
        reach: Distance from the position along each axis.
        spacing: Distance between neighbors.
        offset: Distance from the middle of the road.
        shift: Displacement along the roads, one per road or one for all.
        axis: Axis along which the roads run.

    Returns:
        (road index, index along the road, coordinate along, coordinate across), each `[N]`.
    """
    across, along = position[2 - axis], position[axis]
    roads = np.arange(np.floor((across - reach) / BLOCK), np.ceil((across + reach) / BLOCK) + 1)
    shifts = np.broadcast_to(shift, roads.shape)
    first = np.floor((along - reach - shifts) / spacing)
    count = int(2 * reach / spacing) + 2
    number = first[:, None] + np.arange(count)
    road = np.broadcast_to(roads[:, None], number.shape)
    coordinate = number * spacing + shifts[:, None]
    return tuple(value.reshape(-1) for value in (road, number, coordinate, road * BLOCK + offset))


def _make_positions(
    along: np.ndarray, across: np.ndarray, height: np.ndarray | float, axis: int
) -> np.ndarray:
    """Return positions `[N, 3]` from road coordinates and the height above the ground."""
    height = np.broadcast_to(height, along.shape)
    return np.stack([across, -height, along] if axis == 2 else [along, -height, across], -1)


def _make_half_sizes(
    along: float | np.ndarray,
    across: float | np.ndarray,
    height: float | np.ndarray,
    axis: int,
    count: int,
) -> np.ndarray:
    """Return half-sizes `[N, 3]` from those in road coordinates."""
    sizes = [np.broadcast_to(size, (count,)) for size in (along, across, height)]
    return np.stack(
        [sizes[1], sizes[2], sizes[0]] if axis == 2 else [sizes[0], sizes[2], sizes[1]], -1
    )


def make_cars(seed: int, palette: Palette, position: np.ndarray, time: float) -> Solids:
    """Place the cars around a position; each lane has its own speed."""
    parts = []
    for axis in (0, 2):
        for is_forward in (False, True):
            parts += _make_lane_cars(seed, palette, position, time, axis, is_forward)
    return concatenate_solids(parts)


def _make_lane_cars(
    seed: int, palette: Palette, position: np.ndarray, time: float, axis: int, is_forward: bool
) -> list[Solids]:
    """Place the bodies and the cabins of the cars in one direction of the roads of one axis."""
    offset = LANE if is_forward == (axis == 2) else -LANE
    roads = np.arange(
        np.floor((position[2 - axis] - STREET_RANGE) / BLOCK),
        np.ceil((position[2 - axis] + STREET_RANGE) / BLOCK) + 1,
    )
    shift = lane_speed(seed, roads, axis == 2, is_forward) * time
    road, number, along, across = _place_along_roads(
        position, STREET_RANGE, CAR_SPACING, offset, shift, axis
    )
    random = hash_uniform(seed, 31, np.arange(5)[:, None], axis, is_forward, road, number)
    along = along + (random[0] - 0.5) * CAR_SPACING / 2
    length, height = 1.9 + 0.5 * random[1], 0.42 + 0.2 * random[2]
    color = palette.car_paints[(random[3] * len(palette.car_paints)).astype(int)]
    body = Solids.from_centers(
        _make_positions(along, across, height, axis),
        _make_half_sizes(length, 0.9, height, axis, len(along)),
        color,
        Material.CAR_BODY,
        random[3],
    )
    cabin_along = along - 0.2 * length * (1 if is_forward else -1)
    cabin = Solids.from_centers(
        _make_positions(cabin_along, across, 2 * height + 0.28, axis),
        _make_half_sizes(0.55 * length, 0.78, 0.28, axis, len(along)),
        color,
        Material.CAR_CABIN,
        random[3],
    )
    return [part.select(random[4] < 0.75) for part in (body, cabin)]


def make_pedestrians(seed: int, palette: Palette, position: np.ndarray, time: float) -> Solids:
    """Place the pedestrians around a position: legs, torso and head each."""
    parts = []
    for axis in (0, 2):
        for offset, speed in ((6.3, 1.2), (7.3, -1.35), (-6.3, -1.25), (-7.3, 1.3)):
            road, number, along, across = _place_along_roads(
                position, PEDESTRIAN_RANGE, PEDESTRIAN_SPACING, offset, speed * time, axis
            )
            random = hash_uniform(
                seed, 41, np.arange(5)[:, None], axis, int(offset * 10), road, number
            )
            along = along + (random[0] - 0.5) * PEDESTRIAN_SPACING * 0.8
            scale, count = 0.9 + 0.2 * random[1], len(along)
            bounce = 0.03 * np.abs(np.sin(2 * np.pi * (0.9 * time + random[2])))
            colors = (
                palette.clothes[(random[2] * len(palette.clothes)).astype(int)],
                palette.clothes[(random[3] * len(palette.clothes)).astype(int)],
                palette.skins[(random[1] * len(palette.skins)).astype(int)],
            )
            # Height of the center, half-width and half-height of each body part.
            shapes = ((0.45, 0.15, 0.47), (1.15, 0.24, 0.38), (1.66, 0.11, 0.14))
            for (center, width, height), color in zip(shapes, colors, strict=True):
                part = Solids.from_centers(
                    _make_positions(along, across, center * scale + bounce, axis),
                    _make_half_sizes(width * scale, width * scale, height * scale, axis, count),
                    color,
                    Material.CLOTH,
                    random[0],
                )
                parts.append(part.select(random[4] < 0.6))
    return concatenate_solids(parts)


def make_trees(seed: int, palette: Palette, position: np.ndarray) -> Solids:
    """Place the trees around a position: a row on each side of each road, except at crossings."""
    parts = []
    for axis in (0, 2):
        for offset in (8.0, -8.0):
            road, number, along, across = _place_along_roads(
                position, STREET_RANGE, TREE_SPACING, offset, 0.0, axis
            )
            random = hash_uniform(seed, 51, np.arange(5)[:, None], axis, offset > 0, road, number)
            crown, height = 1.2 + 0.7 * random[0], 3.4 + 1.3 * random[1]
            color = palette.leaves[(random[2] * len(palette.leaves)).astype(int)]
            crossing_distance = np.abs(along - BLOCK * np.rint(along / BLOCK))
            is_planted = (crossing_distance > SIDEWALK + 2.5) & (random[3] < 0.7)
            trunk = Solids.from_centers(
                _make_positions(along, across, height / 2, axis),
                _make_half_sizes(0.14, 0.14, height / 2, axis, len(along)),
                palette.bark + 0 * color,
                Material.TRUNK,
                random[4],
            )
            leaves = Solids.from_centers(
                _make_positions(along, across, height, axis),
                _make_half_sizes(crown, crown, 1.25 * crown, axis, len(along)),
                color,
                Material.LEAVES,
                random[4],
            )
            parts += [trunk.select(is_planted), leaves.select(is_planted)]
    return concatenate_solids(parts)


def make_solids(seed: int, palette: Palette, position: np.ndarray, time: float) -> Solids:
    """Place all solids around a position `[3]`, sorted by distance.

    Solids that enclose or almost touch the position are left out.
    """
    solids = concatenate_solids(
        [
            make_buildings(seed, palette, position),
            make_cars(seed, palette, position, time),
            make_pedestrians(seed, palette, position, time),
            make_trees(seed, palette, position),
        ]
    )
    gap = np.maximum(np.maximum(solids.low - position, position - solids.high), 0)
    distance = np.linalg.norm(gap, axis=-1)
    indices = np.flatnonzero((distance > 0.3) & (distance < BUILDING_RANGE))
    return solids.select(indices[np.argsort(distance[indices], kind="stable")])


def make_edges(seed: int, palette: Palette, position: np.ndarray, reach: float) -> np.ndarray:
    """Return straight edges around a position: end points, float64 `[N, 2, 3]`.

    They are all edges of buildings, and curbs and painted edge lines between crossings.
    """
    buildings = make_buildings(seed, palette, position, reach)
    corners = np.stack(
        [
            np.where([a, b, c], buildings.high, buildings.low)
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
            BLOCK
            * np.arange(
                np.floor((position[n] - reach) / BLOCK),
                np.ceil((position[n] + reach) / BLOCK) + 1,
            )
            for n in (2 - axis, axis)
        )
        road, start = (value.reshape(-1) for value in np.meshgrid(roads, starts))
        for offset in (ROAD, -ROAD, EDGE_LINE, -EDGE_LINE):
            ends = [
                _make_positions(start + along, road + offset, 0.0, axis)
                for along in (CROSSING, BLOCK - CROSSING)
            ]
            edges.append(np.stack(ends, 1))
    all_edges: np.ndarray = np.concatenate(edges)
    return all_edges
