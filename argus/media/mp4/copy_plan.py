"""Contents of a file of any container, and what an mp4 copy of it cannot hold.

Pictures and sound are never left out: a file with a track of either that an mp4 cannot hold is
refused. Everything else that is left out is named in an `Omission`.
"""

import io
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from argus.errors import VideoError
from argus.media import errors
from argus.media.description import read_matrix
from argus.media.packet_times import ClockRestarts, StreamTimes
from argus.media.probing import open_container
from argus.media.tracks import get_video_stream, name_container
from schemas.names import Reason

KEPT_DISPOSITIONS = {
    *("default", "dub", "comment", "forced", "hearing_impaired", "visual_impaired", "captions"),
    *("descriptions", "attached_pic"),
}
"""Flags of a track that ffmpeg writes to an mp4."""

PROBE_OPTIONS = {"probesize": str(100 << 20), "analyzeduration": str(60 * av.time_base)}
"""Length in which tracks that begin late are searched: bytes, and microseconds."""

RAW_CONTAINERS = frozenset({"h264", "hevc"})
"""Containers that store no times, only a frame rate."""

_KEPT_FILE_TAGS = re.compile(
    r"""(title|artist|album_artist|composer|album|date|comment|genre|copyright|grouping|lyrics
        |description|synopsis|show|episode_id|network|keywords|encoder|creation_time)=.+
    |(episode_sort|season_number|media_type|hd_video|gapless_playback|compilation)=\d+
    |(track|disc)=\d+(/\d+)?
    |location=[+-][\d.]+[+-][\d.]+([+-][\d.]+)?/?  # ISO 6709
    |spherical-video=.*  # V1 in Matroska: `tag_spherical` writes it
    |(major_brand|minor_version|compatible_brands)=.*  # of the mp4 that the file once was
    """,
    re.VERBOSE | re.DOTALL,
)
"""Tags of a file that ffmpeg writes to an mp4, with the values that it can write."""

_KEPT_TRACK_TAGS = re.compile(
    r"""(title|handler_name|creation_time)=.+
    |language=[a-z]{3}
    |stereo_mode=(mono|left_right|top_bottom)  # `tag_spherical` writes it
    |spherical-video=.*
    |(duration|bps|number_of_frames|number_of_bytes|_statistics_\w+)(-\w+)?=.*  # counted anew
    """,
    re.VERBOSE | re.DOTALL,
)
_PLAIN_TEXT_CODECS = {"mov_text", "subrip", "text"}  # subtitles that lose nothing as mov_text


@dataclass(frozen=True)
class Omission:
    """A part of a file that its mp4 copy does not hold.

    Attributes:
        part: what is left out: "attachment", "cover art", "data", "dispositions", "empty track",
            "programs", "sound", "subtitles", "tags", "text styles" or "text overlaps".
        detail: which one: the codec, the file name, the names of the tags, ...
        track: number of the track in the file, from 0; None for the file as a whole.
    """

    part: str
    detail: str
    track: int | None = None

    def __str__(self) -> str:
        where = "" if self.track is None else f"track {self.track}: "
        return f"{where}{self.part} ({self.detail})"


@dataclass
class SourceStream:
    """A stream of a file.

    Attributes:
        number: position in the file, from 0.
        kind: video, audio, subtitle, data or attachment.
        codec: FFmpeg's name; "unknown" if it knows none.
        decoder: name of FFmpeg's decoder, such as dca for dts.
        is_text: True for subtitles that are stored as text.
        tags: values by name in lower case.
        dispositions: FFmpeg's names of the flags that are set.
        times: of all packets that are not empty.
        lacks_times: True if the file does not store when frames are shown that it stores in
            another order.
        size: bytes of all packets.
        discarded: number of packets of a video that the container hides.
        overlaps: number of texts that begin before the one before them ends.
        color: FFmpeg's numbers of the primaries, transfer, matrix and range of a video.
    """

    number: int
    kind: str
    codec: str
    decoder: str
    is_text: bool
    tags: dict[str, str]
    dispositions: set[str]
    times: StreamTimes
    lacks_times: bool = False
    size: int = 0
    discarded: int = 0
    overlaps: int = 0
    color: tuple[int, ...] = ()

    @property
    def packets(self) -> int:
        """Number of packets that are not empty."""
        return len(self.times.pts)

    @property
    def is_picture(self) -> bool:
        """True for cover art."""
        return "attached_pic" in self.dispositions


@dataclass
class FileContents:
    """All that has to be known of a file before it is copied.

    Attributes:
        container: as in `MediaInfo.container`.
        tags: values by name in lower case.
        streams: all streams in order.
        main: number of the video track that readers show.
        restarts: places where the clock starts again.
        start_s: time in seconds that FFmpeg takes as the beginning.
    """

    container: str
    tags: dict[str, str]
    streams: list[SourceStream]
    main: int
    restarts: ClockRestarts
    start_s: Fraction = Fraction(0)

    def list_offsets(self, stream: SourceStream) -> list[tuple[int, Fraction]]:
        """Return where the clock of a stream starts again, as `ClockRestarts.list_offsets`."""
        return self.restarts.list_offsets(stream.number, self.main)


def read_contents(path: Path) -> FileContents:
    """Demux a whole file. Raises the errors of `probe`."""
    name = str(path)
    with errors.map_open_errors(name, path):
        container = open_container(path, decode=True, options=PROBE_OPTIONS)
    with container:
        main = get_video_stream(container, name).index
        container_name = name_container(container)
        streams = [_describe_stream(stream, container_name) for stream in container.streams]
        restarts = ClockRestarts(has_dts=container_name != "matroska")
        tags = _lower_keys(container.metadata)
        contents = FileContents(container_name, tags, streams, main, restarts)
        contents.start_s = Fraction(container.start_time or 0, av.time_base)
        with errors.map_open_errors(name, path):
            _read_packets(container, contents, name)
    if not contents.streams[main].packets:
        raise errors.corrupt_error(name, "it has no frames")
    return contents


def _describe_stream(stream: Any, container: str) -> SourceStream:
    context = stream.codec_context
    return SourceStream(
        stream.index,
        stream.type,
        context.codec.canonical_name if context else "unknown",
        context.codec.name if context else "unknown",
        bool(context and context.codec.text_sub),
        _lower_keys(stream.metadata),
        {flag.name for flag in type(stream.disposition) if flag in stream.disposition},
        StreamTimes(Fraction(stream.time_base)),
        lacks_times=container in RAW_CONTAINERS
        or (container == "avi" and stream.type == "video" and bool(context.has_b_frames)),
        color=_get_color(context) if context and stream.type == "video" else (),
    )


def _get_color(context: Any) -> tuple[int, ...]:
    return (
        int(context.color_primaries),
        int(context.color_trc),
        read_matrix(context),
        int(context.color_range),
    )


def _lower_keys(tags: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in tags.items()}


def _read_packets(container: Any, contents: FileContents, name: str) -> None:
    shown: dict[int, int] = {}  # latest presentation time by stream
    text_end: dict[int, int] = {}
    for packet in container.demux():
        number = packet.stream_index
        if packet.size == 0:
            continue
        if number >= len(contents.streams):
            raise errors.corrupt_error(name, f"its track {number} begins too late to be found")
        stream = contents.streams[number]
        stream.size += packet.size
        stream.discarded += stream.kind == "video" and packet.is_discard
        stream.times.add(packet)
        contents.restarts.add(packet)
        if packet.pts is None:
            continue
        if contents.container == "avi" and packet.pts < shown.get(number, packet.pts):
            stream.lacks_times = True  # FFmpeg guessed the times from the kinds of frames
        if stream.is_text:
            stream.overlaps += packet.pts < text_end.get(number, packet.pts)
            text_end[number] = packet.pts + (packet.duration or 0)
        shown[number] = packet.pts


def plan_copy(contents: FileContents, name: str) -> tuple[list[SourceStream], list[Omission]]:
    """Return the streams that an mp4 can hold, and all that it cannot.

    Args:
        contents: the file's contents.
        name: names the file in messages.

    Raises:
        VideoError: UNSUPPORTED_CODEC: there is video or audio that an mp4 cannot hold.
    """
    with av.open(io.BytesIO(), "w", format="mp4") as mp4:
        supported = mp4.supported_codecs
    omissions = _list_tag_omissions(contents.tags, _KEPT_FILE_TAGS, None)
    copied = []
    for stream in contents.streams:
        if omission := _omit_stream(stream, supported, name):
            omissions.append(omission)
        else:
            copied.append(stream)
            omissions += _list_stream_omissions(stream)
    return copied, omissions


def _omit_stream(stream: SourceStream, supported: set[str], name: str) -> Omission | None:
    """Return the omission of a whole stream, or None if it is copied."""
    detail = ", ".join(
        filter(None, (stream.codec, stream.tags.get("language"), stream.tags.get("title")))
    )
    if stream.kind == "attachment":
        return Omission("attachment", stream.tags.get("filename", detail), stream.number)
    if stream.kind not in {"video", "audio", "subtitle"}:
        return Omission("data", detail, stream.number)
    if not stream.packets:
        return Omission("empty track", f"{stream.kind}, {detail}", stream.number)
    if {stream.codec, stream.decoder} & supported or stream.is_text:
        return None
    if stream.is_picture:
        return Omission("cover art", stream.tags.get("filename", detail), stream.number)
    if stream.kind == "subtitle":
        return Omission("subtitles", detail, stream.number)
    target = {"video": "H.264, HEVC, VP9 or AV1", "audio": "AAC, Opus or FLAC"}[stream.kind]
    raise VideoError(
        Reason.UNSUPPORTED_CODEC,
        f"{name}: an mp4 cannot hold its {stream.kind} (track {stream.number}, {stream.codec}); "
        f"convert it to {target} first",
    )


def _list_stream_omissions(stream: SourceStream) -> list[Omission]:
    number = stream.number
    if stream.is_picture:  # its tags are those of a file in the file
        return []
    tags = dict(stream.tags)
    if stream.kind == "video":
        tags.pop("encoder", None)  # written as the compressor's name
    found = _list_tag_omissions(tags, _KEPT_TRACK_TAGS, number)
    if lost := stream.dispositions - KEPT_DISPOSITIONS:
        found.append(Omission("dispositions", ", ".join(sorted(lost)), number))
    if stream.is_text and stream.codec not in _PLAIN_TEXT_CODECS:
        found.append(Omission("text styles", stream.codec, number))
    if stream.overlaps:
        detail = f"{stream.overlaps} texts end when the next one begins"
        found.append(Omission("text overlaps", detail, number))
    return found


def _list_tag_omissions(
    tags: dict[str, str], kept: re.Pattern[str], track: int | None
) -> list[Omission]:
    lost = [name for name, value in tags.items() if not kept.fullmatch(f"{name}={value}")]
    return [Omission("tags", ", ".join(lost), track)] if lost else []
