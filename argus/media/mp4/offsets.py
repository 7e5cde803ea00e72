"""Changes to the boxes of an mp4 file, and the file positions in its boxes that move with them.

Positions are stored in the tables of samples (stco, co64, saio), in fragments (tfhd), and in the
indexes of fragments (tfra, sidx) and of items (iloc). Each moves exactly as far as the byte that
it points to.

Reference: ISO/IEC 14496-12.
"""

import struct
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from argus.media.mp4.boxes import (
    MalformedBoxes,
    Mp4Box,
    find_payloads,
    iter_boxes,
    pack_box,
    walk_boxes,
)

TYPES_WITH_POSITIONS = frozenset({b"moov", b"moof", b"mfra", b"meta", b"sidx"})
"""Top-level boxes that hold file positions."""
_BASE_IS_MOOF = 0x020000  # flag of tfhd


@dataclass(frozen=True)
class Splice:
    """Replacement of the bytes `[start, end)` of a file by `data`."""

    start: int
    end: int
    data: bytes


class PositionMap:
    """Map of positions in a file to positions after splices, which must not overlap."""

    def __init__(self, splices: Iterable[Splice]) -> None:
        moving = (item for item in splices if len(item.data) != item.end - item.start)
        ordered = sorted(moving, key=lambda splice: (splice.end, splice.start))
        self._starts = [splice.start for splice in ordered]
        self._ends = [splice.end for splice in ordered]
        growths = (len(splice.data) - splice.end + splice.start for splice in ordered)
        self._shifts = list(accumulate(growths, initial=0))

    @property
    def growth(self) -> int:
        """Bytes that the file gains."""
        return self._shifts[-1]

    def shift_at(self, position: int) -> int:
        """Return how far the byte at a position moves.

        Raises:
            MalformedBoxes: the byte is replaced.
        """
        index = bisect_right(self._ends, position)
        if index < len(self._ends) and self._starts[index] <= position:
            raise MalformedBoxes("a position points into the boxes that are replaced")
        return self._shifts[index]

    def move(self, positions: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the new positions of many bytes. Raises the error of `shift_at`."""
        index = np.searchsorted(np.array(self._ends, np.uint64), positions, side="right")
        starts = np.array([*self._starts, 2**64 - 1], np.uint64)
        if ((index < len(self._ends)) & (starts[index] <= positions)).any():
            raise MalformedBoxes("a position points into the boxes that are replaced")
        return positions + np.array(self._shifts, np.int64).astype(np.uint64)[index]


def move_positions(
    data: bytearray, start: int, moves: PositionMap, skipped: Collection[int] = ()
) -> None:
    """Move the positions in a top-level box, in place.

    Args:
        data: the whole box, of one of `TYPES_WITH_POSITIONS`.
        start: position of the box in the file.
        moves: the map of positions.
        skipped: offsets in `data` of tables to leave as they are.

    Raises:
        MalformedBoxes: the positions cannot be read, or the new ones cannot be stored.
    """
    for path in walk_boxes(data):
        box = path[-1]
        if box.start in skipped:
            continue
        if box.box_type in _TABLES and len(path) > 1:
            if _is_in_this_file(data, path):
                _move_table(data, box, moves)
        elif box.box_type == b"moof":
            _move_fragments(data, box, start, moves)
        elif box.box_type == b"iloc":
            _move_item_locations(data, box, moves)
        elif box.box_type == b"sidx":
            _move_segment_index(data, box, start, moves)


def find_narrow_tables(data: bytearray, moves: PositionMap) -> list[tuple[Mp4Box, ...]]:
    """Return the paths of the stco boxes of a moov whose new positions exceed 32 bits."""
    return [
        path
        for path in walk_boxes(data)
        if path[-1].box_type == b"stco" and _is_in_this_file(data, path)
        if (moves.move(_read_table(data, path[-1])) >= 2**32).any()
    ]


def widen_table(data: bytearray, box: Mp4Box, moves: PositionMap) -> bytes:
    """Return the co64 box with the new positions of an stco box."""
    positions = _read_table(data, box)
    payload = box.start + box.header_size
    table = moves.move(positions).astype(">u8").tobytes()
    rest = bytes(data[payload + 8 + 4 * len(positions) : box.end])
    content = bytes(data[payload : payload + 8]) + table + rest
    return pack_box(b"co64", content)


@dataclass(frozen=True)
class _Table:
    """Numbers of `width` bytes in `data`, `stride` bytes apart."""

    offset: int
    width: int
    count: int
    stride: int

    def view(self, data: bytearray) -> NDArray[np.unsignedinteger]:
        """Return the numbers as an array that writes through to `data`."""
        offset = self.offset if self.count else 0
        return np.ndarray((self.count,), f">u{self.width}", data, offset, (self.stride,))


def _read_table(data: bytearray, box: Mp4Box) -> NDArray[np.uint64]:
    return _parse_chunk_offsets(data, box).view(data).astype(np.uint64)


def _parse_chunk_offsets(data: bytearray, box: Mp4Box) -> _Table:
    width = 4 if box.box_type == b"stco" else 8
    return _parse_table(data, box, fields=4, width=width)


def _parse_auxiliary_offsets(data: bytearray, box: Mp4Box) -> _Table:
    version, flags = _read_uint(data, box, 0, 1), _read_uint(data, box, 1, 3)
    return _parse_table(data, box, fields=12 if flags & 1 else 4, width=8 if version else 4)


def _parse_fragment_index(data: bytearray, box: Mp4Box) -> _Table:
    width = 8 if _read_uint(data, box, 0, 1) else 4
    sizes = _read_uint(data, box, 8, 4)  # of three further numbers, 2 bits each
    stride = 2 * width + sum((sizes >> shift & 3) + 1 for shift in (0, 2, 4))
    return _parse_table(data, box, fields=12, width=width, skip=width, stride=stride)


_TABLES: dict[bytes, Callable[[bytearray, Mp4Box], _Table]] = {
    b"stco": _parse_chunk_offsets,
    b"co64": _parse_chunk_offsets,
    b"saio": _parse_auxiliary_offsets,
    b"tfra": _parse_fragment_index,
}


def _parse_table(
    data: bytearray, box: Mp4Box, *, fields: int, width: int, skip: int = 0, stride: int = 0
) -> _Table:
    """Return the table after `fields` bytes and a 32-bit count; `skip` bytes precede a number."""
    count = _read_uint(data, box, fields, 4)
    start = box.start + box.header_size + fields + 4
    stride = stride or width
    if start + count * stride > box.end:
        raise MalformedBoxes(f"its {box.box_type.decode()} box is too short for {count} positions")
    return _Table(start + skip, width, count, stride)


def _move_table(data: bytearray, box: Mp4Box, moves: PositionMap) -> None:
    table = _TABLES[box.box_type](data, box)
    numbers = table.view(data)
    moved = moves.move(numbers.astype(np.uint64))
    if table.width == 4 and (moved >= 2**32).any():
        raise MalformedBoxes(
            f"its {box.box_type.decode()} box has no room for positions of 64 bits"
        )
    numbers[:] = moved


def _is_in_this_file(data: bytearray, path: Sequence[Mp4Box]) -> bool:
    """Return whether the positions of a table are absolute and in this file.

    Positions in a track fragment are relative; the data of a track may be in another file.
    """
    parents = {box.box_type: box for box in path[:-1]}
    if b"traf" in parents:
        return False
    if (minf := parents.get(b"minf")) is None:
        return True
    content = bytes(data[minf.start + minf.header_size : minf.end])
    entries = [
        table[entry.start + entry.header_size : entry.end][:4]
        for table in find_payloads(content, b"dinf", b"dref")
        for entry in iter_boxes(table, 8)
    ]
    is_inside = [len(flags) < 4 or bool(flags[3] & 1) for flags in entries]
    if len(set(is_inside)) > 1:
        raise MalformedBoxes("a track has some of its data in another file")
    return all(is_inside)


def _move_fragments(data: bytearray, moof: Mp4Box, start: int, moves: PositionMap) -> None:
    """Move the bases of a moof's track fragments, or check that their data move along with it."""
    parts = list(iter_boxes(data, moof.start + moof.header_size, moof.end, limit=None))
    fragments = [box for box in parts if box.box_type == b"traf"]
    for number, traf in enumerate(fragments):
        inner = list(iter_boxes(data, traf.start + traf.header_size, traf.end, limit=None))
        header = next((box for box in inner if box.box_type == b"tfhd"), None)
        if header is None:
            continue
        flags = _read_uint(data, header, 1, 3)
        offsets = [offset for box in inner for offset in _list_relative_positions(data, box)]
        if flags & 1:
            base = _read_uint(data, header, 8, 8)
            shift = _get_common_shift([base + offset for offset in offsets] or [base], moves)
            struct.pack_into(">Q", data, header.start + header.header_size + 8, base + shift)
        elif flags & _BASE_IS_MOOF or number == 0:  # others start where the one before ends
            base = start + moof.start
            _get_common_shift([base, *(base + offset for offset in offsets)], moves)


def _list_relative_positions(data: bytearray, box: Mp4Box) -> list[int]:
    """Return the positions in a box of a traf, relative to the base of the track fragment."""
    if box.box_type == b"trun" and _read_uint(data, box, 1, 3) & 1:
        offset = _read_uint(data, box, 8, 4)
        return [offset - (offset >> 31 << 32)]  # signed
    if box.box_type == b"saio":
        return [int(offset) for offset in _parse_auxiliary_offsets(data, box).view(data)]
    return []


def _get_common_shift(positions: Iterable[int], moves: PositionMap) -> int:
    shifts = {moves.shift_at(position) for position in positions}
    if len(shifts) != 1:
        raise MalformedBoxes("a fragment has data on both sides of the index (moov)")
    return shifts.pop()


def _move_segment_index(data: bytearray, box: Mp4Box, start: int, moves: PositionMap) -> None:
    """Move the first position of a sidx box, which counts from the end of the box."""
    field, width = (20, 8) if _read_uint(data, box, 0, 1) else (16, 4)
    anchor = start + box.end
    first = anchor + _read_uint(data, box, field, width)
    sizes = field + width + 4
    count = _read_uint(data, box, sizes - 2, 2)
    references = (_read_uint(data, box, sizes + 12 * number, 4) for number in range(count))
    end = first + sum(size & 0x7FFFFFFF for size in references)
    if moves.shift_at(first) != moves.shift_at(end):
        raise MalformedBoxes("its sidx box counts the index (moov) as a part of the data")
    shift = moves.shift_at(first) - moves.shift_at(anchor)
    _write_uint(data, box, field, width, first - anchor + shift)


def _move_item_locations(data: bytearray, box: Mp4Box, moves: PositionMap) -> None:
    """Move the positions of an iloc box that count from the start of this file."""
    version, widths = _read_uint(data, box, 0, 1), _read_uint(data, box, 4, 2)
    offset_width, length_width, base_width = widths >> 12, widths >> 8 & 15, widths >> 4 & 15
    index_width = widths & 15 if version in (1, 2) else 0
    number_width = 4 if version == 2 else 2
    field = 6 + number_width
    for _ in range(_read_uint(data, box, 6, number_width)):
        field += number_width
        method = _read_uint(data, box, field, 2) & 15 if version in (1, 2) else 0
        field += 2 if version in (1, 2) else 0
        is_in_this_file = method == 0 and _read_uint(data, box, field, 2) == 0
        base_field, field = field + 2, field + 2 + base_width
        base = _read_uint(data, box, base_field, base_width)
        count = _read_uint(data, box, field, 2)
        stride = index_width + offset_width + length_width
        fields = [field + 2 + index_width + stride * number for number in range(count)]
        field += 2 + stride * count
        offsets = [_read_uint(data, box, place, offset_width) for place in fields]
        if not is_in_this_file or not base_width + offset_width:
            continue
        shifts = [moves.shift_at(base + offset) for offset in offsets]
        if base_width and len(set(shifts)) == 1:
            _write_uint(data, box, base_field, base_width, base + shifts[0])
            continue
        for place, offset, shift in zip(fields, offsets, shifts, strict=True):
            _write_uint(data, box, place, offset_width, offset + shift)


def _read_uint(data: bytearray, box: Mp4Box, field: int, width: int) -> int:
    """Return the number of `width` bytes at offset `field` of a box's payload."""
    start = box.start + box.header_size + field
    if start + width > box.end:
        raise MalformedBoxes(f"its {box.box_type.decode('latin-1')} box is cut off")
    return int.from_bytes(data[start : start + width], "big")


def _write_uint(data: bytearray, box: Mp4Box, field: int, width: int, value: int) -> None:
    if not 0 <= value < 1 << 8 * width:
        name = box.box_type.decode("latin-1")
        raise MalformedBoxes(f"its {name} box has no room for a position of {value}")
    start = box.start + box.header_size + field
    data[start : start + width] = value.to_bytes(width, "big")
