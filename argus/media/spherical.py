"""What a file says of the sphere in its frames: Spherical Video V1 and V2 in mp4, and what FFmpeg reports of other containers.

Where it is a mesh, the mesh itself is read: a whole equi-angular cubemap, as YouTube serves them, is called by its name.

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
from argus.media.mesh import Mesh, read_meshes

Projection = Literal[
    "equirectangular",
    "half_equirectangular",
    "cubemap",
    "eac",
    "mesh",
    "fisheye",
    "rectilinear",
    "unknown",
]
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
    bounds: tuple[float, float, float, float] = (
        0.0,
        0.0,
        0.0,
        0.0,
    )  # share of the whole map missing at top, bottom, left, right
    yaw_deg: float = 0.0  # the pose as stored (V2: counter-clockwise seen from above)
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    padding: int = 0  # pixels around each face of a cubemap
    coverage: float | None = (
        None  # share of the sphere that a mesh covers; None where that is not known, or it is no mesh
    )
    version: str = "v2"  # where it was read: "v1", "v2", "stream" (FFmpeg's side data); does not matter for writing

    @property
    def is_full_sphere(self) -> bool:
        """Whether the frames are declared to hold all directions."""
        if self.projection == "mesh":
            return self.coverage is not None and self.coverage > 0.99
        return self.projection in {"equirectangular", "cubemap", "eac"} and not any(self.bounds)

    @property
    def is_half_sphere(self) -> bool:
        """Whether they are declared to hold the half ahead, as a map: VR180."""
        top, bottom, left, right = self.bounds
        whole = self.projection == "half_equirectangular"
        return whole or (
            self.projection == "equirectangular"
            and max(top, bottom) < 0.01
            and max(abs(left - 0.25), abs(right - 0.25)) < 0.01
        )


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
    name: Projection = (
        _AV_PROJECTION[projection] if 0 <= projection < len(_AV_PROJECTION) else "unknown"
    )
    return SphericalMetadata(
        projection=name,
        stereo_mode=_AV_STEREO.get(struct.unpack_from("=i", stereo)[0], "mono")
        if stereo and len(stereo) >= 4
        else "mono",
        bounds=(top / 2**32, bottom / 2**32, left / 2**32, right / 2**32),
        yaw_deg=yaw / 65536,
        pitch_deg=pitch / 65536,
        roll_deg=roll / 65536,
        padding=struct.unpack_from("=I", sphere, 32)[0]
        if name == "cubemap" and len(sphere) >= 36
        else 0,
        version="stream",
    )


def metadata_of_meshes(
    content: bytes,
    size: tuple[int, int],
    stereo: StereoMode,
    pose: tuple[float, float, float],
    version: str,
) -> SphericalMetadata:
    """What the content of an `mshp` or `ytmp` box says of frames of `size` (height, width), with the yaw, pitch and roll beside it."""
    meshes = read_meshes(content)
    projection: Projection = "eac" if len(meshes) == 1 and meshes[0].is_eac(size) else "mesh"
    return SphericalMetadata(
        projection=projection,
        stereo_mode=stereo
        if len(meshes) < 2 or stereo != "mono"
        else _stereo_of(meshes[0], meshes[1]),
        yaw_deg=pose[0],
        pitch_deg=pose[1],
        roll_deg=pose[2],
        coverage=meshes[0].coverage if meshes and projection == "mesh" else None,
        version=version,
    )


def _stereo_of(left: Mesh, right: Mesh) -> StereoMode:
    """Where the eyes lie that have a mesh each, in one frame."""
    if left.places[..., 0].max() <= right.places[..., 0].min():
        return "left-right"
    return "top-bottom" if left.places[..., 1].max() <= right.places[..., 1].min() else "mono"


def _read_track(track: bytes) -> SphericalMetadata | None:
    for entry in _sample_entries(track):
        boxes = {box.kind: payload(entry, box) for box in boxes_in(entry, ENTRY_HEADER)}
        stereo = _V2_STEREO.get(boxes.get(b"st3d", b"").ljust(5, b"\xff")[4])
        if metadata := _read_sv3d(boxes.get(b"sv3d", b""), entry_size(entry), stereo or "mono"):
            return metadata
        for content in find(track, b"uuid"):
            if content.startswith(V1_UUID) and (metadata := _read_v1(content[len(V1_UUID) :])):
                return replace(metadata, stereo_mode=stereo) if stereo else metadata
    return None


def _sample_entries(track: bytes) -> Iterator[bytes]:
    for table in find(track, b"mdia", b"minf", b"stbl", b"stsd"):
        yield from (payload(table, entry) for entry in boxes_in(table, 8))


def entry_size(entry: bytes) -> tuple[int, int]:
    """(height, width) of the frames that a VisualSampleEntry's payload describes; (0, 0) where it is cut off."""
    if len(entry) < ENTRY_HEADER:
        return 0, 0
    width, height = struct.unpack_from(">HH", entry, 24)
    return height, width


def _read_sv3d(
    content: bytes, size: tuple[int, int], stereo: StereoMode
) -> SphericalMetadata | None:
    for projection in find(content, b"proj"):
        pose = (0.0, 0.0, 0.0)
        for header in find(projection, b"prhd"):
            if len(header) >= 16:
                yaw, pitch, roll = struct.unpack_from(">3i", header, 4)
                pose = yaw / 65536, pitch / 65536, roll / 65536
        found = SphericalMetadata(
            projection="unknown",
            stereo_mode=stereo,
            yaw_deg=pose[0],
            pitch_deg=pose[1],
            roll_deg=pose[2],
        )
        for box in boxes_in(projection):
            shape = payload(projection, box)
            if box.kind == b"equi" and len(shape) >= 20:
                top, bottom, left, right = (
                    value / 2**32 for value in struct.unpack_from(">4I", shape, 4)
                )
                return replace(
                    found, projection="equirectangular", bounds=(top, bottom, left, right)
                )
            if (
                box.kind == b"cbmp" and len(shape) >= 12 and shape[4:8] == bytes(4)
            ):  # other layouts are reserved
                return replace(
                    found, projection="cubemap", padding=struct.unpack_from(">I", shape, 8)[0]
                )
            if box.kind in {b"mshp", b"ytmp"}:
                return metadata_of_meshes(shape, size, stereo, pose, "v2")
        return found
    return None


def _read_v1(xml: bytes) -> SphericalMetadata | None:
    fields = _v1_fields(xml)
    if fields.get("Spherical", "").lower() != "true":
        return None
    stereo = fields.get("StereoMode", "mono")
    return SphericalMetadata(
        projection="equirectangular"
        if fields.get("ProjectionType", "equirectangular") == "equirectangular"
        else "unknown",
        stereo_mode=cast("StereoMode", stereo)
        if stereo in {"mono", "top-bottom", "left-right"}
        else "mono",
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
    names = (
        "FullPanoWidthPixels",
        "FullPanoHeightPixels",
        "CroppedAreaImageWidthPixels",
        "CroppedAreaImageHeightPixels",
    )
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
