"""Properties and frame index of a video file, read without decoding more than its first frame."""

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import av

from argus.media import errors
from argus.media.cameras.recordings import describe_recording
from argus.media.description import describe_video, read_color
from argus.media.frame_index import VideoIndex, list_frames
from argus.media.info import MediaInfo, SphericalMetadata
from argus.media.matroska import read_matroska_metadata
from argus.media.spherical import read_mp4_metadata, read_side_data
from argus.media.tracks import get_video_stream, name_container, prepare_decoder

FileOrBuffer = Path | BinaryIO
"""A file, or the bytes of one in memory."""

# No playlists, no network, no other files: a hostile file must not make the demuxer open any.
_DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,flv,asf,ogg,mp3,aac,wav,flac,"
    "h264,hevc,m4v,ivf,obu"
)
OPEN_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _DEMUXERS}
_NO_DECODING = {"skip_frame": "all"}  # applies while opening only
_METADATA_READERS = {"mp4": read_mp4_metadata, "matroska": read_matroska_metadata}
_GENERATE_TIMES = 0x1  # AVFMT_FLAG_GENPTS


def probe(path: Path | str) -> MediaInfo:
    """Return the properties of a video file.

    The whole file is demuxed, because no container's index holds the presentation times; only the
    first frame is decoded. That takes about a second and 20 MiB of memory per GB, if the disk is
    fast enough. A file whose times do not identify its frames is decoded once.

    Args:
        path: the video file.

    Returns:
        The properties, with the spherical metadata that the file declares. For a recording of a
        GoPro MAX they are those of the map that `open_video` reads; for an Insta360, which needs
        its lenses, those of one track, with the name of the camera.

    Raises:
        VideoError: EMPTY_FILE, NOT_A_VIDEO, NO_VIDEO_STREAM, TRUNCATED, CORRUPT or
            UNSUPPORTED_CODEC.
        InvalidInput: there is no such file.
    """
    path = Path(path)
    return describe_recording(path, index_file(path).info)


def read_spherical(path: Path | str) -> SphericalMetadata | None:
    """Return the spherical metadata that a video file declares; None for an ordinary video.

    The boxes of an mp4 are enough: such a file need not be playable.

    Args:
        path: the video file.

    Returns:
        The metadata; Spherical Video V2 takes precedence over V1.

    Raises:
        VideoError: the file is not a readable video, with the reasons of `probe`.
        InvalidInput: there is no such file.
    """
    path = Path(path)
    errors.require_video_file(path)
    return read_mp4_metadata(path) or index_file(path).info.spherical


def index_file(path: Path, track: int | None = None) -> VideoIndex:
    """Return the frame index of a file. Raises the errors of `probe`."""
    errors.require_video_file(path)
    with errors.map_open_errors(str(path), path), open_container(path) as container:
        return index_container(container, str(path), path, track=track)


def open_container(
    source: FileOrBuffer, *, decode: bool = False, options: Mapping[str, str] | None = None
) -> Any:
    """Open a file with PyAV, such that the demuxer can open nothing else.

    Raises PyAV's errors: call it inside `errors.map_open_errors`.

    Args:
        source: the file or buffer.
        decode: decode the first frames while opening, as FFmpeg does by default. A reader decodes
            them anyway; copying packets may need the stream parameters found that way, and the
            presentation times that the demuxer derives from later packets.
        options: further options of FFmpeg's demuxers.
    """
    location = str(source.absolute()) if isinstance(source, Path) else source
    all_options = OPEN_OPTIONS | dict(options or {}) | ({} if decode else _NO_DECODING)
    container = av.open(location, options=all_options, metadata_errors="replace")
    if not decode:
        container.flags &= ~_GENERATE_TIMES
    return container


def index_container(
    container: Any,
    name: str,
    source: FileOrBuffer,
    threads: int = 1,
    track: int | None = None,
) -> VideoIndex:
    """Build the frame index of an open PyAV container, which is left at its end.

    Raises PyAV's errors too: call it inside `errors.map_open_errors`.

    Args:
        container: the result of `open_container`.
        name: names the video in messages.
        source: what was opened. A file is searched for spherical metadata, a buffer is not.
        threads: number of decoder threads to open the stream with.
        track: number of the track to index; None for the one that FFmpeg would choose.

    Raises:
        VideoError: with the reasons of `probe`.
        InvalidInput: `track` is not a video track.
    """
    container_name = name_container(container)
    errors.require_complete(source, name, container_name)
    stream = get_video_stream(container, name, track)
    prepare_decoder(stream, threads)
    container_color = read_color(stream.codec_context)
    reopen = partial(_reopen, source, name, stream.index, threads)
    times, first = list_frames(container, stream, name, reopen)
    read_metadata = _METADATA_READERS.get(container_name)
    spherical = read_metadata(source) if read_metadata and isinstance(source, Path) else None
    spherical = spherical or read_side_data(first.frame)
    info = describe_video(container, stream, first, times, spherical, container_color)
    return VideoIndex(**vars(times), info=info)


@contextlib.contextmanager
def _reopen(source: FileOrBuffer, name: str, track: int, threads: int) -> Iterator[tuple[Any, Any]]:
    """Open a second container at the start; a buffer's position is restored for the first one."""
    position = None if isinstance(source, Path) else source.tell()
    if not isinstance(source, Path):
        source.seek(0)
    try:
        with open_container(source) as container:
            stream = get_video_stream(container, name, track)
            prepare_decoder(stream, threads)
            yield container, stream
    finally:
        if position is not None and not isinstance(source, Path):
            source.seek(position)
