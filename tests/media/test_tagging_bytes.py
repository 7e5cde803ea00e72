"""Tagging an mp4 keeps every byte that is not a tag, or refuses and leaves the file as it was."""

import os
import struct
import subprocess

import imageio_ffmpeg
import pytest

from argus.errors import VideoError
from argus.media import SphericalMetadata, open_video, read_spherical, tag_spherical
from schemas.names import Reason
from tests.support.ffmpeg import run_ffmpeg
from tests.support.mp4_tree import (
    Label,
    Ref,
    assemble,
    assert_equal_but_for_tags,
    box,
    chunk_offsets,
    fragment,
    fragment_index,
    full,
    item_locations,
    segment_index,
    track,
    video_entry,
)

FTYP = box(b"ftyp", b"isom", bytes(4))
DATA = box(b"mdat", b"abc", Label("one"), b"the first sample", Label("two"), b"the second")
ONE, TWO = Ref("one"), Ref("two")
MOOV = box(b"moov", box(b"mvhd", full(1, 2)), track([chunk_offsets(ONE, TWO)]))
MANY = struct.pack(">I4s", 8, b"free") * 100_001


def tag_and_compare(path, data: bytes, metadata: SphericalMetadata | None = None) -> bytes:
    """Tag a file in place and return the result, of which every byte is accounted for."""
    path.write_bytes(data)
    tag_spherical(path, path, metadata or SphericalMetadata())
    tagged = path.read_bytes()
    assert_equal_but_for_tags(data, tagged)
    assert read_spherical(path) == (metadata or SphericalMetadata())
    assert [item.name for item in path.parent.iterdir()] == [path.name]
    return tagged


@pytest.mark.parametrize(
    "parts",
    {
        "moov first": [FTYP, MOOV, DATA],
        "moov last": [FTYP, DATA, MOOV],
        "moov alone before": [MOOV, DATA],
        "free boxes around": [box(b"free", bytes(9)), MOOV, box(b"skip", b"x"), DATA],
        "uuid and unknown boxes": [box(b"uuid", bytes(20)), MOOV, box(b"abcd", b"?"), DATA],
        "wide and a 64-bit mdat": [
            MOOV,
            box(b"wide"),
            box(b"mdat", Label("one"), b"1", Label("two"), form=64),
        ],
        "an mdat of size 0": [MOOV, box(b"mdat", Label("one"), b"1", Label("two"), b"2", form=0)],
        "an empty box with a 64-bit size": [MOOV, box(b"free", form=64), DATA],
        "two mdats around the moov": [
            box(b"mdat", Label("one"), b"1"),
            MOOV,
            box(b"mdat", Label("two"), b"2"),
        ],
        "a moov of size 0": [DATA, box(b"moov", track([chunk_offsets(ONE, TWO)]), form=0)],
        "a track of size 0": [DATA, box(b"moov", track([chunk_offsets(ONE, TWO)], form=0))],
        "a second moov, which readers ignore": [MOOV, DATA, MOOV],
    }.items(),
    ids=lambda item: item[0],
)
def test_every_order_of_top_level_boxes_is_kept(tmp_path, parts):
    tag_and_compare(tmp_path / "video.mp4", assemble(*parts[1]))


@pytest.mark.parametrize("head", [*range(2, 8), 8, 9, 0, 1, 2**31, 2**32 - 1])
@pytest.mark.parametrize("order", ["moov first", "moov last"])
def test_bytes_after_the_last_box_are_kept(tmp_path, head, order):
    trailer = struct.pack(">I", head) + b"GYRO" * 5000
    boxes = [FTYP, MOOV, DATA] if order == "moov first" else [FTYP, DATA, MOOV]
    data = assemble(*boxes) + trailer
    assert tag_and_compare(tmp_path / "camera.mp4", data).endswith(trailer)


@pytest.mark.parametrize("form", ["mp4", "mov", "ismv"])
def test_an_appended_file_is_kept(tmp_path, form):
    """Its positions count from its own start."""
    options = ("-f", form) if form == "ismv" else ("-f", form, "-movflags", "+faststart")
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x32:d=2", *options, tmp_path / "appended")
    appended = (tmp_path / "appended").read_bytes()
    (path := tmp_path / "video.mp4").write_bytes(assemble(FTYP, MOOV, DATA) + appended)
    tag_spherical(path, path, SphericalMetadata())
    assert path.read_bytes().endswith(appended)


@pytest.mark.parametrize("trailer", [b"\0", b"GYRO", bytes(7), bytes(8), bytes(4096), b"\xff" * 32])
def test_short_trailers_and_zeros_are_kept(tmp_path, trailer):
    assert tag_and_compare(tmp_path / "video.mp4", assemble(MOOV, DATA) + trailer).endswith(trailer)


@pytest.mark.parametrize(
    "parts",
    {
        "before the moov": [MANY, MOOV, DATA],
        "after the moov": [MOOV, MANY, DATA, b"\0\0\0\5 trailer"],
        "at the limit of readers": [MOOV, DATA, MANY[: 8 * 99_998]],
        "one below": [MOOV, DATA, MANY[: 8 * 99_997], b"end"],
        "inside the moov": [box(b"moov", MANY, track([chunk_offsets(ONE, TWO)])), DATA],
        "inside the track": [box(b"moov", track([chunk_offsets(ONE)], tail=MANY)), DATA],
    }.items(),
    ids=lambda item: item[0],
)
def test_any_number_of_boxes_is_kept(tmp_path, parts):
    path = tmp_path / "many.mp4"
    path.write_bytes(data := assemble(*parts[1]))
    try:
        tag_spherical(path, path, SphericalMetadata())
    except VideoError:  # readers find no track: refused
        assert path.read_bytes() == data
        assert parts[0] == "inside the moov"
    else:
        assert_equal_but_for_tags(data, path.read_bytes())
        assert read_spherical(path) == SphericalMetadata()


def test_more_than_100_000_fragments_are_kept(tmp_path):
    moov = box(b"moov", box(b"mvex"), track([chunk_offsets()], samples=0))
    fragments = assemble(fragment("any")) * 50_001 + b"\0\0\0\7trailer"
    path = tmp_path / "fragments.mp4"
    path.write_bytes(assemble(FTYP, moov) + fragments)
    tag_spherical(path, path, SphericalMetadata())
    head, tail = path.read_bytes()[: -len(fragments)], path.read_bytes()[-len(fragments) :]
    assert tail == fragments
    assert_equal_but_for_tags(assemble(FTYP, moov), head)


@pytest.mark.parametrize("wide", [False, True])
def test_positions_of_fragments_move_with_them(tmp_path, wide):
    moov = box(b"moov", box(b"mvex"), track([chunk_offsets()], samples=0))
    index = segment_index("after-index", "a-moof", 80, wide=wide)
    fragments = [*fragment("a"), *fragment("b", base="b-moof"), *fragment("c", base="zero")]
    mfra = fragment_index(Ref("a-moof"), Ref("b-moof"), Ref("c-moof"), wide=wide)
    for parts in ([moov, index], [index, moov], [box(b"free", bytes(99)), moov, index]):
        data = assemble(Label("zero"), FTYP, *parts, fragments, mfra)
        tag_and_compare(tmp_path / "fragments.mp4", data)


@pytest.mark.parametrize(
    "tables",
    {
        "stco": [chunk_offsets(ONE, TWO)],
        "co64": [chunk_offsets(TWO, ONE, wide=True)],
        "saio": [chunk_offsets(ONE), box(b"saio", full(2), ONE, TWO)],
        "saio of 64 bits": [
            chunk_offsets(ONE),
            box(b"saio", full(1, version=1), Ref("two", width=8)),
        ],
        "an empty table": [chunk_offsets()],
        "a table with padding": [box(b"stco", full(1), ONE, b"padding")],
        "a table in a 64-bit box": [box(b"stco", full(1), ONE, form=64)],
    }.items(),
    ids=lambda item: item[0],
)
@pytest.mark.parametrize("form", [32, 64])
def test_positions_of_samples_move_with_them(tmp_path, tables, form):
    moov = box(b"moov", track(tables[1], form=form), form=form)
    for parts in ([moov, DATA], [DATA, moov], [box(b"mdat", Label("zero")), moov, DATA]):
        tag_and_compare(tmp_path / "video.mp4", assemble(*parts))


def test_positions_of_items_move_with_them(tmp_path):
    items = item_locations(ONE, TWO)
    inside = box(b"moov", items, track([chunk_offsets(ONE)], tail=items))
    for parts in ([items, MOOV, DATA], [inside, DATA], [MOOV, DATA, items]):
        tag_and_compare(tmp_path / "still.mp4", assemble(*parts))


@pytest.mark.parametrize(
    ("version", "method", "base", "moves"),
    [(0, 0, 0, True), (1, 0, 4, True), (2, 0, 8, True), (1, 1, 4, False), (2, 2, 0, False)],
)
def test_items_are_moved_only_where_they_are_stored_in_the_file(
    tmp_path, version, method, base, moves
):
    identity = bytes(4 if version == 2 else 2)
    fields = b"" if version == 0 else struct.pack(">H", method)
    place = Ref("one", add=-1, width=base) if base else b""
    offset = full(1)[4:] if base else ONE
    item = [identity, fields, bytes(2), place, b"\0\1", offset, full(9)[4:]]
    count = (1).to_bytes(len(identity), "big")
    widths = bytes([0x44, base << 4])
    meta = box(b"meta", full(), box(b"iloc", full(version=version), widths, count, *item))
    data = assemble(MOOV, DATA, meta)
    path = tmp_path / "item.mp4"
    path.write_bytes(data)
    tag_spherical(path, path, SphericalMetadata())
    tagged = path.read_bytes()
    growth = len(tagged) - len(data)
    start = data.index(b"iloc") + 10 + 2 * len(identity) + len(fields) + 2
    where, width = (start, base) if base else (start + 2, 4)
    before = int.from_bytes(data[where : where + width], "big")
    after = int.from_bytes(tagged[where + growth : where + growth + width], "big")
    assert after - before == (growth if moves else 0)


def test_samples_in_another_file_do_not_move(tmp_path):
    tables = [box(b"stco", full(1, 4242))]
    elsewhere = track(tables, is_inside=False)
    path = tmp_path / "reference.mp4"
    path.write_bytes(assemble(box(b"moov", elsewhere), DATA))
    tag_spherical(path, path, SphericalMetadata())
    assert full(1, 4242) in path.read_bytes()


@pytest.mark.parametrize("trailing", [b"", bytes(4), b"\0\0\0\0\0", b"QT", bytes(7), bytes(20)])
def test_terminators_inside_boxes_are_kept(tmp_path, trailing):
    entry = video_entry(box(b"avcC", b"codec"), trailing)
    tail = [*box(b"udta", b"xyz"), trailing]
    moov = box(b"moov", track([chunk_offsets(ONE), trailing], entries=[entry], tail=tail), trailing)
    tag_and_compare(tmp_path / "quicktime.mov", assemble(moov, DATA))


def test_old_tags_are_replaced_wherever_they_stand(tmp_path):
    path = tmp_path / "again.mp4"
    first = tag_and_compare(path, assemble(MOOV, DATA))
    assert tag_and_compare(path, first) == first
    stereo = SphericalMetadata(stereo_mode="left-right", bounds=(0.125, 0.0, 0.0, 0.0))
    tag_and_compare(path, first, stereo)  # bounds have no V1: the index shrinks
    assert tag_and_compare(path, path.read_bytes()) == first
    v1 = box(b"uuid", bytes.fromhex("ffcc8263f8554a938814587a02521fdd"), b"old")
    entry = video_entry(box(b"st3d", bytes(5)), box(b"avcC"), box(b"sv3d"), box(b"pasp"))
    tables = [chunk_offsets(ONE)]
    moov = box(b"moov", track(tables, entries=[entry], tail=[*v1, *box(b"udta"), *v1]))
    assert len(tag_and_compare(path, assemble(moov, DATA)).split(b"GSpherical:Spherical>")) == 3


@pytest.mark.parametrize("room", [0, 1, 200, 1000])
def test_positions_that_outgrow_32_bits_get_64(tmp_path, room):
    path = tmp_path / "large.mp4"
    table = box(b"stco", full(2, 2**32 - 1 - room), ONE, b"rest")
    path.write_bytes(data := assemble(box(b"moov", track([table, chunk_offsets(TWO)])), DATA))
    tag_spherical(path, path, SphericalMetadata())
    tagged = path.read_bytes()
    growth = len(tagged) - len(data)
    start = tagged.index(b"co64" if room < growth else b"stco") + 8
    form = ">IQQ" if room < growth else ">III"
    count, far, near = struct.unpack_from(form, tagged, start)
    assert (count, far) == (2, 2**32 - 1 - room + growth)
    assert tagged[near:].startswith(b"the first sample")
    assert tagged[start + struct.calcsize(form) :].startswith(b"rest")
    assert tagged[struct.unpack_from(">I", tagged, tagged.rindex(b"stco") + 12)[0] :].startswith(
        b"the second"
    )


@pytest.mark.slow
def test_a_file_that_outgrows_4_gib_keeps_its_samples(tmp_path):
    hole = 2**32 - 600  # the second sample passes the limit when the index grows
    data = bytearray(assemble(MOOV, box(b"mdat", Label("one"), b"1", form=64), Label("two")))
    start = data.index(b"mdat") - 4
    struct.pack_into(">Q", data, start + 8, len(data) - start + hole)
    struct.pack_into(">I", data, data.index(b"stco") + 16, second := len(data) + hole - 12)
    with (tmp_path / "large.mp4").open("wb") as file:
        file.write(data)
        file.truncate(len(data) + hole)
        file.seek(second)
        file.write(b"the sample")
    tag_spherical(tmp_path / "large.mp4", tmp_path / "tagged.mp4", SphericalMetadata())
    with (tmp_path / "tagged.mp4").open("rb") as file:
        index = file.read(4000)
        count, first, second = struct.unpack_from(">IQQ", index, index.index(b"co64") + 8)
        assert (count, index[first : first + 1]) == (2, b"1")
        file.seek(second)
        assert file.read() == b"the sample\0\0"
    (tmp_path / "large.mp4").unlink()
    (tmp_path / "tagged.mp4").unlink()


BAD_SIZE = struct.pack(">I4s", 5, b"free") + bytes(40)
TOO_LONG = struct.pack(">I4s", 4000, b"udta") + bytes(40)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([box(b"moov", track([chunk_offsets(ONE)]), BAD_SIZE), DATA], Reason.CORRUPT),
        ([box(b"moov", track([chunk_offsets(ONE)]), TOO_LONG), DATA], Reason.CORRUPT),
        ([box(b"moov", track([BAD_SIZE, chunk_offsets(ONE)])), DATA], Reason.CORRUPT),
        ([box(b"moov", track([chunk_offsets(ONE)], tail=TOO_LONG)), DATA], Reason.CORRUPT),
        ([box(b"moov", box(b"cmov", bytes(99))), DATA], Reason.CORRUPT),
        (
            [box(b"moov", track([chunk_offsets(ONE)], entries=[box(b"avc1", bytes(70))])), DATA],
            Reason.CORRUPT,
        ),
        ([box(b"moov", track([box(b"stco", full(9), ONE)])), DATA], Reason.CORRUPT),
        ([box(b"moov", track([], handler=b"soun")), DATA], Reason.NO_VIDEO_STREAM),
        ([FTYP, DATA], Reason.TRUNCATED),
        ([FTYP, *fragment("a")], Reason.TRUNCATED),
        ([MOOV, DATA, struct.pack(">I4s", 99, b"moof"), bytes(50)], Reason.TRUNCATED),
        ([MOOV, DATA, struct.pack(">I4s", 99, b"mdat"), bytes(50)], Reason.TRUNCATED),
        (
            [MOOV, struct.pack(">I4sQ", 1, b"mdat", 2**40), Label("one"), Label("two")],
            Reason.TRUNCATED,
        ),
        ([fragment("a", base="z"), MOOV, DATA, Label("z"), fragment("b")], None),
        ([segment_index("i", "i", 9999), MOOV, DATA], Reason.CORRUPT),
    ],
)
def test_what_cannot_be_kept_is_refused_and_unchanged(tmp_path, parts, reason):
    path = tmp_path / "video.mp4"
    path.write_bytes(data := assemble(*parts))
    if reason is None:
        tag_and_compare(path, data)
        return
    with pytest.raises(VideoError) as caught:
        tag_spherical(path, path, SphericalMetadata())
    assert caught.value.reason is reason
    assert path.read_bytes() == data
    assert [item.name for item in tmp_path.iterdir()] == ["video.mp4"]


def test_deep_nesting_is_refused(tmp_path):
    path = tmp_path / "deep.mp4"
    inner = b""
    for _ in range(5000):
        inner = struct.pack(">I4s", 8 + len(inner), b"trak") + inner
    path.write_bytes(data := assemble(box(b"moov", track([chunk_offsets(ONE)]), inner), DATA))
    with pytest.raises(VideoError):
        tag_spherical(path, path, SphericalMetadata())
    assert path.read_bytes() == data


@pytest.mark.slow
def test_half_an_hour_of_single_frame_fragments_keeps_its_end(tmp_path):
    path = tmp_path / "many.mp4"
    source = ["-f", "lavfi", "-i", "color=s=16x16:r=30:d=1700", "-c:v", "mpeg4", "-g", "300"]
    flags = ["-movflags", "frag_every_frame+empty_moov+default_base_moof"]
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"]
    subprocess.run([*ffmpeg, *source, *flags, path], check=True)
    data = path.read_bytes()
    assert data.count(b"moof") > 50_000
    tag_and_compare(path, data)
    with open_video(path, "pyav") as reader:
        assert len(reader) == 51_000


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("fast.mp4", ["-movflags", "faststart"]),
        ("sidx.mp4", ["-movflags", "frag_keyframe+empty_moov+default_base_moof+global_sidx"]),
        ("dash.mp4", ["-movflags", "dash+frag_keyframe+empty_moov"]),
        ("base.mp4", ["-movflags", "frag_keyframe+empty_moov"]),
        ("both.mp4", ["-movflags", "frag_keyframe+hybrid_fragmented"]),
        ("smooth.ismv", ["-f", "ismv"]),
        ("camera.mov", ["-timecode", "01:00:00:00"]),
        (
            "encrypted.mp4",
            [
                *("-encryption_scheme", "cenc-aes-ctr", "-movflags", "faststart"),
                *("-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb"),
                *("-encryption_kid", "a7e61c373e219033c21091fa607bf3b8"),
            ],
        ),
    ],
)
def test_files_of_ffmpeg_keep_every_byte_and_packet(tmp_path, name, arguments):
    path = tmp_path / name
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"]
    inputs = ["-f", "lavfi", "-i", "testsrc=s=64x64:d=2", "-f", "lavfi", "-i", "sine=d=2"]
    codecs = ["-c:v", "libx264", "-g", "10", "-c:a", "aac"]
    subprocess.run([*ffmpeg, *inputs, *codecs, *arguments, path], check=True)
    key = ["-decryption_key", "76a6c65c5ea762046bd749a2e632ccbb"] * name.startswith("encrypted")

    def hash_packets() -> str:
        copy = ["-map", "0:v", "-map", "0:a", "-c", "copy", "-f", "framehash", "-"]
        command = [*ffmpeg, *key, "-i", path, *copy]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    before = hash_packets()
    tag_and_compare(path, path.read_bytes())
    assert hash_packets() == before


@pytest.mark.parametrize(
    "name", [b"na\xefve.mp4", "日本 360°.mp4".encode(), b"a\nb\t'\".mp4", b"x" * 251 + b".mp4"]
)
def test_any_name_is_tagged_in_place(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(data := assemble(MOOV, DATA))
    tag_spherical(path, path, SphericalMetadata())
    assert_equal_but_for_tags(data, path.read_bytes())
    assert [os.fsencode(item.name) for item in tmp_path.iterdir()] == [name]
