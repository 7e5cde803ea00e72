"""Mp4 boxes: hostile sizes end the iteration, and what is packed is parsed back."""

import io
import itertools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argus.media.mp4.boxes import (
    MAX_BOXES,
    find_payloads,
    get_payload,
    iter_boxes,
    iter_file_boxes,
    pack_box,
    read_payload,
)
from argus.media.spherical import V1_UUID, read_mp4_metadata

PROPERTY = settings(max_examples=50, deadline=None, derandomize=True)
box_types = st.binary(min_size=4, max_size=4)
siblings = st.lists(st.tuples(box_types, st.binary(max_size=40)), max_size=6)
sizes = st.sampled_from([0, 1, 4, 7, 8, 9, 16, 24, 2**31, 2**32 - 1])
hostile_headers = st.builds(
    lambda size, box_type, rest: struct.pack(">I", size) + box_type + rest,
    sizes,
    st.sampled_from([b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"uuid", b"free"]),
    st.binary(max_size=24),
)
hostile_data = st.binary(max_size=200) | st.lists(hostile_headers, max_size=8).map(b"".join)


def make_track(*, v1: bytes = b"", entry: bytes = b"") -> bytes:
    """Return an mp4 of one video track with a V1 document and boxes in its sample entry."""
    stsd = pack_box(b"stsd", bytes(4) + struct.pack(">I", 1) + pack_box(b"avc1", bytes(78) + entry))
    minf = pack_box(b"minf", pack_box(b"stbl", stsd))
    media = pack_box(b"hdlr", bytes(8) + b"vide" + bytes(13)) + minf
    uuid = pack_box(b"uuid", V1_UUID + v1) if v1 else b""
    return pack_box(b"moov", pack_box(b"trak", pack_box(b"mdia", media) + uuid))


@PROPERTY
@given(siblings)
def test_packed_boxes_are_parsed_back(boxes):
    data = b"".join(pack_box(box_type, payload) for box_type, payload in boxes)
    found = list(iter_boxes(data))
    assert [(box.box_type, get_payload(data, box)) for box in found] == boxes
    file = io.BytesIO(data)
    assert [read_payload(file, box) for box in iter_file_boxes(file)] == [
        payload for _, payload in boxes
    ]


@PROPERTY
@given(hostile_data, st.integers(0, 20))
def test_arbitrary_bytes_give_boxes_inside_the_data(data, start):
    boxes = list(iter_boxes(data, start))
    assert all(start <= box.start < box.end <= len(data) for box in boxes)
    assert all(before.end == after.start for before, after in itertools.pairwise(boxes))
    assert all(box.size >= box.header_size for box in iter_file_boxes(io.BytesIO(data)))


@PROPERTY
@given(data=hostile_data)
def test_arbitrary_bytes_never_raise(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "hostile_boxes.mp4"
    for content in (data, pack_box(b"moov", data), make_track(entry=data), make_track(v1=data)):
        path.write_bytes(content)
        read_mp4_metadata(path)
        assert len(list(find_payloads(content, b"moov", b"trak"))) <= MAX_BOXES


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
        pack_box(b"moov", struct.pack(">I4s", 8, b"trak") * 300_000),
        pack_box(b"moov", pack_box(b"trak", struct.pack(">I4s", 0xFFFFFFF0, b"mdia"))),
        make_track(entry=pack_box(b"sv3d", pack_box(b"proj", pack_box(b"equi", b"12")))[:-1]),
        make_track(entry=pack_box(b"sv3d", b"")),
        make_track(entry=pack_box(b"st3d", b"")),
    ],
)
def test_impossible_sizes_end_the_iteration(tmp_path, data):
    path = tmp_path / "hostile.mp4"
    path.write_bytes(data)
    metadata = read_mp4_metadata(path)
    assert metadata is None or metadata.projection == "unknown"
    with path.open("rb") as file:
        assert sum(1 for _ in iter_file_boxes(file)) <= MAX_BOXES
