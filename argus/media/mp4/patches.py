"""Corrections of an mp4 in place, for fields that no option of ffmpeg's muxer sets."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from argus.media.info import UNDECLARED_COLOR
from argus.media.mp4.boxes import Mp4Box, iter_boxes, iter_file_boxes, read_payload

PLACEHOLDER_COLOR = 1
"""Number of BT.709 (primaries, transfer function or matrix), written for an undeclared one."""


@dataclass(frozen=True)
class TrackPatch:
    """Corrections of a track.

    Attributes:
        color: FFmpeg's numbers of primaries, transfer and matrix. ffmpeg writes none of them unless
            all are known, so it is given `PLACEHOLDER_COLOR` for the others.
        early_s: seconds by which other frames are shown before the first frame that is stored.
            ffmpeg begins with the latter.
    """

    color: tuple[int, ...] = ()
    early_s: Fraction = Fraction(0)


def patch_tracks(path: Path, patches: Sequence[TrackPatch]) -> None:
    """Correct the tracks of an mp4 file in place, in order."""
    with path.open("r+b") as file:
        moov = next(box for box in iter_file_boxes(file) if box.box_type == b"moov")
        data = bytearray(read_payload(file, moov) or b"")
        tracks = [box for box in iter_boxes(data) if box.box_type == b"trak"]
        for track, patch in zip(tracks, patches, strict=False):
            _remove_placeholders(data, track, patch.color)
            if patch.early_s:
                _begin_earlier(data, track, patch.early_s)
        file.seek(moov.start + moov.header_size)
        file.write(data)


def _remove_placeholders(data: bytearray, track: Mp4Box, color: tuple[int, ...]) -> None:
    filled = (PLACEHOLDER_COLOR if number == UNDECLARED_COLOR else number for number in color)
    written = b"colrnclx" + struct.pack(f">{len(color)}H", *filled)
    position = data.find(written, track.start, track.end)
    if color and position >= 0:
        struct.pack_into(">3H", data, position + len(b"colrnclx"), *color)


def _begin_earlier(data: bytearray, track: Mp4Box, early_s: Fraction) -> None:
    """Let the edit of a track begin earlier in the media, and the pause before it be shorter.

    Without a pause the edit begins with the file, and shows all frames.
    """
    edits = _find_box(data, track, b"edts", b"elst")
    movie = _read_timescale(data, _find_box(data, None, b"mvhd"))
    media = _read_timescale(data, _find_box(data, track, b"mdia", b"mdhd"))
    start = edits.start + edits.header_size
    form = ">Qq4x" if data[start] else ">Ii4x"
    if int.from_bytes(data[start + 4 : start + 8], "big") < 2:
        return
    first, second = start + 8, start + 8 + struct.calcsize(form)
    pause, _ = struct.unpack_from(form, data, first)
    duration, begin = struct.unpack_from(form, data, second)
    shift = min(round(early_s * movie), pause)
    struct.pack_into(form[:-2], data, first, pause - shift, -1)
    struct.pack_into(form[:-2], data, second, duration + shift, begin - shift * media // movie)


def _find_box(data: bytearray, parent: Mp4Box | None, *path: bytes) -> Mp4Box:
    box = parent
    for box_type in path:
        start, end = (box.start + box.header_size, box.end) if box else (0, len(data))
        box = next(item for item in iter_boxes(data, start, end) if item.box_type == box_type)
    assert box
    return box


def _read_timescale(data: bytearray, header: Mp4Box) -> int:
    """Return the units per second in an mvhd or mdhd box."""
    start = header.start + header.header_size
    return int.from_bytes(data[start + (20 if data[start] else 12) :][:4], "big")
