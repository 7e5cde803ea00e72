"""Checks that a file is as long as its own structure declares.

Its bytes count. Durations and frame counts in headers are no measure: edit lists hide frames, and
other tracks may be longer than the video.
"""

import struct
from collections.abc import Callable
from typing import BinaryIO

from argus.media.matroska import find_segment_end
from argus.media.mp4.boxes import iter_file_boxes

_MEDIA_BOXES = {b"mdat", b"moov", b"moof", b"mfra"}  # a trailer may look like any other box
_BOX_HEADER_BYTES = 8
_SYNC_BYTE = 0x47
_TS_PACKET_BYTES = 188
_TS_PREFIXES = (0, 4, 0)  # bytes before each packet: none; a time code (M2TS)
_TS_SUFFIXES = (0, 0, 16)  # bytes after each packet: error correction
_TS_PACKETS = 5  # that must follow one another
_OGG_TAIL_BYTES = 1 << 17  # a page has at most 65,307


def describe_missing_end(file: BinaryIO, container: str) -> str:
    """Return what is missing at the end of a file; empty if it is complete or cannot be judged.

    Args:
        file: the file; its position is changed.
        container: as in `MediaInfo.container`.
    """
    check = _CHECKS.get(container)
    size = file.seek(0, 2)
    return check(file, size) if check else ""


def _check_mp4(file: BinaryIO, size: int) -> str:
    names, end = set(), 0
    for box in iter_file_boxes(file, limit=None):
        if box.end > size and box.box_type in _MEDIA_BOXES:
            return f"{box.end - size} bytes of its last box are missing"
        names.add(box.box_type)
        end = box.end
    if b"mdat" in names and b"moov" not in names:
        return "its index (moov) is missing"
    file.seek(min(end, size))  # a trailer may look like a box of any size
    is_header_cut = b"moof" in names and size - end < _BOX_HEADER_BYTES and any(file.read())
    return "a part of its last fragment is missing" if is_header_cut else ""


def _check_matroska(file: BinaryIO, size: int) -> str:
    end = find_segment_end(file)
    return f"{end - size} bytes of its segment are missing" if end > size else ""


def _check_mpegts(file: BinaryIO, size: int) -> str:
    """Recognize the packets before the end; what follows the last one must not begin another."""
    for prefix, suffix in zip(_TS_PREFIXES, _TS_SUFFIXES, strict=True):
        step = prefix + _TS_PACKET_BYTES + suffix
        start = file.seek(max(0, size - (_TS_PACKETS + 1) * step))
        tail = file.read()
        for first in range(prefix, prefix + step):
            count = (len(tail) - (first - prefix)) // step
            syncs = tail[first : first - prefix + count * step : step]
            if (count < _TS_PACKETS and start) or set(syncs) != {_SYNC_BYTE}:
                continue
            rest = tail[first - prefix + count * step :]
            is_packet = len(rest) <= prefix or rest[prefix] == _SYNC_BYTE
            missing = f"{step - len(rest)} bytes of its last packet are missing"
            return missing if rest and is_packet else ""
    return ""


def _check_riff(file: BinaryIO, size: int) -> str:
    """Walk the RIFF chunks; an AVI of more than a gigabyte has several."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        name, length = struct.unpack("<4sI", file.read(8))
        if name != b"RIFF":
            return ""
        position += 8 + length + length % 2
        if position > size + 1:
            return f"{position - size} bytes of its last chunk are missing"
    return ""


def _check_flv(file: BinaryIO, size: int) -> str:
    """Compare the size stored at the end with that of the tag before it."""
    file.seek(max(0, size - 4))
    length = int.from_bytes(file.read(4), "big")
    if 11 <= length <= size - 4:
        file.seek(size - 4 - length)
        if int.from_bytes(file.read(4)[1:], "big") + 11 == length:
            return ""
    return "a part of its last tag is missing"


def _check_ogg(file: BinaryIO, size: int) -> str:
    file.seek(max(0, size - _OGG_TAIL_BYTES))
    tail = file.read()
    page = tail.rfind(b"OggS")
    if page < 0:
        return ""
    segments = tail[page + 26] if page + 26 < len(tail) else 0
    length = 27 + segments + sum(tail[page + 27 : page + 27 + segments])
    missing = page + length - len(tail)
    return f"{missing} bytes of its last page are missing" if missing > 0 else ""


_CHECKS: dict[str, Callable[[BinaryIO, int], str]] = {
    "mp4": _check_mp4,
    "matroska": _check_matroska,
    "mpegts": _check_mpegts,
    "avi": _check_riff,
    "flv": _check_flv,
    "ogg": _check_ogg,
}
