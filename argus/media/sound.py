"""Copying of the sound of a video into an mp4 that is being written, in step with its frames."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from av.stream import Discard

from argus.media import errors
from argus.media.mp4.copy_plan import Omission
from argus.media.probing import open_container


@dataclass(frozen=True)
class SoundSource:
    """File whose sound belongs to a video.

    Attributes:
        path: the file.
        start_s: time in the file at which the video starts, in seconds.
    """

    path: Path
    start_s: float = 0.0


class SoundCopier:
    """Copier of the audio packets of a file into an mp4, as far as its video has been written.

    Sound before the video's start and after its end is left out; packets are never cut.

    Args:
        source: the file and the video's start in it.
        target: an mp4 that is open for writing; a track is added for each one that it can hold.
    """

    def __init__(self, source: SoundSource, target: Any) -> None:
        self._name, self._path, self._start_s = str(source.path), source.path, source.start_s
        with errors.map_open_errors(self._name, source.path):
            self._source = open_container(source.path)
        self._target, self._copies, omissions = target, {}, []
        for stream in self._source.streams:
            if stream.type != "audio":
                stream.discard = Discard.all
                continue
            codec = stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"
            if codec in target.supported_codecs:
                self._copies[stream.index] = self._add_track(stream)
            else:
                stream.discard = Discard.all
                omissions.append(Omission("sound", codec, stream.index))
        self.omissions = tuple(omissions)
        self._packets = self._iter_packets()
        self._next = next(self._packets, None)

    def copy_until(self, time_s: float) -> None:
        """Write the packets that start before a time of the video."""
        while self._next is not None and self._next[0] < time_s:
            self._target.mux(self._next[1])
            self._next = next(self._packets, None)

    def _add_track(self, stream: Any) -> Any:
        copy = self._target.add_stream_from_template(stream, opaque=True)  # no encoder is needed
        for name in ("language", "title"):
            if name in stream.metadata:
                copy.metadata[name] = stream.metadata[name]
        return copy

    def _iter_packets(self) -> Iterator[tuple[float, Any]]:
        """Yield (start in seconds of the video, packet for the target)."""
        if not self._copies:
            return
        streams = [self._source.streams[number] for number in self._copies]
        with errors.map_open_errors(self._name, self._path):
            for packet in self._source.demux(streams):
                if packet.size == 0 or packet.pts is None:
                    continue
                base = float(packet.time_base)
                time = packet.pts * base - self._start_s
                # A decoder needs the packet before the first one that is heard.
                if time + 2 * (packet.duration or 0) * base <= 0:
                    continue
                shift = round(self._start_s / base)
                packet.pts -= shift
                packet.dts = packet.pts if packet.dts is None else packet.dts - shift
                packet.stream = self._copies[packet.stream_index]
                yield time, packet

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._next = None
        self._source.close()
