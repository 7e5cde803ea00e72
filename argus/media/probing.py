"""Properties and frame index of a video file, read without decoding more than its first frame."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from argus.errors import VideoError
from argus.media import errors
from argus.media.info import MediaInfo, SphericalMetadata
from argus.media.matroska import read_mesh_projection
from argus.media.orientation import read_orientation
from argus.media.spherical import read_mp4_metadata, read_side_data
from schemas.names import Reason

FileOrBuffer = Path | BinaryIO
"""A file, or the bytes of one in memory."""

# No playlists, no network, no other files: a hostile file must not make the demuxer open any.
_DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,flv,asf,ogg,mp3,aac,wav,flac,"
    "h264,hevc,m4v,ivf,obu"
)
OPEN_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _DEMUXERS}
_NO_DECODING = {"skip_frame": "all"}  # applies while opening only
_METADATA_READERS = {"mp4": read_mp4_metadata, "matroska": read_mesh_projection}
_CONTAINERS_WITH_FRAME_COUNT = {"mp4"}  # their header declares the number of packets
_ATTACHED_PICTURE = 0x400  # AV_DISPOSITION_ATTACHED_PIC: cover art, not a video
_RATE_TOLERANCE = Fraction(1, 100)
_STEP_TOLERANCE = 0.5  # of a frame's duration


@dataclass(frozen=True)
class VideoIndex:
    """Timestamps and keyframes of a video, which readers use to decode only what they need.

    Attributes:
        info: the video's properties.
        pts: `[frames]` presentation times, increasing, in units of `time_base`.
        keyframes: increasing numbers of the frames at which decoding can start.
        time_base: seconds per unit of `pts`.
        has_open_gops: True if frames are stored after a keyframe but shown before it, so that
            seeking to that keyframe misses them.
    """

    info: MediaInfo
    pts: NDArray[np.int64]
    keyframes: NDArray[np.int64]
    time_base: Fraction
    has_open_gops: bool

    @property
    def timestamps(self) -> NDArray[np.float64]:
        """`[frames]` seconds since the first frame."""
        return (self.pts - self.pts[0]) * float(self.time_base)

    def find_keyframe(self, frame: int) -> int:
        """Return the index of the last keyframe not after a frame; -1 if there is none."""
        return int(np.searchsorted(self.keyframes, frame, side="right")) - 1

    def is_next_in_gop(self, position: int, frame: int) -> bool:
        """Return whether decoding on from frame `position` reaches `frame` faster than a seek."""
        nearest = self.find_keyframe(frame)
        return position <= frame and (nearest < 0 or int(self.keyframes[nearest]) <= position)


def probe(path: Path | str) -> MediaInfo:
    """Return the properties of a video file.

    The whole file is demuxed, because no container's index holds the presentation times and shows
    whether the file is complete; only the first frame is decoded. That takes about a second and
    20 MiB of memory per GB, if the disk is fast enough.

    Args:
        path: the video file.

    Returns:
        The properties, with the spherical metadata that the file declares.

    Raises:
        VideoError: EMPTY_FILE, NOT_A_VIDEO, NO_VIDEO_STREAM, TRUNCATED, CORRUPT or
            UNSUPPORTED_CODEC.
        InvalidInput: there is no such file.
    """
    return index_file(Path(path)).info


def read_spherical(path: Path | str) -> SphericalMetadata | None:
    """Return the spherical metadata that a video file declares; None for an ordinary video.

    Args:
        path: the video file.

    Returns:
        The metadata; Spherical Video V2 takes precedence over V1.

    Raises:
        VideoError: the file is not a readable video, with the reasons of `probe`.
        InvalidInput: there is no such file.
    """
    return probe(path).spherical


def index_file(path: Path) -> VideoIndex:
    """Return the frame index of a file. Raises the errors of `probe`."""
    errors.require_video_file(path)
    with errors.map_open_errors(str(path), path), open_container(path) as container:
        return index_container(container, str(path), path)


def open_container(source: FileOrBuffer, *, decode: bool = False) -> Any:
    """Open a file with PyAV, such that the demuxer can open nothing else.

    Raises PyAV's errors: call it inside `errors.map_open_errors`.

    Args:
        source: the file or buffer.
        decode: decode the first frames while opening, as FFmpeg does by default. A reader decodes
            them anyway; copying packets may need the stream parameters found that way.
    """
    location = str(source.absolute()) if isinstance(source, Path) else source
    options = OPEN_OPTIONS if decode else OPEN_OPTIONS | _NO_DECODING
    return av.open(location, options=options, metadata_errors="replace")


def get_video_stream(container: Any, name: str) -> Any:
    """Return the first video stream that is not cover art."""
    if not len(container.streams):
        raise VideoError(
            Reason.NOT_A_VIDEO,
            f"{name}: not a video: it has no streams; give an mp4, mov, webm, mkv or ts file",
        )
    for stream in container.streams.video:
        if not int(stream.disposition) & _ATTACHED_PICTURE:
            if stream.codec_context is None:
                raise errors.unsupported_codec_error(name, "its codec")
            return stream
    raise VideoError(
        Reason.NO_VIDEO_STREAM, f"{name}: it has no video stream; give a file with a video stream"
    )


def index_container(
    container: Any, name: str, path: Path | None = None, threads: int = 1
) -> VideoIndex:
    """Build the frame index of an open PyAV container, which is left at its end.

    Raises PyAV's errors too: call it inside `errors.map_open_errors`.

    Args:
        container: the result of `open_container`.
        name: names the video in messages.
        path: the file, whose boxes hold spherical metadata; None for a video in memory, which
            is not searched for metadata.
        threads: number of decoder threads to open the stream with.

    Raises:
        VideoError: with the reasons of `probe`.
    """
    stream = get_video_stream(container, name)
    stream.thread_count, stream.thread_type = threads, "AUTO"
    container_name = container.format.name.split(",")[0].replace("mov", "mp4")
    times, is_key, first = _list_packets(container, stream, name, container_name)
    pts = np.unique(times)
    last_key_times = np.maximum.accumulate(np.where(is_key, times, pts[0]))
    key_times = times[is_key] if is_key.any() else pts[:1]
    read_metadata = _METADATA_READERS.get(container_name) if path else None
    spherical = (read_metadata(path) if path and read_metadata else None) or read_side_data(first)
    return VideoIndex(
        _build_info(stream, pts, first, container_name, spherical),
        pts,
        np.unique(np.searchsorted(pts, key_times)),
        stream.time_base,
        has_open_gops=bool((times < last_key_times).any()),
    )


def _build_info(
    stream: Any,
    pts: NDArray[np.int64],
    first: Any,
    container_name: str,
    spherical: SphericalMetadata | None,
) -> MediaInfo:
    orientation = read_orientation(first)
    width, height = first.width, first.height
    if orientation.swaps_axes:
        width, height = height, width
    span = int(pts[-1] - pts[0]) * stream.time_base
    fps = _choose_rate(stream, len(pts), span)
    steps = np.diff(pts) * float(stream.time_base)
    is_unusual = np.abs(steps * float(fps) - 1) > _STEP_TOLERANCE
    pixel_aspect = stream.sample_aspect_ratio or Fraction(1)
    return MediaInfo(
        width=width,
        height=height,
        fps=fps,
        frames=len(pts),
        duration_s=float(span + 1 / fps),
        codec=stream.codec_context.codec.canonical_name,
        container=container_name,
        rotation=orientation.rotation_deg,
        is_mirrored=orientation.is_mirrored,
        pixel_aspect=1 / pixel_aspect if orientation.swaps_axes else pixel_aspect,
        spherical=spherical,
        start_s=float(pts[0] * stream.time_base),
        irregularity=float(steps[is_unusual].sum() / span) if span else 0.0,
        is_variable_rate=bool(is_unusual.any()),
        video_track=stream.index,
    )


def _list_packets(
    container: Any, stream: Any, name: str, container_name: str
) -> tuple[NDArray[np.int64], NDArray[np.bool_], Any]:
    """Demux the container and list its shown frames in stored order.

    Returns:
        Presentation times `[frames]`, keyframe flags `[frames]`, and the first frame, decoded.
    """
    times: list[int] = []
    keys: list[bool] = []
    first: Any = None
    declared, seen = stream.frames, 0
    latest: dict[int, int] = {}  # last presentation time by stream
    has_count = container_name in _CONTAINERS_WITH_FRAME_COUNT
    is_vp8 = stream.codec_context.name == "vp8"
    for packet in container.demux():
        if first is None and packet.stream_index == stream.index:
            first = _decode_one(stream.codec_context, packet)
        time = packet.pts if packet.pts is not None else packet.dts
        if packet.size == 0 or time is None:
            continue
        latest[packet.stream_index] = max(time, latest.get(packet.stream_index, time))
        if packet.stream_index != stream.index:
            continue
        if has_count and packet.is_corrupt:
            raise errors.truncated_error(name, f"after {seen} of {declared} frames")
        seen += 1
        if not packet.is_discard and not (is_vp8 and _is_hidden_vp8_frame(packet)):
            times.append(time)
            keys.append(packet.is_keyframe)
    if (has_count and seen < declared) or not times:
        raise errors.truncated_error(name, f"after {seen} of {declared} frames")
    ends = (time * container.streams[number].time_base for number, time in latest.items())
    _require_declared_duration(container, max(ends), name)
    if first is None:
        raise errors.corrupt_error(name, "no frame can be decoded")
    return np.array(times, np.int64), np.array(keys, np.bool_), first


def _decode_one(context: Any, packet: Any) -> Any:
    """Return a frame if the packet completes one; the decoder is flushed after a keyframe."""
    try:
        frame = next(iter(packet.decode()), None)
        if frame is None and packet.is_keyframe and packet.size:
            frame = next(iter(context.decode(None)), None)
            context.flush_buffers()
    except av.error.InvalidDataError:
        return None  # a stream that was cut out of a longer one can start like this
    return frame


def _is_hidden_vp8_frame(packet: Any) -> bool:
    return not (memoryview(packet)[0] >> 4) & 1  # show_frame, RFC 6386 section 9.1


def _require_declared_duration(container: Any, end: Fraction, name: str) -> None:
    """Raise TRUNCATED if packets stop well before the duration in the header.

    Matroska and WebM headers declare a duration but no frame count.
    """
    if container.duration is None:
        return
    start = Fraction(container.start_time or 0, av.time_base)
    declared = Fraction(container.duration, av.time_base)
    if declared - (end - start) > max(Fraction(1), declared / 20):
        raise errors.truncated_error(
            name, f"after {float(end - start):.1f} of {float(declared):.1f} seconds"
        )


def _choose_rate(stream: Any, frames: int, span: Fraction) -> Fraction:
    """Return the header's rate if the timestamps agree with it, else the mean rate."""
    declared = [Fraction(rate) for rate in (stream.guessed_rate, stream.average_rate) if rate]
    if frames < 2 or span <= 0:
        return declared[-1] if declared else Fraction(1)
    measured = (frames - 1) / span
    return next(
        (rate for rate in declared if abs(rate / measured - 1) <= _RATE_TOLERANCE), measured
    )
