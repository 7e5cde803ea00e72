"""Frame index of a video: which frames are shown when, and where decoding can start.

Normally the times of the packets tell it, and only the first frame is decoded. If those times do
not identify the frames (they repeat, restart or are missing, or fields are stored one by one), the
index lists the frames that the decoder returns, which takes as long as decoding the file.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import compress, islice
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from argus.media import errors
from argus.media.continuity import (
    LARGEST_GAP_S,
    LARGEST_STEP_BACK_S,
    ClockContinuation,
    TimeGuess,
)
from argus.media.info import MediaInfo
from argus.media.tracks import name_container

Reopen = Callable[[], contextlib.AbstractContextManager[tuple[Any, Any]]]
"""Opens a container and its stream again, at the start."""

_START_FRAMES = 20  # more than a decoder holds back for reordering
_FIELD_SHARE = 0.75  # of the duration of a frame; shorter packets are fields
_USUAL_RATE = 25  # if a file declares none
_BROADCAST_CLOCK = 0x200  # AVFMT_TS_DISCONT


@dataclass(frozen=True, kw_only=True)
class FrameTimes:
    """Presentation times and keyframes of a video.

    Attributes:
        pts: `[frames]` presentation times, never decreasing, in units of `time_base`.
        keyframes: increasing numbers of the frames at which decoding can start.
        time_base: seconds per unit of `pts`.
        last_duration: duration of the last frame in units of `time_base`; 0 if undeclared.
        has_open_gops: True if frames are stored after a keyframe but shown before it, so that
            seeking to that keyframe misses them.
        is_edited: True if the container declares that frames are hidden or shown twice.
        is_sequential: True if times do not identify the frames: number n is the n-th frame that
            the decoder returns from the start of the file on, and none can be sought.
    """

    pts: NDArray[np.int64]
    keyframes: NDArray[np.int64]
    time_base: Fraction
    last_duration: int = 0
    has_open_gops: bool = False
    is_edited: bool = False
    is_sequential: bool = False


@dataclass(frozen=True, kw_only=True)
class VideoIndex(FrameTimes):
    """Times of a video with its description, by which readers decode only what they need.

    Attributes:
        info: the video's properties.
    """

    info: MediaInfo

    @property
    def timestamps(self) -> NDArray[np.float64]:
        """`[frames]` seconds since the first frame."""
        return (self.pts - self.pts[0]) * float(self.time_base)

    def find_keyframe(self, frame: int) -> int:
        """Return the index of the last keyframe not after a frame; -1 if there is none."""
        return int(np.searchsorted(self.keyframes, frame, side="right")) - 1

    def is_next_in_gop(self, position: int, frame: int) -> bool:
        """Return whether decoding on from frame `position` reaches `frame` faster than a seek."""
        if self.is_sequential:
            return position <= frame
        nearest = self.find_keyframe(frame)
        return position <= frame and (nearest < 0 or int(self.keyframes[nearest]) <= position)


@dataclass(frozen=True)
class FirstFrame:
    """The first frame of a video.

    Attributes:
        frame: PyAV's decoded frame.
        pixel_aspect: width : height of a pixel, as its codec declares; 0 if it does not.
    """

    frame: Any
    pixel_aspect: Fraction


@dataclass
class _Packets:
    """Packets of a stream that show a frame, in stored order."""

    pts: list[Any] = field(default_factory=list)
    dts: list[Any] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    keys: list[bool] = field(default_factory=list)
    stored: int = 0  # packets, with those that show no frame
    hidden: int = 0  # packets that the container declares as not shown
    is_cut: bool = False  # the data of a packet is incomplete
    first: FirstFrame | None = None  # of the first packet, if that is a keyframe


def list_frames(
    container: Any, stream: Any, name: str, reopen: Reopen
) -> tuple[FrameTimes, FirstFrame]:
    """List the frames of a stream and decode the first one.

    Args:
        container: an open PyAV container at its start; left at its end.
        stream: one of its streams.
        name: names the video in messages.
        reopen: opens the file again.

    Returns:
        The times, and the first frame.

    Raises:
        VideoError: TRUNCATED or CORRUPT.
    """
    packets = _read_packets(container, stream)
    is_mp4 = name_container(container) == "mp4"
    if is_mp4 and (packets.is_cut or packets.stored < len(stream.index_entries or ())):
        raise errors.truncated_error(name, f"after {packets.stored} frames")
    if not packets.pts:
        if packets.hidden or stream.frames:
            raise errors.corrupt_error(name, "its edit list shows no frame")
        raise errors.truncated_error(name, "it has no frames")
    times: FrameTimes | None = None
    first: FirstFrame | None = None
    if _do_times_identify_frames(packets, container, stream):
        times, first = _list_stored(packets, stream, reopen)
    if times is None:
        with reopen() as (again, again_stream):
            times, first = _list_decoded(again, again_stream)
    if first is None or not len(times.pts):
        raise errors.corrupt_error(name, "no frame can be decoded")
    is_edited = packets.hidden > 0 or (is_mp4 and stream.frames not in {0, packets.stored})
    return replace(times, is_edited=is_edited), first


def iter_frames(
    container: Any, stream: Any, correct: Callable[[Any], None] | None = None
) -> Iterator[Any]:
    """Yield all frames of a stream that can be decoded, in the order of the decoder.

    Args:
        container: an open PyAV container.
        stream: one of its streams.
        correct: called with each packet before it is decoded.
    """
    for packet in container.demux(stream):
        if correct:
            correct(packet)
        with contextlib.suppress(av.error.InvalidDataError):
            yield from packet.decode()


def _read_packets(container: Any, stream: Any) -> _Packets:
    packets = _Packets()
    is_hidden = _HIDDEN_FRAME_TESTS.get(stream.codec_context.name)
    for packet in container.demux(stream):
        size, pts, dts = packet.size, packet.pts, packet.dts
        if size == 0:
            packets.stored += dts is not None  # else the end
            continue
        if packets.stored == 0 and packet.is_keyframe:
            packets.first = _make_first_frame(_decode_first(stream.codec_context, packet), stream)
        packets.stored += 1
        packets.is_cut |= packet.is_corrupt
        if packet.is_discard:
            packets.hidden += 1
        elif not (is_hidden and is_hidden(memoryview(packet))):
            packets.pts.append(pts)
            packets.dts.append(dts)
            packets.durations.append(packet.duration)
            packets.keys.append(packet.is_keyframe)
    return packets


def _decode_first(context: Any, packet: Any) -> Any:
    """Decode a keyframe alone; the decoder is flushed. Return None if that gives no frame."""
    try:
        frame = next(iter(packet.decode()), None) or next(iter(context.decode(None)), None)
    except av.error.InvalidDataError:
        frame = None  # a stream that was cut out of a longer one can start like this
    context.flush_buffers()
    return frame


def _make_first_frame(frame: Any, stream: Any) -> FirstFrame | None:
    if frame is None:
        return None
    return FirstFrame(frame, stream.codec_context.sample_aspect_ratio or Fraction(0))


def _is_hidden_vp8_frame(data: memoryview) -> bool:
    return not (data[0] >> 4) & 1  # show_frame, RFC 6386 section 9.1


def _is_hidden_vp9_frame(data: memoryview) -> bool:
    """Return whether a VP9 packet is one frame with show_frame 0 (bitstream specification 6.2)."""
    bits = f"{data[0]:08b}{data[1] if len(data) > 1 else 0:08b}"
    start = 5 if bits[2:4] == "11" else 4  # profile 3 has a reserved bit
    shows_existing, shows = bits[start] == "1", bits[start + 2] == "1"
    has_several = data[-1] & 0xE0 == 0xC0  # superframe: the last one is shown
    return not (shows_existing or shows or has_several)


_HIDDEN_FRAME_TESTS = {
    "vp8": _is_hidden_vp8_frame,
    "libvpx-vp9": _is_hidden_vp9_frame,
    "vp9": _is_hidden_vp9_frame,
}


def _has_broadcast_clock(container: Any) -> bool:
    return bool(container.format.flags & _BROADCAST_CLOCK)


def _do_times_identify_frames(packets: _Packets, container: Any, stream: Any) -> bool:
    """Return whether every packet has a time of its own and the clock never restarts."""
    if None in packets.pts:
        return False
    pts = np.array(packets.pts, np.int64)
    if np.unique(pts).size < pts.size or (np.diff(pts[packets.keys]) <= 0).any():
        return False
    if not _has_broadcast_clock(container) or None in packets.dts:
        return True
    steps: NDArray[np.float64] = np.diff(np.array(packets.dts)) * float(stream.time_base)
    return not ((steps < -float(LARGEST_STEP_BACK_S)) | (steps > LARGEST_GAP_S)).any()


def _list_stored(
    packets: _Packets, stream: Any, reopen: Reopen
) -> tuple[FrameTimes | None, FirstFrame | None]:
    """List the frames by the times of their packets.

    Returns:
        The times, and the first frame; no times if the packets are not frames.
    """
    first = packets.first
    if first is None or _is_start_uncertain(packets, stream, first.frame):
        with reopen() as (container, again):
            start = list(islice(iter_frames(container, again), _START_FRAMES))
            first = _make_first_frame(next(iter(start), None), again)
        if not start or _stores_fields(packets, stream, start):
            return None, None
        _drop_undecodable(packets, [frame.pts for frame in start])
    times, is_key = np.array(packets.pts, np.int64), np.array(packets.keys, np.bool_)
    pts = np.sort(times)
    last_key_times = np.maximum.accumulate(np.where(is_key, times, pts[0]))
    key_times = times[is_key] if is_key.any() else pts[:1]
    return FrameTimes(
        pts=pts,
        keyframes=np.unique(np.searchsorted(pts, key_times)),
        time_base=stream.time_base,
        last_duration=packets.durations[int(times.argmax())] or 0,
        has_open_gops=bool((times < last_key_times).any()),
    ), first


def _is_start_uncertain(packets: _Packets, stream: Any, first: Any) -> bool:
    """Return whether only the decoder knows which packets at the start become frames.

    Those are packets shown before the first keyframe, and fields.
    """
    is_h264 = stream.codec_context.name == "h264"
    return bool(min(packets.pts) < first.pts or (is_h264 and first.interlaced_frame))


def _stores_fields(packets: _Packets, stream: Any, start: list[Any]) -> bool:
    """Return whether packets of interlaced H.264 hold single fields, shown two by two."""
    if stream.codec_context.name != "h264" or not start[0].interlaced_frame:
        return False
    durations = [duration for duration in packets.durations if duration > 0]
    if durations and min(durations) < _FIELD_SHARE * max(durations):
        return True
    times = {frame.pts for frame in start}
    return sum(min(times) <= time <= max(times) for time in packets.pts) > len(times)


def _drop_undecodable(packets: _Packets, shown: list[int]) -> None:
    """Drop the packets at the start that did not become frames, given the first shown times."""
    last, times = max(shown), set(shown)
    kept = [time > last or time in times for time in packets.pts]
    columns: tuple[list[Any], ...] = (packets.pts, packets.dts, packets.durations, packets.keys)
    for column in columns:
        column[:] = list(compress(column, kept))


def _list_decoded(container: Any, stream: Any) -> tuple[FrameTimes, FirstFrame | None]:
    """List the frames that the decoder returns, in its order, and keep the first one."""
    rate = Fraction(stream.guessed_rate or stream.average_rate or _USUAL_RATE)
    clock = ClockContinuation(
        stream.time_base, rate, has_broadcast_clock=_has_broadcast_clock(container)
    )
    guess = TimeGuess(round(1 / rate / stream.time_base))
    times: list[int] = []
    keyframes: list[int] = []
    first: FirstFrame | None = None
    duration = 0
    # An edit list shows frames that are stored far apart: its times are right as they are.
    correct = None if name_container(container) == "mp4" else clock.correct
    for frame in iter_frames(container, stream, correct):
        first = first or _make_first_frame(frame, stream)
        if frame.key_frame:
            keyframes.append(len(times))
        times.append(guess.guess(frame))
        duration = frame.duration
    return FrameTimes(
        pts=np.maximum.accumulate(np.array(times, np.int64)),
        keyframes=np.array(keyframes or [0], np.int64),
        time_base=stream.time_base,
        last_duration=duration or 0,
        is_sequential=True,
    ), first
