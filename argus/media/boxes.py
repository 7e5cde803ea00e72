"""Parser and writer for the boxes of an mp4 file (ISO/IEC 14496-12).

Every size is validated: a box with an impossible size ends the iteration, and no size field makes
the parser allocate memory or loop without bound.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MAX_BOXES = 100_000  # siblings; an hour of one-second fragments has 7,200
MAX_PAYLOAD_BYTES = 256 << 20  # read into memory; the moov of ten hours at 60 fps has about 40 MiB


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


def iter_boxes(data: bytes | memoryview, start: int = 0) -> Iterator[Mp4Box]:
    """Yield the sibling boxes in `data` from offset `start`, up to the first with a bad size."""

    def read(position: int, count: int) -> bytes:
        return bytes(data[position : position + count])

    for box in _iter_headers(read, start, len(data)):
        if box.end > len(data):
            return
        yield box


def iter_file_boxes(file: BinaryIO) -> Iterator[Mp4Box]:
    """Yield a file's top-level boxes, headers only; the last may end past the file's end."""

    def read(position: int, count: int) -> bytes:
        file.seek(position)
        return file.read(count)

    return _iter_headers(read, 0, file.seek(0, 2))


def get_payload(data: bytes | memoryview, box: Mp4Box) -> bytes:
    """Return the payload of a box in `data`."""
    return bytes(data[box.start + box.header_size : box.end])


def read_payload(file: BinaryIO, box: Mp4Box) -> bytes | None:
    """Read the payload of a box; None if it exceeds `MAX_PAYLOAD_BYTES` or the end of the file."""
    count = box.size - box.header_size
    if count > MAX_PAYLOAD_BYTES:
        return None
    file.seek(box.start + box.header_size)
    payload = file.read(count)
    return payload if len(payload) == count else None


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


def rewrite_boxes(
    data: bytes,
    rewrite: Callable[[bytes, bytes], bytes | None],
    start: int = 0,
    appended: bytes = b"",
) -> bytes:
    """Return `data` with the payloads of its boxes rewritten.

    Args:
        data: sibling boxes, after `start` bytes that are copied unchanged.
        rewrite: called with (box type, payload); returns the new payload, or None to drop the box.
        start: offset of the first box.
        appended: boxes to add after the last one.
    """
    out = [data[:start]]
    end = start
    for box in iter_boxes(data, start):
        payload = rewrite(box.box_type, get_payload(data, box))
        if payload is not None:
            out.append(pack_box(box.box_type, payload))
        end = box.end
    out += [appended, data[end:]]  # QuickTime may end with a terminator that is not a box: keep it
    return b"".join(out)


def is_truncated(path: Path) -> bool:
    """Return whether the boxes extend past the end of the file, or the index (moov) is missing."""
    size = path.stat().st_size
    with path.open("rb") as file:
        boxes = list(iter_file_boxes(file))
    return bool(boxes) and (
        boxes[-1].end > size or all(box.box_type not in {b"moov", b"moof"} for box in boxes)
    )


def _iter_headers(read: Callable[[int, int], bytes], start: int, end: int) -> Iterator[Mp4Box]:
    for _ in range(MAX_BOXES):
        if start + 8 > end:
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
