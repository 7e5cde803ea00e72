"""Spherical metadata: written, read back by us and by ffmpeg, and harmless when hostile."""

import struct
import subprocess
from dataclasses import replace

import av
import imageio_ffmpeg
import numpy as np
import pytest

from argus.errors import InvalidInput, VideoError
from argus.media import (
    SphericalMetadata,
    decode_clip,
    open_video,
    probe,
    read_spherical,
    tag_spherical,
    write_video,
)
from argus.media.boxes import boxes_of_file, pack
from argus.media.matroska import read_mesh_projection
from argus.media.mesh import eac_box
from argus.media.spherical import V1_NAMESPACE, V1_UUID, read_boxes
from schemas.names import Reason
from tests.media.conftest import audio_only, numbered, remux

SHAPES = [
    SphericalMetadata(),
    SphericalMetadata(stereo_mode="top-bottom"),
    SphericalMetadata(stereo_mode="left-right", yaw_deg=90.0, pitch_deg=-12.5, roll_deg=3.25),
    SphericalMetadata(bounds=(0.0, 0.0, 0.25, 0.25)),
    SphericalMetadata(bounds=(0.0, 0.0, 0.25, 0.25), stereo_mode="left-right"),
    SphericalMetadata(bounds=(0.125, 0.25, 0.0625, 0.5), pitch_deg=90.0),
    SphericalMetadata(projection="cubemap", padding=4),
    SphericalMetadata(projection="eac", yaw_deg=-45.0),
]


@pytest.mark.parametrize("metadata", SHAPES)
def test_what_is_written_is_read_back(tmp_path, metadata):
    write_video(tmp_path / "sphere.mp4", numbered(3), 30, spherical=metadata)
    assert read_spherical(tmp_path / "sphere.mp4") == metadata


def test_a_half_sphere_is_a_map_with_bounds(tmp_path):
    write_video(
        tmp_path / "vr180.mp4",
        numbered(3),
        30,
        spherical=SphericalMetadata(projection="half_equirectangular", stereo_mode="left-right"),
    )
    metadata = read_spherical(tmp_path / "vr180.mp4")
    assert metadata == SphericalMetadata(bounds=(0.0, 0.0, 0.25, 0.25), stereo_mode="left-right")
    assert (metadata.is_half_sphere, metadata.is_full_sphere) == (True, False)
    assert (
        b"GSpherical:" not in (tmp_path / "vr180.mp4").read_bytes()
    )  # V1 has no word for it but a whole sphere's
    assert [shape.is_half_sphere for shape in SHAPES] == [
        False,
        False,
        False,
        True,
        True,
        False,
        False,
        False,
    ]
    assert [shape.is_full_sphere for shape in SHAPES] == [
        True,
        True,
        True,
        False,
        False,
        False,
        True,
        True,
    ]


def test_ffmpeg_reads_the_projection_and_the_stereo_mode(tmp_path, ffmpeg_says):
    write_video(tmp_path / "mono.mp4", numbered(3), 30, spherical=SphericalMetadata())
    assert "equirectangular" in ffmpeg_says(tmp_path / "mono.mp4")
    write_video(
        tmp_path / "stereo.mp4",
        numbered(3),
        30,
        spherical=SphericalMetadata(stereo_mode="top-bottom"),
    )
    assert "top and bottom" in ffmpeg_says(tmp_path / "stereo.mp4")
    write_video(tmp_path / "plain.mp4", numbered(3), 30)
    assert "pherical" not in ffmpeg_says(tmp_path / "plain.mp4")
    assert read_spherical(tmp_path / "plain.mp4") is None


@pytest.mark.parametrize(
    "movflags",
    [None, "faststart", "frag_keyframe+empty_moov", "frag_keyframe+empty_moov+default_base_moof"],
)
def test_tagging_leaves_every_frame_as_it_was(library, tmp_path, ffmpeg_says, movflags):
    plain = remux(
        library("h264.mp4"), tmp_path / "plain.mp4", **({"movflags": movflags} if movflags else {})
    )
    tag_spherical(plain, tmp_path / "tagged.mp4", SphericalMetadata())
    assert "equirectangular" in ffmpeg_says(tmp_path / "tagged.mp4")
    for backend in ("decord", "pyav"):
        with (
            open_video(plain, backend) as before,
            open_video(tmp_path / "tagged.mp4", backend) as after,
        ):
            np.testing.assert_array_equal(before.frames([39, 2, 20]), after.frames([39, 2, 20]))


def test_a_large_index_with_64_bit_positions_is_moved_too(library, tmp_path):
    data = remux(library("h264.mp4"), tmp_path / "plain.mp4", movflags="faststart").read_bytes()
    at = data.index(b"stco")
    count = struct.unpack_from(">I", data, at + 8)[0]
    positions = struct.unpack_from(f">{count}I", data, at + 12)
    grown = 4 * count
    table = pack(
        b"co64",
        bytes(4) + struct.pack(f">I{count}Q", count, *(position + grown for position in positions)),
    )
    data = bytearray(data[: at - 4] + table + data[at + 12 + 4 * count :])
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        place = data.index(kind) - 4
        struct.pack_into(">I", data, place, struct.unpack_from(">I", data, place)[0] + grown)
    (tmp_path / "wide.mp4").write_bytes(data)
    tag_spherical(tmp_path / "wide.mp4", tmp_path / "tagged.mp4", SphericalMetadata())
    np.testing.assert_array_equal(
        decode_clip((tmp_path / "tagged.mp4").read_bytes()),
        decode_clip(library("h264.mp4").read_bytes()),
    )


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


def copied(source, path):
    """Remuxed by ffmpeg itself."""
    subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", source, "-c", "copy", path],
        check=True,
    )
    return path


@pytest.mark.parametrize("metadata", [shape for shape in SHAPES if shape.projection != "eac"])
def test_matroska_projection_is_read(tmp_path, metadata):
    write_video(tmp_path / "sphere.mp4", numbered(3), 30, spherical=metadata)
    read = read_spherical(copied(tmp_path / "sphere.mp4", tmp_path / "sphere.mkv"))
    assert read.version == "stream"
    assert read.bounds == pytest.approx(metadata.bounds, abs=0.02)  # FFmpeg counts them in pixels
    assert replace(read, bounds=metadata.bounds) == replace(metadata, version="stream")


def element(kind, content, size=None):
    """An EBML element, of a stated size if given."""
    return (
        kind.to_bytes((kind.bit_length() + 7) // 8, "big")
        + (0x10000000 | (len(content) if size is None else size)).to_bytes(4, "big")
        + content
    )


def matroska(private, *, kind=3, segment_size=None):
    """The head of a Matroska file of 960x540 with a Projection, as YouTube writes it: no more than a demuxer needs to find it."""
    projection = (
        element(0x7671, bytes([kind]))
        + element(0x7672, private)
        + element(0x7673, struct.pack(">f", 12.5))
    )
    video = (
        element(0xB0, struct.pack(">H", 960))
        + element(0xBA, struct.pack(">H", 540))
        + element(0x53B8, b"\3")
        + element(0x7670, projection)
    )
    tracks = element(0x1654AE6B, element(0xAE, element(0xD7, b"\1") + element(0xE0, video)))
    return element(0x1A45DFA3, b"") + element(
        0x18538067, element(0x114D9B74, b"seek") + tracks, segment_size
    )


def test_a_mesh_in_matroska_is_read_too(tmp_path):
    path = tmp_path / "mesh.webm"
    path.write_bytes(matroska(eac_box((540, 960))))
    expected = SphericalMetadata(
        projection="eac", stereo_mode="top-bottom", yaw_deg=12.5, version="stream"
    )
    assert read_mesh_projection(path) == expected
    path.write_bytes(
        matroska(eac_box((540, 960)), segment_size=0x0FFFFFFF)
    )  # unknown, as in a live stream
    assert read_mesh_projection(path) == expected
    path.write_bytes(matroska(b"nonsense"))
    assert read_mesh_projection(path) == replace(expected, projection="mesh")
    path.write_bytes(matroska(eac_box((540, 960)), kind=1))
    assert read_mesh_projection(path) is None


def test_the_file_says_mesh_where_ffmpeg_says_nothing(tmp_path):
    write_video(
        tmp_path / "sphere.mp4", numbered(3), 30, spherical=SphericalMetadata(projection="cubemap")
    )
    data = copied(tmp_path / "sphere.mp4", tmp_path / "mesh.mkv").read_bytes()
    assert data.count(b"\x76\x71\x81\x02") == 1
    (tmp_path / "mesh.mkv").write_bytes(data.replace(b"\x76\x71\x81\x02", b"\x76\x71\x81\x03"))
    assert read_spherical(tmp_path / "mesh.mkv") == SphericalMetadata(
        projection="mesh", version="stream"
    )


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x1a\x45\xdf\xa3",
        element(0x18538067, b"", 0x0FFFFFFE),
        element(0x18538067, element(0x1654AE6B, b"", 0x0FFFFFFF)),
        element(0x18538067, element(0x1654AE6B, element(0xAE, b"12", 400))),
        element(0x18538067, element(0xEC, b"") * 300_000),
        bytes(1000),
        b"\xff" * 1000,
        matroska(b"")[:-30],
    ],
)
def test_lying_elements_end_the_walk(tmp_path, data):
    path = tmp_path / "hostile.mkv"
    path.write_bytes(data)
    assert read_mesh_projection(path) is None


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
    assert read_boxes(tmp_path / "v1.mp4") == SphericalMetadata(
        bounds=(0.25, 0.0, 0.25, 0.25), version="v1"
    )


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
    with pytest.raises(InvalidInput, match="'mesh' cannot be written; give one of equirectangular"):
        tag_spherical(
            library("h264.mp4"), tmp_path / "never.mp4", SphericalMetadata(projection="mesh")
        )
    (tmp_path / "text.txt").write_text("no video\n" * 100)
    (tmp_path / "cut.mp4").write_bytes(library("h264.mp4").read_bytes()[:400])
    sound = audio_only(tmp_path / "sound.mp4")
    with av.open(str(sound)) as old, av.open(str(tmp_path / "sound.mkv"), "w") as new:
        stream = new.add_stream_from_template(old.streams.audio[0])
        for packet in old.demux():
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    for source, reason in {
        library("vp8.webm"): Reason.UNSUPPORTED_CODEC,
        tmp_path / "text.txt": Reason.NOT_A_VIDEO,
        tmp_path / "cut.mp4": Reason.TRUNCATED,
        sound: Reason.NO_VIDEO_STREAM,
        tmp_path / "sound.mkv": Reason.NO_VIDEO_STREAM,
    }.items():
        with pytest.raises(VideoError) as caught:
            tag_spherical(source, tmp_path / "never.mp4", SphericalMetadata())
        assert caught.value.reason is reason, source
    assert not [path for path in tmp_path.iterdir() if "never" in path.name]


@pytest.mark.parametrize(
    "name", ["h264.mkv", "h264.ts", "openh264.ts", "hevc.mkv", "vp9.webm", "av1.webm"]
)
def test_what_is_no_mp4_becomes_one_frame_by_frame(library, tmp_path, name):
    source, tagged = library(name), tmp_path / "tagged.mp4"
    tag_spherical(source, tagged, SphericalMetadata(stereo_mode="top-bottom"))
    info = probe(tagged)
    assert (info.container, info.codec, info.spherical) == (
        "mp4",
        probe(source).codec,
        SphericalMetadata(stereo_mode="top-bottom"),
    )
    with open_video(source, "pyav") as before, open_video(tagged, "pyav") as after:
        np.testing.assert_allclose(before.timestamps, after.timestamps, atol=2e-3)
        np.testing.assert_array_equal(
            before.frames(range(len(before))), after.frames(range(len(after)))
        )
    assert [path.name for path in tmp_path.iterdir()] == ["tagged.mp4"]


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_sound_comes_along_in_step(tmp_path, suffix):
    with av.open(str(tmp_path / f"both{suffix}"), "w") as container:
        picture, sound = (
            container.add_stream("libx264", rate=10),
            container.add_stream("aac", rate=8000, layout="mono"),
        )
        picture.width, picture.height, picture.pix_fmt = 160, 96, "yuv420p"
        for number, array in enumerate(numbered(10)):
            frame = av.VideoFrame.from_ndarray(array, format="rgb24")
            container.mux(picture.encode(frame))
            for part in range(number * 800 // 1024, (number + 1) * 800 // 1024):
                noise = av.AudioFrame.from_ndarray(
                    np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
                )
                noise.sample_rate, noise.pts = 8000, part * 1024
                container.mux(sound.encode(noise))
        container.mux(picture.encode(None))
        container.mux(sound.encode(None))

    def starts(path):
        with av.open(str(path)) as container:
            first = {}
            for packet in container.demux():
                if packet.size and packet.pts is not None:
                    first[packet.stream.type] = min(
                        first.get(packet.stream.type, 1e9), float(packet.pts * packet.time_base)
                    )
            return first["video"] - first["audio"], {
                stream.codec_context.name for stream in container.streams
            }

    tag_spherical(tmp_path / f"both{suffix}", tmp_path / "tagged.mp4", SphericalMetadata())
    (before, _), (after, codecs) = (
        starts(tmp_path / f"both{suffix}"),
        starts(tmp_path / "tagged.mp4"),
    )
    assert codecs == {"h264", "aac"}
    assert after == pytest.approx(before, abs=0.13)  # an encoder's first 1024 samples
    assert probe(tmp_path / "tagged.mp4").frames == 10


def test_probe_tells_it(tmp_path):
    write_video(tmp_path / "sphere.mp4", numbered(3), 30, spherical=SphericalMetadata())
    assert probe(tmp_path / "sphere.mp4").spherical == SphericalMetadata()
