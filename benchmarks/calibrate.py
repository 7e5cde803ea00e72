"""Accuracy of curation: on labeled real media, and on generated videos of every layout, defect and codec.

The generated set has two halves. Thresholds may be chosen on the tuning half; the scored half counts, whose worlds, sizes, frame rates, encoders and
settings occur nowhere in the tuning half. Each video is written, processed and deleted by itself. The exit status is 1 if a target is missed.

    python benchmarks/calibrate.py [--media DIR] [--count N] [--half scored|tuning|both] [--filters FILE] [--jobs N]
        [--scores FILE] [--write FILE]
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeVar

import yaml
from calibration_set import (
    SCORED,
    TUNING,
    Case,
    Half,
    Label,
    Outcome,
    evaluate_case,
    evaluate_label,
    init_worker,
    make_cases,
    mark_duplicates,
    read_labels,
)
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable

from argus.files import write_text
from schemas.config import FilterSettings
from schemas.names import Decision, Layout, Reason

T = TypeVar("T", Case, Label)
MIN_LAYOUT_ACCURACY, MIN_DECISION_ACCURACY = 0.98, 0.95
"""Targets of the scored half: shares with the correct layout, and with the correct decision and reason."""
_FILTERS_BY_REASON: dict[str, tuple[str, ...]] = {
    Reason.SEAM: ("seam",),
    Reason.BLACK: ("black", "caps"),
    Reason.LOW_VARIANCE: ("variance",),
    Reason.STATIC: ("static", "motion"),
    Reason.TOO_SHORT: ("length", "shots"),
    Reason.EXPOSURE: ("exposure",),
    Reason.BLURRED: ("blur",),
    Reason.TEXT: ("text",),
}
_FILTER_BY_FAULT = {"cuts": "shots", "tilt": "upright"}
_STILL = "converted as expected, then dropped: the camera stands still and only one figure moves"
KNOWN_MISSES = {"jungle_stereo_tb_v1meta.mp4": _STILL, "room_stereo_sbs_2to1.mp4": _STILL}
"""Real files with a wrong result that is accepted, and why."""


@dataclass(frozen=True)
class Table:
    """Table that is printed and written as Markdown."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    caption: str = ""

    def print(self, console: Console) -> None:
        table = RichTable(
            *self.head,
            title=self.title,
            title_justify="left",
            caption=self.caption or None,
            caption_justify="left",
        )
        for row in self.rows:
            table.add_row(*row)
        console.print(table, "", markup=False)

    def markdown(self) -> str:
        cells = [self.head, ("---",) * len(self.head), *self.rows]
        lines = [
            "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells
        ]
        return "\n".join(
            [f"## {self.title}", "", *([self.caption, ""] if self.caption else []), *lines, ""]
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the calibration, print its tables and return the exit status."""
    options = _options(arguments)
    settings = _read_filters(options.filters)
    console = Console() if sys.stdout.isatty() else Console(width=190)
    start = time.monotonic()
    real = _real(options.media, settings, options.jobs, console)
    wanted = [half for half in (TUNING, SCORED) if options.half in (half.name, "both")]
    each = options.count // len(wanted)
    halves = {
        half: run_cases(
            make_cases(half, each), evaluate_case, settings, options.jobs, f"the {half.name} half"
        )
        for half in wanted
        if each
    }
    tables = [
        *real_tables(real),
        *(table for half, outcomes in halves.items() for table in half_tables(half, outcomes)),
    ]
    tables = [table for table in tables if table.rows]
    for table in tables:
        table.print(console)
    console.print(
        f"{sum(map(len, halves.values()))} generated videos and {len(real)} real files in {time.monotonic() - start:.0f} s",
        markup=False,
    )
    faults = find_missed_targets(halves.get(SCORED, []), real)
    for fault in faults:
        console.print(f"missed target: {fault}", markup=False)
    if options.scores:
        write_text(
            options.scores,
            "".join(
                f"{json.dumps(_record(one))}\n"
                for one in [*real, *chain.from_iterable(halves.values())]
            ),
        )
    if options.write:
        write_text(options.write, render_document(tables, faults))
    return 1 if faults else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    environment = os.environ.get("ARGUS_TEST_MEDIA")
    parser.add_argument(
        "--media",
        type=Path,
        default=Path(environment) if environment else None,
        help="folder of real videos with labels.csv",
    )
    parser.add_argument(
        "--count", type=int, default=420, help="generated videos, of both halves together"
    )
    parser.add_argument("--half", choices=("scored", "tuning", "both"), default="both")
    parser.add_argument(
        "--filters", type=Path, help="YAML of other filter settings, alone or under `filters`"
    )
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    parser.add_argument(
        "--scores",
        type=Path,
        help="write truth, result and scores of each video as JSON Lines, for choosing thresholds",
    )
    parser.add_argument("--write", type=Path, help="write the tables as Markdown")
    return parser.parse_args(arguments)


def _record(one: Outcome) -> dict[str, object]:
    names = (
        "name",
        "about",
        "truth",
        "layout",
        "decision",
        "reason",
        "expected",
        "detail",
        "faults",
    )
    return {name: getattr(one, name) for name in names} | {
        "scores": {f"{score.filter}.{score.name}": score.value for score in one.scores}
    }


def _read_filters(file: Path | None) -> FilterSettings:
    values = yaml.safe_load(file.read_text(encoding="utf-8")) if file else {}
    return FilterSettings.model_validate(values.get("filters", values))


def _real(
    media: Path | None, settings: FilterSettings, jobs: int, console: Console
) -> list[Outcome]:
    if media is None:
        console.print("no real media: name their folder with --media or ARGUS_TEST_MEDIA\n")
        return []
    return mark_duplicates(
        run_cases(read_labels(media), evaluate_label, settings, jobs, "real files")
    )


def run_cases(
    tasks: Sequence[T],
    evaluate: Callable[[T, FilterSettings], Outcome],
    settings: FilterSettings,
    jobs: int,
    name: str,
) -> list[Outcome]:
    """Evaluate tasks in processes; return the outcomes in the order of the tasks."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    context = multiprocessing.get_context("spawn")  # OpenCV hangs in a forked process
    with (
        Progress(*columns, console=Console(stderr=True)) as progress,
        ProcessPoolExecutor(jobs, context, init_worker) as pool,
    ):
        shown = progress.add_task(name, total=len(tasks))
        futures = [pool.submit(evaluate, task, settings) for task in tasks]
        for _ in as_completed(futures):
            progress.advance(shown)
        return [future.result() for future in futures]


def real_tables(outcomes: Sequence[Outcome]) -> list[Table]:
    """Return a confusion matrix of layouts and a table of all files."""
    if not outcomes:
        return []
    rows = [
        (
            one.name,
            one.truth,
            one.layout,
            one.expected,
            str(one.reason or one.decision),
            _describe_fault(one) if one.faults else "correct",
        )
        for one in outcomes
    ]
    head = ("file", "layout", "detected layout", "expected", "decision", "result")
    return [_confusion("Real files: layouts", outcomes), Table("Real files", head, rows)]


def _describe_fault(one: Outcome) -> str:
    cause = KNOWN_MISSES.get(one.name) or f"wrong {' and '.join(one.faults)}: {one.detail}"
    return f"{cause}. {_relevant_scores(one)}"


def half_tables(half: Half, outcomes: Sequence[Outcome]) -> list[Table]:
    """Return all tables of a half."""
    name = f"The {half.name} half"
    seconds = sum(one.seconds for one in outcomes) / max(1, len(outcomes))
    caption = (
        f"{len(outcomes)} videos: {', '.join(half.codecs)}; ERP maps of {', '.join(map(str, sorted(set(half.heights))))} rows; "
        f"{' or '.join(map(str, half.rates))} frames per second; GOPs of {' or '.join(map(str, half.gops))}. "
        f"Processing takes {seconds:.2f} s of processor time per video."
    )
    rows = [
        (what, f"{right} of {of}", f"{right / of:.1%}")
        for what, right, of in count_correct(outcomes)
        if of
    ]
    return [
        Table(f"{name}: accuracy", ("what", "correct", "share"), rows, caption),
        _confusion(f"{name}: layouts", outcomes),
        _reasons(f"{name}: decisions", outcomes),
        _yields(f"{name}: yield of each filter", outcomes),
        _causes(f"{name}: misses by cause", outcomes),
        _misses(f"{name}: misses with scores", outcomes),
    ]


def count_correct(outcomes: Sequence[Outcome]) -> list[tuple[str, int, int]]:
    """Return (what, number correct, number of all) for each measure."""
    seen = [one for one in outcomes if one.truth is not Layout.NONE]
    kept = [one for one in outcomes if one.decision is Decision.KEPT]
    return [
        ("layout of readable videos", *_count_without_fault(seen, "layout")),
        ("decision and reason", *_count_without_fault(outcomes, "decision")),
        (
            "kept, of videos to keep",
            *_count_without_fault([one for one in outcomes if one.expected == "kept"], "decision"),
        ),
        (
            "dropped for a correct reason, of videos to drop",
            *_count_without_fault([one for one in outcomes if one.expected != "kept"], "decision"),
        ),
        ("shot boundaries of kept videos", *_count_without_fault(kept, "cuts")),
        (
            "camera tilt within 4°, of kept tilted videos",
            *_count_without_fault([one for one in kept if one.name.startswith("tilted")], "tilt"),
        ),
        (
            "operator share within 0.15, of kept videos with an operator",
            *_count_without_fault(
                [one for one in kept if one.name.startswith("operator")], "nadir"
            ),
        ),
    ]


def _count_without_fault(outcomes: Sequence[Outcome], fault: str) -> tuple[int, int]:
    return sum(fault not in one.faults for one in outcomes), len(outcomes)


def _confusion(title: str, outcomes: Sequence[Outcome]) -> Table:
    counts = Counter((one.truth, one.layout) for one in outcomes)
    allowed = Counter(
        (one.truth, one.layout)
        for one in outcomes
        if one.truth is not one.layout and "layout" not in one.faults
    )
    columns = [layout for layout in Layout if any(layout is detected for _, detected in counts)]
    rows = [layout for layout in Layout if any(layout is truth for truth, _ in counts)]

    def cell(truth: Layout, detected: Layout) -> str:
        return (
            f"{counts[truth, detected]}{'*' * ((truth, detected) in allowed)}"
            if counts[truth, detected]
            else "·"
        )

    caption = (
        "Rows: true layout; columns: detected layout."
        + " *: also correct for these videos." * bool(allowed)
    )
    return Table(
        title,
        ("", *columns),
        [(truth, *(cell(truth, detected) for detected in columns)) for truth in rows],
        caption,
    )


def _reasons(title: str, outcomes: Sequence[Outcome]) -> Table:
    """Compare expected and actual decisions."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    wrong: Counter[str] = Counter()
    for one in outcomes:
        counts[one.expected][str(one.reason or one.decision)] += 1
        wrong[one.expected] += "decision" in one.faults
    rows = [
        (
            expected,
            str(actual.total()),
            str(wrong[expected] or "·"),
            ", ".join(f"{what} {n}" for what, n in actual.most_common()),
        )
        for expected, actual in sorted(
            counts.items(), key=lambda item: (item[0] != "kept", item[0])
        )
    ]
    return Table(title, ("expected", "videos", "wrong", "decisions"), rows)


def _yields(title: str, outcomes: Sequence[Outcome]) -> Table:
    reached: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    correct: Counter[str] = Counter()
    for one in outcomes:
        stages = one.stages
        first = next((name for name, kept in stages if not kept), None)
        if first is None and one.decision is Decision.DROPPED:
            first = "reading" if not stages else "layout" if len(stages) == 1 else "shots"
        for name in [
            "reading",
            *(name for name, _ in stages),
            *(["shots"] if first == "shots" else []),
        ]:
            reached[name] += 1
            if name == first:
                dropped[name] += 1
                correct[name] += "decision" not in one.faults
                break
    rows = [
        (
            name,
            str(count),
            str(dropped[name]),
            str(correct[name]),
            f"{1 - dropped[name] / count:.1%}",
        )
        for name, count in reached.items()
    ]
    return Table(
        title,
        ("filter", "videos", "dropped", "correctly", "yield"),
        rows,
        "In the order of processing.",
    )


def _causes(title: str, outcomes: Sequence[Outcome]) -> Table:
    groups: dict[tuple[str, ...], list[Outcome]] = defaultdict(list)
    for one in outcomes:
        if one.faults:
            groups[
                one.name.split(",")[0],
                " and ".join(one.faults),
                one.expected,
                f"{one.layout}: {one.reason or one.decision}",
            ].append(one)
    of = Counter(one.name.split(",")[0] for one in outcomes)
    rows = [
        (*key, f"{len(group)} of {of[key[0]]}")
        for key, group in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]
    return Table(title, ("kind", "wrong", "expected", "found", "videos"), rows)


def _misses(title: str, outcomes: Sequence[Outcome]) -> Table:
    rows = [
        (
            one.name,
            one.about,
            one.expected,
            f"{one.layout}: {one.reason or one.decision}",
            f"{one.detail}. {_relevant_scores(one)}",
        )
        for one in outcomes
        if one.faults
    ]
    return Table(title, ("kind", "parameters", "expected", "found", "detail and scores"), rows)


def _relevant_scores(one: Outcome) -> str:
    """List the scores that explain an outcome: of the layout, or of the filters that dropped or should drop."""
    names = {name for name, kept in one.stages if not kept} | {
        name for reason in one.expected.split(" or ") for name in _FILTERS_BY_REASON.get(reason, ())
    }
    names |= {fault for fault in one.faults if fault in ("layout", "nadir")} | {
        _FILTER_BY_FAULT[fault] for fault in one.faults if fault in _FILTER_BY_FAULT
    }
    return ", ".join(
        f"{score.filter}.{score.name} {score.value:.3g}"
        for score in one.scores
        if score.filter in names and score.value is not None
    )


def find_missed_targets(scored: Sequence[Outcome], real: Sequence[Outcome]) -> list[str]:
    """Return a sentence per missed target."""
    found = []
    for (what, right, of), least in zip(
        count_correct(scored)[:2], (MIN_LAYOUT_ACCURACY, MIN_DECISION_ACCURACY), strict=True
    ):
        if of and right < least * of:
            found.append(
                f"{what}: {right / of:.1%} of the scored half are correct, the target is {least:.0%}"
            )
    return found + [
        f"{one.name}: {_describe_fault(one)}"
        for one in real
        if one.faults and one.name not in KNOWN_MISSES
    ]


def render_document(tables: Sequence[Table], faults: Sequence[str]) -> str:
    """Return the page for `docs/` as Markdown."""
    introduction, _, _ = (__doc__ or "").partition("\n\n    python")
    start = "# Calibration\n\nGenerated by `make calibrate`. " + introduction
    targets = f"Targets: on the scored half {MIN_LAYOUT_ACCURACY:.0%} correct layouts and {MIN_DECISION_ACCURACY:.0%} correct decisions; every real file correct, or explained. "
    state = "All are met." if not faults else "Missed: " + "; ".join(faults)
    return (
        "\n\n".join(
            [start, targets + state, *(table.markdown().rstrip() for table in tables if table.rows)]
        )
        + "\n"
    )


if __name__ == "__main__":
    sys.exit(main())
