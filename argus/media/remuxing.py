"""Copying the video and the sound of a file into an mp4 without coding them again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from argus.errors import VideoError
from argus.media import faults
from argus.media.probing import open_container, video_stream
from schemas.names import Reason

_OPTIONS = {"movflags": "+faststart", "avoid_negative_ts": "make_zero", "fflags": "+bitexact"}


def remux(src: Path, dst: Path) -> None:
    """Writes `dst`, an mp4, with the first video stream and all sound of `src`, packet by packet; spherical metadata is `tag_spherical`'s to add.

    Raises VideoError: as `probe`, or UNSUPPORTED_CODEC where an mp4 cannot hold a stream.
    """
    name = str(src)
    with faults.opening(name, src):
        old = open_container(src)
    with old, av.open(str(dst.absolute()), "w", format="mp4", options=_OPTIONS) as new:
        copies = {stream.index: _copy_of(stream, new, name) for stream in (video_stream(old, name), *old.streams.audio)}
        for packet in _packets(old, name, src):
            if packet.stream_index in copies:
                packet.stream = copies[packet.stream_index]
                new.mux(packet)


def _copy_of(stream: Any, new: Any, name: str) -> Any:
    context = stream.codec_context
    codec = context.codec.canonical_name if context else "unknown"
    if codec not in new.supported_codecs:
        raise VideoError(
            Reason.UNSUPPORTED_CODEC, f"{name}: an mp4 cannot hold its {stream.type} ({codec}); convert it to H.264, HEVC, VP9 or AV1 first"
        )
    return new.add_stream_from_template(stream)


def _packets(container: Any, name: str, path: Path) -> Iterator[Any]:
    with faults.opening(name, path):
        for packet in container.demux():
            if packet.size and packet.dts is not None:
                yield packet
