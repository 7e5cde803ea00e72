"""Reader for the spherical metadata of Matroska and WebM files: Projection, StereoMode and V1.

FFmpeg reports neither V1 nor the meshes by which YouTube declares equi-angular cubemaps. Every
size is validated: an element with an impossible size ends the iteration.

References: RFC 9559 (Matroska), RFC 8794 (EBML); Google, "Spherical Video RFC" (V1 is a tag of the
track) and "Spherical Video V2 RFC".
"""

import io
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from argus.media.info import DEFAULT_TRACK_BONUS, SphericalMetadata, StereoMode
from argus.media.spherical import (
    build_mesh_metadata,
    build_stereo_metadata,
    parse_shape,
    parse_v1,
)

_SEGMENT, _CLUSTER, _TRACKS, _TRACK, _VIDEO = 0x18538067, 0x1F43B675, 0x1654AE6B, 0xAE, 0xE0
_SEEK_HEAD, _SEEK, _SEEK_ID, _SEEK_POSITION = 0x114D9B74, 0x4DBB, 0x53AB, 0x53AC
_TAGS, _TAG, _TARGETS, _TAG_TRACK_UID = 0x1254C367, 0x7373, 0x63C0, 0x63C5
_SIMPLE_TAG, _TAG_NAME, _TAG_STRING = 0x67C8, 0x45A3, 0x4487
_TRACK_UID, _FLAG_DEFAULT, _TRACK_TYPE = 0x73C5, 0x88, 0x83
_WIDTH, _HEIGHT, _STEREO_MODE, _PROJECTION = 0xB0, 0xBA, 0x53B8, 0x7670
_TYPE, _PRIVATE, _YAW, _PITCH, _ROLL = range(0x7671, 0x7676)
_RECTANGULAR, _EQUIRECTANGULAR, _CUBEMAP, _MESH = range(4)  # ProjectionType
_SHAPES = {_EQUIRECTANGULAR: (b"equi", 20), _CUBEMAP: (b"cbmp", 12)}  # as boxes, with their sizes
_V1_TAG = b"SPHERICAL-VIDEO"
_STEREO_MODES: dict[int, StereoMode] = {
    1: "left-right",
    2: "top-bottom",
    3: "top-bottom",
    11: "left-right",
}
_VIDEO_TYPE = 1  # TrackType
_MAX_ELEMENTS = 10_000  # siblings
_MAX_HEADER_BYTES = 16 << 20  # of an element that is read into memory


def read_matroska_metadata(path: Path) -> SphericalMetadata | None:
    """Read the V2 or V1 metadata of the track of a Matroska file that readers show.

    V2 takes precedence over V1; malformed metadata counts as absent.
    """
    with path.open("rb") as file:
        headers = _read_headers(file)
    tracks = [track for data in headers[_TRACKS] for track in _find_elements(data, _TRACK)]
    track = max(filter(_is_video, tracks), key=_rank_track, default=None)
    if track is None:
        return None
    video = next(_find_elements(track, _VIDEO), b"")
    stereo_mode = _STEREO_MODES.get(_read_uint(video, _STEREO_MODE), "mono")
    for projection in _find_elements(video, _PROJECTION):
        if metadata := _parse_projection(video, projection, stereo_mode):
            return metadata
    if v1 := _find_v1(headers[_TAGS], _read_uint(track, _TRACK_UID)):
        return v1 if stereo_mode == "mono" else replace(v1, stereo_mode=stereo_mode)
    return build_stereo_metadata(stereo_mode, "stream")


def _parse_projection(
    video: bytes, projection: bytes, stereo_mode: StereoMode
) -> SphericalMetadata | None:
    """Return the metadata of a Projection element; None for an ordinary video."""
    kind = _read_uint(projection, _TYPE)
    if kind == _RECTANGULAR:  # its pose is a rotation of the frames
        return None
    size = _read_size(video)
    private = next(_find_elements(projection, _PRIVATE), b"")
    pose = [_read_float(projection, element) for element in (_YAW, _PITCH, _ROLL)]
    if kind == _MESH:
        return build_mesh_metadata(
            private,
            size=size,
            stereo_mode=stereo_mode,
            pose_deg=(pose[0], pose[1], pose[2]),
            version="stream",
        )
    box_type, length = _SHAPES.get(kind, (b"", 0))
    found = parse_shape(box_type, private, size) if len(private) == length else None
    if kind == _EQUIRECTANGULAR and not private:
        found = SphericalMetadata()
    return replace(
        found or SphericalMetadata(projection="unknown"),
        stereo_mode=stereo_mode,
        yaw_deg=pose[0],
        pitch_deg=pose[1],
        roll_deg=pose[2],
        version="stream",
    )


def _find_v1(all_tags: list[bytes], uid: int) -> SphericalMetadata | None:
    """Return the metadata of the first V1 tag of a track, or of the whole file."""
    for tag in (tag for tags in all_tags for tag in _find_elements(tags, _TAG)):
        targets = next(_find_elements(tag, _TARGETS), b"")
        uids = {int.from_bytes(data[:8], "big") for data in _find_elements(targets, _TAG_TRACK_UID)}
        if uids - {0} and uid not in uids:
            continue
        for simple in _find_elements(tag, _SIMPLE_TAG):
            name = next(_find_elements(simple, _TAG_NAME), b"").rstrip(b"\0")
            text = next(_find_elements(simple, _TAG_STRING), b"")
            if name.upper() == _V1_TAG and (metadata := parse_v1(text)):
                return metadata
    return None


def _is_video(track: bytes) -> bool:
    return _read_uint(track, _TRACK_TYPE, _VIDEO_TYPE) == _VIDEO_TYPE and any(
        True for _ in _find_elements(track, _VIDEO)
    )


def _rank_track(track: bytes) -> int:
    """Return a number that is higher for a better track, by the rule of `argus.media.tracks`."""
    height, width = _read_size(next(_find_elements(track, _VIDEO), b""))
    return height * width + (DEFAULT_TRACK_BONUS if _read_uint(track, _FLAG_DEFAULT, 1) else 0)


def _read_size(video: bytes) -> tuple[int, int]:
    return _read_uint(video, _HEIGHT), _read_uint(video, _WIDTH)


def _read_headers(file: BinaryIO) -> dict[int, list[bytes]]:
    """Return the Tracks and Tags elements of the first segment, wherever they are in it.

    Elements after the first Cluster are found through the SeekHead. Without one, as many clusters
    are passed over as the limit of elements allows.
    """
    found: dict[int, list[bytes]] = {_TRACKS: [], _TAGS: []}
    size = file.seek(0, 2)
    elements = _iter_elements(file, 0, size)
    segment = next((item[1:] for item in elements if item[0] == _SEGMENT), (size, size))
    listed: dict[int, int] = {}  # positions, by id
    for element_id, start, stop in _iter_elements(file, *segment):
        if element_id in found and stop - start <= _MAX_HEADER_BYTES:
            found[element_id].append(_read_bytes(file, start, stop))
        elif element_id == _SEEK_HEAD and stop - start <= _MAX_HEADER_BYTES:
            listed |= _parse_seek_head(_read_bytes(file, start, stop), segment[0])
        elif element_id == _CLUSTER and all(found[item] or item in listed for item in found):
            break
    for wanted, position in listed.items():
        if wanted in found and not found[wanted]:
            element_id, start, stop = next(_iter_elements(file, position, segment[1]), (0, 0, 0))
            if element_id == wanted and stop - start <= _MAX_HEADER_BYTES:
                found[wanted].append(_read_bytes(file, start, stop))
    return found


def _parse_seek_head(data: bytes, origin: int) -> dict[int, int]:
    """Return the positions in the file of the elements that a SeekHead lists, by id."""
    return {
        _read_uint(seek, _SEEK_ID): origin + _read_uint(seek, _SEEK_POSITION)
        for seek in _find_elements(data, _SEEK)
    }


def _read_bytes(file: BinaryIO, start: int, stop: int) -> bytes:
    file.seek(start)
    return file.read(stop - start)


def _find_elements(data: bytes, wanted_id: int) -> Iterator[bytes]:
    for element_id, start, stop in _iter_elements(io.BytesIO(data), 0, len(data)):
        if element_id == wanted_id:
            yield data[start:stop]


def _read_uint(data: bytes, wanted_id: int, default: int = 0) -> int:
    value = next(_find_elements(data, wanted_id), None)
    return default if value is None else int.from_bytes(value[:8], "big")


def _read_float(data: bytes, wanted_id: int) -> float:
    value = next(_find_elements(data, wanted_id), b"")
    form = {4: ">f", 8: ">d"}.get(len(value))
    return float(struct.unpack(form, value)[0]) if form else 0.0


def _iter_elements(file: BinaryIO, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (id, start, stop) of the data of sibling elements; an unknown size extends to `end`."""
    for _ in range(_MAX_ELEMENTS):
        if position >= end:
            return
        file.seek(position)
        head = file.read(12)
        element_id, id_stop = _read_vint(head, 0)
        size, size_stop = _read_vint(head, id_stop)
        if not id_stop or not size_stop:
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


def find_segment_end(file: BinaryIO) -> int:
    """Return the offset at which a file's first segment ends, as its element sizes declare it.

    A segment without a size, as live recordings have, ends with its last element, which may lie
    past the end of the file; 0 if the file has no segment.
    """
    size, position = file.seek(0, 2), 0
    is_inside = False
    while position < size:
        file.seek(position)
        head = file.read(12)
        element_id, id_stop = _read_vint(head, 0)
        length, stop = _read_vint(head, id_stop)
        if not id_stop or not stop:
            return size if len(head) == 12 else size + 1  # not an element, or the start of one
        mask = (1 << 7 * (stop - id_stop)) - 1
        position += stop
        if length & mask != mask:
            if element_id == _SEGMENT:
                return position + (length & mask)
            position += length & mask
        is_inside |= element_id == _SEGMENT
    return position if is_inside else 0
