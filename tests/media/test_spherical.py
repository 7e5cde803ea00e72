"""Spherical metadata: written, read back by this package and by ffmpeg, harmless when hostile."""

import struct
import subprocess
from dataclasses import replace

import av
import imageio_ffmpeg
import pytest

from argus.errors import VideoError
from argus.media import SphericalMetadata, probe, read_spherical, tag_spherical, write_video
from argus.media.spherical import V1_NAMESPACE, V1_UUID, read_mp4_metadata, read_side_data
from tests.media.test_boxes import make_track
from tests.support.videos import numbered_frames

METADATA = [
    SphericalMetadata(),
    SphericalMetadata(stereo_mode="top-bottom"),
    SphericalMetadata(stereo_mode="left-right", yaw_deg=90.0, pitch_deg=-12.5, roll_deg=3.25),
    SphericalMetadata(bounds=(0.0, 0.0, 0.25, 0.25)),
    SphericalMetadata(bounds=(0.0, 0.0, 0.25, 0.25), stereo_mode="left-right"),
    SphericalMetadata(bounds=(0.125, 0.25, 0.0625, 0.5), pitch_deg=90.0),
    SphericalMetadata(projection="cubemap", padding=4),
    SphericalMetadata(projection="eac", yaw_deg=-45.0),
]
FULL_SPHERES = [0, 1, 2, 6, 7]  # indices into METADATA
HALF_SPHERES = [3, 4]


@pytest.mark.parametrize("metadata", METADATA)
def test_written_metadata_is_read_back(tmp_path, metadata):
    path = tmp_path / "sphere.mp4"
    write_video(path, numbered_frames(3), 30, spherical=metadata)
    assert read_spherical(path) == metadata
    assert probe(path).spherical == metadata


def test_full_and_half_spheres_are_told_apart():
    full = [number for number, metadata in enumerate(METADATA) if metadata.is_full_sphere]
    half = [number for number, metadata in enumerate(METADATA) if metadata.is_half_sphere]
    assert (full, half) == (FULL_SPHERES, HALF_SPHERES)


def test_half_sphere_is_written_as_a_map_with_bounds(tmp_path):
    path = tmp_path / "vr180.mp4"
    half = SphericalMetadata(projection="half_equirectangular", stereo_mode="left-right")
    write_video(path, numbered_frames(3), 30, spherical=half)
    metadata = read_spherical(path)
    assert metadata == SphericalMetadata(bounds=(0.0, 0.0, 0.25, 0.25), stereo_mode="left-right")
    assert (metadata.is_half_sphere, metadata.is_full_sphere) == (True, False)
    assert b"GSpherical:" not in path.read_bytes()  # V1 would declare a whole sphere


def test_v1_alone_and_v2_alone_are_enough(tmp_path):
    path = tmp_path / "sphere.mp4"
    stereo = SphericalMetadata(stereo_mode="left-right")
    write_video(path, numbered_frames(3), 30, spherical=stereo)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"sv3d", b"free").replace(b"st3d", b"free"))
    assert read_spherical(path) == replace(stereo, version="v1")
    path.write_bytes(data.replace(V1_UUID, bytes(16)))
    assert read_spherical(path) == replace(stereo, version="v2")


def test_v2_takes_precedence_over_v1_and_a_mesh_is_recognized(tmp_path):
    path = tmp_path / "mesh.mp4"
    write_video(path, numbered_frames(3), 30, spherical=SphericalMetadata())
    path.write_bytes(path.read_bytes().replace(b"equi\0", b"mshp\0"))
    metadata = read_spherical(path)
    assert metadata is not None
    assert (metadata.projection, metadata.version, metadata.is_full_sphere) == ("mesh", "v2", False)


@pytest.mark.parametrize(
    "metadata", [metadata for metadata in METADATA if metadata.projection != "eac"]
)
def test_matroska_projection_is_read(tmp_path, metadata):
    source, remuxed = tmp_path / "sphere.mp4", tmp_path / "sphere.mkv"
    write_video(source, numbered_frames(3), 30, spherical=metadata)
    subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", source, "-c", "copy", remuxed],
        check=True,
    )
    read = read_spherical(remuxed)
    assert read.version == "stream"
    assert read == replace(metadata, version="stream")


def make_v1_document(body: str, head: str = "") -> bytes:
    """Return a V1 document that declares a sphere, with an extra body and head."""
    return (
        f'<?xml version="1.0"?>{head}<r:SphericalVideo'
        f' xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:G="{V1_NAMESPACE}">'
        f"<G:Spherical>true</G:Spherical>{body}</r:SphericalVideo>"
    ).encode()


def test_cropped_v1_panorama_has_bounds(tmp_path):
    fields = {
        "FullPanoWidthPixels": 4000,
        "FullPanoHeightPixels": 2000,
        "CroppedAreaImageWidthPixels": 2000,
        "CroppedAreaImageHeightPixels": 1500,
        "CroppedAreaLeftPixels": 1000,
        "CroppedAreaTopPixels": 500,
    }
    body = "".join(f"<G:{name}>{value}</G:{name}>" for name, value in fields.items())
    (tmp_path / "v1.mp4").write_bytes(make_track(v1=make_v1_document(body)))
    assert read_mp4_metadata(tmp_path / "v1.mp4") == SphericalMetadata(
        bounds=(0.25, 0.0, 0.25, 0.25), version="v1"
    )


@pytest.mark.parametrize(
    "v1",
    [
        make_v1_document("&a;", '<!DOCTYPE x [<!ENTITY a "b">]>'),
        make_v1_document("", '<!DOCTYPE x SYSTEM "file:///etc/hostname">'),
        make_v1_document("")
        .decode()
        .replace("?>", ' encoding="utf-16"?><!DOCTYPE x>', 1)
        .encode("utf-16"),
        make_v1_document(" " * 100_000),
        b"<unclosed",
        b"\xff\xfe\0",
    ],
)
def test_hostile_documents_count_as_absent(tmp_path, v1):
    (tmp_path / "hostile.mp4").write_bytes(make_track(v1=v1))
    assert read_mp4_metadata(tmp_path / "hostile.mp4") is None


def set_bounds(data: bytes, *numbers: int) -> bytes:
    """Return an mp4 with other V2 bounds (top, bottom, left, right), in units of 2⁻³²."""
    start = data.index(b"equi") + 8
    return data[:start] + struct.pack(">4I", *numbers) + data[start + 16 :]


@pytest.mark.parametrize(
    "numbers",
    [
        (1, 0, 0, 0),
        (0, 1, 1, 0),
        (2**23, 2**23, 0, 0),  # a fifth of a row
        (0, 0, 2**23, 2**23),  # a third of a column on either side
    ],
)
def test_bounds_below_half_a_pixel_are_zero(tmp_path, numbers):
    source = tmp_path / "sphere.mp4"
    write_video(source, numbered_frames(3), 30, spherical=SphericalMetadata())
    source.write_bytes(set_bounds(source.read_bytes(), *numbers))
    assert probe(source).spherical == SphericalMetadata()
    remuxed = source.with_suffix(".mkv")
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", source, "-c", "copy"]
    subprocess.run([*ffmpeg, remuxed], check=True)
    assert read_spherical(remuxed) == SphericalMetadata(version="stream")
    with av.open(str(remuxed)) as container:
        frame = next(container.decode(video=0))
    assert read_side_data(frame).is_full_sphere  # FFmpeg calls it a tile


def test_bounds_of_half_a_pixel_count(tmp_path):
    source = tmp_path / "sphere.mp4"
    write_video(source, numbered_frames(3), 30, spherical=SphericalMetadata())
    row = 2**32 // 96
    source.write_bytes(set_bounds(source.read_bytes(), row, row * 2, 0, 0))
    bounds = probe(source).spherical.bounds
    assert bounds == pytest.approx((1 / 96, 2 / 96, 0, 0), abs=1e-6)


@pytest.mark.parametrize(
    "numbers",
    [
        (2**31, 2**31, 0, 0),
        (0, 0, 2**31 + 5, 2**31),
        (2**32 - 1, 2**32 - 1, 2**32 - 1, 2**32 - 1),
        (0, 2**32 - 1, 0, 0),
        (0, 0, 2**31, 2**31 - 1),
    ],
)
def test_impossible_bounds_are_named_and_repaired(tmp_path, numbers):
    path = tmp_path / "sphere.mp4"
    turned = SphericalMetadata(yaw_deg=30.0, stereo_mode="top-bottom")
    write_video(path, numbered_frames(3), 30, spherical=turned)
    path.write_bytes(set_bounds(path.read_bytes(), *numbers))
    with pytest.raises(VideoError):
        probe(path)  # FFmpeg does not open it
    found = read_spherical(path)
    assert "bounds" in found.problem
    assert replace(found, problem="") == turned
    tag_spherical(path, path, found)
    assert probe(path).spherical == turned


@pytest.mark.parametrize(("code", "mode"), [(1, "top-bottom"), (2, "left-right"), (0, None)])
def test_stereo_without_a_projection_is_read_from_mp4(tmp_path, code, mode):
    path = tmp_path / "stereo.mp4"
    write_video(path, numbered_frames(3), 30, spherical=SphericalMetadata(stereo_mode="top-bottom"))
    data = path.read_bytes().replace(b"sv3d", b"free").replace(V1_UUID, bytes(16))
    start = data.index(b"st3d") + 8
    path.write_bytes(data[:start] + bytes([code]) + data[start + 1 :])
    expected = SphericalMetadata("undeclared", mode) if mode else None
    assert read_spherical(path) == expected
    assert probe(path).spherical == expected
    assert not (expected and (expected.is_full_sphere or expected.is_half_sphere))


@pytest.mark.parametrize(
    ("name", "mode"),
    [("left_right", "left-right"), ("top_bottom", "top-bottom"), ("right_left", "left-right")],
)
def test_stereo_without_a_projection_is_read_from_matroska(tmp_path, name, mode):
    source, path = tmp_path / "plain.mp4", tmp_path / "stereo.mkv"
    write_video(source, numbered_frames(3), 30)
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", source, "-c", "copy"]
    subprocess.run([*ffmpeg, "-metadata:s:v", f"stereo_mode={name}", path], check=True)
    expected = SphericalMetadata("undeclared", mode, version="stream")
    assert read_spherical(path) == expected
    assert probe(path).spherical == expected
