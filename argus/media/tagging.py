"""Writer of Spherical Video V1 and V2 metadata to mp4; other containers are remuxed first."""

import struct
from pathlib import Path
from typing import BinaryIO

from argus.errors import InvalidInput, VideoError
from argus.files import replace_atomically
from argus.media import errors
from argus.media.boxes import Mp4Box, iter_file_boxes, pack_box, read_payload, rewrite_boxes
from argus.media.info import SphericalMetadata
from argus.media.mesh import pack_eac_mesh
from argus.media.remuxing import remux
from argus.media.spherical import (
    SAMPLE_ENTRY_BYTES,
    V1_NAMESPACE,
    V1_UUID,
    is_video_track,
    parse_entry_size,
)
from schemas.names import Reason

_STEREO_CODES = {"mono": 0, "top-bottom": 1, "left-right": 2}
_PATH_TO_SAMPLE_TABLE = (b"mdia", b"minf", b"stbl")
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


def tag_spherical(src: Path | str, dst: Path | str, metadata: SphericalMetadata) -> None:
    """Copy a video into an mp4 with the given spherical metadata, without re-encoding.

    V2 metadata is written, and V1 too for a whole equirectangular map; earlier metadata is
    replaced. An mp4 or mov keeps everything else; of other containers (Matroska, WebM, MPEG-TS)
    the first video stream and all audio streams are copied.

    Args:
        src: the video.
        dst: the mp4 to write; may be `src`.
        metadata: a half-equirectangular map is written, and read back, as an equirectangular map
            with a quarter missing on the left and the right; an "eac" as the mesh that unfolds it.

    Raises:
        VideoError: the file is empty or not a video, or an mp4 cannot hold its codec.
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
        if _has_moov(src):
            _write_tagged(src, partial, metadata, str(src))
            return
        remuxed = partial.with_suffix(".plain.mp4")
        try:
            remux(src, remuxed)
            _write_tagged(remuxed, partial, metadata, str(src))
        finally:
            remuxed.unlink(missing_ok=True)


def _has_moov(path: Path) -> bool:
    with path.open("rb") as file:
        return any(box.box_type == b"moov" for box in iter_file_boxes(file))


def _write_tagged(src: Path, dst: Path, metadata: SphericalMetadata, name: str) -> None:
    with src.open("rb") as file, dst.open("wb") as out:
        boxes = list(iter_file_boxes(file))
        moov = next(box for box in boxes if box.box_type == b"moov")
        payload = read_payload(file, moov)
        if payload is None:
            raise errors.truncated_error(name, "its index (moov) is cut off")
        tagged = _tag_moov(payload, metadata, name)
        shift = 8 + len(tagged) - moov.size
        tagged = _shift_positions(tagged, threshold=moov.end, shift=shift)
        _copy_boxes(file, out, boxes, moov, tagged, shift=shift)


def _tag_moov(moov: bytes, metadata: SphericalMetadata, name: str) -> bytes:
    """Return the moov payload with the metadata in its first video track."""
    is_done = False

    def rewrite(box_type: bytes, payload: bytes) -> bytes:
        nonlocal is_done
        if box_type != b"trak" or is_done or not is_video_track(payload):
            return payload
        is_done = True
        return _tag_track(payload, metadata)

    tagged = rewrite_boxes(moov, rewrite)
    if not is_done:
        raise VideoError(
            Reason.NO_VIDEO_STREAM, f"{name}: it has no video track; give a file with a video track"
        )
    return tagged


def _tag_track(track: bytes, metadata: SphericalMetadata) -> bytes:
    def rewrite(box_type: bytes, payload: bytes) -> bytes | None:
        if box_type in _PATH_TO_SAMPLE_TABLE:
            return rewrite_boxes(payload, rewrite)
        if box_type == b"stsd":
            return rewrite_boxes(payload, rewrite_entry, 8)
        return None if box_type == b"uuid" and payload.startswith(V1_UUID) else payload

    def rewrite_entry(_: bytes, entry: bytes) -> bytes:
        v2 = _pack_st3d(metadata) + _pack_sv3d(metadata, parse_entry_size(entry))
        return rewrite_boxes(entry, drop_v2, SAMPLE_ENTRY_BYTES, v2)

    def drop_v2(box_type: bytes, payload: bytes) -> bytes | None:
        return None if box_type in {b"st3d", b"sv3d"} else payload

    v1 = b""
    if metadata.projection == "equirectangular" and metadata.is_full_sphere:
        xml = _V1_DOCUMENT.format(namespace=V1_NAMESPACE, stereo=metadata.stereo_mode)
        v1 = pack_box(b"uuid", V1_UUID + xml.encode())
    return rewrite_boxes(track, rewrite, appended=v1)


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


def _shift_positions(payload: bytes, *, threshold: int, shift: int) -> bytes:
    """Return a moov or moof with every absolute file position from `threshold` on shifted."""

    def shift_position(position: int) -> int:
        return position + shift if position >= threshold else position

    def rewrite(box_type: bytes, payload: bytes) -> bytes:
        if box_type in {b"trak", b"mdia", b"minf", b"stbl", b"traf"}:
            return rewrite_boxes(payload, rewrite)
        if box_type in {b"stco", b"co64"} and len(payload) >= 8:
            return rewrite_table(payload, "I" if box_type == b"stco" else "Q")
        has_base_offset = box_type == b"tfhd" and len(payload) >= 16 and payload[3] & 1
        if has_base_offset:
            base = shift_position(struct.unpack_from(">Q", payload, 8)[0])
            return payload[:8] + struct.pack(">Q", base) + payload[16:]
        return payload

    def rewrite_table(payload: bytes, form: str) -> bytes:
        capacity = (len(payload) - 8) // struct.calcsize(form)
        count = min(struct.unpack_from(">I", payload, 4)[0], capacity)
        old = struct.unpack_from(f">{count}{form}", payload, 8)
        positions = [shift_position(position) for position in old]
        if form == "I" and positions and max(positions) >= 2**32:
            raise InvalidInput(
                "the mp4 is at the 4 GiB limit of its 32-bit index; "
                "rewrite it with a 64-bit index first"
            )
        table = struct.pack(f">{count}{form}", *positions)
        return payload[:8] + table + payload[8 + len(table) :]

    return rewrite_boxes(payload, rewrite)


def _copy_boxes(
    file: BinaryIO, out: BinaryIO, boxes: list[Mp4Box], moov: Mp4Box, payload: bytes, *, shift: int
) -> None:
    """Copy all boxes, with a new payload for `moov` and shifted positions in fragments."""
    for box in boxes:
        new = payload if box == moov else None
        if box.box_type == b"moof" and (fragment := read_payload(file, box)) is not None:
            new = _shift_positions(fragment, threshold=moov.end, shift=shift)
        if new is not None:
            out.write(pack_box(box.box_type, new))
        elif box.box_type != b"mfra":  # an optional index of fragment positions, now stale
            file.seek(box.start)
            _copy_bytes(file, out, box.size)


def _copy_bytes(file: BinaryIO, out: BinaryIO, count: int) -> None:
    while count > 0 and (chunk := file.read(min(count, 1 << 20))):
        out.write(chunk)
        count -= len(chunk)
