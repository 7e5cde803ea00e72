"""Reader for mesh projections in Matroska and WebM files, which FFmpeg does not report.

YouTube declares equi-angular cubemaps this way; other projections come from FFmpeg. Every size is
validated: an element with an impossible size ends the iteration.

References: RFC 9559 (Matroska), RFC 8794 (EBML).
"""

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from argus.media.info import SphericalMetadata, StereoMode
from argus.media.spherical import build_mesh_metadata

_SEGMENT, _CLUSTER, _TRACKS, _TRACK, _VIDEO = 0x18538067, 0x1F43B675, 0x1654AE6B, 0xAE, 0xE0
_WIDTH, _HEIGHT, _STEREO_MODE, _PROJECTION = 0xB0, 0xBA, 0x53B8, 0x7670
_TYPE, _PRIVATE, _YAW, _PITCH, _ROLL = range(0x7671, 0x7676)
_MESH = 3  # ProjectionType
_STEREO_MODES: dict[int, StereoMode] = {
    1: "left-right",
    2: "top-bottom",
    3: "top-bottom",
    11: "left-right",
}
_MAX_ELEMENTS = 10_000  # siblings
_MAX_TRACKS_BYTES = 16 << 20


def read_mesh_projection(path: Path) -> SphericalMetadata | None:
    """Read the metadata of the first video track with a mesh projection; None if absent or bad."""
    with path.open("rb") as file:
        tracks = _read_tracks(file)
    for track in _find_elements(tracks, _TRACK):
        for video in _find_elements(track, _VIDEO):
            for projection in _find_elements(video, _PROJECTION):
                if _read_uint(projection, _TYPE) == _MESH:
                    return _build_metadata(video, projection)
    return None


def _build_metadata(video: bytes, projection: bytes) -> SphericalMetadata:
    return build_mesh_metadata(
        next(_find_elements(projection, _PRIVATE), b""),
        size=(_read_uint(video, _HEIGHT), _read_uint(video, _WIDTH)),
        stereo_mode=_STEREO_MODES.get(_read_uint(video, _STEREO_MODE), "mono"),
        pose_deg=(
            _read_float(projection, _YAW),
            _read_float(projection, _PITCH),
            _read_float(projection, _ROLL),
        ),
        version="stream",
    )


def _read_tracks(file: BinaryIO) -> bytes:
    """Read the first Tracks element; empty if it is too long or stored after the first Cluster."""
    end = file.seek(0, 2)
    for element_id, start, stop in _iter_elements(file, 0, end):
        if element_id != _SEGMENT:
            continue
        for child_id, child_start, child_stop in _iter_elements(file, start, stop):
            if child_id == _TRACKS and child_stop - child_start <= _MAX_TRACKS_BYTES:
                file.seek(child_start)
                return file.read(child_stop - child_start)
            if child_id in {_TRACKS, _CLUSTER}:
                return b""
    return b""


def _find_elements(data: bytes, wanted_id: int) -> Iterator[bytes]:
    for element_id, start, stop in _iter_elements(io.BytesIO(data), 0, len(data)):
        if element_id == wanted_id:
            yield data[start:stop]


def _read_uint(data: bytes, wanted_id: int) -> int:
    return int.from_bytes(next(_find_elements(data, wanted_id), b"")[:8], "big")


def _read_float(data: bytes, wanted_id: int) -> float:
    value = next(_find_elements(data, wanted_id), b"")
    form = {4: ">f", 8: ">d"}.get(len(value))
    return float(struct.unpack(form, value)[0]) if form else 0.0


def _iter_elements(file: BinaryIO, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (id, start, stop) of the data of sibling elements; an unknown size extends to `end`."""
    for _ in range(_MAX_ELEMENTS):
        file.seek(position)
        head = file.read(12)
        element_id, id_stop = _read_vint(head, 0)
        size, size_stop = _read_vint(head, id_stop)
        if position >= end or not id_stop or not size_stop:
            return
        mask = (1 << 7 * (size_stop - id_stop)) - 1
        start, length = position + size_stop, size & mask
        is_unknown = length == mask
        position = end if is_unknown else start + length
        if position > end:
            return
        yield element_id, start, position


def _read_vint(head: bytes, start: int) -> tuple[int, int]:
    """Return (variable-size integer with its marker bit, its end offset); (0, 0) if invalid."""
    if start >= len(head) or head[start] == 0:
        return 0, 0
    stop = start + 9 - head[start].bit_length()
    return (int.from_bytes(head[start:stop], "big"), stop) if stop <= len(head) else (0, 0)
