"""Meshes in Matroska and WebM files, which FFmpeg leaves out: YouTube declares equi-angular cubemaps so. Other projections FFmpeg reports.

Source: RFC 9559 (Matroska), RFC 8794 (EBML). Every size is checked; a lying one ends the walk.
"""

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from argus.media.spherical import SphericalMetadata, StereoMode, metadata_of_meshes

_SEGMENT, _CLUSTER, _TRACKS, _TRACK, _VIDEO = 0x18538067, 0x1F43B675, 0x1654AE6B, 0xAE, 0xE0
_WIDTH, _HEIGHT, _STEREO_MODE, _PROJECTION = 0xB0, 0xBA, 0x53B8, 0x7670
_TYPE, _PRIVATE, _YAW, _PITCH, _ROLL = range(0x7671, 0x7676)
_MESH = 3
_STEREO: dict[int, StereoMode] = {
    1: "left-right",
    2: "top-bottom",
    3: "top-bottom",
    11: "left-right",
}
_MOST_ELEMENTS, _MOST_BYTES = 10_000, 16 << 20


def read_mesh_projection(path: Path) -> SphericalMetadata | None:
    """What a Matroska file's first video track with a mesh declares; what is malformed counts as absent."""
    with path.open("rb") as file:
        content = _tracks(file)
    for track in _all(content, _TRACK):
        for video in _all(track, _VIDEO):
            for projection in _all(video, _PROJECTION):
                if _number(projection, _TYPE) == _MESH:
                    return _metadata(video, projection)
    return None


def _metadata(video: bytes, projection: bytes) -> SphericalMetadata:
    return metadata_of_meshes(
        next(_all(projection, _PRIVATE), b""),
        (_number(video, _HEIGHT), _number(video, _WIDTH)),
        _STEREO.get(_number(video, _STEREO_MODE), "mono"),
        (_real(projection, _YAW), _real(projection, _PITCH), _real(projection, _ROLL)),
        "stream",
    )


def _tracks(file: BinaryIO) -> bytes:
    """The content of the first Tracks element; nothing where it is too long, or comes after pictures."""
    end = file.seek(0, 2)
    for kind, start, stop in _elements(file, 0, end):
        if kind != _SEGMENT:
            continue
        for inner, first, last in _elements(file, start, stop):
            if inner == _TRACKS and last - first <= _MOST_BYTES:
                file.seek(first)
                return file.read(last - first)
            if inner in {_TRACKS, _CLUSTER}:
                return b""
    return b""


def _all(content: bytes, wanted: int) -> Iterator[bytes]:
    for kind, start, stop in _elements(io.BytesIO(content), 0, len(content)):
        if kind == wanted:
            yield content[start:stop]


def _number(content: bytes, wanted: int) -> int:
    return int.from_bytes(next(_all(content, wanted), b"")[:8], "big")


def _real(content: bytes, wanted: int) -> float:
    value = next(_all(content, wanted), b"")
    form = {4: ">f", 8: ">d"}.get(len(value))
    return float(struct.unpack(form, value)[0]) if form else 0.0


def _elements(file: BinaryIO, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(id, start, stop) of the contents of elements side by side; one of unknown size reaches to the end."""
    for _ in range(_MOST_ELEMENTS):
        file.seek(at)
        head = file.read(12)
        kind, first = _variable(head, 0)
        size, second = _variable(head, first)
        if at >= end or not first or not second:
            return
        start, length = at + second, size & ((1 << 7 * (second - first)) - 1)
        unknown = length == (1 << 7 * (second - first)) - 1
        at = end if unknown else start + length
        if at > end:
            return
        yield kind, start, at


def _variable(head: bytes, at: int) -> tuple[int, int]:
    """(an integer of variable length with its marker, where it ends); where it ends is 0 if there is none."""
    if at >= len(head) or head[at] == 0:
        return 0, 0
    stop = at + 9 - head[at].bit_length()
    return (int.from_bytes(head[at:stop], "big"), stop) if stop <= len(head) else (0, 0)
