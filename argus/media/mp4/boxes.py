"""Parser for the boxes of an mp4 file (ISO/IEC 14496-12).

Every size is validated: a box with an impossible size ends the iteration, and no size field makes
the parser allocate memory. Readers look at a bounded number of boxes. A writer must know the whole
file: it removes the limit, and `walk_boxes` raises where boxes could be hidden.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import BinaryIO

MAX_BOXES = 100_000  # siblings; an hour of one-second fragments has 7,200
MAX_PAYLOAD_BYTES = 256 << 20  # read into memory; the moov of ten hours at 60 fps has about 40 MiB
_MAX_DEPTH = 16  # the deepest box that is opened has 5 ancestors
_MP4_TYPES = frozenset({b"ftyp", b"moov", b"moof", b"mdat"})
_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"mfra"})


@dataclass(frozen=True)
class Mp4Box:
    """Byte range of a box: `[start, start + header_size)` is its header, the rest its payload."""

    box_type: bytes
    start: int
    header_size: int
    end: int

    @property
    def size(self) -> int:
        """Size of the box in bytes, header included."""
        return self.end - self.start


class MalformedBoxes(ValueError):
    """A container of boxes that cannot be read to its end."""


def iter_boxes(
    data: bytes | bytearray | memoryview,
    start: int = 0,
    end: int | None = None,
    limit: int | None = MAX_BOXES,
) -> Iterator[Mp4Box]:
    """Yield the sibling boxes in `data[start:end]`, up to the first with a bad size.

    Args:
        data: the boxes.
        start: offset of the first box.
        end: end of the last box; None for the end of the data.
        limit: number of boxes after which the iteration ends; None for all.
    """
    stop = len(data) if end is None else end

    def read(position: int, count: int) -> bytes:
        return bytes(data[position : position + count])

    for box in _iter_headers(read, start, stop, limit):
        if box.end > stop:
            return
        yield box


def iter_file_boxes(file: BinaryIO, limit: int | None = MAX_BOXES) -> Iterator[Mp4Box]:
    """Yield a file's top-level boxes, headers only; the last may end past the file's end.

    Args:
        file: the file; it may be read and moved between two boxes.
        limit: number of boxes after which the iteration ends; None for all.
    """

    def read(position: int, count: int) -> bytes:
        file.seek(position)
        return file.read(count)

    return _iter_headers(read, 0, file.seek(0, 2), limit)


def walk_boxes(
    data: bytes | bytearray,
    start: int = 0,
    end: int | None = None,
    parents: tuple[Mp4Box, ...] = (),
) -> Iterator[tuple[Mp4Box, ...]]:
    """Yield the path of every box in `data[start:end]`, its ancestors first, in file order.

    Only boxes that lead to tables of samples, fragments or items are opened.

    Raises:
        MalformedBoxes: such a container has boxes after one with an impossible size.
    """
    if len(parents) > _MAX_DEPTH:
        raise MalformedBoxes("its boxes are nested too deeply")
    stop = len(data) if end is None else end
    position = start
    for box in iter_boxes(data, start, stop, limit=None):
        path = (*parents, box)
        position = box.end
        yield path
        inner = box.start + box.header_size
        if box.box_type in _CONTAINERS:
            yield from walk_boxes(data, inner, box.end, path)
        elif box.box_type == b"meta":
            # A full box in ISO files, a plain one in QuickTime's
            inner += 0 if data[inner + 4 : inner + 8] == b"hdlr" else 4
            for child in iter_boxes(data, inner, box.end, limit=None):
                yield (*path, child)
    if stop - position >= 8:  # fewer bytes are QuickTime's terminator, or padding
        owner = parents[-1].box_type.decode("latin-1") if parents else "file"
        raise MalformedBoxes(f"a box in its {owner} has an impossible size")


def get_payload(data: bytes | bytearray | memoryview, box: Mp4Box) -> bytes:
    """Return the payload of a box in `data`."""
    return bytes(data[box.start + box.header_size : box.end])


def read_payload(file: BinaryIO, box: Mp4Box) -> bytes | None:
    """Read the payload of a box; None if it exceeds `MAX_PAYLOAD_BYTES` or the end of the file."""
    length = box.size - box.header_size
    if length > MAX_PAYLOAD_BYTES:
        return None
    file.seek(box.start + box.header_size)
    payload = file.read(length)
    return payload if len(payload) == length else None


def read_moov(path: Path) -> bytes:
    """Return the payload of a file's moov box; empty if there is none that can be read."""
    with path.open("rb") as file:
        boxes = iter_file_boxes(file, limit=None)
        moov = next((box for box in boxes if box.box_type == b"moov"), None)
        return (read_payload(file, moov) if moov else None) or b""


def find_payloads(data: bytes, *path: bytes) -> Iterator[bytes]:
    """Yield the payloads of all boxes at a path of box types, such as `b"mdia", b"hdlr"`."""
    for box in iter_boxes(data):
        if box.box_type == path[0]:
            payload = get_payload(data, box)
            if len(path) == 1:
                yield payload
            else:
                yield from find_payloads(payload, *path[1:])


def pack_box(box_type: bytes, payload: bytes) -> bytes:
    """Return a box: its 8-byte header followed by the payload."""
    return struct.pack(">I4s", 8 + len(payload), box_type) + payload


def is_mp4(path: Path) -> bool:
    """Return whether a file has a top-level box of an mp4 or mov; it need not be playable."""
    with path.open("rb") as file:
        return any(box.box_type in _MP4_TYPES for box in iter_file_boxes(file, limit=None))


def _iter_headers(
    read: Callable[[int, int], bytes], start: int, end: int, limit: int | None
) -> Iterator[Mp4Box]:
    for number in count():
        if start + 8 > end or number == limit:
            return
        head = read(start, 16)
        size, box_type = struct.unpack_from(">I4s", head)
        header_size = 8
        if size == 1 and len(head) == 16:
            size, header_size = struct.unpack_from(">Q", head, 8)[0], 16
        elif size == 0:
            size = end - start
        if size < header_size:
            return
        yield Mp4Box(box_type, start, header_size, start + size)
        start += size
