"""Renderer of rooms: ERP frames by analytic ray casting, for one eye or a pair."""

from collections.abc import Iterator

import numpy as np

from argus.sphere import erp_grid, rotate_rays
from argus.synth.hashing import hash_uniform
from argus.synth.paths import CameraPath
from argus.synth.rooms import Room
from argus.synth.texture import NoiseTexture, area_coverage, blend, offset_from_multiple

_FLOOR, _CEILING, _WALL, _COLUMN, _PERSON = range(5)
_FAR_M = 1e9
_PANEL_M = (1.1, 1.0)  # width and height of the panels of a wall
_TILE_M = 0.6
_DOOR_HALF_WIDTH_M, _DOOR_HEIGHT_M = 0.55, 2.1
_LIGHT_DISTANCE_M = 9.0  # at which the light of the lamps above the middle halves


class _Hits:
    """Nearest hit of each ray.

    Attributes:
        depth: Distances `[N]` in meters.
        surface: Kind of surface `[N]`.
        index: Number of the wall, column or person `[N]`.
    """

    def __init__(self, count: int) -> None:
        self.depth = np.full(count, _FAR_M, np.float32)
        self.surface = np.zeros(count, np.int8)
        self.index = np.zeros(count, np.int32)

    def add(self, distance: np.ndarray, is_hit: np.ndarray, surface: int, index: int = 0) -> None:
        """Keep a surface where it is in front of all before."""
        is_nearer = is_hit & (distance > 0) & (distance < self.depth)
        self.depth[is_nearer] = distance[is_nearer]
        self.surface[is_nearer] = surface
        self.index[is_nearer] = index


def render_room(
    room: Room,
    seed: int,
    path: CameraPath,
    size: tuple[int, int],
    *,
    eye_offset_m: float = 0.0,
) -> Iterator[np.ndarray]:
    """Yield ERP frames uint8 `[H, W, 3]` of a room.

    Args:
        room: The room.
        seed: Seed of its patterns and people.
        path: Camera path.
        size: (height, width) of the frames.
        eye_offset_m: Displacement of the eye to the right: of each column's direction if the room
            is omnidirectional, otherwise of the first orientation.
    """
    noise = NoiseTexture(seed)
    for rotation, position, time in zip(path.rotations, path.positions, path.times, strict=True):
        rays = np.stack([axis[0] for axis in rotate_rays(erp_grid(size, rotation), rotation[None])])
        rays = rays.reshape(3, -1).T.astype(np.float32)
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        right = path.rotations[:1, :, 0]
        if room.is_omnidirectional:
            level = np.hypot(rays[:, 0], rays[:, 2])[:, None]
            right = np.stack([rays[:, 2], 0 * rays[:, 0], -rays[:, 0]], -1) / np.maximum(
                level, 1e-6
            )
        eyes = (position + eye_offset_m * np.broadcast_to(right, rays.shape)).astype(np.float32)
        colors = _shade(room, seed, noise, _cast(room, seed, eyes, rays, float(time)), eyes, rays)
        yield (np.clip(colors, 0, 1) * 255 + 0.5).astype(np.uint8).reshape(*size, 3)


def _wall_normals(room: Room) -> np.ndarray:
    """Return the outward normals of the walls on the floor (x, z), `[walls, 2]`."""
    angles = 2 * np.pi * np.arange(len(room.wall_distances_m)) / len(room.wall_distances_m)
    return np.stack([np.sin(angles), np.cos(angles)], -1)


def _cast(room: Room, seed: int, eyes: np.ndarray, rays: np.ndarray, time: float) -> _Hits:
    """Find the nearest surface for rays `[N, 3]` from eyes `[N, 3]`."""
    hits = _Hits(len(rays))
    everywhere = np.ones(len(rays), bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        hits.add(-eyes[:, 1] / rays[:, 1], everywhere, _FLOOR)
        hits.add((-room.height_m - eyes[:, 1]) / rays[:, 1], everywhere, _CEILING)
        level_eyes, level_rays = eyes[:, [0, 2]], rays[:, [0, 2]]
        walls = zip(_wall_normals(room), room.wall_distances_m, strict=True)
        for k, (normal, distance) in enumerate(walls):
            speed = level_rays @ normal
            hits.add((distance - level_eyes @ normal) / speed, speed > 0, _WALL, k)
        for k, column in enumerate(room.column_positions):
            scale = np.full(2, 1 / room.column_radius_m)
            hits.add(*_intersect(level_eyes - column, level_rays, scale), _COLUMN, k)
        for k, (center, half_size) in enumerate(zip(*room.place_people(seed, time), strict=True)):
            hits.add(*_intersect(eyes - center, rays, 1 / half_size), _PERSON, k)
    return hits


def _intersect(
    eyes: np.ndarray, rays: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return (distance, is_hit) for the unit circle or sphere in scaled axes."""
    eyes, rays = eyes * scale, rays * scale
    a, b, c = (rays * rays).sum(1), (eyes * rays).sum(1), (eyes * eyes).sum(1) - 1
    discriminant = b * b - a * c
    return (-b - np.sqrt(np.maximum(discriminant, 0))) / a, discriminant > 0


def _shade(
    room: Room, seed: int, noise: NoiseTexture, hits: _Hits, eyes: np.ndarray, rays: np.ndarray
) -> np.ndarray:
    """Return the colors `[N, 3]` of all hits."""
    points = eyes + rays * hits.depth[:, None]
    pixel_rad = np.pi * np.sqrt(2 / len(rays))
    footprint = np.maximum(hits.depth * pixel_rad, 1e-4)
    colors = np.zeros((len(rays), 3))
    for surface in range(5):
        chosen = hits.surface == surface
        index, own, pixel = hits.index[chosen], points[chosen], footprint[chosen]
        if surface in (_FLOOR, _CEILING):
            colors[chosen] = _shade_level(room, seed + surface, noise, own, pixel)
        elif surface == _WALL:
            colors[chosen] = _shade_walls(room, seed, noise, own, pixel, index)
        elif surface == _COLUMN:
            colors[chosen] = _shade_columns(room, seed, noise, own, pixel, index)
        else:
            base = hash_uniform(seed, 521, np.arange(3), index[:, None])
            colors[chosen] = np.where(own[:, 1:2] < -1.4, [[0.8, 0.62, 0.5]], base)
    distance = np.linalg.norm(points[:, [0, 2]], axis=1)
    return colors * (0.45 + 0.7 / (1 + (distance / _LIGHT_DISTANCE_M) ** 2))[:, None]


def _noise(
    noise: NoiseTexture, u: np.ndarray, v: np.ndarray, pixel: np.ndarray, shift: float
) -> np.ndarray:
    """Return the factor `[N, 1]` of a rough surface."""
    u, v, pixel = (axis.astype(np.float32) for axis in (u + shift, v + 3 * shift, pixel))
    total = noise.sum_octaves(u, v, pixel, ((0.1, 0.06), (0.5, 0.1), (2.5, 0.1)))
    return np.asarray(1 + total[:, None])


def _color(seed: int, *keys: int | np.ndarray, least: float = 0.25) -> np.ndarray:
    """Return random colors; the keys have the shape of the result without its last axis."""
    arrays = [np.asarray(key)[..., None] for key in keys]
    return np.asarray(least + (0.95 - least) * hash_uniform(seed, *arrays, np.arange(3)))


def _shade_level(
    room: Room, seed: int, noise: NoiseTexture, points: np.ndarray, pixel: np.ndarray
) -> np.ndarray:
    """Shade floor or ceiling: tiles that repeat at the period around the middle."""
    sector = 2 * np.pi / room.symmetry
    angle = np.mod(np.arctan2(points[:, 0], points[:, 2]), sector)
    radius = np.hypot(points[:, 0], points[:, 2])
    # the middle of the room is the middle of a tile, like any other point no place of joints
    u, v = (radius * turned(angle) + _TILE_M / 2 for turned in (np.sin, np.cos))
    i, k = (np.floor(axis / _TILE_M).astype(np.int64) for axis in (u, v))
    shade = 0.75 + 0.4 * hash_uniform(seed, 511, i, k)
    visibility = np.clip(_TILE_M / (2 * pixel) - 0.5, 0, 1)
    base = _color(seed, 512, least=0.4) * (1 + visibility * (shade - 1))[:, None]
    joint = np.maximum(
        *(
            area_coverage(offset_from_multiple(axis.astype(np.float32), _TILE_M), 0.02, pixel)
            for axis in (u, v)
        )
    )
    return blend(
        base * _noise(noise, u, v, pixel, seed % 7), 0.5 * base.mean(0), joint * visibility
    )


def _shade_walls(
    room: Room,
    seed: int,
    noise: NoiseTexture,
    points: np.ndarray,
    pixel: np.ndarray,
    index: np.ndarray,
) -> np.ndarray:
    """Shade walls: panels of different colors, alike on walls of one class."""
    normals = _wall_normals(room)[index]
    along = points[:, 0] * normals[:, 1] - points[:, 2] * normals[:, 0]
    height, pattern = -points[:, 1], room.wall_classes[index]
    width, tall = _PANEL_M
    i, k = np.floor(along / width).astype(np.int64), np.floor(height / tall).astype(np.int64)
    panel = _color(seed, 531, pattern, i, k)
    base = _color(seed, 532, pattern)
    inside = [
        area_coverage(offset_from_multiple((axis - side / 2).astype(np.float32), side), half, pixel)
        for axis, side, half in ((along, width, 0.42 * width), (height, tall, 0.4 * tall))
    ]
    is_hung = hash_uniform(seed, 533, pattern, i, k) < 0.7
    colors = blend(base, panel, inside[0] * inside[1] * is_hung)
    colors = colors * _noise(noise, along + 17.0 * pattern, height, pixel, 0.0)
    if room.has_door:
        share = area_coverage(along, _DOOR_HALF_WIDTH_M, pixel) * (height < _DOOR_HEIGHT_M)
        colors = blend(colors, _color(seed, 534, least=0.05), share * (index == 0))
    return np.asarray(colors)


def _shade_columns(
    room: Room,
    seed: int,
    noise: NoiseTexture,
    points: np.ndarray,
    pixel: np.ndarray,
    index: np.ndarray,
) -> np.ndarray:
    """Shade columns: rings of two colors, alike after a turn by the period."""
    positions = room.column_positions[index]
    offset = points[:, [0, 2]] - positions
    turn = np.arctan2(offset[:, 0], offset[:, 1]) - np.arctan2(positions[:, 0], positions[:, 1])
    height = -points[:, 1]
    ring = np.floor(height / 0.7).astype(np.int64)
    return _color(seed, 541, ring) * _noise(noise, np.mod(turn, 2 * np.pi), height, pixel, 5.0)
