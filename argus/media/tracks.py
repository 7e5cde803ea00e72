"""Tracks of an open container, and the choice of the one that is read."""

from typing import Any

from av.codec.context import Flags

from argus.errors import InvalidInput, VideoError
from argus.media import errors
from argus.media.info import DEFAULT_TRACK_BONUS, Track
from schemas.names import Reason

# AV_DISPOSITION_ATTACHED_PIC and _TIMED_THUMBNAILS: cover art and previews, not a video
_STILL_PICTURES = 0x400 | 0x800
_INDEXED = ("mp4", "matroska")  # containers of which the demuxer indexes what it reads
_DEFAULT = 0x1  # AV_DISPOSITION_DEFAULT


def name_container(container: Any) -> str:
    """Return the name of an open PyAV container's format, as in `MediaInfo.container`."""
    return str(container.format.name).split(",")[0].replace("mov", "mp4")


def get_video_stream(container: Any, name: str, track: int | None = None) -> Any:
    """Return the video stream to read.

    The choice is FFmpeg's: the largest picture, where being the default track counts as much as
    five million pixels, and the first of equals; cover art and thumbnails are never chosen.

    Args:
        container: an open PyAV container.
        name: names the video in messages.
        track: number of the track to read instead, as in `Track.number`.

    Raises:
        VideoError: NOT_A_VIDEO, NO_VIDEO_STREAM or UNSUPPORTED_CODEC.
        InvalidInput: `track` is not a video track of the file.
    """
    if not len(container.streams):
        raise VideoError(
            Reason.NOT_A_VIDEO,
            f"{name}: not a video: it has no streams; give an mp4, mov, webm, mkv or ts file",
        )
    streams = list_video_streams(container)
    if not streams:
        raise VideoError(
            Reason.NO_VIDEO_STREAM,
            f"{name}: it has no video stream; give a file with a video stream",
        )
    stream = streams[0]
    if track is not None:
        stream = next((stream for stream in streams if stream.index == track), None)
        if stream is None:
            numbers = ", ".join(str(number) for number in sorted(item.index for item in streams))
            raise InvalidInput(f"{name}: track {track} is not a video; choose one of {numbers}")
    if stream.codec_context is None:
        raise errors.unsupported_codec_error(name, "its codec")
    return stream


def prepare_decoder(stream: Any, threads: int) -> None:
    """Set up the decoder of a stream before its first frame, such that it decodes exactly.

    Args:
        stream: a video stream with a known codec.
        threads: number of decoder threads.
    """
    context = stream.codec_context
    context.flags |= Flags.unaligned  # else a crop at the left is rounded to aligned columns
    # Threads that decode whole frames change the pictures of interlaced MPEG-4.
    stream.thread_count = threads
    stream.thread_type = "SLICE" if context.name == "mpeg4" else "AUTO"


def list_video_streams(container: Any) -> list[Any]:
    """Return the video streams of a container, the preferred one first."""
    streams = (
        stream
        for stream in container.streams.video
        if not int(stream.disposition) & _STILL_PICTURES
    )
    return sorted(streams, key=_rank_track, reverse=True)


def _rank_track(stream: Any) -> tuple[bool, int]:
    """Return the rank of a track; one without packets is the last choice."""
    bonus = DEFAULT_TRACK_BONUS if int(stream.disposition) & _DEFAULT else 0
    return not _is_empty(stream), _get_area(stream) + bonus


def _is_empty(stream: Any) -> bool:
    """Return whether a track has no packets; False if the demuxer's index does not show it."""
    is_indexed = name_container(stream.container) in _INDEXED
    return is_indexed and not stream.frames and not len(stream.index_entries or ())


def _get_area(stream: Any) -> int:
    context = stream.codec_context
    return context.width * context.height if context else 0


def explain_choice(container: Any, stream: Any) -> str:
    """Return why a stream is read; empty if the container has no other video stream."""
    others = [other for other in list_video_streams(container) if other.index != stream.index]
    if not others:
        return ""
    if _rank_track(stream) < max(_rank_track(other) for other in others):
        return "named by the caller"
    is_default = bool(int(stream.disposition) & _DEFAULT)
    if is_default and not any(int(other.disposition) & _DEFAULT for other in others):
        return "the default track"
    if all(_get_area(stream) > _get_area(other) for other in others):
        return "the largest picture"
    return (
        "the first of equal tracks"
        if _rank_track(stream) == _rank_track(others[0])
        else "the best rank"
    )


def describe_tracks(container: Any) -> tuple[Track, ...]:
    """Return the description of all streams, in the order of the file."""
    return tuple(_describe_stream(stream) for stream in container.streams)


def _describe_stream(stream: Any) -> Track:
    context = stream.codec_context
    is_video = stream.type == "video"
    is_still = bool(int(stream.disposition) & _STILL_PICTURES)
    codec = context.codec.canonical_name if context else _name_codec(stream)
    return Track(
        number=stream.index,
        kind="attachment" if is_video and is_still else stream.type,
        codec=codec,
        language=stream.metadata.get("language", "").replace("und", ""),
        title=stream.metadata.get("title", ""),
        is_default=bool(int(stream.disposition) & _DEFAULT),
        width=context.width if context and is_video else 0,
        height=context.height if context and is_video else 0,
    )


def _name_codec(stream: Any) -> str:
    return (stream.type == "data" and stream.name) or "unknown"
