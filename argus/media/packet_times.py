"""Times of packets: which are missing, and where a stream's clock starts again.

A Matroska file stores no decoding times, and FFmpeg's demuxer derives none for the first packets of
a stream with reordered frames. Transport streams that were joined begin again at an earlier time.
"""

from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argus.media.continuity import LARGEST_STEP_BACK_S

NO_TIME = -(2**63)
"""AV_NOPTS_VALUE."""


class StreamTimes:
    """Times of a stream's packets in stored order.

    Attributes:
        time_base: seconds per unit.
        pts: presentation times; `NO_TIME` where there is none.
        is_disordered: True if a packet is decoded no later than the one before, or after it is
            shown: FFmpeg's demuxer guessed how far frames are reordered, and wrongly.
    """

    def __init__(self, time_base: Fraction) -> None:
        self.time_base = time_base
        self.pts = array("q")
        self.is_disordered = False
        self._latest: int | None = None
        self._leading: list[tuple[int, int]] = []  # times and durations before the first dts
        self._first_dts: int | None = None

    def add(self, packet: Any) -> None:
        """Note the times of the next packet."""
        self.pts.append(NO_TIME if packet.pts is None else packet.pts)
        if packet.dts is None and self._first_dts is None and packet.pts is not None:
            self._leading.append((packet.pts, packet.duration or 0))
        elif self._first_dts is None:
            self._first_dts = packet.dts
        if packet.dts is not None:
            is_late = packet.pts is not None and packet.dts > packet.pts
            is_repeated = self._latest is not None and packet.dts <= self._latest
            self.is_disordered |= is_late or is_repeated
            self._latest = packet.dts

    @property
    def first_s(self) -> Fraction:
        """Presentation time of the frame that is stored first, in seconds."""
        return next(time for time in self.pts if time != NO_TIME) * self.time_base

    @property
    def start_s(self) -> Fraction:
        """Presentation time of the frame that is shown first, in seconds."""
        return min(time for time in self.pts if time != NO_TIME) * self.time_base

    def list_delays(self) -> list[Fraction]:
        """Return the seconds between decoding and showing of the first packets, which lack a dts.

        They are decoded one frame apart before the first packet with a dts. If the stream is too
        short for any, they are decoded in the order in which they are shown.
        """
        pts = [time for time, _ in self._leading]
        if self._first_dts is None:
            times = sorted(pts)
            late = max((time - shown for shown, time in zip(pts, times, strict=True)), default=0)
            dts = [time - late for time in times]
        else:
            dts, time = [], self._first_dts
            for _, duration in reversed(self._leading):
                time -= max(1, duration)
                dts.insert(0, time)
        return [(shown - time) * self.time_base for shown, time in zip(pts, dts, strict=True)]

    def to_seconds(self) -> NDArray[np.float64]:
        """Return the presentation times `[packets]` in seconds; NaN where there is none."""
        units = np.frombuffer(self.pts, np.int64)
        return np.where(units == NO_TIME, np.nan, units * float(self.time_base))


@dataclass
class _Part:
    """A part of a file with its own clock, but the first.

    Attributes:
        starts: number of the first packet, by stream.
        steps: end of the part before and start of this one in seconds, by stream.
    """

    starts: dict[int, int]
    steps: dict[int, tuple[Fraction, Fraction]] = field(default_factory=dict)


class ClockRestarts:
    """Finder of the places where the clock of a file starts again.

    Args:
        has_dts: True if the container stores decoding times, which go back at such a place. Else a
            keyframe that is shown no later than the first one begins a part.
    """

    def __init__(self, *, has_dts: bool) -> None:
        self._has_dts = has_dts
        self._parts: list[_Part] = []
        self._counts: dict[int, int] = {}
        self._first: dict[int, Fraction] = {}
        self._latest: dict[int, Fraction] = {}
        self._ends: dict[int, Fraction] = {}

    def add(self, packet: Any) -> None:
        """Note the next packet in the order of the file."""
        stream = packet.stream_index
        count = self._counts.setdefault(stream, 0)
        units = packet.dts if self._has_dts else packet.pts
        if units is not None:
            time = units * packet.time_base
            first = self._first.setdefault(stream, time)
            latest = self._latest.get(stream, time)
            is_start = self._has_dts or (packet.is_keyframe and time <= first)
            if is_start and time + LARGEST_STEP_BACK_S < latest:
                self._begin_part(stream, count, time)
                latest = time
            self._latest[stream] = latest = max(latest, time)
            step = (latest - first) / count if count else Fraction(0)
            duration = packet.duration * packet.time_base if packet.duration else step
            self._ends[stream] = latest + duration
        self._counts[stream] = count + 1

    def _begin_part(self, stream: int, count: int, time: Fraction) -> None:
        if not self._parts or stream in self._parts[-1].steps:
            self._parts.append(_Part(dict(self._counts)))
        self._parts[-1].starts[stream] = count
        self._parts[-1].steps[stream] = (self._ends[stream], time)

    def list_offsets(self, stream: int, main: int) -> list[tuple[int, Fraction]]:
        """Return the parts with a clock of their own, but the first.

        Args:
            stream: the stream to correct.
            main: the stream whose clock goes on without a gap; the others stay in step with it.

        Returns:
            For each part the number of its first packet, and the seconds to add to the times of it
            and all later ones.
        """
        found = []
        for part in self._parts:
            end, start = part.steps.get(main) or next(iter(part.steps.values()))
            if stream in part.starts:
                found.append((part.starts[stream], end - start))
        return found
