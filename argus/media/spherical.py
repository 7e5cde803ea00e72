"""Spherical metadata as a file declares it: Spherical Video V1 and V2 in mp4, and FFmpeg's own.

Metadata can be wrong, so curation checks the pixels. Where the projection is a mesh, the mesh is
parsed to recognize a whole equi-angular cubemap, as YouTube serves them.

References: Google, "Spherical Video RFC" and "Spherical Video V2 RFC"; the structs
AVSphericalMapping and AVStereo3D of libavutil.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast
from xml.parsers import expat

from argus.media.boxes import (
    find_payloads,
    get_payload,
    iter_boxes,
    iter_file_boxes,
    read_payload,
)
from argus.media.mesh import Mesh, parse_meshes

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
Pose = tuple[float, float, float]  # yaw, pitch, roll in degrees
Bounds = tuple[float, float, float, float]  # top, bottom, left, right

V1_UUID = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")
V1_NAMESPACE = "http://ns.google.com/videos/1.0/spherical/"
SAMPLE_ENTRY_BYTES = 78  # fields of a VisualSampleEntry's payload before its boxes
_MAX_XML_BYTES = 64 << 10
_V2_STEREO: dict[int, StereoMode] = {0: "mono", 1: "top-bottom", 2: "left-right", 4: "left-right"}
_AV_STEREO: dict[int, StereoMode] = {1: "left-right", 2: "top-bottom"}
_AV_PROJECTIONS: tuple[Projection, ...] = (
    "equirectangular",
    "cubemap",
    "equirectangular",  # with bounds
    "half_equirectangular",
    "rectilinear",
    "fisheye",
)


@dataclass(frozen=True)
class SphericalMetadata:
    """Projection, stereo layout and pose of the frames, as declared by a file.

    Attributes:
        projection: how the sphere is mapped to the frames.
        stereo_mode: how the views of two eyes are packed in a frame.
        bounds: shares of the whole map that are missing at the top, bottom, left and right.
        yaw_deg: yaw as stored (V2: counter-clockwise seen from above).
        pitch_deg: pitch as stored.
        roll_deg: roll as stored.
        padding: pixels around each face of a cubemap.
        coverage: share of the sphere that a mesh covers; None if unknown or not a mesh.
        version: the source: "v1", "v2" or "stream" (FFmpeg's side data); ignored for writing.
    """

    projection: Projection = "equirectangular"
    stereo_mode: StereoMode = "mono"
    bounds: Bounds = (0.0, 0.0, 0.0, 0.0)
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    padding: int = 0
    coverage: float | None = None
    version: str = "v2"

    @property
    def is_full_sphere(self) -> bool:
        """True if the frames are declared to show all directions."""
        if self.projection == "mesh":
            return self.coverage is not None and self.coverage > 0.99
        return self.projection in {"equirectangular", "cubemap", "eac"} and not any(self.bounds)

    @property
    def is_half_sphere(self) -> bool:
        """True if the frames are declared to be a map of the front hemisphere (VR180)."""
        top, bottom, left, right = self.bounds
        return self.projection == "half_equirectangular" or (
            self.projection == "equirectangular"
            and max(top, bottom) < 0.01
            and max(abs(left - 0.25), abs(right - 0.25)) < 0.01
        )


def read_mp4_metadata(path: Path) -> SphericalMetadata | None:
    """Read the V2 or V1 metadata of an mp4 file's first video track that has any.

    V2 takes precedence over V1; malformed metadata counts as absent.
    """
    with path.open("rb") as file:
        moov = next((box for box in iter_file_boxes(file) if box.box_type == b"moov"), None)
        payload = read_payload(file, moov) if moov else None
    tracks = find_payloads(payload or b"", b"trak")
    found = (_parse_track(track) for track in tracks if is_video_track(track))
    return next((metadata for metadata in found if metadata), None)


def read_side_data(frame: Any) -> SphericalMetadata | None:
    """Return the metadata that FFmpeg attached to a decoded PyAV frame (Matroska's Projection)."""
    sphere = stereo = None
    for item in frame.side_data:
        if item.type.name == "SPHERICAL":
            sphere = bytes(item)
        elif item.type.name == "STEREO3D":
            stereo = bytes(item)
    if sphere is None or len(sphere) < 32:
        return None
    number, yaw, pitch, roll, left, top, right, bottom = struct.unpack_from("=4i4I", sphere)
    is_known = 0 <= number < len(_AV_PROJECTIONS)
    projection: Projection = _AV_PROJECTIONS[number] if is_known else "unknown"
    has_stereo, has_padding = stereo and len(stereo) >= 4, len(sphere) >= 36
    is_cubemap = projection == "cubemap"
    return SphericalMetadata(
        projection=projection,
        stereo_mode=_AV_STEREO.get(struct.unpack_from("=i", stereo)[0], "mono")
        if has_stereo
        else "mono",
        bounds=(top / 2**32, bottom / 2**32, left / 2**32, right / 2**32),
        yaw_deg=yaw / 65536,
        pitch_deg=pitch / 65536,
        roll_deg=roll / 65536,
        padding=struct.unpack_from("=I", sphere, 32)[0] if is_cubemap and has_padding else 0,
        version="stream",
    )
