"""Mesh projections in Matroska: read where FFmpeg reports nothing, absent where malformed."""

import struct
import subprocess
from dataclasses import replace

import imageio_ffmpeg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argus.media import SphericalMetadata, read_spherical, write_video
from argus.media.matroska import read_matroska_metadata
from argus.media.mesh import pack_eac_mesh
from tests.support.videos import numbered_frames

PROPERTY = settings(max_examples=50, deadline=None, derandomize=True)
SEGMENT, TRACKS, TRACK, VIDEO, PROJECTION = 0x18538067, 0x1654AE6B, 0xAE, 0xE0, 0x7670
UNKNOWN_SIZE = 0x0FFFFFFF
EXPECTED = SphericalMetadata(
    projection="eac", stereo_mode="top-bottom", yaw_deg=12.5, version="stream"
)


def pack_element(element_id: int, data: bytes, size: int | None = None) -> bytes:
    """Return an EBML element with a 4-byte size field, by default the true size."""
    length = 0x10000000 | (len(data) if size is None else size)
    id_bytes = element_id.to_bytes((element_id.bit_length() + 7) // 8, "big")
    return id_bytes + length.to_bytes(4, "big") + data


def make_matroska(
    private: bytes, *, projection_type: int = 3, segment_size: int | None = None
) -> bytes:
    """Return the start of a 960x540 Matroska file with a Projection, as YouTube writes it."""
    projection = (
        pack_element(0x7671, bytes([projection_type]))
        + pack_element(0x7672, private)
        + pack_element(0x7673, struct.pack(">f", 12.5))
    )
    video = (
        pack_element(0xB0, struct.pack(">H", 960))
        + pack_element(0xBA, struct.pack(">H", 540))
        + pack_element(0x53B8, b"\3")
        + pack_element(PROJECTION, projection)
    )
    track = pack_element(TRACK, pack_element(0xD7, b"\1") + pack_element(VIDEO, video))
    segment = pack_element(0x114D9B74, b"seek") + pack_element(TRACKS, track)
    return pack_element(0x1A45DFA3, b"") + pack_element(SEGMENT, segment, segment_size)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (make_matroska(pack_eac_mesh((540, 960))), EXPECTED),
        # unknown size, as in a live stream
        (make_matroska(pack_eac_mesh((540, 960)), segment_size=UNKNOWN_SIZE), EXPECTED),
        (make_matroska(b"not a mesh"), replace(EXPECTED, projection="mesh")),
        (
            make_matroska(pack_eac_mesh((540, 960)), projection_type=1),
            replace(EXPECTED, projection="unknown"),
        ),
    ],
)
def test_mesh_projection_is_read(tmp_path, data, expected):
    path = tmp_path / "mesh.webm"
    path.write_bytes(data)
    assert read_matroska_metadata(path) == expected


def test_mesh_is_declared_where_ffmpeg_reports_nothing(tmp_path):
    cubemap = SphericalMetadata(projection="cubemap")
    write_video(tmp_path / "sphere.mp4", numbered_frames(3), 30, spherical=cubemap)
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"]
    files = ["-i", tmp_path / "sphere.mp4", "-c", "copy", tmp_path / "mesh.mkv"]
    subprocess.run([*ffmpeg, *files], check=True)
    data = (tmp_path / "mesh.mkv").read_bytes()
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
        pack_element(SEGMENT, b"", 0x0FFFFFFE),
        pack_element(SEGMENT, pack_element(TRACKS, b"", UNKNOWN_SIZE)),
        pack_element(SEGMENT, pack_element(TRACKS, pack_element(TRACK, b"12", 400))),
        pack_element(SEGMENT, pack_element(0xEC, b"") * 300_000),
        bytes(1000),
        b"\xff" * 1000,
        make_matroska(b"")[:-30],
    ],
)
def test_impossible_sizes_end_the_iteration(tmp_path, data):
    path = tmp_path / "hostile.mkv"
    path.write_bytes(data)
    assert read_matroska_metadata(path) is None


elements = st.recursive(
    st.binary(max_size=12),
    lambda data: (
        st.builds(
            pack_element,
            st.sampled_from([SEGMENT, TRACKS, TRACK, VIDEO, PROJECTION, 0x7671, 0x7672, 0x7673]),
            data,
            st.none() | st.integers(0, UNKNOWN_SIZE),
        )
        | st.lists(data, max_size=3).map(b"".join)
    ),
    max_leaves=12,
)


@PROPERTY
@given(data=st.binary(max_size=200) | elements)
def test_arbitrary_bytes_never_raise(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "hostile_elements.mkv"
    for content in (data, pack_element(SEGMENT, pack_element(TRACKS, data))):
        path.write_bytes(content)
        metadata = read_matroska_metadata(path)
        assert metadata is None or metadata.stereo_mode in {"mono", "top-bottom", "left-right"}


@PROPERTY
@given(st.data())
def test_corrupted_files_never_raise(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "corrupted_elements.mkv"
    content = bytearray(make_matroska(b"private"))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    metadata = read_matroska_metadata(path)
    assert metadata is None or metadata.stereo_mode in {"mono", "top-bottom", "left-right"}
