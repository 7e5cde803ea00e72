"""Tracks of an mp4 file and their sample entries, read from the boxes alone.

The track that readers show is chosen without FFmpeg, by the rule of `argus.media.tracks`.
"""

import struct
from collections.abc import Sequence

from argus.media.info import DEFAULT_TRACK_BONUS
from argus.media.mp4.boxes import find_payloads, get_payload, iter_boxes

ENTRY_FIELDS_BYTES = 78  # of a VisualSampleEntry's payload, before its boxes
STSD_FIELDS_BYTES = 8  # version, flags and number of entries
_PALETTE_DEPTHS = {1, 2, 4, 8}  # bits per pixel of QuickTime pictures with a color table


def choose_video_track(moov: bytes) -> int | None:
    """Return which trak box of a moov payload readers show, from 0; None without a video track.

    The choice is FFmpeg's: the largest picture, where being enabled counts as much as five million
    pixels, and the first of equals. Pictures of chapters are never chosen, and a track without
    samples only if there is no other.
    """
    tracks = list(find_payloads(moov, b"trak"))
    is_fragmented = any(True for _ in find_payloads(moov, b"mvex"))
    chapters = _list_chapter_tracks(tracks)
    ranks = {
        number: _rank_track(track, is_fragmented=is_fragmented)
        for number, track in enumerate(tracks)
        if is_video_track(track) and _read_track_id(track) not in chapters
    }
    return max(ranks, key=lambda number: ranks[number], default=None)


def is_video_track(track: bytes) -> bool:
    """Return whether the payload of a trak box is a video track."""
    return any(handler[8:12] == b"vide" for handler in find_payloads(track, b"mdia", b"hdlr"))


def list_sample_entries(track: bytes) -> list[bytes]:
    """Return the payloads of all sample entries in the payload of a trak box."""
    return [
        get_payload(table, entry)
        for table in find_payloads(track, b"mdia", b"minf", b"stbl", b"stsd")
        for entry in iter_boxes(table, STSD_FIELDS_BYTES)
    ]


def parse_entry_size(entry: bytes) -> tuple[int, int]:
    """Return the (height, width) in a VisualSampleEntry's payload; (0, 0) if it is cut off."""
    if len(entry) < ENTRY_FIELDS_BYTES:
        return 0, 0
    width, height = struct.unpack_from(">HH", entry, 24)
    return height, width


def find_entry_boxes(entry: bytes) -> int:
    """Return the offset of the first box in a VisualSampleEntry's payload.

    A QuickTime picture with few colors has its color table before the boxes.
    """
    if len(entry) < ENTRY_FIELDS_BYTES + 8:
        return ENTRY_FIELDS_BYTES
    depth, table_id = struct.unpack_from(">HH", entry, 74)
    first, _, last = struct.unpack_from(">IHH", entry, ENTRY_FIELDS_BYTES)
    end = ENTRY_FIELDS_BYTES + 8 + 8 * (last - first + 1)
    has_table = depth & 0x1F in _PALETTE_DEPTHS and table_id == 0 and first <= last
    return end if has_table and end <= len(entry) else ENTRY_FIELDS_BYTES


def _rank_track(track: bytes, *, is_fragmented: bool) -> tuple[bool, int]:
    """Return a rank that is higher for a better track."""
    areas = (height * width for height, width in map(parse_entry_size, list_sample_entries(track)))
    bonus = DEFAULT_TRACK_BONUS if _is_enabled(track) else 0
    return is_fragmented or _count_samples(track) > 0, next(areas, 0) + bonus


def _is_enabled(track: bytes) -> bool:
    return any(len(header) >= 4 and header[3] & 1 for header in find_payloads(track, b"tkhd"))


def _count_samples(track: bytes) -> int:
    for box_type in (b"stsz", b"stz2"):
        for sizes in find_payloads(track, b"mdia", b"minf", b"stbl", box_type):
            return int.from_bytes(sizes[8:12], "big")
    return 0


def _read_track_id(track: bytes) -> int:
    for header in find_payloads(track, b"tkhd"):
        start = 20 if header[:1] == b"\1" else 12
        return int.from_bytes(header[start : start + 4], "big")
    return 0


def _list_chapter_tracks(tracks: Sequence[bytes]) -> set[int]:
    """Return the numbers of tracks that hold titles or pictures of other tracks' chapters."""
    return {
        int.from_bytes(numbers[start : start + 4], "big")
        for track in tracks
        for numbers in find_payloads(track, b"tref", b"chap")
        for start in range(0, len(numbers) - 3, 4)
    }
