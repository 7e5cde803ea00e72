"""Writing Spherical Video V1 and V2 metadata into an mp4 without touching its pictures. What is no mp4 becomes one first."""

import struct
from pathlib import Path
from typing import BinaryIO

from argus.errors import InvalidInput, VideoError
from argus.files import replace_atomically
from argus.media import errors
from argus.media.boxes import Box, boxes_of_file, edited, pack, payload_in_file
from argus.media.mesh import eac_box
from argus.media.remuxing import remux
from argus.media.spherical import (
    ENTRY_HEADER,
    V1_NAMESPACE,
    V1_UUID,
    SphericalMetadata,
    entry_size,
    is_video,
)
from schemas.names import Reason

_STEREO_CODES = {"mono": 0, "top-bottom": 1, "left-right": 2}
_PATH_TO_ENTRY = (b"mdia", b"minf", b"stbl")
_V1 = """<?xml version="1.0"?>
<rdf:SphericalVideo xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:GSpherical="{namespace}">
<GSpherical:Spherical>true</GSpherical:Spherical>
<GSpherical:Stitched>true</GSpherical:Stitched>
<GSpherical:StitchingSoftware>Argus</GSpherical:StitchingSoftware>
<GSpherical:ProjectionType>equirectangular</GSpherical:ProjectionType>
<GSpherical:StereoMode>{stereo}</GSpherical:StereoMode>
</rdf:SphericalVideo>"""


_HALF = (0.0, 0.0, 0.25, 0.25)
_WRITABLE = ("equirectangular", "half_equirectangular", "cubemap", "eac")


def tag_spherical(src: Path | str, dst: Path | str, metadata: SphericalMetadata) -> None:
    """Copies a video into an mp4 with V2 metadata and, for a whole equirectangular map, V1; earlier metadata is replaced. `dst` may be `src`.

    An mp4 or mov keeps everything else as it is. Of other files (Matroska, WebM, MPEG-TS) the video and the sound are copied, not coded again.
    A half map is written, and read back, as a map with a quarter missing on the left and on the right; an "eac" as the mesh that unfolds it.

    Raises:
        VideoError: the file is empty or no video, or an mp4 cannot hold its codec.
        InvalidInput: there is no such file, or the projection cannot be written.
    """
    src, dst = Path(src), Path(dst)
    if metadata.projection not in _WRITABLE:
        raise InvalidInput(
            f"projection {metadata.projection!r} cannot be written; give one of {', '.join(_WRITABLE)}"
        )
    errors.require_file(src)
    with replace_atomically(dst) as whole:
        if _has_index(src):
            _write_tagged(src, whole, metadata, str(src))
            return
        plain = whole.with_suffix(".plain.mp4")
        try:
            remux(src, plain)
            _write_tagged(plain, whole, metadata, str(src))
        finally:
            plain.unlink(missing_ok=True)


def _has_index(path: Path) -> bool:
    """Whether it is an mp4 with a moov box."""
    with path.open("rb") as file:
        return any(box.kind == b"moov" for box in boxes_of_file(file))


def _write_tagged(src: Path, dst: Path, metadata: SphericalMetadata, name: str) -> None:
    with src.open("rb") as file, dst.open("wb") as out:
        boxes = list(boxes_of_file(file))
        moov = next(box for box in boxes if box.kind == b"moov")
        content = payload_in_file(file, moov)
        if content is None:
            raise VideoError(
                Reason.TRUNCATED, f"{name}: its index (moov) is cut off; fetch or copy it again"
            )
        tagged = _tagged(content, metadata, name)
        shift = 8 + len(tagged) - moov.size
        _copy(file, out, boxes, {moov: _shifted(tagged, moov.end, shift)}, shift)


def _tagged(moov: bytes, metadata: SphericalMetadata, name: str) -> bytes:
    """The moov with metadata in its first video track."""
    done = False

    def edit(kind: bytes, content: bytes) -> bytes:
        nonlocal done
        if kind != b"trak" or done or not is_video(content):
            return content
        done = True
        return _tagged_track(content, metadata)

    new = edited(moov, edit)
    if not done:
        raise VideoError(Reason.NO_VIDEO_STREAM, f"{name}: it has no video track to tag")
    return new


def _tagged_track(track: bytes, metadata: SphericalMetadata) -> bytes:
    def edit(kind: bytes, content: bytes) -> bytes | None:
        if kind in _PATH_TO_ENTRY:
            return edited(content, edit)
        if kind == b"stsd":
            return edited(content, entry, 8)
        return None if kind == b"uuid" and content.startswith(V1_UUID) else content

    def entry(_: bytes, content: bytes) -> bytes:
        return edited(
            content,
            without_old,
            ENTRY_HEADER,
            _st3d(metadata) + _sv3d(metadata, entry_size(content)),
        )

    def without_old(kind: bytes, content: bytes) -> bytes | None:
        return None if kind in {b"st3d", b"sv3d"} else content

    v1 = b""
    if metadata.projection == "equirectangular" and metadata.is_full_sphere:
        xml = _V1.format(namespace=V1_NAMESPACE, stereo=metadata.stereo_mode)
        v1 = pack(b"uuid", V1_UUID + xml.encode())
    return edited(track, edit, added=v1)


def _st3d(metadata: SphericalMetadata) -> bytes:
    return pack(b"st3d", bytes(4) + bytes([_STEREO_CODES[metadata.stereo_mode]]))


def _sv3d(metadata: SphericalMetadata, size: tuple[int, int]) -> bytes:
    pose = [
        round(value * 65536) for value in (metadata.yaw_deg, metadata.pitch_deg, metadata.roll_deg)
    ]
    projection = pack(b"prhd", bytes(4) + struct.pack(">3i", *pose)) + _shape(metadata, size)
    return pack(b"sv3d", pack(b"svhd", bytes(4) + b"Argus\0") + pack(b"proj", projection))


def _shape(metadata: SphericalMetadata, size: tuple[int, int]) -> bytes:
    """The box of the projection itself."""
    if metadata.projection == "cubemap":
        return pack(b"cbmp", bytes(8) + struct.pack(">I", metadata.padding))  # layout 0
    if metadata.projection == "eac":
        return pack(b"mshp", eac_box(size))
    shares = _HALF if metadata.projection == "half_equirectangular" else metadata.bounds
    return pack(
        b"equi",
        bytes(4) + struct.pack(">4I", *(min(round(share * 2**32), 2**32 - 1) for share in shares)),
    )


def _shifted(content: bytes, threshold: int, shift: int) -> bytes:
    """The content of a moov, moof or mfra with every absolute file position from `threshold` on moved by `shift`."""

    def moved(position: int) -> int:
        return position + shift if position >= threshold else position

    def table(content: bytes, form: str) -> bytes:
        count = min(
            struct.unpack_from(">I", content, 4)[0], (len(content) - 8) // struct.calcsize(form)
        )
        positions = [moved(value) for value in struct.unpack_from(f">{count}{form}", content, 8)]
        if form == "I" and positions and max(positions) >= 2**32:
            raise InvalidInput(
                "the mp4 is at the 4 GiB limit of its 32-bit index; rewrite it with a 64-bit index first"
            )
        return (
            content[:8]
            + struct.pack(f">{count}{form}", *positions)
            + content[8 + struct.calcsize(f">{count}{form}") :]
        )

    def edit(kind: bytes, content: bytes) -> bytes:
        if kind in {b"trak", b"mdia", b"minf", b"stbl", b"traf"}:
            return edited(content, edit)
        if kind in {b"stco", b"co64"} and len(content) >= 8:
            return table(content, "I" if kind == b"stco" else "Q")
        if kind == b"tfhd" and len(content) >= 16 and content[3] & 1:
            return (
                content[:8]
                + struct.pack(">Q", moved(struct.unpack_from(">Q", content, 8)[0]))
                + content[16:]
            )
        return content

    return edited(content, edit)


def _copy(
    file: BinaryIO, out: BinaryIO, boxes: list[Box], new: dict[Box, bytes], shift: int
) -> None:
    """Copies all boxes, with the new content where there is one, and positions inside fragments moved."""
    threshold = next(iter(new)).end
    for box in boxes:
        if box.kind == b"moof" and (content := payload_in_file(file, box)) is not None:
            new = {**new, box: _shifted(content, threshold, shift)}
        if box in new:
            out.write(pack(box.kind, new[box]))
        elif (
            box.kind != b"mfra"
        ):  # an optional index of fragments by position: left out rather than wrong
            file.seek(box.start)
            _copy_bytes(file, out, box.size)


def _copy_bytes(file: BinaryIO, out: BinaryIO, count: int) -> None:
    while count > 0 and (chunk := file.read(min(count, 1 << 20))):
        out.write(chunk)
        count -= len(chunk)
