"""Spherical metadata: written, read back by us and by ffmpeg, and harmless when hostile."""

import struct
import subprocess

import imageio_ffmpeg
import numpy as np
import pytest

from argus.errors import InvalidInput, VideoError
from argus.media import SphericalMetadata, decode_clip, open_video, probe, read_spherical, tag_spherical, write_video
from argus.media.boxes import boxes_of_file, pack
from argus.media.spherical import V1_NAMESPACE, V1_UUID, read_boxes
from schemas.names import Reason
from tests.media.conftest import audio_only, numbered, remux

SHAPES = [
    SphericalMetadata(),
    SphericalMetadata(stereo_mode="top-bottom"),
    SphericalMetadata(stereo_mode="left-right", yaw_deg=90.0, pitch_deg=-12.5, roll_deg=3.25),
    SphericalMetadata(bounds=(0.0, 0.0, 0.25, 0.25)),
    SphericalMetadata(projection="cubemap"),
]


@pytest.mark.parametrize("metadata", SHAPES)
def test_what_is_written_is_read_back(tmp_path, metadata):
    write_video(tmp_path / "sphere.mp4", numbered(3), 30, spherical=metadata)
    assert read_spherical(tmp_path / "sphere.mp4") == metadata


def test_ffmpeg_reads_the_projection_and_the_stereo_mode(tmp_path, ffmpeg_says):
    write_video(tmp_path / "mono.mp4", numbered(3), 30, spherical=SphericalMetadata())
    assert "equirectangular" in ffmpeg_says(tmp_path / "mono.mp4")
    write_video(tmp_path / "stereo.mp4", numbered(3), 30, spherical=SphericalMetadata(stereo_mode="top-bottom"))
    assert "top and bottom" in ffmpeg_says(tmp_path / "stereo.mp4")
    write_video(tmp_path / "plain.mp4", numbered(3), 30)
    assert "pherical" not in ffmpeg_says(tmp_path / "plain.mp4")
    assert read_spherical(tmp_path / "plain.mp4") is None


@pytest.mark.parametrize("movflags", [None, "faststart", "frag_keyframe+empty_moov", "frag_keyframe+empty_moov+default_base_moof"])
def test_tagging_leaves_every_frame_as_it_was(library, tmp_path, ffmpeg_says, movflags):
    plain = remux(library("h264.mp4"), tmp_path / "plain.mp4", **({"movflags": movflags} if movflags else {}))
    tag_spherical(plain, tmp_path / "tagged.mp4", SphericalMetadata())
    assert "equirectangular" in ffmpeg_says(tmp_path / "tagged.mp4")
    for backend in ("decord", "pyav"):
        with open_video(plain, backend) as before, open_video(tmp_path / "tagged.mp4", backend) as after:
            np.testing.assert_array_equal(before.frames([39, 2, 20]), after.frames([39, 2, 20]))


def test_a_large_index_with_64_bit_positions_is_moved_too(library, tmp_path):
    data = remux(library("h264.mp4"), tmp_path / "plain.mp4", movflags="faststart").read_bytes()
    at = data.index(b"stco")
    count = struct.unpack_from(">I", data, at + 8)[0]
    positions = struct.unpack_from(f">{count}I", data, at + 12)
    grown = 4 * count
    table = pack(b"co64", bytes(4) + struct.pack(f">I{count}Q", count, *(position + grown for position in positions)))
    data = bytearray(data[: at - 4] + table + data[at + 12 + 4 * count :])
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        place = data.index(kind) - 4
        struct.pack_into(">I", data, place, struct.unpack_from(">I", data, place)[0] + grown)
    (tmp_path / "wide.mp4").write_bytes(data)
    tag_spherical(tmp_path / "wide.mp4", tmp_path / "tagged.mp4", SphericalMetadata())
    np.testing.assert_array_equal(decode_clip((tmp_path / "tagged.mp4").read_bytes()), decode_clip(library("h264.mp4").read_bytes()))


def test_tagging_again_replaces_in_place(tmp_path):
    path = tmp_path / "sphere.mp4"
    write_video(path, numbered(3), 30, spherical=SphericalMetadata(stereo_mode="top-bottom"))
    size = path.stat().st_size
    tag_spherical(path, path, SphericalMetadata())
    assert read_spherical(path) == SphericalMetadata()
    assert path.read_bytes().count(V1_UUID) == 1
    assert path.stat().st_size == size + len("mono") - len("top-bottom")


def test_v1_alone_and_v2_alone_are_enough(tmp_path):
    path = tmp_path / "sphere.mp4"
    write_video(path, numbered(3), 30, spherical=SphericalMetadata(stereo_mode="left-right"))
    data = path.read_bytes()
    path.write_bytes(data.replace(b"sv3d", b"free").replace(b"st3d", b"free"))
    assert read_spherical(path) == SphericalMetadata(stereo_mode="left-right", version="v1")
    path.write_bytes(data.replace(V1_UUID, bytes(16)))
    assert read_spherical(path) == SphericalMetadata(stereo_mode="left-right", version="v2")


def test_v2_is_believed_before_v1_and_a_mesh_is_seen(tmp_path):
    path = tmp_path / "mesh.mp4"
    write_video(path, numbered(3), 30, spherical=SphericalMetadata())
    path.write_bytes(path.read_bytes().replace(b"equi\0", b"mshp\0"))
    metadata = read_spherical(path)
    assert metadata is not None
    assert (metadata.projection, metadata.version, metadata.is_full_sphere) == ("mesh", "v2", False)


def test_matroska_projection_is_read(tmp_path):
    write_video(tmp_path / "sphere.mp4", numbered(3), 30, spherical=SphericalMetadata(stereo_mode="top-bottom"))
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", tmp_path / "sphere.mp4", "-c", "copy", tmp_path / "sphere.mkv"]
    subprocess.run(command, check=True)
    assert read_spherical(tmp_path / "sphere.mkv") == SphericalMetadata(stereo_mode="top-bottom", version="stream")


def track(*, v1: bytes = b"", entry: bytes = b"") -> bytes:
    """An mp4 of one video track with the given V1 document and boxes in its sample entry."""
    stsd = pack(b"stsd", bytes(4) + struct.pack(">I", 1) + pack(b"avc1", bytes(78) + entry))
    media = pack(b"hdlr", bytes(8) + b"vide" + bytes(13)) + pack(b"minf", pack(b"stbl", stsd))
    uuid = pack(b"uuid", V1_UUID + v1) if v1 else b""
    return pack(b"moov", pack(b"trak", pack(b"mdia", media) + uuid))


def document(body: str, head: str = "") -> bytes:
    """A V1 document that declares a sphere, with a body and a head of one's own."""
    return (
        f'<?xml version="1.0"?>{head}<r:SphericalVideo xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:G="{V1_NAMESPACE}">'
        f"<G:Spherical>true</G:Spherical>{body}</r:SphericalVideo>"
    ).encode()


def test_a_cropped_v1_map_has_bounds(tmp_path):
    fields = {
        "FullPanoWidthPixels": 4000,
        "FullPanoHeightPixels": 2000,
        "CroppedAreaImageWidthPixels": 2000,
        "CroppedAreaImageHeightPixels": 1500,
        "CroppedAreaLeftPixels": 1000,
        "CroppedAreaTopPixels": 500,
    }
    body = "".join(f"<G:{name}>{value}</G:{name}>" for name, value in fields.items())
    (tmp_path / "v1.mp4").write_bytes(track(v1=document(body)))
    assert read_boxes(tmp_path / "v1.mp4") == SphericalMetadata(bounds=(0.25, 0.0, 0.25, 0.25), version="v1")


@pytest.mark.parametrize(
    "v1",
    [
        document("&a;", '<!DOCTYPE x [<!ENTITY a "b">]>'),
        document("", '<!DOCTYPE x SYSTEM "file:///etc/hostname">'),
        document("").decode().replace("?>", ' encoding="utf-16"?><!DOCTYPE x>', 1).encode("utf-16"),
        document(" " * 100_000),
        b"<unclosed",
        b"\xff\xfe\0",
    ],
)
def test_hostile_documents_count_as_absent(tmp_path, v1):
    (tmp_path / "hostile.mp4").write_bytes(track(v1=v1))
    assert read_boxes(tmp_path / "hostile.mp4") is None


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"moov",
        struct.pack(">I4s", 4, b"moov"),
        struct.pack(">I4s", 0xFFFFFFFF, b"moov"),
        struct.pack(">I4sQ", 1, b"moov", 2**63),
        struct.pack(">I4sQ", 1, b"moov", 3),
        struct.pack(">I4s", 8, b"free") * 300_000,
        pack(b"moov", struct.pack(">I4s", 8, b"trak") * 300_000),
        pack(b"moov", pack(b"trak", struct.pack(">I4s", 0xFFFFFFF0, b"mdia"))),
        track(entry=pack(b"sv3d", pack(b"proj", pack(b"equi", b"12")))[:-1]),
        track(entry=pack(b"sv3d", b"")),
        track(entry=pack(b"st3d", b"")),
    ],
)
def test_lying_sizes_end_the_walk(tmp_path, data):
    path = tmp_path / "hostile.mp4"
    path.write_bytes(data)
    metadata = read_boxes(path)
    assert metadata is None or metadata.projection == "unknown"
    with path.open("rb") as file:
        assert sum(1 for _ in boxes_of_file(file)) <= 100_000


def test_what_cannot_be_tagged_is_refused(library, tmp_path):
    with pytest.raises(InvalidInput, match="equirectangular or cubemap"):
        tag_spherical(library("h264.mp4"), tmp_path / "never.mp4", SphericalMetadata(projection="mesh"))
    with pytest.raises(VideoError) as caught:
        tag_spherical(library("h264.mkv"), tmp_path / "never.mp4", SphericalMetadata())
    assert caught.value.reason is Reason.NOT_A_VIDEO
    with pytest.raises(VideoError) as caught:
        tag_spherical(audio_only(tmp_path / "sound.mp4"), tmp_path / "never.mp4", SphericalMetadata())
    assert caught.value.reason is Reason.NO_VIDEO_STREAM
    assert not (tmp_path / "never.mp4").exists()


def test_probe_tells_it(tmp_path):
    write_video(tmp_path / "sphere.mp4", numbered(3), 30, spherical=SphericalMetadata())
    assert probe(tmp_path / "sphere.mp4").spherical == SphericalMetadata()
