"""Property: tagging a generated mp4 keeps every byte that is not a tag, or refuses the file."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from argus.errors import VideoError
from argus.media import SphericalMetadata, read_spherical, tag_spherical
from tests.support.mp4_tree import (
    Label,
    Ref,
    Token,
    Tokens,
    assemble,
    assert_equal_but_for_tags,
    box,
    chunk_offsets,
    fragment,
    fragment_index,
    full,
    item_locations,
    track,
    video_entry,
)

JUNK_TYPES = st.sampled_from([b"free", b"skip", b"wide", b"uuid", b"abcd", b"pdin", b"udta"])
FORMS = st.sampled_from([32, 32, 64])
BYTES = st.binary(max_size=24)


@st.composite
def junk(draw) -> Tokens:
    return box(draw(JUNK_TYPES), draw(BYTES), form=draw(FORMS))


@st.composite
def samples(draw, names: st.SearchStrategy[str]) -> list[Ref]:
    return [Ref(name) for name in draw(st.lists(names, max_size=4))]


@st.composite
def tracks(draw, names: st.SearchStrategy[str]) -> Tokens:
    wide, refs = draw(st.booleans()), draw(samples(names))
    tables: list[Tokens] = [chunk_offsets(*refs, wide=wide)]
    if draw(st.booleans()):
        tables.append(box(b"saio", full(len(refs)), *refs))
    entry_boxes = [draw(junk()) for _ in range(draw(st.integers(0, 2)))]
    if draw(st.booleans()):
        entry_boxes.insert(0, draw(st.sampled_from([box(b"st3d", bytes(5)), box(b"sv3d", b"")])))
    entries = [video_entry(*entry_boxes) for _ in range(draw(st.integers(1, 3)))]
    items = item_locations(*refs) if draw(st.booleans()) else []
    tail = [*draw(junk()), *items, draw(st.sampled_from([b"", bytes(4), bytes(20), b"end"]))]
    return track(
        tables, entries=entries, tail=tail, form=draw(FORMS), number=draw(st.integers(1, 9))
    )


class FileBytes(bytes):
    """Bytes of which only the first are printed."""

    def __repr__(self) -> str:
        return f"{self[:3000]!r} of {len(self)} bytes"


@st.composite
def files(draw, counts: st.SearchStrategy[int]) -> FileBytes:
    """Return an mp4 of random boxes in random order; all positions lead to bytes of its mdats.

    Args:
        counts: numbers of free boxes to add.
    """
    labels = [f"s{number}" for number in range(draw(st.integers(1, 3)))]
    names = st.sampled_from(labels)
    moov_parts: Tokens = []
    for part in draw(st.lists(st.one_of(junk(), tracks(names)), max_size=3)):
        moov_parts += part
    moov_parts += [*draw(tracks(names)), draw(st.sampled_from([b"", b"", bytes(4), b"QT"]))]
    parts: list[Tokens] = [box(b"moov", *moov_parts, form=draw(FORMS))]
    for label in labels:
        inner: list[Token] = [draw(BYTES), Label(label), draw(BYTES) + b"."]
        parts.append(box(b"mdat", *inner, form=draw(FORMS)))
    parts += draw(st.lists(junk(), max_size=3))
    parts.append([box(b"free")[0] * draw(counts)])
    if draw(st.booleans()):
        parts.append(item_locations(*draw(samples(names))))
    parts = draw(st.permutations(parts))
    fragments = [f"f{number}" for number in range(draw(st.integers(0, 3)))]
    for name in fragments:
        parts.append(fragment(name, base=draw(st.sampled_from([None, f"{name}-moof"]))))
    if fragments and draw(st.booleans()):
        refs = [Ref(f"{name}-moof") for name in fragments]
        parts.append(fragment_index(*refs, wide=draw(st.booleans())))
    last = box(b"mdat", draw(BYTES), form=0) if draw(st.booleans()) else []
    trailer = (
        b""
        if last
        else draw(
            st.one_of(BYTES, st.integers(0, 9).map(lambda size: full(size)[4:] + b"GYRO" * 9))
        )
    )
    return FileBytes(assemble(*parts, last, trailer))


METADATA = st.sampled_from(
    [
        SphericalMetadata(),
        SphericalMetadata(stereo_mode="top-bottom"),
        SphericalMetadata(projection="cubemap"),
        SphericalMetadata(bounds=(0.0, 0.0, 0.25, 0.25)),
    ]
)


def check_generated_file(folder, data: bytes, metadata: SphericalMetadata) -> None:
    path = folder / "generated.mp4"
    path.write_bytes(data)
    tag_spherical(path, path, metadata)
    assert_equal_but_for_tags(data, path.read_bytes())
    assert read_spherical(path) == metadata


def check_damaged_file(folder, data: bytes, changes: list[tuple[float, int]]) -> None:
    damaged = bytearray(data)
    for place, value in changes:
        damaged[int(place * (len(data) - 1))] = value
    path = folder / "damaged.mp4"
    path.write_bytes(damaged)
    try:
        tag_spherical(path, path, SphericalMetadata())
    except VideoError:
        assert path.read_bytes() == damaged
    else:
        assert_equal_but_for_tags(bytes(damaged), path.read_bytes())


NONE = st.just(0)
COUNTS = st.sampled_from([0] * 50 + [1, 99_999, 100_000, 100_001])
CHANGES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=3)
SUPPRESSED = [HealthCheck.too_slow, HealthCheck.data_too_large]
FEW = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=SUPPRESSED)
SEARCH = (Phase.explicit, Phase.generate)  # shrinking would take many minutes
MANY_EXAMPLES = settings(FEW, max_examples=1000, phases=SEARCH)


@FEW
@given(files(NONE), METADATA)
def test_generated_files_keep_every_byte(tmp_path_factory, data, metadata):
    check_generated_file(tmp_path_factory.getbasetemp(), data, metadata)


@FEW
@given(files(NONE), CHANGES)
def test_damaged_files_keep_every_byte_or_are_refused(tmp_path_factory, data, changes):
    check_damaged_file(tmp_path_factory.getbasetemp(), data, changes)


@pytest.mark.slow
@MANY_EXAMPLES
@given(files(COUNTS), METADATA)
def test_many_generated_files_keep_every_byte(tmp_path_factory, data, metadata):
    check_generated_file(tmp_path_factory.getbasetemp(), data, metadata)


@pytest.mark.slow
@MANY_EXAMPLES
@given(files(COUNTS), CHANGES)
def test_many_damaged_files_keep_every_byte_or_are_refused(tmp_path_factory, data, changes):
    check_damaged_file(tmp_path_factory.getbasetemp(), data, changes)
