"""The progress line of a job."""

import io

import pytest
from rich.console import Console

import argus.cli.jobs
from argus.cli.jobs import job_bar, rate_text


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
def test_a_rate_is_told_in_the_unit_that_gives_at_least_one(per_second: float, text: str) -> None:
    assert rate_text(per_second, "video") == text


def test_the_line_tells_rate_time_left_and_what_was_met(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
    now = [0.0]
    monkeypatch.setattr(argus.cli.jobs, "console", shown)
    monkeypatch.setattr(shown, "get_time", lambda: now[0])
    with job_bar("curate nightly") as told:
        for step in range(11):
            now[0] = 30.0 * step
            told(100 + step, 200, "video", f"{step} kept, 1 dropped (seam)")
    *_, first, second, _cursor = shown.file.getvalue().splitlines()
    for words in ("curate nightly", "110/200", "2 videos/min", "0:05:00", "0:45:00"):
        assert words in first, "resumed at 100, ten more in five minutes, ninety to go"
    assert "10 kept, 1 dropped (seam)" in second
