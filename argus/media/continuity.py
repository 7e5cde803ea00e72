"""Presentation times of streams whose clock restarts, as FFmpeg's command line continues them."""

from fractions import Fraction
from typing import Any

LARGEST_GAP_S = 10  # FFmpeg's dts_delta_threshold
LARGEST_STEP_BACK_S = Fraction(1, 10)


class ClockContinuation:
    """Shift of a stream's times such that they go on where the clock restarts.

    As in fftools' `ts_discontinuity_detect`. There a gap counts in containers with broadcast
    clocks only; a step back counts here in all of them.

    Args:
        time_base: seconds per unit of the times.
        rate: frames per second, for packets without a duration.
        has_broadcast_clock: True if a gap of more than ten seconds is a new clock.
    """

    def __init__(self, time_base: Fraction, rate: Fraction, *, has_broadcast_clock: bool) -> None:
        self._gap = float(LARGEST_GAP_S / time_base) if has_broadcast_clock else None
        self._step_back = float(LARGEST_STEP_BACK_S / time_base)
        self._frame = round(1 / rate / time_base)
        self._offset = 0
        self._last: int | None = None
        self._next: int | None = None

    def correct(self, packet: Any) -> None:
        """Shift the times of the next packet in stored order."""
        self._shift(packet)
        if packet.dts is not None and self._next is not None and self._last is not None:
            delta = packet.dts - self._next
            is_gap = self._gap is not None and abs(delta) > self._gap
            if is_gap or packet.dts + self._step_back < self._last:
                self._offset -= delta
                packet.dts -= delta
                packet.pts = None if packet.pts is None else packet.pts - delta
        time = packet.dts if packet.dts is not None else self._next
        if time is None:
            time = packet.pts
        if time is not None:
            self._last, self._next = time, time + (packet.duration or self._frame)

    def _shift(self, packet: Any) -> None:
        if self._offset:
            packet.pts = None if packet.pts is None else packet.pts + self._offset
            packet.dts = None if packet.dts is None else packet.dts + self._offset


class TimeGuess:
    """Presentation times of decoded frames, as libavcodec's best-effort timestamps.

    Presentation times count, unless they went back more often than decoding times.
    """

    def __init__(self, frame_duration: int) -> None:
        self._duration = frame_duration
        self._last_pts: int | None = None
        self._last_dts: int | None = None
        self._faulty_pts = self._faulty_dts = 0
        self._last: int | None = None

    def guess(self, frame: Any) -> int:
        """Return the time of the next decoded frame; one step after the last one if it has none."""
        pts, dts = frame.pts, frame.dts
        if dts is not None:
            self._faulty_dts += self._last_dts is not None and dts <= self._last_dts
            self._last_dts = dts
        elif pts is not None:
            self._last_dts = pts
        if pts is not None:
            self._faulty_pts += self._last_pts is not None and pts <= self._last_pts
            self._last_pts = pts
        elif dts is not None:
            self._last_pts = dts
        is_pts_better = self._faulty_pts <= self._faulty_dts or dts is None
        time = pts if pts is not None and is_pts_better else dts
        if time is None:
            time = 0 if self._last is None else self._last + self._duration
        if self._last is not None and time > self._last:
            self._duration = time - self._last
        self._last = time
        return int(time)
