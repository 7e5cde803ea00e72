"""Edit lists of mp4 files (ISO/IEC 14496-12, 8.6.6)."""

import struct
from pathlib import Path

from argus.media import pack_box

_PARENTS = (b"moov", b"trak", b"edts")
_EMPTY = -1


def replace_edits(source: Path, path: Path, edits: list[tuple[float, float | None, float]]) -> Path:
    """Copy an mp4 with one track and its moov at the end, with another edit list.

    Args:
        source: a file with an edit list.
        path: the copy.
        edits: (duration in seconds, start in the media in seconds or None for an empty edit,
            rate) of each edit.
    """
    data = source.read_bytes()
    movie_scale = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)[0]
    media_scale = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)[0]
    first = data.index(b"elst")
    size = struct.unpack_from(">I", data, first - 4)[0]
    offset = struct.unpack_from(">i", data, first + 16)[0]  # of the first frame, for B-frames
    entries = [
        struct.pack(
            ">IiHH",
            round(duration_s * movie_scale),
            _EMPTY if start_s is None else offset + round(start_s * media_scale),
            int(rate),
            round(rate % 1 * 65536),
        )
        for duration_s, start_s, rate in edits
    ]
    box = pack_box(b"elst", struct.pack(">II", 0, len(entries)) + b"".join(entries))
    out = bytearray(data[: first - 4] + box + data[first - 4 + size :])
    for parent in _PARENTS:
        position = data.index(parent) - 4
        old = struct.unpack_from(">I", data, position)[0]
        struct.pack_into(">I", out, position, old + len(box) - size)
    path.write_bytes(out)
    return path
