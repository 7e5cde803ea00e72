"""Declares in an mp4 that its frames are a part of the sphere, by a mesh as cameras with two lenses write it (Spherical Video V2, `mshp`)."""

import struct
import zlib
from pathlib import Path

import numpy as np

from argus.media import SphericalMetadata, pack_box, tag_spherical

_STEPS = 8  # triangles along each side, two to a step
_BEFORE = 12  # bytes of a box that come before its coded mesh: version, checksum, encoding


def tag_part(path: Path, bounds: tuple[float, float, float, float]) -> None:
    """Declares the frames of a file to be a map without these shares (top, bottom, left, right).

    The mesh takes the place, and the length, of a longer one that `tag_spherical` writes; what is left over is filled with zeros, which nobody reads.
    """
    tag_spherical(path, path, SphericalMetadata(projection="eac"))
    data = path.read_bytes()
    at = data.index(b"mshp") - 4
    length = struct.unpack_from(">I", data, at)[0]
    mesh = _mesh(bounds)
    coded = b"raw " + pack_box(b"mesh", mesh + bytes(length - 8 - _BEFORE - 8 - len(mesh)))
    path.write_bytes(
        data[:at]
        + pack_box(b"mshp", bytes(4) + struct.pack(">I", zlib.crc32(coded)) + coded)
        + data[at + length :]
    )


def _mesh(bounds: tuple[float, float, float, float]) -> bytes:
    """Every vertex has five coordinates of its own; y points up and z back, v upwards."""
    top, bottom, left, right = bounds
    share = np.linspace(0, 1, _STEPS + 1)
    lat = np.pi * (0.5 - top - share * (1 - top - bottom))[:, None]
    lon = 2 * np.pi * (left + share * (1 - left - right) - 0.5)[None]
    parts = (
        np.cos(lat) * np.sin(lon),
        np.sin(lat),
        -np.cos(lat) * np.cos(lon),
        share[None],
        1 - share[:, None],
    )
    vertices = np.stack(np.broadcast_arrays(*parts), -1).reshape(-1, 5)
    corner = (np.arange(_STEPS)[:, None] * (_STEPS + 1) + np.arange(_STEPS)).ravel()
    below = corner + _STEPS + 1
    triangles = np.stack([corner, below, corner + 1, corner + 1, below, below + 1], -1).ravel()
    count = len(vertices)
    columns = np.arange(5 * count).reshape(count, 5)
    content = struct.pack(">I", vertices.size) + vertices.astype(">f4").tobytes()
    content += struct.pack(">I", count) + _coded(
        np.diff(columns, axis=0, prepend=0).ravel(), vertices.size
    )
    return (
        content
        + struct.pack(">IHI", 1, 0, len(triangles))
        + _coded(np.diff(triangles, prepend=0), count)
    )


def _coded(differences: np.ndarray, count: int) -> bytes:
    """Differences of indices below `count`, zigzag, in as few bits each as can hold twice the count."""
    width = (2 * count - 1).bit_length()
    zigzag = np.where(differences < 0, -2 * differences - 1, 2 * differences)
    return np.packbits((zigzag[:, None] >> np.arange(width)[::-1]) & 1).tobytes()
