"""Mesh projections in Matroska: read where FFmpeg reports nothing, absent where malformed."""

import struct
import subprocess
from dataclasses import replace

import imageio_ffmpeg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argus.media import SphericalMetadata, read_spherical, tag_spherical, write_video
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


def make_v1(stereo: str = "mono", extra: str = "", head: str = "") -> bytes:
    """Return a V1 document that declares a sphere."""
    return (
        f'{head}<r:SphericalVideo xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
        ' xmlns:G="http://ns.google.com/videos/1.0/spherical/"><G:Spherical>true</G:Spherical>'
        f"<G:StereoMode>{stereo}</G:StereoMode>{extra}</r:SphericalVideo>"
    ).encode()


CROPPED = "".join(
    f"<G:{name}>{value}</G:{name}>"
    for name, value in {
        "FullPanoWidthPixels": 4000,
        "FullPanoHeightPixels": 2000,
        "CroppedAreaImageWidthPixels": 4000,
        "CroppedAreaImageHeightPixels": 1500,
        "CroppedAreaTopPixels": 500,
    }.items()
)
TAGS, SEEK_HEAD, CLUSTER = 0x1254C367, 0x114D9B74, 0x1F43B675


def make_tags(xml: bytes, *, uid: int | None = 7, name: bytes = b"SPHERICAL-VIDEO") -> bytes:
    """Return a Tags element with a V1 document for a track, or for the file."""
    targets = pack_element(0x63CA, b"Track")
    targets += pack_element(0x63C5, bytes([uid])) if uid is not None else b""
    simple = pack_element(0x45A3, name) + pack_element(0x4487, xml)
    other = pack_element(0x67C8, pack_element(0x45A3, b"TITLE") + pack_element(0x4487, b"walk"))
    tag = pack_element(0x63C0, targets) + other + pack_element(0x67C8, simple)
    return pack_element(TAGS, pack_element(0x7373, tag))


def make_track(*elements: bytes, uid: int = 7, size: tuple[int, int] = (540, 960)) -> bytes:
    """Return a TrackEntry of a video."""
    video = pack_element(0xB0, struct.pack(">H", size[1])) + pack_element(
        0xBA, struct.pack(">H", size[0])
    )
    head = pack_element(0x83, b"\1") + pack_element(0x73C5, bytes([uid]))
    return pack_element(TRACK, head + pack_element(VIDEO, video + b"".join(elements)))


def make_segment(tracks: bytes, tags: bytes, place: str) -> bytes:
    """Return a Matroska file whose Tags are in front of a Cluster, or after it."""
    clusters = pack_element(CLUSTER, bytes(3000)) * 3
    header = pack_element(TRACKS, tracks)
    if place == "front":
        body = tags + header + clusters
    elif place == "walked to":
        body = header + clusters + tags
    else:
        seek_size = len(pack_element(SEEK_HEAD, bytes(32)))
        position = seek_size + len(header) + len(clusters)
        seek = pack_element(0x53AB, TAGS.to_bytes(4, "big")) + pack_element(
            0x53AC, position.to_bytes(8, "big")
        )
        seek_head = pack_element(SEEK_HEAD, pack_element(0x4DBB, seek).ljust(32, b"\xec"))
        body = seek_head.ljust(seek_size, b"\0")[:seek_size] + header + clusters + tags
    return pack_element(0x1A45DFA3, b"") + pack_element(SEGMENT, body)


@pytest.mark.parametrize("place", ["front", "walked to", "listed"])
@pytest.mark.parametrize(
    ("xml", "stereo", "bounds"),
    [
        (make_v1(), "mono", (0, 0, 0, 0)),
        (make_v1("left-right"), "left-right", (0, 0, 0, 0)),
        (make_v1("top-bottom", CROPPED), "top-bottom", (0.25, 0, 0, 0)),
        (make_v1() + bytes(8), "mono", (0, 0, 0, 0)),
    ],
)
def test_v1_is_read_from_the_tag_of_the_track(tmp_path, place, xml, stereo, bounds):
    path = tmp_path / "v1.mkv"
    path.write_bytes(make_segment(make_track(), make_tags(xml), place))
    assert read_matroska_metadata(path) == SphericalMetadata(
        stereo_mode=stereo, bounds=bounds, version="v1"
    )


@pytest.mark.parametrize(
    ("uid", "name", "is_read"),
    [
        (7, b"spherical-video", True),
        (7, b"SPHERICAL-VIDEO\0", True),
        (0, b"SPHERICAL-VIDEO", True),
        (None, b"SPHERICAL-VIDEO", True),
        (8, b"SPHERICAL-VIDEO", False),
        (7, b"SPHERICAL", False),
    ],
)
def test_v1_of_another_track_is_not_read(tmp_path, uid, name, is_read):
    path = tmp_path / "v1.mkv"
    tracks = make_track(size=(540, 960)) + make_track(uid=8, size=(64, 64))
    path.write_bytes(make_segment(tracks, make_tags(make_v1(), uid=uid, name=name), "front"))
    assert (read_matroska_metadata(path) is not None) is is_read


@pytest.mark.parametrize(
    "xml",
    [
        make_v1(head='<!DOCTYPE x [<!ENTITY a "b">]>', extra="&a;"),
        make_v1(head='<!DOCTYPE x SYSTEM "file:///etc/hostname">'),
        make_v1(extra=" " * 100_000),
        b"<unclosed",
        b"\xff\xfe\0",
        b"",
    ],
)
def test_hostile_documents_count_as_absent(tmp_path, xml):
    path = tmp_path / "v1.mkv"
    path.write_bytes(make_segment(make_track(), make_tags(xml), "walked to"))
    assert read_matroska_metadata(path) is None


def test_v2_counts_before_v1_and_a_stereo_mode_before_its_own(tmp_path):
    path = tmp_path / "both.mkv"
    equirectangular = pack_element(PROJECTION, pack_element(0x7671, b"\1"))
    rectangular = pack_element(PROJECTION, pack_element(0x7671, b"\0"))
    stereo = pack_element(0x53B8, b"\3")
    tags = make_tags(make_v1("left-right"))
    for elements, expected in (
        ([equirectangular], SphericalMetadata(version="stream")),
        ([equirectangular, stereo], SphericalMetadata(stereo_mode="top-bottom", version="stream")),
        ([rectangular], SphericalMetadata(stereo_mode="left-right", version="v1")),
        ([stereo], SphericalMetadata(stereo_mode="top-bottom", version="v1")),
    ):
        path.write_bytes(make_segment(make_track(*elements), tags, "listed"))
        assert read_matroska_metadata(path) == expected


def test_v1_that_ffmpeg_writes_as_a_tag_is_declared_and_kept(tmp_path):
    source, path = tmp_path / "plain.mp4", tmp_path / "v1.mkv"
    write_video(source, numbered_frames(3), 30)
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", source, "-c", "copy"]
    xml = make_v1("top-bottom").decode()
    subprocess.run([*ffmpeg, "-metadata:s:v", f"SPHERICAL-VIDEO={xml}", path], check=True)
    metadata = read_spherical(path)
    assert metadata == SphericalMetadata(stereo_mode="top-bottom", version="v1")
    tag_spherical(path, tmp_path / "tagged.mp4", metadata)
    assert read_spherical(tmp_path / "tagged.mp4") == replace(metadata, version="v2")
