"""Writer of Spherical Video V1 and V2 metadata to mp4; other containers are remuxed first.

Only spherical boxes, the sizes of the boxes around them, and file positions change. Every other
byte of the file is copied, whatever it means; a file for which that is impossible is refused.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from argus.errors import InvalidInput, VideoError
from argus.files import replace_atomically
from argus.media import errors
from argus.media.info import SphericalMetadata
from argus.media.mesh import pack_eac_mesh
from argus.media.mp4.boxes import (
    MAX_PAYLOAD_BYTES,
    MalformedBoxes,
    Mp4Box,
    get_payload,
    is_mp4,
    iter_boxes,
    iter_file_boxes,
    pack_box,
    walk_boxes,
)
from argus.media.mp4.copy_plan import Omission
from argus.media.mp4.offsets import (
    TYPES_WITH_POSITIONS,
    PositionMap,
    Splice,
    find_narrow_tables,
    move_positions,
    widen_table,
)
from argus.media.mp4.remuxing import remux
from argus.media.mp4.tracks import (
    ENTRY_FIELDS_BYTES,
    STSD_FIELDS_BYTES,
    choose_video_track,
    find_entry_boxes,
    parse_entry_size,
)
from argus.media.spherical import V1_NAMESPACE, V1_UUID
from schemas.names import Reason

_STEREO_CODES = {"mono": 0, "top-bottom": 1, "left-right": 2}
_V1_DOCUMENT = (
    '<?xml version="1.0"?>\n'
    '<rdf:SphericalVideo xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    ' xmlns:GSpherical="{namespace}">\n'
    "<GSpherical:Spherical>true</GSpherical:Spherical>\n"
    "<GSpherical:Stitched>true</GSpherical:Stitched>\n"
    "<GSpherical:StitchingSoftware>Argus</GSpherical:StitchingSoftware>\n"
    "<GSpherical:ProjectionType>equirectangular</GSpherical:ProjectionType>\n"
    "<GSpherical:StereoMode>{stereo}</GSpherical:StereoMode>\n"
    "</rdf:SphericalVideo>"
)
_HALF_BOUNDS = (0.0, 0.0, 0.25, 0.25)
_WRITABLE_PROJECTIONS = ("equirectangular", "half_equirectangular", "cubemap", "eac")
_CHUNK_BYTES = 1 << 20


def tag_spherical(
    src: Path | str, dst: Path | str, metadata: SphericalMetadata
) -> tuple[Omission, ...]:
    """Copy a video into an mp4 with the given spherical metadata, without re-encoding.

    V2 metadata is written, and V1 too for a whole equirectangular map; earlier metadata of the
    track that readers show is replaced. Of an mp4 or mov, everything else is kept, down to bytes
    that belong to no box; it need not be playable. Other containers (Matroska, WebM, MPEG-TS) are
    remuxed first.

    Args:
        src: the video.
        dst: the mp4 to write; may be `src`, which is unchanged if an error is raised.
        metadata: a half-equirectangular map is written, and read back, as an equirectangular map
            with a quarter missing on the left and the right; an "eac" as the mesh that unfolds it.

    Returns:
        The parts of the video that its copy does not hold; none for an mp4 or mov.

    Raises:
        VideoError: the file is empty, damaged or not a video, or an mp4 cannot hold its codec.
        InvalidInput: there is no such file, or the projection cannot be written.
    """
    src, dst = Path(src), Path(dst)
    if metadata.projection not in _WRITABLE_PROJECTIONS:
        raise InvalidInput(
            f"projection {metadata.projection!r} cannot be written; "
            f"give one of {', '.join(_WRITABLE_PROJECTIONS)}"
        )
    errors.require_video_file(src)
    with replace_atomically(dst) as partial:
        if is_mp4(src):
            _write_tagged(src, partial, metadata, str(src))
            return ()
        remuxed = partial.with_suffix(".plain.mp4")
        try:
            omissions = remux(src, remuxed)
            _write_tagged(remuxed, partial, metadata, str(src))
        finally:
            remuxed.unlink(missing_ok=True)
        return omissions


def _write_tagged(src: Path, dst: Path, metadata: SphericalMetadata, name: str) -> None:
    with src.open("rb") as file, dst.open("wb") as out:
        size = os.fstat(file.fileno()).st_size
        boxes = iter_file_boxes(file, limit=None)
        moov = next((box for box in boxes if box.box_type == b"moov"), None)
        if moov is None:
            raise errors.truncated_error(name, "its index (moov) is missing")
        try:
            data = _read_box(file, moov, name)
            splices, skipped = _plan_splices(data, moov.start, metadata, name)
            moves = PositionMap(splices)
            move_positions(data, moov.start, moves, skipped)
            tagged = _apply_splices(data, moov.start, splices)
            _copy_file(file, out, (moov, tagged), moves, name)
        except MalformedBoxes as exc:
            raise VideoError(
                Reason.CORRUPT,
                f"{name}: it cannot be tagged without loss: {exc}; "
                "rewrite it first: ffmpeg -i IN -c copy OUT",
            ) from exc
        if (os.fstat(file.fileno()).st_size, out.tell()) != (size, size + moves.growth):
            raise errors.corrupt_error(name, "it changed while it was copied")


@dataclass(frozen=True)
class _Edit:
    """A splice in a moov box; `path` are the boxes around it."""

    path: tuple[Mp4Box, ...]
    splice: Splice


def _plan_splices(
    data: bytearray, start: int, metadata: SphericalMetadata, name: str
) -> tuple[list[Splice], set[int]]:
    """Return the changes to a moov box, and the offsets of the tables that they replace.

    Args:
        data: the box.
        start: its position in the file; the splices have positions in the file.
        metadata: the metadata to write.
        name: names the video in messages.
    """
    track = _find_track(data, name)
    edits = list(_edit_track(data, track, metadata))
    narrow: dict[int, tuple[Mp4Box, ...]] = {}
    while True:
        tables = [_edit_table(data, path, None) for path in narrow.values()]
        moves = PositionMap(_place_edits(data, start, edits + tables))
        found = {path[-1].start: path for path in find_narrow_tables(data, moves)}
        if found.keys() <= narrow.keys():
            break
        narrow |= found  # wider tables move the data further
    tables = [_edit_table(data, path, moves) for path in narrow.values()]
    return _place_edits(data, start, edits + tables), set(narrow)


def _edit_table(data: bytearray, path: tuple[Mp4Box, ...], moves: PositionMap | None) -> _Edit:
    """Return the replacement of an stco box; without a map, one of the right length."""
    table = widen_table(data, path[-1], moves or PositionMap([]))
    return _Edit(path[:-1], Splice(path[-1].start, path[-1].end, table))


def _place_edits(data: bytearray, start: int, edits: Sequence[_Edit]) -> list[Splice]:
    """Return the splices of edits and of the sizes of the boxes around them, in file order."""
    growths: dict[Mp4Box, int] = {}
    for edit in edits:
        growth = len(edit.splice.data) - edit.splice.end + edit.splice.start
        for box in edit.path:
            growths[box] = growths.get(box, 0) + growth
    splices = [edit.splice for edit in edits]
    for box, growth in growths.items():
        if box.header_size == 16:
            size = struct.pack(">Q", box.size + growth)
            splices.append(Splice(box.start + 8, box.start + 16, size))
        elif _has_size(data, box):
            size = struct.pack(">I", box.size + growth)
            splices.append(Splice(box.start, box.start + 4, size))
    placed = (Splice(start + item.start, start + item.end, item.data) for item in splices)
    return sorted(placed, key=lambda splice: (splice.start, splice.end))


def _apply_splices(data: bytearray, start: int, splices: Sequence[Splice]) -> bytes:
    out, position = bytearray(), 0
    for splice in splices:
        out += data[position : splice.start - start] + splice.data
        position = splice.end - start
    return bytes(out + data[position:])


def _find_track(data: bytearray, name: str) -> tuple[Mp4Box, ...]:
    """Return the path of the trak box that readers show."""
    moov = next(iter_boxes(data))
    paths = list(walk_boxes(data))
    if any(len(path) == 2 and path[-1].box_type == b"cmov" for path in paths):
        raise MalformedBoxes("its index (moov) is compressed")
    tracks = [path for path in paths if len(path) == 2 and path[-1].box_type == b"trak"]
    number = choose_video_track(get_payload(data, moov))
    if number is None:
        raise VideoError(
            Reason.NO_VIDEO_STREAM, f"{name}: it has no video track; give a file with a video track"
        )
    return tracks[number]


def _edit_track(
    data: bytearray, track: tuple[Mp4Box, ...], metadata: SphericalMetadata
) -> Iterator[_Edit]:
    """Yield the edits that replace the spherical boxes of a track."""
    for box in _iter_children(data, track[-1]):
        if box.box_type == b"uuid" and get_payload(data, box).startswith(V1_UUID):
            yield _Edit(track, Splice(box.start, box.end, b""))
    if metadata.projection == "equirectangular" and metadata.is_full_sphere:
        xml = _V1_DOCUMENT.format(namespace=V1_NAMESPACE, stereo=metadata.stereo_mode)
        yield _append_boxes(data, track, pack_box(b"uuid", V1_UUID + xml.encode()))
    entries = [
        (*path, entry)
        for path in walk_boxes(data, track[-1].start, track[-1].end, track[:-1])
        if [box.box_type for box in path[2:]] == [b"mdia", b"minf", b"stbl", b"stsd"]
        for entry in _iter_children(data, path[-1], STSD_FIELDS_BYTES)
    ]
    if not entries:
        raise MalformedBoxes("its video track has no sample entry")
    for path in entries:
        yield from _edit_entry(data, path, metadata)


def _edit_entry(
    data: bytearray, path: tuple[Mp4Box, ...], metadata: SphericalMetadata
) -> Iterator[_Edit]:
    """Yield the edits that replace the V2 boxes, and those of Apple, of a sample entry."""
    entry = get_payload(data, path[-1])
    if len(entry) < ENTRY_FIELDS_BYTES:
        raise MalformedBoxes("a sample entry of its video track is cut off")
    first = find_entry_boxes(entry)
    boxes = list(_iter_children(data, path[-1], first))
    v2 = _pack_st3d(metadata) + _pack_sv3d(metadata, parse_entry_size(entry))
    addition = _append_boxes(data, path, v2, first)
    replaced = {b"st3d", b"sv3d", b"vexu"}  # the last is Apple's, and would contradict
    if any(box.box_type == b"lhvC" for box in boxes):
        replaced = {b"st3d", b"sv3d"}  # it assigns the layers to the eyes
    for box in boxes:
        if box.box_type in replaced:
            yield _Edit(path, Splice(box.start, box.end, b""))
        elif box.box_type == b"vexu":  # FFmpeg opens no file with it before st3d
            addition = _Edit(path, Splice(box.start, box.start, v2))
            for part in _iter_children(data, box):
                if part.box_type in {b"proj", b"pack"}:
                    yield _Edit((*path, box), Splice(part.start, part.end, b""))
    yield addition


def _append_boxes(
    data: bytearray, path: tuple[Mp4Box, ...], boxes: bytes, skipped: int = 0
) -> _Edit:
    """Return the edit that adds boxes to a box, after `skipped` bytes and its last box.

    Bytes at the end that are not a box stay there, and so does a box of size 0, which would
    contain all that follows.
    """
    end = path[-1].start + path[-1].header_size + skipped
    for box in _iter_children(data, path[-1], skipped):
        end = box.end if _has_size(data, box) else end
    return _Edit(path, Splice(end, end, boxes))


def _has_size(data: bytearray, box: Mp4Box) -> bool:
    """Return whether a box states its size; one of size 0 ends where its parent does."""
    return any(data[box.start : box.start + 4])


def _iter_children(data: bytearray, parent: Mp4Box, skipped: int = 0) -> Iterator[Mp4Box]:
    """Yield the boxes in a box, after a number of bytes that are none."""
    return iter_boxes(data, parent.start + parent.header_size + skipped, parent.end, limit=None)


def _copy_file(
    file: BinaryIO, out: BinaryIO, moov: tuple[Mp4Box, bytes], moves: PositionMap, name: str
) -> None:
    """Copy a whole file, with another moov box and moved positions.

    A file that was appended to it counts positions from its own start: it is copied as it is.
    """
    size = file.seek(0, os.SEEK_END)
    end = 0
    for box in iter_file_boxes(file, limit=None):
        if box.box_type == b"ftyp" and box.start > moov[0].start:
            break
        has_positions = box.box_type in TYPES_WITH_POSITIONS
        if box.end > size:
            if has_positions or box.box_type == b"mdat":
                kind = box.box_type.decode()
                raise errors.truncated_error(name, f"its last box ({kind}) is cut off")
            break  # bytes of another kind, which are copied below
        if box == moov[0]:
            out.write(moov[1])
        elif has_positions:
            data = _read_box(file, box, name)
            move_positions(data, box.start, moves)
            out.write(data)
        else:
            _copy_bytes(file, out, box.start, box.end)
        end = box.end
    _copy_bytes(file, out, end, size)


def _read_box(file: BinaryIO, box: Mp4Box, name: str) -> bytearray:
    """Return a whole box with its header."""
    if box.size > MAX_PAYLOAD_BYTES:
        raise VideoError(
            Reason.TOO_LARGE,
            f"{name}: its {box.box_type.decode()} box has {box.size >> 20} MiB, but at most "
            f"{MAX_PAYLOAD_BYTES >> 20} MiB can be rewritten; divide the video",
        )
    file.seek(box.start)
    data = bytearray(file.read(box.size))
    if len(data) < box.size:
        kind = "index (moov)" if box.box_type == b"moov" else f"{box.box_type.decode()} box"
        raise errors.truncated_error(name, f"its {kind} is cut off")
    return data


def _copy_bytes(file: BinaryIO, out: BinaryIO, start: int, end: int) -> None:
    file.seek(start)
    while start < end and (chunk := file.read(min(end - start, _CHUNK_BYTES))):
        out.write(chunk)
        start += len(chunk)


def _pack_st3d(metadata: SphericalMetadata) -> bytes:
    return pack_box(b"st3d", bytes(4) + bytes([_STEREO_CODES[metadata.stereo_mode]]))


def _pack_sv3d(metadata: SphericalMetadata, size: tuple[int, int]) -> bytes:
    angles = metadata.yaw_deg, metadata.pitch_deg, metadata.roll_deg
    pose = struct.pack(">3i", *(round(angle * 65536) for angle in angles))  # 16.16 fixed point
    projection = pack_box(b"prhd", bytes(4) + pose) + _pack_projection(metadata, size)
    header = pack_box(b"svhd", bytes(4) + b"Argus\0")
    return pack_box(b"sv3d", header + pack_box(b"proj", projection))


def _pack_projection(metadata: SphericalMetadata, size: tuple[int, int]) -> bytes:
    if metadata.projection == "cubemap":
        return pack_box(b"cbmp", bytes(8) + struct.pack(">I", metadata.padding))  # layout 0
    if metadata.projection == "eac":
        return pack_box(b"mshp", pack_eac_mesh(size))
    is_half = metadata.projection == "half_equirectangular"
    bounds = _HALF_BOUNDS if is_half else metadata.bounds
    fixed_point = (min(round(bound * 2**32), 2**32 - 1) for bound in bounds)
    return pack_box(b"equi", bytes(4) + struct.pack(">4I", *fixed_point))
