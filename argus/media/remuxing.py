"""Copying the video and the sound of a file into an mp4 without coding them again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from argus.errors import VideoError
from argus.media import errors
from argus.media.probing import open_container, video_stream
from schemas.names import Reason

_OPTIONS = {"movflags": "+faststart", "avoid_negative_ts": "make_zero", "fflags": "+bitexact"}
_MOST_WAITING = 32  # frames that a decoder may hold back are 16


def remux(src: Path, dst: Path) -> None:
    """Writes `dst`, an mp4, with the first video stream and all sound of `src`, packet by packet; spherical metadata is `tag_spherical`'s to add.

    Raises VideoError: as `probe`, or UNSUPPORTED_CODEC where an mp4 cannot hold a stream.
    """
    name = str(src)
    with errors.opening(name, src):
        old = open_container(src, decoded=True)
    with old, av.open(str(dst.absolute()), "w", format="mp4", options=_OPTIONS) as new:
        copies = {
            stream.index: _copy_of(stream, new, name)
            for stream in (video_stream(old, name), *old.streams.audio)
        }
        for packet in _packets(old, name, src):
            if packet.stream_index not in copies:
                continue
            packet.stream = copies[packet.stream_index]
            try:
                new.mux(packet)
            except ValueError as exc:  # times that run backwards, or no header that an mp4 needs
                raise errors.corrupt(name, "an mp4 cannot take its packets as they are") from exc


def _copy_of(stream: Any, new: Any, name: str) -> Any:
    context = stream.codec_context
    codec = context.codec.canonical_name if context else "unknown"
    if codec not in new.supported_codecs:
        raise VideoError(
            Reason.UNSUPPORTED_CODEC,
            f"{name}: an mp4 cannot hold its {stream.type} ({codec}); convert it to H.264, HEVC, VP9 or AV1 first",
        )
    return new.add_stream_from_template(stream, opaque=True)  # no encoder is needed


def _packets(container: Any, name: str, path: Path) -> Iterator[Any]:
    """All packets, those that Matroska begins with given the decoding times that it does not store: one frame before another."""
    early: dict[int, list[Any]] = {}
    with errors.opening(name, path):
        for packet in container.demux():
            if packet.size == 0:
                continue
            waiting = early.setdefault(packet.stream_index, [])
            waiting.append(packet)
            if packet.dts is None and len(waiting) < _MOST_WAITING:
                continue
            packet.dts = packet.pts if packet.dts is None else packet.dts
            for before, after in zip(waiting[-2::-1], waiting[:0:-1], strict=True):
                before.dts = None if after.dts is None else after.dts - max(1, before.duration or 0)
            yield from waiting
            waiting.clear()
    for waiting in early.values():  # a stream too short to have any decoding time: its display times in order, early enough for all
        shown = [packet.pts for packet in waiting if packet.pts is not None]
        ahead = max((time - pts for time, pts in zip(sorted(shown), shown, strict=True)), default=0)
        for packet, time in zip(
            (packet for packet in waiting if packet.pts is not None), sorted(shown), strict=True
        ):
            packet.dts = time - ahead
            yield packet
