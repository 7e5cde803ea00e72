"""Spherical metadata as a file declares it: Spherical Video V1 and V2 in mp4, and FFmpeg's own.

Metadata can be wrong, so curation checks the pixels. Where the projection is a mesh, the mesh is
parsed to recognize a whole equi-angular cubemap, as YouTube serves them. Bounds below half a pixel
count as zero, and impossible ones are named and left out.

References: Google, "Spherical Video RFC" and "Spherical Video V2 RFC"; the structs
AVSphericalMapping and AVStereo3D of libavutil.
"""

import struct
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, cast
from xml.parsers import expat

from argus.media.info import Bounds, Pose, Projection, SphericalMetadata, StereoMode
from argus.media.mesh import Mesh, parse_meshes
from argus.media.mp4.boxes import find_payloads, get_payload, iter_boxes, read_moov
from argus.media.mp4.tracks import (
    choose_video_track,
    find_entry_boxes,
    list_sample_entries,
    parse_entry_size,
)

V1_UUID = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")
V1_NAMESPACE = "http://ns.google.com/videos/1.0/spherical/"
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


def read_mp4_metadata(path: Path) -> SphericalMetadata | None:
    """Read the V2 or V1 metadata of the track of an mp4 file that readers show.

    V2 takes precedence over V1; malformed metadata counts as absent. FFmpeg is not used: it cannot
    open files with some faults that `tag_spherical` repairs.
    """
    payload = read_moov(path)
    number = choose_video_track(payload)
    if number is None:
        return None
    return _parse_track(next(islice(find_payloads(payload, b"trak"), number, None)))


def read_side_data(frame: Any) -> SphericalMetadata | None:
    """Return the metadata that FFmpeg attached to a decoded PyAV frame."""
    sphere = stereo = None
    for item in frame.side_data:
        if item.type.name == "SPHERICAL":
            sphere = bytes(item)
        elif item.type.name == "STEREO3D":
            stereo = bytes(item)
    stereo_type = struct.unpack_from("=i", stereo)[0] if stereo and len(stereo) >= 4 else 0
    stereo_mode = _AV_STEREO.get(stereo_type, "mono")
    if sphere is None or len(sphere) < 32:
        return build_stereo_metadata(stereo_mode, "stream")
    number, yaw, pitch, roll, left, top, right, bottom = struct.unpack_from("=4i4I", sphere)
    is_known = 0 <= number < len(_AV_PROJECTIONS)
    projection: Projection = _AV_PROJECTIONS[number] if is_known else "unknown"
    has_padding = projection == "cubemap" and len(sphere) >= 36
    bounds, problem = _check_bounds((top, bottom, left, right), (frame.height, frame.width))
    return SphericalMetadata(
        projection=projection,
        stereo_mode=stereo_mode,
        bounds=bounds,
        yaw_deg=yaw / 65536,
        pitch_deg=pitch / 65536,
        roll_deg=roll / 65536,
        padding=struct.unpack_from("=I", sphere, 32)[0] if has_padding else 0,
        version="stream",
        problem=problem,
    )


def build_stereo_metadata(stereo_mode: StereoMode, version: str) -> SphericalMetadata | None:
    """Return the metadata of a file that declares no projection; None for mono."""
    if stereo_mode == "mono":
        return None
    return SphericalMetadata(projection="undeclared", stereo_mode=stereo_mode, version=version)


def build_mesh_metadata(
    payload: bytes,
    *,
    size: tuple[int, int],
    stereo_mode: StereoMode,
    pose_deg: Pose,
    version: str,
) -> SphericalMetadata:
    """Build the metadata of a mesh projection.

    Args:
        payload: the payload of an `mshp` or `ytmp` box.
        size: (height, width) of the frames.
        stereo_mode: as declared next to the mesh; "mono" is refined if each eye has its own mesh.
        pose_deg: yaw, pitch and roll as declared next to the mesh.
        version: the source of the metadata, as in `SphericalMetadata`.
    """
    meshes = parse_meshes(payload)
    projection: Projection = "eac" if len(meshes) == 1 and meshes[0].is_eac(size) else "mesh"
    if len(meshes) == 2 and stereo_mode == "mono":
        stereo_mode = _infer_stereo_mode(*meshes)
    return SphericalMetadata(
        projection=projection,
        stereo_mode=stereo_mode,
        yaw_deg=pose_deg[0],
        pitch_deg=pose_deg[1],
        roll_deg=pose_deg[2],
        coverage=meshes[0].coverage if meshes and projection == "mesh" else None,
        version=version,
    )


def parse_shape(box_type: bytes, shape: bytes, size: tuple[int, int]) -> SphericalMetadata | None:
    """Return the projection of an `equi` or `cbmp` box, without stereo mode and pose.

    Args:
        box_type: the type of the box; None is returned for any other.
        shape: its payload; None is returned if it is malformed.
        size: (height, width) of the frames; (0, 0) if unknown.
    """
    if box_type == b"equi" and len(shape) >= 20:
        bounds, problem = _check_bounds(struct.unpack_from(">4I", shape, 4), size)
        return SphericalMetadata(bounds=bounds, problem=problem)
    is_layout_0 = len(shape) >= 12 and shape[4:8] == bytes(4)  # other layouts are reserved
    if box_type == b"cbmp" and is_layout_0:
        padding = struct.unpack_from(">I", shape, 8)[0]
        return SphericalMetadata(projection="cubemap", padding=padding)
    return None


def parse_v1(xml: bytes) -> SphericalMetadata | None:
    """Return the metadata of a V1 document; None if it is malformed or declares no sphere."""
    fields = _parse_v1_fields(xml)
    if fields.get("Spherical", "").lower() != "true":
        return None
    is_equirectangular = fields.get("ProjectionType", "equirectangular") == "equirectangular"
    stereo = fields.get("StereoMode", "mono")
    is_known_stereo = stereo in {"mono", "top-bottom", "left-right"}
    return SphericalMetadata(
        projection="equirectangular" if is_equirectangular else "unknown",
        stereo_mode=cast("StereoMode", stereo) if is_known_stereo else "mono",
        bounds=_compute_v1_bounds(fields),
        version="v1",
    )


def _check_bounds(numbers: tuple[int, ...], size: tuple[int, int]) -> tuple[Bounds, str]:
    """Return the shares of the map that are missing, and what is wrong with them, if anything.

    Args:
        numbers: missing at the top, bottom, left and right, in units of 2⁻³² of the map.
        size: (height, width) of the frames; (0, 0) if unknown.
    """
    top, bottom, left, right = (number / 2**32 for number in numbers)
    least = min(2**32 - numbers[0] - numbers[1], 2**32 - numbers[2] - numbers[3])
    if least <= 1:  # FFmpeg does not open such a file
        shares = ", ".join(f"{share:.4g}" for share in (top, bottom, left, right))
        nothing = "its bounds leave no part of the map (top, bottom, left, right: "
        return (0.0, 0.0, 0.0, 0.0), f"{nothing}{shares})"
    height, width = size[0] / (1 - top - bottom), size[1] / (1 - left - right)  # of the whole map
    sides = ((top, height), (bottom, height), (left, width), (right, width))
    top, bottom, left, right = (0.0 if 0 < share * side < 0.5 else share for share, side in sides)
    return (top, bottom, left, right), ""


def _infer_stereo_mode(left: Mesh, right: Mesh) -> StereoMode:
    """Return how the frame is packed, from the regions that the meshes of the two eyes use."""
    if left.uv[..., 0].max() <= right.uv[..., 0].min():
        return "left-right"
    return "top-bottom" if left.uv[..., 1].max() <= right.uv[..., 1].min() else "mono"


def _parse_track(track: bytes) -> SphericalMetadata | None:
    declared_stereo: StereoMode = "mono"
    for entry in list_sample_entries(track):
        inner = iter_boxes(entry, find_entry_boxes(entry))
        boxes = {box.box_type: get_payload(entry, box) for box in inner}
        stereo_mode = _V2_STEREO.get(boxes.get(b"st3d", b"").ljust(5, b"\xff")[4])
        sv3d, size = boxes.get(b"sv3d", b""), parse_entry_size(entry)
        if metadata := _parse_sv3d(sv3d, size, stereo_mode or "mono"):
            return metadata
        for payload in find_payloads(track, b"uuid"):
            if payload.startswith(V1_UUID) and (metadata := parse_v1(payload[len(V1_UUID) :])):
                return replace(metadata, stereo_mode=stereo_mode) if stereo_mode else metadata
        if declared_stereo == "mono":
            declared_stereo = stereo_mode or "mono"
    return build_stereo_metadata(declared_stereo, "v2")


def _parse_sv3d(
    payload: bytes, size: tuple[int, int], stereo_mode: StereoMode
) -> SphericalMetadata | None:
    for projection in find_payloads(payload, b"proj"):
        pose = _parse_pose(projection)
        found = SphericalMetadata(projection="unknown")
        for box in iter_boxes(projection):
            shape = get_payload(projection, box)
            if box.box_type in {b"mshp", b"ytmp"}:
                return build_mesh_metadata(
                    shape, size=size, stereo_mode=stereo_mode, pose_deg=pose, version="v2"
                )
            if metadata := parse_shape(box.box_type, shape, size):
                found = metadata
                break
        return replace(
            found,
            stereo_mode=stereo_mode,
            yaw_deg=pose[0],
            pitch_deg=pose[1],
            roll_deg=pose[2],
        )
    return None


def _parse_pose(projection: bytes) -> Pose:
    """Return the yaw, pitch and roll in degrees of a proj box's last prhd box (16.16 fixed)."""
    pose = (0.0, 0.0, 0.0)
    for header in find_payloads(projection, b"prhd"):
        if len(header) >= 16:
            yaw, pitch, roll = struct.unpack_from(">3i", header, 4)
            pose = yaw / 65536, pitch / 65536, roll / 65536
    return pose


def _parse_v1_fields(xml: bytes) -> dict[str, str]:
    """Return the text of every GSpherical element.

    The result is empty if the document is too long or malformed, or declares a document type:
    entities could expand without bound.
    """
    fields: dict[str, str] = {}
    open_names: list[str] = []

    def start_element(name: str, _: dict[str, str]) -> None:
        open_names.append(name)

    def add_text(data: str) -> None:
        namespace, _, name = open_names[-1].rpartition(" ")
        if namespace == V1_NAMESPACE:
            fields[name] = fields.get(name, "") + data.strip()

    def reject_doctype(*_: object) -> None:
        raise ValueError("a document type is not part of Spherical Video")

    if len(xml) > _MAX_XML_BYTES:
        return {}
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = start_element
    parser.EndElementHandler = lambda _: open_names.pop()
    parser.CharacterDataHandler = add_text
    parser.StartDoctypeDeclHandler = reject_doctype
    try:
        parser.Parse(xml.rstrip(b"\0"), True)
    except (expat.ExpatError, ValueError):
        return {}
    return fields


def _compute_v1_bounds(fields: dict[str, str]) -> Bounds:
    """Return the bounds of a cropped panorama; zeros if it is not cropped or malformed."""
    size_names = (
        "FullPanoWidthPixels",
        "FullPanoHeightPixels",
        "CroppedAreaImageWidthPixels",
        "CroppedAreaImageHeightPixels",
    )
    offset_names = ("CroppedAreaLeftPixels", "CroppedAreaTopPixels")
    try:
        full_width, full_height, width, height = (int(fields[name]) for name in size_names)
        left, top = (int(fields.get(name, "0")) for name in offset_names)
    except (KeyError, ValueError):
        return 0.0, 0.0, 0.0, 0.0
    right, bottom = full_width - width - left, full_height - height - top
    if min(width, height, left, top, right, bottom) < 0 or full_width <= 0 or full_height <= 0:
        return 0.0, 0.0, 0.0, 0.0
    return top / full_height, bottom / full_height, left / full_width, right / full_width
