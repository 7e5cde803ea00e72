"""Mp4 files built from boxes, and a parser of its own that compares a file with its tagged copy.

Nothing here uses the package: it is the independent side of the comparison.
"""

import bisect
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

V1_UUID = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")
POSITIONS = {b"stco", b"co64", b"saio", b"tfhd", b"trun", b"tfra", b"sidx", b"iloc"}
CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"mfra"}
CHANGING = CONTAINERS | POSITIONS | {b"meta", b"stsd"}


@dataclass(frozen=True)
class Label:
    """Name of the place in the file where it stands."""

    name: str

    def __len__(self) -> int:
        return 0


@dataclass(frozen=True)
class Ref:
    """Number of `width` bytes: the position of a label plus `add`, minus that of `base`."""

    name: str
    add: int = 0
    width: int = 4
    base: str | None = None

    def __len__(self) -> int:
        return self.width


Token = bytes | Label | Ref
Tokens = list[Token]


def box(box_type: bytes, *parts: Token | Tokens, form: int = 32) -> Tokens:
    """Return a box whose size field has 32 or 64 bits, or is 0 (up to the end of its parent)."""
    tokens: Tokens = []
    for part in parts:
        tokens += part if isinstance(part, list) else [part]
    length = sum(len(token) for token in tokens)
    if form == 64:
        return [struct.pack(">I4sQ", 1, box_type, 16 + length), *tokens]
    return [struct.pack(">I4s", 8 + length if form else 0, box_type), *tokens]


def assemble(*parts: Token | Tokens) -> bytes:
    """Return the bytes of a file, with all positions filled in."""
    tokens = box(b"file", *parts)[1:]
    places, position = {}, 0
    for token in tokens:
        if isinstance(token, Label):
            places[token.name] = position
        position += len(token)
    return b"".join(_pack(token, places) for token in tokens if not isinstance(token, Label))


def _pack(token: Token, places: dict[str, int]) -> bytes:
    if not isinstance(token, Ref):
        return token  # type: ignore[return-value]
    value = places[token.name] + token.add - (places[token.base] if token.base else 0)
    return (value % 256**token.width).to_bytes(token.width, "big")


def full(*numbers: int, version: int = 0, flags: int = 0) -> bytes:
    """Return the payload of a full box: version, flags and 32-bit numbers."""
    return struct.pack(f">{1 + len(numbers)}I", version << 24 | flags, *numbers)


def video_entry(*boxes: Tokens, size: tuple[int, int] = (96, 160), fields: bytes = b"") -> Tokens:
    """Return a sample entry of H.264 with the given (height, width) and boxes."""
    head = bytearray(78)
    struct.pack_into(">H", head, 6, 1)
    struct.pack_into(">HH", head, 24, size[1], size[0])
    struct.pack_into(">HH", head, 74, 24, 0xFFFF)
    return box(b"avc1", fields or bytes(head), *boxes)


def track(
    tables: Sequence[Tokens],
    *,
    entries: Sequence[Tokens] = (),
    tail: Token | Tokens = b"",
    handler: bytes = b"vide",
    number: int = 1,
    is_enabled: bool = True,
    samples: int = 2,
    is_inside: bool = True,
    form: int = 32,
) -> Tokens:
    """Return a trak box; `tables` are the last boxes of its stbl, `tail` ends the trak."""
    all_entries = entries or [video_entry()]
    stsd = box(b"stsd", full(len(all_entries)), *all_entries)
    stsz = box(b"stsz", full(7, samples))
    reference = box(b"dref", full(1), box(b"url ", full(flags=int(is_inside))))
    stbl = box(b"stbl", stsd, stsz, *tables, form=form)
    minf = box(b"minf", box(b"dinf", reference), stbl, form=form)
    hdlr = box(b"hdlr", full(0), handler, bytes(13))
    tkhd = box(b"tkhd", full(0, 0, number, flags=int(is_enabled)), bytes(68))
    return box(b"trak", tkhd, box(b"mdia", hdlr, minf, form=form), tail, form=form)


def chunk_offsets(*refs: Ref, wide: bool = False) -> Tokens:
    """Return an stco or co64 box."""
    widened = [Ref(ref.name, ref.add, 8 if wide else 4, ref.base) for ref in refs]
    return box(b"co64" if wide else b"stco", full(len(refs)), *widened)


def item_locations(*refs: Ref) -> Tokens:
    """Return a meta box whose items are at 32-bit positions."""
    items: Tokens = []
    for number, ref in enumerate(refs):
        items += [struct.pack(">HHH", number, 0, 1), ref, full(9)[4:]]
    count = struct.pack(">H", len(refs))
    return box(b"meta", full(), box(b"iloc", full(), b"\x44\0", count, *items))


def fragment(name: str, *, base: str | None = None, payload: bytes = b"sample") -> Tokens:
    """Return a moof and its mdat, whose sample is at the label `name`.

    Args:
        name: a label; the moof is at `name` + "-moof".
        base: label of an explicit base of the positions; None for the moof.
        payload: the sample.
    """
    origin = base or f"{name}-moof"
    explicit: Tokens = [Ref(base, width=8)] if base else []
    tfhd = box(b"tfhd", full(1, flags=1 if base else 0x20000), *explicit)
    trun = box(b"trun", full(1, flags=0x201), Ref(name, base=origin), full(len(payload))[4:])
    moof = box(b"moof", box(b"mfhd", full(1)), box(b"traf", tfhd, trun))
    return [Label(f"{name}-moof"), *moof, *box(b"mdat", Label(name), payload)]


def fragment_index(*refs: Ref, wide: bool = False) -> Tokens:
    """Return an mfra box of version 1 (wide) or 0; each ref leads to a moof."""
    entries: Tokens = []
    for ref in refs:
        entries += [bytes(8 if wide else 4), Ref(ref.name, width=8 if wide else 4), b"\1\1\1"]
    tfra = box(b"tfra", full(1, 0, len(refs), version=int(wide)), *entries)
    length = 24 + sum(map(len, tfra))
    return box(b"mfra", tfra, box(b"mfro", full(length)))


def segment_index(name: str, first: str, size: int, *, wide: bool = False) -> Tokens:
    """Return a sidx box that leads to the label `first`; its own end is at the label `name`."""
    start = Ref(first, base=name, width=8 if wide else 4)
    fields = [full(1, 1000, version=int(wide)), bytes(8 if wide else 4), start]
    return [*box(b"sidx", *fields, struct.pack(">HHIII", 0, 1, size, 0, 0)), Label(name)]


@dataclass(frozen=True)
class Piece:
    """Bytes `[start, end)` of a file that a copy must hold.

    Attributes:
        kind: "bytes" for any, "size" for the size of a box, "position" for a file position, or
            "base" for a number that is added to others to give one.
        start: first byte.
        end: end of the bytes.
        target: the position in the file that a "position" means.
    """

    kind: str
    start: int
    end: int
    target: int = 0


def assert_equal_but_for_tags(before: bytes, after: bytes) -> None:
    """Assert that a tagged copy holds every byte, and that its positions lead to the same bytes."""
    old, new = _split(before), _split(after)
    lengths = [(piece.kind, piece.end - piece.start) for piece in old]
    assert lengths == [(piece.kind, piece.end - piece.start) for piece in new]
    starts = [piece.start for piece in old]

    def expected(position: int) -> int:
        at = bisect.bisect_right(starts, position) - 1
        return new[at].start + position - old[at].start

    for left, right in zip(old, new, strict=True):
        if left.kind == "bytes":
            assert before[left.start : left.end] == after[right.start : right.end]
        elif left.kind == "position":
            assert right.target == expected(left.target), before[left.start - 24 : left.end]
        elif left.kind == "size":
            has_size = [
                any(data[at : at + 4]) for data, at in ((before, left.start), (after, right.start))
            ]
            assert has_size[0] == has_size[1]


def _split(data: bytes) -> list[Piece]:
    """Return the pieces of a file in order, without its tags."""
    pieces = _split_siblings(data, 0, len(data), ())
    return [piece for piece in pieces if piece.end > piece.start]


def _split_siblings(
    data: bytes, start: int, end: int, path: tuple[tuple[bytes, int], ...]
) -> Iterator[Piece]:
    opaque = start  # where a run of boxes begins that cannot change
    while start + 8 <= end:
        size, box_type = struct.unpack_from(">I4s", data, start)
        header = 8
        if size == 1 and start + 16 <= end:
            size, header = struct.unpack_from(">Q", data, start + 8)[0], 16
        elif size == 0:
            size = end - start
        if size < header or start + size > end:
            break
        stop = start + size
        is_tag = _is_tag(data, box_type, start + header, path)
        if is_tag or box_type in CHANGING or (path and path[-1][0] == b"stsd"):
            yield Piece("bytes", opaque, start)
            opaque = stop
        if opaque == stop and not is_tag:
            yield Piece("size", start, start + header)
            yield Piece("bytes", start + 4, start + 8)  # the type
            inner = (*path, (box_type, start))
            yield from _split_payload(data, start + header, stop, inner, box_type)
        elif path and path[-1][0] not in CONTAINERS - {b"trak"}:
            yield Piece("bytes", opaque, stop)  # tags may stand between these
            opaque = stop
        start = stop
    yield Piece("bytes", opaque, end)


def _is_tag(data: bytes, box_type: bytes, payload: int, path: tuple) -> bool:
    parents = [name for name, _ in path]
    if parents[-1:] == [b"trak"]:
        return box_type == b"uuid" and data[payload : payload + 16] == V1_UUID
    return len(parents) > 1 and parents[-2] == b"stsd" and box_type in {b"st3d", b"sv3d"}


def _split_payload(
    data: bytes, start: int, end: int, path: tuple, box_type: bytes
) -> Iterator[Piece]:
    parents = [name for name, _ in path[:-1]]
    if box_type in CONTAINERS:
        yield from _split_siblings(data, start, end, path)
    elif box_type == b"meta":
        yield Piece("bytes", start, start + 4)
        yield from _split_siblings(data, start + 4, end, path)
    elif box_type == b"stsd":
        yield Piece("bytes", start, start + 8)
        yield from _split_siblings(data, start + 8, end, path)
    elif parents[-1:] == [b"stsd"] and end - start >= 78:
        yield Piece("bytes", start, start + 78)
        yield from _split_siblings(data, start + 78, end, path)
    else:
        for at, width, origin in _list_positions(data, start, end, path, box_type):
            yield Piece("bytes", start, at)
            value = int.from_bytes(data[at : at + width], "big", signed=box_type == b"trun")
            kind = "base" if origin is None else "position"
            yield Piece(kind, at, at + width, (origin or 0) + value)
            start = at + width
        yield Piece("bytes", start, end)


def _list_positions(
    data: bytes, start: int, end: int, path: tuple, box_type: bytes
) -> Iterator[tuple[int, int, int | None]]:
    """Yield (offset, width, origin of the value) of the positions in a payload, in order.

    The origin of a number that is added to others to give a position is None.
    """
    flags = int.from_bytes(data[start + 1 : start + 4], "big")
    is_wide = data[start] != 0
    width = 8 if is_wide else 4
    if box_type in {b"stco", b"co64"} and _is_inside(data, path):
        width = 4 if box_type == b"stco" else 8
        count = int.from_bytes(data[start + 4 : start + 8], "big")
        yield from ((start + 8 + width * index, width, 0) for index in range(count))
    elif box_type == b"saio" and path[-2][0] == b"stbl" and _is_inside(data, path):
        table = start + (16 if flags & 1 else 8)
        count = int.from_bytes(data[table - 4 : table], "big")
        yield from ((table + width * index, width, 0) for index in range(count))
    elif box_type == b"tfhd" and flags & 1:
        yield start + 8, 8, None
    elif box_type == b"trun" and flags & 1 and data[path[-2][1] + 12 :][:4] == b"tfhd":
        base = _find_explicit_base(data, path[-2][1])
        moof = next(place for name, place in path if name == b"moof")
        yield start + 8, 4, moof if base is None else base
    elif box_type == b"tfra":
        sizes, entries = struct.unpack_from(">II", data, start + 8)
        stride = 2 * width + 3 + sum(sizes >> shift & 3 for shift in (0, 2, 4))
        for index in range(entries):
            yield start + 16 + width + stride * index, width, 0
    elif box_type == b"sidx":
        yield (start + 20, 8, end) if is_wide else (start + 16, 4, end)
    elif box_type == b"iloc":
        yield from _list_item_positions(data, start)


def _list_item_positions(data: bytes, start: int) -> Iterator[tuple[int, int, int | None]]:
    version, widths = data[start], int.from_bytes(data[start + 4 : start + 6], "big")
    offset, length, base, index = (widths >> shift & 15 for shift in (12, 8, 4, 0))
    has_method = version in {1, 2}
    number = 4 if version == 2 else 2
    count = int.from_bytes(data[start + 6 : start + 6 + number], "big")
    at = start + 6 + number
    for _ in range(count):
        at += number
        method = data[at + 1] & 15 if has_method else 0
        at += 2 if has_method else 0
        is_absolute = method == 0 and data[at : at + 2] == bytes(2)
        at += 2
        origin = int.from_bytes(data[at : at + base], "big")
        if is_absolute and base:
            yield at, base, None
        extents = int.from_bytes(data[at + base : at + base + 2], "big")
        at += base + 2
        for _ in range(extents):
            at += index if has_method else 0
            if is_absolute and offset:
                yield at, offset, origin
            at += offset + length


def _is_inside(data: bytes, path: tuple) -> bool:
    """Return whether the data of a track are in this file; the dinf must be first in its minf."""
    for name, place in path:
        if name == b"minf":
            place += 16 if data[place + 3] == 1 and not any(data[place : place + 3]) else 8
            types = data[place + 4 : place + 8], data[place + 12 : place + 16]
            return types != (b"dinf", b"dref") or bool(data[place + 35] & 1)
    return True


def _find_explicit_base(data: bytes, traf: int) -> int | None:
    """Return the base_data_offset of a traf whose first box is a tfhd."""
    flags = int.from_bytes(data[traf + 17 : traf + 20], "big")
    return int.from_bytes(data[traf + 24 : traf + 32], "big") if flags & 1 else None
