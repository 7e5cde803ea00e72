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

_NO_TIME = -(2**63)  # AV_NOPTS_VALUE
_MAX_STEP_BACK_S = Fraction(1, 10)  # as in FFmpeg: less is no new clock


class StreamTimes:
    """Times of a stream's packets in stored order.

    Attributes:
        time_base: seconds per unit.
        pts: presentation times; `_NO_TIME` where there is none.
    """

    def __init__(self, time_base: Fraction) -> None:
        self.time_base = time_base
        self.pts = array("q")
        self._leading: list[tuple[int, int]] = []  # times and durations before the first dts
        self._first_dts: int | None = None

    def add(self, packet: Any) -> None:
        """Note the times of the next packet."""
        self.pts.append(_NO_TIME if packet.pts is None else packet.pts)
        if packet.dts is None and self._first_dts is None and packet.pts is not None:
            self._leading.append((packet.pts, packet.duration or 0))
        elif self._first_dts is None:
            self._first_dts = packet.dts

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
        return np.where(units == _NO_TIME, np.nan, units * float(self.time_base))


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
    """Finder of the places where the clock of a file starts again."""

    def __init__(self) -> None:
        self._parts: list[_Part] = []
        self._counts: dict[int, int] = {}
        self._latest: dict[int, tuple[Fraction, Fraction]] = {}  # dts and its end by stream

    def add(self, packet: Any) -> None:
        """Note the next packet in the order of the file."""
        stream, unit = packet.stream_index, packet.time_base
        count = self._counts.setdefault(stream, 0)
        if packet.dts is not None:
            time = packet.dts * unit
            latest, end = self._latest.get(stream, (time, time))
            if time + _MAX_STEP_BACK_S < latest:
                if not self._parts or stream in self._parts[-1].steps:
                    self._parts.append(_Part(dict(self._counts)))
                self._parts[-1].starts[stream] = count
                self._parts[-1].steps[stream] = (end, time)
            self._latest[stream] = (time, time + (packet.duration or 0) * unit)
        self._counts[stream] = count + 1

    def list_offsets(self, main: int) -> list[tuple[dict[int, int], Fraction]]:
        """Return the parts with a clock of their own, but the first.

        Args:
            main: the stream whose clock goes on without a gap; the others stay in step with it.

        Returns:
            For each part the number of its first packet by stream, and the seconds to add to the
            times of it and all later parts.
        """
        found = []
        for part in self._parts:
            end, start = part.steps.get(main) or next(iter(part.steps.values()))
            found.append((part.starts, end - start))
        return found
