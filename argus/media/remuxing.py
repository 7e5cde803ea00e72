"""Remuxing of a file's video and audio streams into an mp4, without re-encoding."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from argus.errors import VideoError
from argus.media import errors
from argus.media.probing import get_video_stream, open_container
from schemas.names import Reason

_MUXER_OPTIONS = {"movflags": "+faststart", "avoid_negative_ts": "make_zero", "fflags": "+bitexact"}
_MAX_BUFFERED_PACKETS = 32  # a decoder may hold back 16 frames


def remux(src: Path, dst: Path) -> None:
    """Copy the first video stream and all audio streams into an mp4, packet by packet.

    Spherical metadata is not copied; `tag_spherical` writes it.

    Args:
        src: the video.
        dst: the mp4 to write.

    Raises:
        VideoError: with the reasons of `probe`; UNSUPPORTED_CODEC also if an mp4 cannot hold a
            stream.
    """
    name = str(src)
    with errors.map_open_errors(name, src):
        old = open_container(src, decode=True)
    with old, av.open(str(dst.absolute()), "w", format="mp4", options=_MUXER_OPTIONS) as new:
        streams = (get_video_stream(old, name), *old.streams.audio)
        copies = {stream.index: _add_copy(stream, new, name) for stream in streams}
        for packet in _iter_packets(old, name, src):
            if packet.stream_index not in copies:
                continue
            packet.stream = copies[packet.stream_index]
            try:
                new.mux(packet)
            except ValueError as exc:  # decreasing timestamps, or a codec header is missing
                raise errors.corrupt_error(name, "its packets cannot be copied to an mp4") from exc


def _add_copy(stream: Any, new: Any, name: str) -> Any:
    context = stream.codec_context
    codec = context.codec.canonical_name if context else "unknown"
    if codec not in new.supported_codecs:
        raise VideoError(
            Reason.UNSUPPORTED_CODEC,
            f"{name}: an mp4 cannot hold its {stream.type} stream ({codec}); "
            "convert it to H.264, HEVC, VP9 or AV1 first",
        )
    return new.add_stream_from_template(stream, opaque=True)  # no encoder is needed


def _iter_packets(container: Any, name: str, path: Path) -> Iterator[Any]:
    """Yield all packets with decoding times.

    Matroska stores no decoding times, so the first packets of a stream have none until the demuxer
    has derived one: those get times one frame apart, counted back from the first known one.
    """
    pending: dict[int, list[Any]] = {}  # by stream
    with errors.map_open_errors(name, path):
        for packet in container.demux():
            if packet.size == 0:
                continue
            packets = pending.setdefault(packet.stream_index, [])
            packets.append(packet)
            if packet.dts is None and len(packets) < _MAX_BUFFERED_PACKETS:
                continue
            packet.dts = packet.pts if packet.dts is None else packet.dts
            for earlier, later in zip(packets[-2::-1], packets[:0:-1], strict=True):
                step = max(1, earlier.duration or 0)
                earlier.dts = None if later.dts is None else later.dts - step
            yield from packets
            packets.clear()
    for packets in pending.values():
        yield from _assign_sorted_times([packet for packet in packets if packet.pts is not None])


def _assign_sorted_times(packets: list[Any]) -> list[Any]:
    """Set the decoding times of a stream that is too short for the demuxer to derive any.

    They are the presentation times in order, shifted so that no packet is decoded after it is
    shown.
    """
    times = sorted(packet.pts for packet in packets)
    pairs = list(zip(packets, times, strict=True))
    shift = max((time - packet.pts for packet, time in pairs), default=0)
    for packet, time in pairs:
        packet.dts = time - shift
    return packets
