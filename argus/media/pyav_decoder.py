"""PyAV decoder of selected frames of one stream; it skips frames that nothing depends on."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from argus.media import errors
from argus.media.conversion import FrameConverter
from argus.media.frame_index import VideoIndex
from argus.media.probing import FileOrBuffer, open_container
from argus.media.tracks import get_video_stream, prepare_decoder

_MAX_REORDERED = 6  # frames


class PyAVDecoder:
    """One open container and its decoder.

    Several decoders may read the same file at once, each in its own thread. Frames are recognized
    by their time; in a sequential index by their number, counted from the start of the file, where
    decoding starts again for a frame before the last one read.

    Args:
        source: the file or buffer.
        name: names the video in messages.
        index: the video's frame index.
        threads: number of decoder threads.
        container: a container whose stream was opened with that many threads; None opens `source`.
    """

    def __init__(
        self,
        source: FileOrBuffer,
        name: str,
        index: VideoIndex,
        *,
        threads: int = 1,
        container: Any = None,
    ) -> None:
        self._source, self._name, self._index, self._threads = source, name, index, threads
        self._converter = FrameConverter(index.info, name, threads)
        self._container = container or self._open()
        self._frames: Iterator[Any] = iter(())
        self._position: int | None = None  # number of the next frame of _frames, if known
        self._group: _SeekGroup | None = None
        self._count = 0  # frames returned by the decoder, in a sequential index
        self._reordered: dict[int, Any] = {}  # frames decoded too early, by time or number

    def decode(
        self, numbers: list[int], outputs: Sequence[NDArray[np.uint8]], *, is_last: bool
    ) -> None:
        """Decode frames that need no seek between them.

        Args:
            numbers: increasing frame numbers.
            outputs: uint8 [height, width, 3] per frame; filled.
            is_last: True for the last group of a request, after which decoding may continue.
        """
        if not self._index.is_sequential:
            self._group = _SeekGroup(self._index.pts[numbers].tolist(), is_last=is_last)
        position, self._position = self._position, None
        if position is None or not self._index.is_next_in_gop(position, numbers[0]):
            self._seek(max(0, self._index.find_keyframe(numbers[0])))
        for number, output in zip(numbers, outputs, strict=True):
            self._converter.convert(self._decode_frame(number), output)
        if is_last:
            self._position = numbers[-1] + 1

    def _decode_frame(self, number: int) -> Any:
        """Decode forward to a frame.

        If it is missed, decode every frame from the last keyframe before it, then from earlier
        ones, then from the start of the file.
        """
        frame = self._scan(number)
        if frame is not None or self._index.is_sequential:
            return self._require(frame, number)
        self._group = None
        nearest = self._index.find_keyframe(number)
        for back in (0, 1, 4):
            if nearest - back >= 0:
                self._seek(nearest - back)
                frame = self._scan(number)
                if frame is not None:
                    return frame
        self._restart()
        return self._require(self._scan(number), number)

    def _require(self, frame: Any | None, number: int) -> Any:
        if frame is None:
            raise errors.corrupt_error(
                self._name, f"frame {number} of {len(self._index.pts)} cannot be decoded"
            )
        return frame

    def _scan(self, number: int) -> Any | None:
        """Decode forward to a frame; return None if decoding ends or goes well past it.

        A few later frames are kept for the next scan: from some edited files the decoder returns
        frames after others that are shown later.
        """
        target = number if self._index.is_sequential else int(self._index.pts[number])
        self._reordered = {time: frame for time, frame in self._reordered.items() if time >= target}
        while target not in self._reordered and len(self._reordered) < _MAX_REORDERED:
            frame = next(self._frames, None)
            if frame is None:
                break
            if self._index.is_sequential:
                time, self._count = self._count, self._count + 1
            else:
                time = frame.pts if frame.pts is not None else frame.dts
            if time is not None and time >= target:
                self._reordered[time] = frame
        return self._reordered.pop(target, None)

    def _seek(self, keyframe: int) -> None:
        if self._index.is_sequential:
            self._restart()
            return
        stream = self._get_stream(self._container)
        time = int(self._index.pts[self._index.keyframes[keyframe]])
        self._container.seek(time, stream=stream, backward=True, any_frame=False)
        self._frames, self._reordered = self._iter_frames(stream, is_after_seek=True), {}

    def _restart(self) -> None:
        """Decode from the first byte, for containers in which seeking fails."""
        self._container.close()
        self._container = self._open()
        stream = self._get_stream(self._container)
        self._frames, self._reordered, self._count = self._iter_frames(stream), {}, 0

    def _open(self) -> Any:
        if not isinstance(self._source, Path):
            self._source.seek(0)
        container = open_container(self._source)
        prepare_decoder(self._get_stream(container), self._threads)
        return container

    def _get_stream(self, container: Any) -> Any:
        return get_video_stream(container, self._name, self._index.info.video_track)

    def _iter_frames(self, stream: Any, *, is_after_seek: bool = False) -> Iterator[Any]:
        """Yield frames in presentation order, without those that the group skips."""
        context = stream.codec_context
        for packet in self._container.demux(stream):
            if is_after_seek and packet.size and not packet.is_keyframe:
                continue  # MPEG-TS is sought by decoding time; MPEG-4 would be decoded to rubbish
            is_after_seek = False
            is_skipped = self._group and self._group.can_skip(packet.pts)
            context.skip_frame = "NONREF" if is_skipped else "DEFAULT"
            # Damage elsewhere does not matter; a damaged frame that is requested will be missing.
            with contextlib.suppress(av.error.InvalidDataError):
                yield from packet.decode()
            if self._group and self._group.mark_sent(packet.pts):
                # Flush the frames that are held back for reordering; the next seek resets it.
                with contextlib.suppress(av.error.InvalidDataError):
                    yield from context.decode(None)
                return

    def close(self) -> None:
        """Close the container. May be called more than once."""
        self._frames, self._reordered = iter(()), {}
        self._container.close()


class _SeekGroup:
    """Presentation times of the frames requested between two seeks."""

    def __init__(self, times: list[int], *, is_last: bool) -> None:
        self._times, self._last = frozenset(times), times[-1]
        self._unsent = None if is_last else set(times)  # after the last, decoding may continue

    def can_skip(self, time: int | None) -> bool:
        """Return whether a frame is not requested; it is still decoded if others refer to it."""
        return time is not None and time < self._last and time not in self._times

    def mark_sent(self, time: int | None) -> bool:
        """Record that a packet was sent to the decoder; return whether all were."""
        if self._unsent is None:
            return False
        self._unsent.discard(time)
        return not self._unsent
