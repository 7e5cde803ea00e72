"""The progress display of a command: a bar or a spinner on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from argus.cli.console import stderr

RATE_PERIOD_S = 600.0
"""Period of the moving average of the rate: videos take minutes and end in bursts."""

PLAIN_PERIOD_S = 5.0
"""Minimum time between two lines if standard error is not a terminal."""

_TIME_UNITS = ((1, "s"), (60, "min"), (3600, "h"))


class ProgressDisplay:
    """Display of one job on standard error; `update` is a `ProgressHook`.

    A terminal shows a bar with the rate, the elapsed and the remaining time, and the message below
    it; a phase without a step count is a spinner with its own elapsed time. Otherwise plain lines
    are printed: each phase once, and the progress at most every `PLAIN_PERIOD_S` seconds.

    Args:
        title: the name of the job.
        transient: remove the display at the end, and print no plain line in the first seconds:
            for work that is usually over at once.
        console: where to print; by default standard error.
        clock: returns a time in seconds.
    """

    def __init__(
        self,
        title: str,
        *,
        transient: bool = False,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console or stderr
        self._clock = clock
        self._title = title
        self._is_plain = not self._console.is_terminal
        self._printed = clock() if transient else float("-inf")
        self._phase = ""
        self._lines = _JobLines(
            *_columns(),
            console=self._console,
            transient=transient,
            disable=self._is_plain,
            speed_estimate_period=RATE_PERIOD_S,
            get_time=clock,
        )
        self._task = self._lines.add_task(title, total=None, unit="", message="", phase="starting")

    def __enter__(self) -> Self:
        self._lines.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        task = self._lines.tasks[self._task]
        if task.fields["phase"] and task.completed:
            self._lines.update(self._task, phase="")  # leave the bar rather than a spinner
        elif task.fields["phase"]:
            self._lines.live.transient = True
        self._lines.stop()

    def update(self, step: int, total: int, unit: str, message: str) -> None:
        """Show progress; an empty unit announces a phase."""
        if not unit:
            self._show_phase(message)
            return
        self._phase = ""
        self._lines.update(
            self._task, completed=step, total=total or None, unit=unit, message=message, phase=""
        )
        if self._is_plain and self._clock() - self._printed >= PLAIN_PERIOD_S:
            self._print(self._describe(self._lines.tasks[self._task]))

    def _show_phase(self, message: str) -> None:
        if message == self._phase:
            return
        self._phase = message
        self._lines.begin_phase(self._task, message)
        is_early = self._clock() - self._printed < PLAIN_PERIOD_S and self._printed > float("-inf")
        if self._is_plain and not is_early:
            self._print(message)

    def _describe(self, task: Task) -> str:
        unit = task.fields["unit"]
        total = f"/{task.total:.0f}" if task.total else ""
        parts = [f"{task.completed:.0f}{total} {unit}s"]
        if speed := task.finished_speed or task.speed:
            parts.append(format_rate(speed, unit))
        if task.time_remaining:
            parts.append(f"{format_duration(task.time_remaining)} left")
        message = task.fields["message"]
        return ", ".join(parts) + (f"; {message}" if message else "")

    def _print(self, text: str) -> None:
        self._printed = self._clock()
        line = f"{self._title}: {text}"
        self._console.print(line, soft_wrap=True, highlight=False, markup=False)


def format_rate(per_second: float, unit: str) -> str:
    """Return a rate in the unit of time that gives at least one, such as "2.5 videos/min"."""
    seconds, name = next(
        (unit_of_time for unit_of_time in _TIME_UNITS if per_second * unit_of_time[0] >= 1),
        _TIME_UNITS[-1],
    )
    return f"{per_second * seconds:.3g} {unit}s/{name}"


def format_duration(seconds: float) -> str:
    """Return a duration as hours, minutes and seconds: "1:02:03"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


class _RateColumn(ProgressColumn):
    """The rate of a task, in units per second, minute or hour."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        text = format_rate(speed, task.fields["unit"]) if speed else ""
        return Text(text, style="progress.data.speed", no_wrap=True)


def _columns() -> tuple[ProgressColumn, ...]:
    return (
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]·"),
        TimeRemainingColumn(),
        TextColumn("[dim]left"),
    )


class _JobLines(Progress):
    """The lines of a job: title and message or phase, and the bar below."""

    _spinner: Spinner | None = None
    _phase_began = 0.0

    def start(self) -> None:
        """Start the display with the phase that the task was added with."""
        self._phase_began = self.get_time()
        super().start()

    def begin_phase(self, task: TaskID, phase: str) -> None:
        """Replace the bar by a spinner until the next progress."""
        self._phase_began = self.get_time()
        self.update(task, phase=phase)

    def get_renderables(self) -> Iterable[RenderableType]:
        for task in self.tasks:
            title = Text(task.description, style="bold", no_wrap=True, overflow="ellipsis")
            if task.fields["phase"]:
                yield title
                yield self._render_phase(task.fields["phase"])
                continue
            yield title
            bar = self.make_tasks_table([task])
            bar.expand = True
            yield bar
            if task.fields["message"]:
                message = task.fields["message"]
                yield Text(f"  {message}", style="dim", no_wrap=True, overflow="ellipsis")

    def _render_phase(self, phase: str) -> RenderableType:
        self._spinner = self._spinner or Spinner("dots", style="progress.spinner")
        row = Table.grid(padding=(0, 1))
        row.add_row(
            self._spinner,
            Text(phase),
            Text(format_duration(self.get_time() - self._phase_began), style="progress.elapsed"),
        )
        return row
