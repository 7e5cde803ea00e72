"""Spherical metadata for a part of an ERP map, as a Spherical Video V2 mesh (`mshp`).

Cameras with two lenses declare their field of view in this way.
"""

import struct
import zlib
from pathlib import Path

import numpy as np

from argus.files import replace_atomically
from argus.media import SphericalMetadata, pack_box, tag_spherical

_CELLS_PER_SIDE = 8  # of two triangles each
_BOX_HEADER_BYTES = 8  # length and name
_MESH_HEADER_BYTES = 12  # version, checksum and encoding, before the encoded mesh


def tag_partial_mesh(path: Path, bounds: tuple[float, float, float, float]) -> None:
    """Declare the frames of an mp4 to be an ERP map with its margins cropped.

    The mesh overwrites a longer one that `tag_spherical` writes; the rest is filled with zeros,
    which readers ignore.

    Args:
        path: File to change.
        bounds: Cropped shares of the map at (top, bottom, left, right).
    """
    tag_spherical(path, path, SphericalMetadata(projection="eac"))
    data = path.read_bytes()
    start = data.index(b"mshp") - 4
    length = struct.unpack_from(">I", data, start)[0]
    mesh = _encode_mesh(bounds)
    padding = length - 2 * _BOX_HEADER_BYTES - _MESH_HEADER_BYTES - len(mesh)
    encoded = b"raw " + pack_box(b"mesh", mesh + bytes(padding))
    payload = bytes(4) + struct.pack(">I", zlib.crc32(encoded)) + encoded
    with replace_atomically(path) as partial:
        partial.write_bytes(data[:start] + pack_box(b"mshp", payload) + data[start + length :])


def _encode_mesh(bounds: tuple[float, float, float, float]) -> bytes:
    """Encode a grid of triangles. Positions have y up and z backward; v points up."""
    top, bottom, left, right = bounds
    fraction = np.linspace(0, 1, _CELLS_PER_SIDE + 1)
    lat = np.pi * (0.5 - top - fraction * (1 - top - bottom))[:, None]
    lon = 2 * np.pi * (left + fraction * (1 - left - right) - 0.5)[None]
    coordinates = (
        np.cos(lat) * np.sin(lon),
        np.sin(lat),
        -np.cos(lat) * np.cos(lon),
        fraction[None],
        1 - fraction[:, None],
    )
    vertices = np.stack(np.broadcast_arrays(*coordinates), -1).reshape(-1, 5)
    rows = np.arange(_CELLS_PER_SIDE)[:, None] * (_CELLS_PER_SIDE + 1)
    corner = (rows + np.arange(_CELLS_PER_SIDE)).ravel()
    below = corner + _CELLS_PER_SIDE + 1
    triangles = np.stack([corner, below, corner + 1, corner + 1, below, below + 1], -1).ravel()
    count = len(vertices)
    indices = np.arange(5 * count).reshape(count, 5)  # each vertex has its own coordinates
    content = struct.pack(">I", vertices.size) + vertices.astype(">f4").tobytes()
    content += struct.pack(">I", count)
    content += _encode_deltas(np.diff(indices, axis=0, prepend=0).ravel(), vertices.size)
    content += struct.pack(">IHI", 1, 0, len(triangles))
    return content + _encode_deltas(np.diff(triangles, prepend=0), count)


def _encode_deltas(deltas: np.ndarray, count: int) -> bytes:
    """Encode differences of indices below `count`: zigzag, ceil(log2(2 count)) bits each."""
    bits = (2 * count - 1).bit_length()
    zigzag = np.where(deltas < 0, -2 * deltas - 1, 2 * deltas)
    return np.packbits((zigzag[:, None] >> np.arange(bits)[::-1]) & 1).tobytes()
