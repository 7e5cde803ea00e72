"""The boxes of an mp4 file (ISO/IEC 14496-12), read with every size checked: a lying size ends the walk, and never allocates or loops."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MOST_BOXES = 100_000  # side by side; an hour of one-second fragments has 7,200
MOST_BYTES = (
    256 << 20
)  # of one box that is read into memory; the moov of ten hours of 60 fps has about 40 MiB


@dataclass(frozen=True)
class Box:
    """Where a box lies: [start, start + header) is its header, [start + header, end) its payload."""

    kind: bytes
    start: int
    header: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start


def boxes_in(data: bytes | memoryview, start: int = 0) -> Iterator[Box]:
    """The boxes that lie side by side in `data` from `start` on, up to the first whose size cannot be true."""

    def read(position: int, count: int) -> bytes:
        return bytes(data[position : position + count])

    for box in _walk(read, start, len(data)):
        if box.end > len(data):
            return
        yield box


def boxes_of_file(file: BinaryIO) -> Iterator[Box]:
    """The boxes at a file's top level, reading only their headers. The last one may end past the end of the file."""

    def read(position: int, count: int) -> bytes:
        file.seek(position)
        return file.read(count)

    return _walk(read, 0, file.seek(0, 2))


def payload(data: bytes | memoryview, box: Box) -> bytes:
    """A box's content."""
    return bytes(data[box.start + box.header : box.end])


def payload_in_file(file: BinaryIO, box: Box) -> bytes | None:
    """A box's content, None when it is too large to be true or lies past the end of the file."""
    count = box.size - box.header
    if count > MOST_BYTES:
        return None
    file.seek(box.start + box.header)
    content = file.read(count)
    return content if len(content) == count else None


def find(data: bytes, *path: bytes) -> Iterator[bytes]:
    """The contents of all boxes that a path of kinds leads to, such as b"mdia", b"hdlr"."""
    for box in boxes_in(data):
        if box.kind == path[0]:
            content = payload(data, box)
            if len(path) == 1:
                yield content
            else:
                yield from find(content, *path[1:])


def pack(kind: bytes, content: bytes) -> bytes:
    """A box with its header."""
    return struct.pack(">I4s", 8 + len(content), kind) + content


def edited(
    content: bytes, edit: Callable[[bytes, bytes], bytes | None], start: int = 0, added: bytes = b""
) -> bytes:
    """The boxes of `content` with each payload replaced by edit(kind, payload), where None drops the box; then `added`.

    The bytes before `start` are no boxes, and stay.
    """
    out = [content[:start]]
    end = start
    for box in boxes_in(content, start):
        new = edit(box.kind, payload(content, box))
        if new is not None:
            out.append(pack(box.kind, new))
        end = box.end
    out += [
        added,
        content[end:],
    ]  # QuickTime may end with a terminator that is no box: kept, at the end
    return b"".join(out)


def runs_past_end(path: Path) -> bool:
    """Whether a file's boxes announce more bytes than it has, or its index is missing: it was cut off."""
    size = path.stat().st_size
    with path.open("rb") as file:
        found = list(boxes_of_file(file))
    return bool(found) and (
        found[-1].end > size or all(box.kind not in {b"moov", b"moof"} for box in found)
    )


def _walk(read: Callable[[int, int], bytes], start: int, end: int) -> Iterator[Box]:
    for _ in range(MOST_BOXES):
        if start + 8 > end:
            return
        head = read(start, 16)
        size, kind = struct.unpack_from(">I4s", head)
        header = 8
        if size == 1 and len(head) == 16:
            size, header = struct.unpack_from(">Q", head, 8)[0], 16
        elif size == 0:
            size = end - start
        if size < header:
            return
        yield Box(kind, start, header, start + size)
        start += size
