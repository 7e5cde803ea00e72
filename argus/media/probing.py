"""What a video file is, found without decoding more than its first frame."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from argus.errors import VideoError
from argus.media import errors
from argus.media.info import MediaInfo
from argus.media.matroska import read_mesh_projection
from argus.media.spherical import read_boxes, read_side_data
from schemas.names import Reason

Source = Path | BinaryIO
"""A file, or the bytes of one in memory."""

_ALLOWED = {
    # No playlists, no network, no other files: a hostile file must not make the demuxer open anything else.
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,flv,asf,ogg,mp3,aac,wav,flac,h264,hevc,m4v,ivf,obu",
}
_UNDECODED = {"skip_frame": "all"}  # concerns opening only
_DECLARED = {"mp4": read_boxes, "matroska": read_mesh_projection}  # what FFmpeg does not report
_HEADER_COUNTS = {"mp4"}  # containers whose header says how many packets there are
_ATTACHED_PICTURE = 0x400  # AV_DISPOSITION_ATTACHED_PIC: cover art, not a video
_SAME_RATE = Fraction(1, 100)
_UNEVEN = 0.5  # of a frame's time


@dataclass(frozen=True)
class VideoIndex:
    """Every shown frame of a video by time, so that readers decode only what is asked for."""

    info: MediaInfo
    pts: NDArray[np.int64]  # [frames], rising, in units of time_base
    keyframes: NDArray[np.int64]  # rising frame numbers where decoding can start
    time_base: Fraction
    is_open: bool  # frames are stored after a keyframe that they are shown before: a seek to that keyframe misses them

    @property
    def timestamps(self) -> NDArray[np.float64]:
        """Seconds from the first frame, [frames]."""
        return (self.pts - self.pts[0]) * float(self.time_base)

    def nearest_key(self, number: int) -> int:
        """The place in the list of keyframes of the last one not after a frame; -1 where there is none."""
        return int(np.searchsorted(self.keyframes, number, side="right")) - 1

    def lies_ahead(self, here: int, number: int) -> bool:
        """Whether decoding on from frame `here` is the shortest way to a frame."""
        nearest = self.nearest_key(number)
        return here <= number and (nearest < 0 or int(self.keyframes[nearest]) <= here)


def probe(path: Path | str) -> MediaInfo:
    """Reads a file's facts: packets are counted, only the first frame is decoded.

    The file is read through once, because no container's index says when frames are shown and whether all are there: about a second and
    20 MiB of memory for each GB where the disk gives that much.

    Raises:
        VideoError: EMPTY_FILE, NOT_A_VIDEO, NO_VIDEO_STREAM, TRUNCATED, CORRUPT or UNSUPPORTED_CODEC.
        InvalidInput: there is no such file.
    """
    return index_file(Path(path)).info


def index_file(path: Path) -> VideoIndex:
    """The index of a file; errors as `probe`."""
    errors.require_file(path)
    with errors.opening(str(path), path), open_container(path) as container:
        return index_container(container, str(path), path)


def open_container(source: Source, *, decoded: bool = False) -> Any:
    """A PyAV container of one file that can open nothing else; raises PyAV's errors: use inside `errors.opening`.

    Opening decodes the first frames, as FFmpeg does, only where `decoded`: a reader decodes them anyway, a copy of packets may need what they tell.
    """
    place = str(source.absolute()) if isinstance(source, Path) else source
    return av.open(
        place, options=_ALLOWED if decoded else _ALLOWED | _UNDECODED, metadata_errors="replace"
    )


def video_stream(container: Any, name: str) -> Any:
    """The first video stream that is not a cover picture."""
    if not len(container.streams):
        raise VideoError(
            Reason.NOT_A_VIDEO,
            f"{name}: not a video: it holds no stream; give an mp4, mov, webm, mkv or ts file",
        )
    for stream in container.streams.video:
        if not int(stream.disposition) & _ATTACHED_PICTURE:
            if stream.codec_context is None:
                raise errors.unsupported_codec(name, "its codec")
            return stream
    raise VideoError(
        Reason.NO_VIDEO_STREAM,
        f"{name}: it holds sound but no picture; give a file with a video stream",
    )


def index_container(
    container: Any, name: str, path: Path | None = None, threads: int = 1
) -> VideoIndex:
    """The index of an open PyAV container, which is left at its end: seek before decoding.

    Args:
        container: as `open_container` gives it.
        name: for messages.
        path: the file, whose boxes say how the sphere lies; None for a video in memory, where none is looked for.
        threads: with how many the stream's decoder is opened.

    Raises:
        VideoError: as `probe`. PyAV's errors: use inside `errors.opening`.
    """
    stream = video_stream(container, name)
    stream.thread_count, stream.thread_type = threads, "AUTO"
    kind = container.format.name.split(",")[0].replace("mov", "mp4")
    times, keys, first = _list_packets(container, stream, name, kind)
    pts = np.unique(times)
    rotation = first.rotation % 360 if first.rotation % 90 == 0 else 0
    width, height = (first.height, first.width) if rotation % 180 else (first.width, first.height)
    span = int(pts[-1] - pts[0]) * stream.time_base
    fps = _rate(stream, len(pts), span)
    steps = np.diff(pts) * float(stream.time_base * fps)
    info = MediaInfo(
        width=width,
        height=height,
        fps=fps,
        frames=len(pts),
        duration_s=float(span + 1 / fps),
        codec=stream.codec_context.codec.canonical_name,
        container=kind,
        rotation=rotation,
        pixel_aspect=stream.codec_context.sample_aspect_ratio or Fraction(1),
        spherical=(_DECLARED[kind](path) if path and kind in _DECLARED else None)
        or read_side_data(first),
        is_variable_rate=bool((np.abs(steps - 1) > _UNEVEN).any()),
    )
    last_keys = np.maximum.accumulate(np.where(keys, times, pts[0]))
    keyframes = (
        np.unique(np.searchsorted(pts, times[keys])) if keys.any() else np.zeros(1, np.int64)
    )
    return VideoIndex(
        info, pts, keyframes, stream.time_base, is_open=bool((times < last_keys).any())
    )


def _list_packets(
    container: Any, stream: Any, name: str, kind: str
) -> tuple[NDArray[np.int64], NDArray[np.bool_], Any]:
    """Of all shown frames as stored: their times, and whether they are keyframes; and the first frame, decoded."""
    times: list[int] = []
    keys: list[bool] = []
    first: Any = None
    own, announced, seen = stream.index, stream.frames, 0
    latest: dict[int, int] = {}  # by stream
    is_counted, is_vp8 = kind in _HEADER_COUNTS, stream.codec_context.name == "vp8"
    for packet in container.demux():
        if first is None and packet.stream_index == own:
            first = _decode_one(stream.codec_context, packet)
        time = packet.pts if packet.pts is not None else packet.dts
        if packet.size == 0 or time is None:
            continue
        place = packet.stream_index
        if time > latest.get(place, time - 1):
            latest[place] = time
        if place != own:
            continue
        if is_counted and packet.is_corrupt:
            raise errors.truncated(name, f"after {seen} of {announced} frames")
        seen += 1
        if packet.is_discard or (is_vp8 and _is_hidden_vp8(packet)):
            continue
        times.append(time)
        keys.append(packet.is_keyframe)
    if (is_counted and seen < announced) or not times:
        raise errors.truncated(name, f"after {seen} of {announced} frames")
    _require_whole(
        container,
        max(time * container.streams[place].time_base for place, time in latest.items()),
        name,
    )
    if first is None:
        raise errors.corrupt(name, "no frame can be decoded")
    return np.array(times, np.int64), np.array(keys, np.bool_), first


def _decode_one(context: Any, packet: Any) -> Any:
    """A frame, if this packet completes one. A keyframe needs no other: the decoder is made to give it at once."""
    try:
        frame = next(iter(packet.decode()), None)
        if frame is None and packet.is_keyframe and packet.size:
            frame = next(iter(context.decode(None)), None)
            context.flush_buffers()
    except av.error.InvalidDataError:
        return None  # a stream that is joined in its middle begins like this
    return frame


def _is_hidden_vp8(packet: Any) -> bool:
    return not (memoryview(packet)[0] >> 4) & 1  # show_frame, RFC 6386 section 9.1


def _require_whole(container: Any, end: Fraction, name: str) -> None:
    """Raises TRUNCATED where packets stop well before the duration in the header (webm and mkv count no frames)."""
    if container.duration is None:
        return
    start = Fraction(container.start_time or 0, av.time_base)
    announced = Fraction(container.duration, av.time_base)
    if announced - (end - start) > max(Fraction(1), announced / 20):
        raise errors.truncated(
            name, f"after {float(end - start):.1f} of {float(announced):.1f} seconds"
        )


def _rate(stream: Any, frames: int, span: Fraction) -> Fraction:
    """The rate that the header gives where the frames bear it out, else the mean rate of the frames."""
    declared = [Fraction(rate) for rate in (stream.guessed_rate, stream.average_rate) if rate]
    if frames < 2 or span <= 0:
        return declared[-1] if declared else Fraction(1)
    measured = (frames - 1) / span
    return next((rate for rate in declared if abs(rate / measured - 1) <= _SAME_RATE), measured)
