"""Progress of a job, on a terminal and without one, and the table of its result."""

import io
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from argus.cli.jobs import metric_unit, print_result
from argus.cli.progress import (
    PLAIN_PERIOD_S,
    ProgressDisplay,
    format_duration,
    format_rate,
)
from schemas.names import JobKind, Outcome
from schemas.records import JobResult
from tests.support.cli import split_cells


def make_display(*, terminal: bool, now: list[float]) -> tuple[ProgressDisplay, io.StringIO]:
    """Return a display that prints into a text, with a clock that the test sets."""
    text = io.StringIO()
    console = Console(file=text, width=120, force_terminal=terminal, color_system=None)
    clock: Callable[[], float] = lambda: now[0]  # noqa: E731
    return ProgressDisplay("curate nightly", console=console, clock=clock), text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [
        (250.0, "250 videos/s"),
        (1.0, "1 videos/s"),
        (0.5, "30 videos/min"),
        (1 / 90, "40 videos/h"),
        (1e-4, "0.36 videos/h"),
    ],
)
def test_a_rate_has_the_unit_of_time_that_gives_at_least_one(per_second: float, text: str) -> None:
    assert format_rate(per_second, "video") == text


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(0, 10**7))
def test_a_duration_can_be_read_back(seconds: int) -> None:
    hours, minutes, rest = map(int, format_duration(seconds).split(":"))
    assert (hours * 60 + minutes) * 60 + rest == seconds
    assert minutes < 60
    assert rest < 60


def test_a_terminal_shows_rate_time_left_and_message() -> None:
    now = [0.0]
    display, text = make_display(terminal=True, now=now)
    with display:
        for step in range(11):
            now[0] = 30.0 * step
            display.update(100 + step, 200, "video", f"{step} kept, 1 dropped (seam)")
    *_, title, bar, message, _cursor = text.getvalue().splitlines()
    assert "curate nightly" in title
    for words in ("110/200", "2 videos/min", "0:05:00", "0:45:00"):
        assert words in bar, "resumed at 100, ten more in five minutes, ninety to go"
    assert "10 kept, 1 dropped (seam)" in message


def test_a_terminal_shows_a_phase_with_its_own_time_and_then_the_bar() -> None:
    now = [100.0]
    display, text = make_display(terminal=True, now=now)
    with display:
        display.update(3, 9, "video", "")
        display.update(0, 0, "", "publishing the snapshot")
        now[0] = 107.0
        deadline = time.monotonic() + 10
        while "publishing the snapshot 0:00:07" not in text.getvalue():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    *_, last, _cursor = text.getvalue().splitlines()
    assert "3/9" in last


def test_plain_lines_come_at_most_every_few_seconds() -> None:
    now = [0.0]
    display, text = make_display(terminal=False, now=now)
    with display:
        display.update(0, 0, "", "starting Ray")
        for step in range(100):
            now[0] = 1.0 + step
            display.update(step, 200, "video", "")
    lines = text.getvalue().splitlines()
    assert "starting Ray" in lines[0]
    assert 100 / PLAIN_PERIOD_S - 1 <= len(lines) <= 100 / PLAIN_PERIOD_S + 2
    assert "99/200 videos" in lines[-1]
    assert "1 videos/s" in lines[-1]
    assert format_duration(101) in lines[-1]


def test_a_result_is_a_table_with_units(capsys: pytest.CaptureFixture[str]) -> None:
    now = datetime.now(UTC)
    result = JobResult(
        kind=JobKind.CURATE,
        run_id="nightly",
        outcome=Outcome.DONE,
        metrics={"kept": 3.0, "clips": 7.0},
        outputs={"report": "/a/report.html", "snapshot": None},
        started=now,
        ended=now,
    )
    print_result(result, "argus train")
    printed = capsys.readouterr()
    cells = split_cells(printed.out)
    assert ["kept", "3", "videos"] in cells
    assert ["clips", "7", "clips"] in cells
    assert ["report", "/a/report.html"] in cells
    assert "snapshot" not in printed.out
    assert "argus train" in printed.err.splitlines()[-1]
    print_result(result, "argus train", as_json=True)
    assert JobResult.model_validate_json(capsys.readouterr().out) == result


def test_an_evaluation_has_one_column_a_method(capsys: pytest.CaptureFixture[str]) -> None:
    now = datetime.now(UTC)
    metrics = {"model.psnr_all": 20.0, "fill.psnr_all": 9.5, "clips": 8.0}
    result = JobResult(
        kind=JobKind.EVALUATE,
        run_id="a",
        outcome=Outcome.DONE,
        metrics=metrics,
        started=now,
        ended=now,
    )
    print_result(result)
    cells = split_cells(capsys.readouterr().out)
    assert cells[:2] == [
        ["metric", "model", "fill", "unit"],
        ["psnr_all", "20.0000", "9.5000", "dB"],
    ]


def test_figures_have_the_units_of_their_names() -> None:
    units = {"seconds_per_step": "s/step", "model.psnr_seen": "dB", "scored.seam": "videos"}
    assert {name: metric_unit(name) for name in units} == units
