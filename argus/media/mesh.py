"""Meshes of Spherical Video V2 (`mshp`, and YouTube's `ytmp`): triangles mapping pixels to rays.

Malformed meshes count as absent; counts are bounded before anything is allocated.

Reference: Google, "Spherical Video V2 RFC".
"""

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from argus.media.mp4.boxes import find_payloads, pack_box

_MAX_INFLATED_BYTES = 4 << 20
_MAX_COORDINATES, _MAX_VERTICES, _MAX_INDICES, _MAX_LISTS = 40_000, 64_000, 512_000, 64
_RFC_TO_OPENCV = np.array([1.0, -1.0, -1.0])  # the RFC's y points up and its z back
_UV_TOLERANCE = 0.005  # share of a frame side
_CELLS_PER_FACE = 8  # along each side of a face, two triangles per cell


@dataclass(frozen=True, eq=False)
class Mesh:
    """N triangles that map directions on the sphere to points in the frame.

    Attributes:
        directions: `[N, 3, 3]` in OpenCV axes, of any length.
        uv: `[N, 3, 2]` texture coordinates: x and y in 0 .. 1 of the frame's sides, y down.
    """

    directions: NDArray[np.float64]
    uv: NDArray[np.float64]

    @property
    def coverage(self) -> float:
        """Share of the sphere covered by the triangles, 0 .. 1, if none of them overlap.

        The solid angle of a triangle is that of van Oosterom and Strackee (1983).
        """
        lengths = np.linalg.norm(self.directions, axis=-1, keepdims=True)
        a, b, c = np.moveaxis(self.directions / np.where(lengths > 0, lengths, 1), 1, 0)
        volume = np.abs((a * np.cross(b, c)).sum(-1))
        angles = 2 * np.arctan2(volume, 1 + (a * b).sum(-1) + (b * c).sum(-1) + (c * a).sum(-1))
        return float(min(1.0, angles.sum() / (4 * np.pi)))

    def is_eac(self, size: tuple[int, int]) -> bool:
        """Return whether this is the mesh of a whole equi-angular cubemap in YouTube's layout.

        Args:
            size: (height, width) of the frame.
        """
        from argus.sphere import CubeLayout, cube_coordinates

        if self.coverage < 0.99 or size[0] % 2 or min(size) < 16:
            return False
        expected = cube_coordinates(self.directions.mean(1), size, CubeLayout.EAC)
        return bool(np.abs(expected - self.uv.mean(1)).max() < _UV_TOLERANCE)


def parse_meshes(payload: bytes) -> list[Mesh]:
    """Return the meshes of an `mshp` or `ytmp` box: one, or one per eye; empty if malformed."""
    if len(payload) < 12 or payload[0] != 0:
        return []
    encoding, data = payload[8:12], payload[12:]
    try:
        if encoding == b"dfl8":
            data = zlib.decompressobj(-15).decompress(data, _MAX_INFLATED_BYTES)
        elif encoding != b"raw ":
            return []
        return [_parse_mesh(mesh) for mesh in find_payloads(data, b"mesh")][:2]
    except (ValueError, struct.error, zlib.error):
        return []


def pack_eac_mesh(size: tuple[int, int]) -> bytes:
    """Return the payload of an `mshp` box for an equi-angular cubemap in YouTube's layout.

    Args:
        size: (height, width) of the frame.
    """
    from argus.sphere import CubeLayout, cube_grid

    directions, uv = cube_grid(size, CubeLayout.EAC, _CELLS_PER_FACE)  # [6, n, n, 3], [6, n, n, 2]
    vertices = np.concatenate([directions * _RFC_TO_OPENCV, uv * (1, -1) + (0, 1)], -1)
    vertices = vertices.reshape(-1, 5).astype(">f4")
    values, indices = np.unique(vertices, return_inverse=True)
    vertex_deltas = np.diff(indices.reshape(-1, 5), axis=0, prepend=0).reshape(-1)
    triangles = _face_triangles()
    content = _pack_u32(len(values)) + values.astype(">f4").tobytes()
    content += _pack_u32(len(vertices)) + _pack_deltas(vertex_deltas, len(values))
    content += _pack_u32(1) + bytes(2) + _pack_u32(len(triangles))
    content += _pack_deltas(np.diff(triangles, prepend=0), len(vertices))
    encoded = b"raw " + pack_box(b"mesh", content)
    return bytes(4) + _pack_u32(zlib.crc32(encoded)) + encoded


def _face_triangles() -> NDArray[np.int64]:
    """Return the flat vertex indices of all triangles, counter-clockwise as seen from inside."""
    points = _CELLS_PER_FACE + 1
    face, row, column = np.ogrid[:6, :_CELLS_PER_FACE, :_CELLS_PER_FACE]
    corner = (face * points + row) * points + column
    below = corner + points
    cells = np.stack([corner, below, corner + 1, corner + 1, below, below + 1], -1)
    return cells.reshape(-1).astype(np.int64)


def _pack_u32(value: int) -> bytes:
    return struct.pack(">I", value)


def _index_bits(count: int) -> int:
    """Return the bits of a zigzag-coded difference of indices: ceil(log2(2 count))."""
    return (2 * count - 1).bit_length()


def _pack_deltas(deltas: NDArray[np.int64], count: int) -> bytes:
    zigzag = np.where(deltas < 0, -2 * deltas - 1, 2 * deltas)
    return np.packbits((zigzag[:, None] >> np.arange(_index_bits(count))[::-1]) & 1).tobytes()


class _MeshParser:
    """Sequential reader of a mesh; raises ValueError where data is missing or out of range."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def read_bytes(self, size: int) -> bytes:
        self._position += size
        if self._position > len(self._data):
            raise ValueError("the mesh is truncated")
        return self._data[self._position - size : self._position]

    def read_count(self, maximum: int) -> int:
        value = int.from_bytes(self.read_bytes(4), "big")
        if not 0 < value <= maximum:
            raise ValueError(f"a count is {value}, but must be 1 .. {maximum}")
        return value

    def read_indices(self, rows: int, columns: int, count: int) -> NDArray[np.int64]:
        """Read `[rows, columns]` indices below `count`, delta-coded down each column."""
        width = _index_bits(count)
        bits = np.unpackbits(
            np.frombuffer(self.read_bytes((rows * columns * width + 7) // 8), np.uint8),
            count=rows * columns * width,
        )
        zigzag = bits.reshape(-1, width) @ (1 << np.arange(width)[::-1])
        deltas = ((zigzag >> 1) ^ -(zigzag & 1)).reshape(rows, columns)
        indices = np.cumsum(deltas, axis=0)
        if indices.min() < 0 or indices.max() >= count:
            raise ValueError(f"an index is not in 0 .. {count - 1}")
        return indices


def _parse_mesh(data: bytes) -> Mesh:
    parser = _MeshParser(data)
    value_count = parser.read_count(_MAX_COORDINATES)
    values = np.frombuffer(parser.read_bytes(4 * value_count), ">f4").astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a coordinate is not finite")
    vertices = values[parser.read_indices(parser.read_count(_MAX_VERTICES), 5, value_count)]
    corners = []
    for _ in range(parser.read_count(_MAX_LISTS)):
        list_type = parser.read_bytes(2)[1]
        order = parser.read_indices(parser.read_count(_MAX_INDICES), 1, len(vertices))[:, 0]
        corners.append(_list_triangles(order, list_type))
    triangles = vertices[np.concatenate(corners)]  # [N, 3, 5]
    return Mesh(triangles[..., :3] * _RFC_TO_OPENCV, triangles[..., 3:] * (1, -1) + (0, 1))


def _list_triangles(order: NDArray[np.int64], list_type: int) -> NDArray[np.int64]:
    """Return the `[N, 3]` triangles of a vertex list: triangles (0), a strip (1) or a fan (2)."""
    if list_type == 0:
        return order[: len(order) // 3 * 3].reshape(-1, 3)
    if list_type not in (1, 2) or len(order) < 3:
        raise ValueError(f"a vertex list has type {list_type} and length {len(order)}")
    first = order[:-2] if list_type == 1 else np.broadcast_to(order[0], len(order) - 2)
    return np.stack([first, order[1:-1], order[2:]], 1)
