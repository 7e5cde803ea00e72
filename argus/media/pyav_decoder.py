"""Decoding chosen frames of one stream with PyAV: from keyframe to keyframe, leaving out what nothing asked for depends on."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from argus.media import errors
from argus.media.probing import Source, VideoIndex, open_container, video_stream

_EXACT = (
    Interpolation.ACCURATE_RND
    | Interpolation.BITEXACT
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)
_BY_AREA = (
    Interpolation.AREA | _EXACT
)  # linear where larger; chroma interpolated; to half a level on flat colours
_PLANAR = "gbrp"  # the same values as rgb24, three to seven times faster
_MOST_LATER = 6  # frames
_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
_MATRICES = {
    0,
    1,
    2,
    4,
    5,
    6,
    7,
    9,
}  # AVColorSpace: those that can be converted; others are taken as unspecified


class Decoder:
    """One open container and its decoder; several may read the same file at once, each in its own thread."""

    def __init__(
        self,
        source: Source,
        name: str,
        index: VideoIndex,
        *,
        threads: int = 1,
        container: Any = None,
    ) -> None:
        """`container` is one whose stream was opened with as many threads; None opens the source again."""
        self._source, self._name, self._index, self._threads = source, name, index, threads
        self._reformatter = VideoReformatter()
        self._container = container or self._open()
        self._frames: Iterator[Any] = iter(())
        self._next: int | None = (
            None  # the number of the frame that _frames gives next, where known
        )
        self._run: _Run | None = None
        self._later: dict[int, Any] = {}  # frames by time that came too early

    def decode(
        self, numbers: list[int], pictures: Sequence[NDArray[np.uint8]], *, is_last: bool
    ) -> None:
        """Fills pictures with frames between which no seek would help; after the last ones, decoding may go on from there."""
        self._run = _Run(self._index.pts[numbers].tolist(), is_followed=not is_last)
        here, self._next = self._next, None
        if here is None or not self._index.lies_ahead(here, numbers[0]):
            self._seek(max(0, self._index.nearest_key(numbers[0])))
        for number, picture in zip(numbers, pictures, strict=True):
            self._show(self._frame(number), picture)
        if is_last:
            self._next = numbers[-1] + 1

    def _frame(self, number: int) -> Any:
        """Decodes on to a frame; where it is missed, from the last keyframe before it, then from ever earlier, leaving nothing out."""
        frame = self._scan(number)
        if frame is not None:
            return frame
        self._run = None
        nearest = self._index.nearest_key(number)
        for back in (0, 1, 4):
            if nearest - back >= 0:
                self._seek(nearest - back)
                frame = self._scan(number)
                if frame is not None:
                    return frame
        self._restart()
        frame = self._scan(number)
        if frame is None:
            raise errors.corrupt(
                self._name, f"frame {number} of {len(self._index.pts)} cannot be decoded"
            )
        return frame

    def _scan(self, number: int) -> Any | None:
        """Decodes forward to a frame; None when decoding goes well past it or ends.

        A few later frames are kept for the next scan: edited files have frames that the decoder gives after others that are shown later.
        """
        sought = int(self._index.pts[number])
        self._later = {time: frame for time, frame in self._later.items() if time >= sought}
        while sought not in self._later and len(self._later) < _MOST_LATER:
            frame = next(self._frames, None)
            if frame is None:
                break
            time = frame.pts if frame.pts is not None else frame.dts
            if time is not None and time >= sought:
                self._later[time] = frame
        return self._later.pop(sought, None)

    def _show(self, frame: Any, picture: NDArray[np.uint8]) -> None:
        """Converts, resizes and turns a frame, in one pass of swscale, into a picture."""
        turns = self._index.info.rotation // 90
        height, width = picture.shape[1::-1] if turns % 2 else picture.shape[:2]
        if frame.colorspace not in _MATRICES:
            frame.colorspace = _UNSPECIFIED
        planar = self._reformatter.reformat(
            frame, width, height, _PLANAR, interpolation=_BY_AREA, threads=self._threads
        )
        green, blue, red = (
            np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:height, :width]
            for plane in planar.planes
        )
        if turns:
            picture[...] = np.rot90(cv2.merge([red, green, blue]), turns)
        else:
            cv2.merge([red, green, blue], picture)

    def _seek(self, key: int) -> None:
        stream = video_stream(self._container, self._name)
        time = int(self._index.pts[self._index.keyframes[key]])
        self._container.seek(time, stream=stream, backward=True, any_frame=False)
        self._frames, self._later = self._decoded(stream), {}

    def _restart(self) -> None:
        """Reads from the first byte, for containers where seeking misses."""
        self._container.close()
        self._container = self._open()
        self._frames, self._later = self._decoded(video_stream(self._container, self._name)), {}

    def _open(self) -> Any:
        if not isinstance(self._source, Path):
            self._source.seek(0)
        container = open_container(self._source)
        stream = video_stream(container, self._name)
        stream.thread_count, stream.thread_type = self._threads, "AUTO"
        return container

    def _decoded(self, stream: Any) -> Iterator[Any]:
        """Frames in the order shown, without those that the run leaves out."""
        context = stream.codec_context
        for packet in self._container.demux(stream):
            context.skip_frame = (
                "NONREF" if self._run and self._run.leaves_out(packet.pts) else "DEFAULT"
            )
            with contextlib.suppress(
                av.error.InvalidDataError
            ):  # damage elsewhere does not matter; a frame asked for is missed if it is hit
                yield from packet.decode()
            if self._run and self._run.is_complete(packet.pts):
                with contextlib.suppress(av.error.InvalidDataError):
                    yield from context.decode(
                        None
                    )  # what it holds back to put in order; the next seek wakes it again
                return

    def close(self) -> None:
        """May be called twice."""
        self._frames, self._later = iter(()), {}
        self._container.close()


class _Run:
    """The times of the frames asked for between two seeks: what need not be decoded, and where decoding can end."""

    def __init__(self, times: list[int], *, is_followed: bool) -> None:
        self._times, self._last = frozenset(times), times[-1]
        self._unsent = (
            set(times) if is_followed else None
        )  # after the last run, decoding may have to go on

    def leaves_out(self, time: int | None) -> bool:
        """Whether a frame is not asked for; it must be decoded all the same when others refer to it."""
        return time is not None and time < self._last and time not in self._times

    def is_complete(self, time: int | None) -> bool:
        """Notes that a frame was sent to the decoder; True when all are."""
        if self._unsent is None:
            return False
        self._unsent.discard(time)
        return not self._unsent
