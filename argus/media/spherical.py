"""What a file says of the sphere in its frames: Spherical Video V1 and V2 in mp4, and what FFmpeg reports of other containers.

Sources: Google's "Spherical Video RFC" and "Spherical Video V2 RFC"; the structs AVSphericalMapping and AVStereo3D of libavutil.
It may lie: curation checks the pixels.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast
from xml.parsers import expat

from argus.media.boxes import boxes_in, boxes_of_file, find, payload, payload_in_file

Projection = Literal["equirectangular", "half_equirectangular", "cubemap", "mesh", "fisheye", "rectilinear", "unknown"]
StereoMode = Literal["mono", "top-bottom", "left-right"]

V1_UUID = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")
V1_NAMESPACE = "http://ns.google.com/videos/1.0/spherical/"
ENTRY_HEADER = 78  # of a VisualSampleEntry's payload, before its boxes
_MOST_XML = 64 << 10
_V2_STEREO: dict[int, StereoMode] = {0: "mono", 1: "top-bottom", 2: "left-right", 4: "left-right"}
_AV_STEREO: dict[int, StereoMode] = {1: "left-right", 2: "top-bottom"}
_AV_PROJECTION: tuple[Projection, ...] = (
    "equirectangular",
    "cubemap",
    "equirectangular",  # with bounds
    "half_equirectangular",
    "rectilinear",
    "fisheye",
)


@dataclass(frozen=True)
class SphericalMetadata:
    """How the sphere lies in the frames, as a file declares it."""

    projection: Projection = "equirectangular"
    stereo_mode: StereoMode = "mono"
    bounds: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)  # share of the whole map missing at top, bottom, left, right
    yaw_deg: float = 0.0  # the pose as stored (V2: counter-clockwise seen from above)
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    version: str = "v2"  # where it was read: "v1", "v2", "stream" (FFmpeg's side data); does not matter for writing

    @property
    def is_full_sphere(self) -> bool:
        """Whether the frames are declared to hold all directions."""
        return self.projection in {"equirectangular", "cubemap"} and not any(self.bounds)


def read_spherical(path: Path | str) -> SphericalMetadata | None:
    """What a video file declares; None for an ordinary video. V2 is believed before V1.

    Raises:
        VideoError: the file is no readable video (reasons as `probe`).
    """
    from argus.media.probing import probe

    return probe(path).spherical


def read_boxes(path: Path) -> SphericalMetadata | None:
    """V2 and V1 metadata of an mp4 file's first video track that has any; what is malformed counts as absent."""
    with path.open("rb") as file:
        moov = next((box for box in boxes_of_file(file) if box.kind == b"moov"), None)
        content = payload_in_file(file, moov) if moov else None
    found = (_read_track(track) for track in find(content or b"", b"trak") if is_video(track))
    return next((metadata for metadata in found if metadata), None)


def is_video(track: bytes) -> bool:
    """Whether the content of a trak box is a video track."""
    return any(handler[8:12] == b"vide" for handler in find(track, b"mdia", b"hdlr"))


def read_side_data(frame: Any) -> SphericalMetadata | None:
    """What FFmpeg found, from a decoded PyAV frame (Matroska's Projection arrives here)."""
    sphere = stereo = None
    for item in frame.side_data:
        if item.type.name == "SPHERICAL":
            sphere = bytes(item)
        elif item.type.name == "STEREO3D":
            stereo = bytes(item)
    if sphere is None or len(sphere) < 32:
        return None
    projection, yaw, pitch, roll, left, top, right, bottom = struct.unpack_from("=4i4I", sphere)
    return SphericalMetadata(
        projection=_AV_PROJECTION[projection] if 0 <= projection < len(_AV_PROJECTION) else "unknown",
        stereo_mode=_AV_STEREO.get(struct.unpack_from("=i", stereo)[0], "mono") if stereo and len(stereo) >= 4 else "mono",
        bounds=(top / 2**32, bottom / 2**32, left / 2**32, right / 2**32),
        yaw_deg=yaw / 65536,
        pitch_deg=pitch / 65536,
        roll_deg=roll / 65536,
        version="stream",
    )


def _read_track(track: bytes) -> SphericalMetadata | None:
    entries = list(_sample_entry_boxes(track))
    stereo = next((_V2_STEREO.get(content[4]) for kind, content in entries if kind == b"st3d" and len(content) > 4), None)
    for kind, content in entries:
        if kind == b"sv3d" and (metadata := _read_sv3d(content)):
            return replace(metadata, stereo_mode=stereo or "mono")
    for content in find(track, b"uuid"):
        if content.startswith(V1_UUID) and (metadata := _read_v1(content[len(V1_UUID) :])):
            return replace(metadata, stereo_mode=stereo) if stereo else metadata
    return None


def _sample_entry_boxes(track: bytes) -> Iterator[tuple[bytes, bytes]]:
    for table in find(track, b"mdia", b"minf", b"stbl", b"stsd"):
        for entry in boxes_in(table, 8):
            content = payload(table, entry)
            for box in boxes_in(content, ENTRY_HEADER):
                yield box.kind, payload(content, box)


def _read_sv3d(content: bytes) -> SphericalMetadata | None:
    for projection in find(content, b"proj"):
        metadata = SphericalMetadata(projection="unknown")
        for pose in find(projection, b"prhd"):
            if len(pose) >= 16:
                yaw, pitch, roll = (value / 65536 for value in struct.unpack_from(">3i", pose, 4))
                metadata = replace(metadata, yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll)
        for bounds in find(projection, b"equi"):
            if len(bounds) >= 20:
                top, bottom, left, right = (value / 2**32 for value in struct.unpack_from(">4I", bounds, 4))
                return replace(metadata, projection="equirectangular", bounds=(top, bottom, left, right))
        if any(find(projection, b"cbmp")):
            return replace(metadata, projection="cubemap")
        if any(find(projection, b"mshp")) or any(find(projection, b"ytmp")):
            return replace(metadata, projection="mesh")
        return metadata
    return None


def _read_v1(xml: bytes) -> SphericalMetadata | None:
    fields = _v1_fields(xml)
    if fields.get("Spherical", "").lower() != "true":
        return None
    stereo = fields.get("StereoMode", "mono")
    return SphericalMetadata(
        projection="equirectangular" if fields.get("ProjectionType", "equirectangular") == "equirectangular" else "unknown",
        stereo_mode=cast("StereoMode", stereo) if stereo in {"mono", "top-bottom", "left-right"} else "mono",
        bounds=_v1_bounds(fields),
        version="v1",
    )


def _v1_fields(xml: bytes) -> dict[str, str]:
    """The text of every element in the GSpherical namespace; nothing when it is too long, malformed, or declares entities."""
    fields: dict[str, str] = {}
    open_names: list[str] = []

    def start(name: str, _: dict[str, str]) -> None:
        open_names.append(name)

    def text(data: str) -> None:
        namespace, _, name = open_names[-1].rpartition(" ")
        if namespace == V1_NAMESPACE:
            fields[name] = fields.get(name, "") + data.strip()

    def refuse(*_: object) -> None:
        raise ValueError("a document type is not part of Spherical Video")

    if len(xml) > _MOST_XML:
        return {}
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: open_names.pop()
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(xml.rstrip(b"\0"), True)
    except (expat.ExpatError, ValueError):
        return {}
    return fields


def _v1_bounds(fields: dict[str, str]) -> tuple[float, float, float, float]:
    names = ("FullPanoWidthPixels", "FullPanoHeightPixels", "CroppedAreaImageWidthPixels", "CroppedAreaImageHeightPixels")
    places = ("CroppedAreaLeftPixels", "CroppedAreaTopPixels")
    try:
        full_width, full_height, width, height = (int(fields[name]) for name in names)
        left, top = (int(fields.get(name, "0")) for name in places)
    except (KeyError, ValueError):
        return 0.0, 0.0, 0.0, 0.0
    right, bottom = full_width - width - left, full_height - height - top
    if min(width, height, left, top, right, bottom) < 0 or full_width <= 0 or full_height <= 0:
        return 0.0, 0.0, 0.0, 0.0
    return top / full_height, bottom / full_height, left / full_width, right / full_width
