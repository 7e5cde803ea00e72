"""Meshes of Spherical Video V2 (`mshp`, and YouTube's `ytmp`): triangles that say which direction lies where in a frame.

Source: Google's "Spherical Video V2 RFC". Malformed meshes count as absent; counts are bounded before anything is allocated.
"""

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from argus.media.boxes import find, pack

_MOST_BYTES = 4 << 20  # of an inflated mesh box
_MOST_COORDINATES, _MOST_VERTICES, _MOST_INDICES, _MOST_LISTS = 40_000, 64_000, 512_000, 64
_TO_OPENCV = np.array([1.0, -1.0, -1.0])  # the RFC's y points up and its z back
_TOLERANCE = 0.005  # of a frame's side
_STEPS = 8  # along a face


@dataclass(frozen=True, eq=False)
class Mesh:
    """N triangles: directions `[N, 3, 3]` in OpenCV axes, of any length, and their places in the frame `[N, 3, 2]`: x and y, shares of its sides."""

    directions: NDArray[np.float64]
    places: NDArray[np.float64]

    @property
    def coverage(self) -> float:
        """Share of the sphere that the triangles cover, 0 .. 1, where none lies on another (van Oosterom and Strackee 1983)."""
        lengths = np.linalg.norm(self.directions, axis=-1, keepdims=True)
        a, b, c = np.moveaxis(self.directions / np.where(lengths > 0, lengths, 1), 1, 0)
        volume = np.abs((a * np.cross(b, c)).sum(-1))
        angles = 2 * np.arctan2(volume, 1 + (a * b).sum(-1) + (b * c).sum(-1) + (c * a).sum(-1))
        return float(min(1.0, angles.sum() / (4 * np.pi)))

    def is_eac(self, size: tuple[int, int]) -> bool:
        """Whether it unfolds a frame of `size` (height, width) that is a whole equi-angular cubemap as YouTube lays it out."""
        from argus.sphere.cube import CubeLayout, cube_places

        if self.coverage < 0.99 or size[0] % 2 or min(size) < 16:
            return False
        expected = cube_places(self.directions.mean(1), size, CubeLayout.EAC)
        return bool(np.abs(expected - self.places.mean(1)).max() < _TOLERANCE)


def read_meshes(content: bytes) -> list[Mesh]:
    """The meshes of an `mshp` or `ytmp` box's content: one, or one for each eye. Empty where it is malformed."""
    if len(content) < 12 or content[0] != 0:
        return []
    data = content[12:]
    try:
        if content[8:12] == b"dfl8":
            data = zlib.decompressobj(-15).decompress(data, _MOST_BYTES)
        elif content[8:12] != b"raw ":
            return []
        return [_read_mesh(mesh) for mesh in find(data, b"mesh")][:2]
    except (ValueError, struct.error, zlib.error):
        return []


def eac_box(size: tuple[int, int]) -> bytes:
    """The content of an `mshp` box for a frame of `size` (height, width) that is an equi-angular cubemap as YouTube lays it out."""
    from argus.sphere.cube import CubeLayout, cube_grid

    directions, places = cube_grid(size, CubeLayout.EAC, _STEPS)  # [6, n, n, 3], [6, n, n, 2]
    vertices = (
        np.concatenate([directions * _TO_OPENCV, places * (1, -1) + (0, 1)], -1)
        .reshape(-1, 5)
        .astype(">f4")
    )
    count = _STEPS + 1
    corner = (np.arange(6)[:, None, None] * count + np.arange(_STEPS)[:, None]) * count + np.arange(
        _STEPS
    )
    below = corner + count
    triangles = np.stack([corner, below, corner + 1, corner + 1, below, below + 1], -1).reshape(
        -1
    )  # counter-clockwise from within
    values, indices = np.unique(vertices, return_inverse=True)
    content = _count(len(values)) + values.astype(">f4").tobytes()
    content += _count(len(vertices)) + _packed(
        np.diff(indices.reshape(-1, 5), axis=0, prepend=0).reshape(-1), len(values)
    )
    content += (
        _count(1)
        + bytes(2)
        + _count(len(triangles))
        + _packed(np.diff(triangles, prepend=0), len(vertices))
    )
    coded = b"raw " + pack(b"mesh", content)
    return bytes(4) + _count(zlib.crc32(coded)) + coded


def _count(value: int) -> bytes:
    return struct.pack(">I", value)


def _width(count: int) -> int:
    """Bits of a difference of indices below `count`: ceil(log2(2·count))."""
    return (2 * count - 1).bit_length()


def _packed(differences: NDArray[np.int64], count: int) -> bytes:
    coded = np.where(differences < 0, -2 * differences - 1, 2 * differences)
    return np.packbits((coded[:, None] >> np.arange(_width(count))[::-1]) & 1).tobytes()


class _Bytes:
    """Reads on; what is not there is a ValueError."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        self._at += size
        if self._at > len(self._data):
            raise ValueError("the mesh ends too early")
        return self._data[self._at - size : self._at]

    def count(self, most: int) -> int:
        value = int.from_bytes(self.take(4), "big")
        if not 0 < value <= most:
            raise ValueError(f"a count of {value}")
        return value

    def indices(self, rows: int, columns: int, count: int) -> NDArray[np.int64]:
        """`[rows, columns]` indices below `count`, each column stored as differences down its rows."""
        width = _width(count)
        bits = np.unpackbits(
            np.frombuffer(self.take((rows * columns * width + 7) // 8), np.uint8),
            count=rows * columns * width,
        )
        coded = bits.reshape(-1, width) @ (1 << np.arange(width)[::-1])
        found = np.cumsum(((coded >> 1) ^ -(coded & 1)).reshape(rows, columns), axis=0)
        if found.min() < 0 or found.max() >= count:
            raise ValueError("an index is out of range")
        return found


def _read_mesh(content: bytes) -> Mesh:
    data = _Bytes(content)
    values = np.frombuffer(data.take(4 * (many := data.count(_MOST_COORDINATES))), ">f4").astype(
        np.float64
    )
    if not np.isfinite(values).all():
        raise ValueError("a coordinate is no number")
    vertices = values[data.indices(data.count(_MOST_VERTICES), 5, many)]
    corners = []
    for _ in range(data.count(_MOST_LISTS)):
        form = data.take(2)[1]
        order = data.indices(data.count(_MOST_INDICES), 1, len(vertices))[:, 0]
        corners.append(_triangles(order, form))
    triangles = vertices[np.concatenate(corners)]  # [N, 3, 5]
    return Mesh(triangles[..., :3] * _TO_OPENCV, triangles[..., 3:] * (1, -1) + (0, 1))


def _triangles(order: NDArray[np.int64], form: int) -> NDArray[np.int64]:
    """`[N, 3]` of a list of vertices: triangles (0), a strip (1) or a fan (2)."""
    if form == 0:
        return order[: len(order) // 3 * 3].reshape(-1, 3)
    if form not in (1, 2) or len(order) < 3:
        raise ValueError(f"a vertex list of type {form} and length {len(order)}")
    first = order[:-2] if form == 1 else np.broadcast_to(order[0], len(order) - 2)
    return np.stack([first, order[1:-1], order[2:]], 1)
