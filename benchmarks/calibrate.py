"""How often curation is right: the real media beside their labels, and generated videos of every layout and defect in every codec.

The generated set has two halves. Thresholds may be chosen by looking at the tuning half; what counts is the scored half, whose worlds, sizes, rates,
encoders and settings occur nowhere in the other. Every video is written, judged and deleted by itself. Exit status 1 when a target is missed.

    python benchmarks/calibrate.py [--media DIR] [--count N] [--half scored|tuning|both] [--policy FILE] [--jobs N]
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
    cases,
    judge_case,
    judge_label,
    labels,
    prepare,
    with_duplicates,
)
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable

from argus.files import write_text
from schemas.config import FilterSettings
from schemas.names import Decision, Layout, Reason

T = TypeVar("T", Case, Label)
LAYOUTS, DECISIONS = 0.98, 0.95
"""The targets: shares of the scored half whose layout is right, and which are kept, or dropped for the right reason."""
_FILTERS: dict[str, tuple[str, ...]] = {
    Reason.SEAM: ("seam",),
    Reason.BLACK: ("black", "caps"),
    Reason.LOW_VARIANCE: ("variance",),
    Reason.STATIC: ("static", "motion"),
    Reason.TOO_SHORT: ("length", "shots"),
    Reason.EXPOSURE: ("exposure",),
    Reason.BLURRED: ("blur",),
    Reason.TEXT: ("text",),
}
_MEASURES = {"cuts": "shots", "tilt": "upright"}
_STANDS = (
    "converted as wanted, then dropped: the camera stands, and but for one figure nothing moves"
)
EXPLAINED = {"jungle_stereo_tb_v1meta.mp4": _STANDS, "room_stereo_sbs_2to1.mp4": _STANDS}
"""Real files that are judged wrongly, and why that is left so."""


@dataclass(frozen=True)
class Table:
    """Printed, and written as Markdown."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    words: str = ""

    def print(self, console: Console) -> None:
        table = RichTable(
            *self.head,
            title=self.title,
            title_justify="left",
            caption=self.words or None,
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
            [f"## {self.title}", "", *([self.words, ""] if self.words else []), *lines, ""]
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints and, if asked, writes; the exit status."""
    options = _options(arguments)
    policy = _policy(options.policy)
    console = Console() if sys.stdout.isatty() else Console(width=190)
    start = time.monotonic()
    real = _real(options.media, policy, options.jobs, console)
    wanted = [half for half in (TUNING, SCORED) if options.half in (half.name, "both")]
    each = options.count // len(wanted)
    halves = {
        half: run(cases(half, each), judge_case, policy, options.jobs, f"the {half.name} half")
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
    faults = missed(halves.get(SCORED, []), real)
    for fault in faults:
        console.print(f"missed: {fault}", markup=False)
    if options.scores:
        write_text(
            options.scores,
            "".join(
                f"{json.dumps(_record(one))}\n"
                for one in [*real, *chain.from_iterable(halves.values())]
            ),
        )
    if options.write:
        write_text(options.write, document(tables, faults))
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
        "--policy", type=Path, help="YAML of other thresholds, alone or under `filters`"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes that judge")
    parser.add_argument(
        "--scores",
        type=Path,
        help="write truth, judgement and scores of each video, as lines of JSON, to choose thresholds by",
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


def _policy(file: Path | None) -> FilterSettings:
    values = yaml.safe_load(file.read_text(encoding="utf-8")) if file else {}
    return FilterSettings.model_validate(values.get("filters", values))


def _real(media: Path | None, policy: FilterSettings, jobs: int, console: Console) -> list[Outcome]:
    if media is None:
        console.print("no real media: name their folder with --media or ARGUS_TEST_MEDIA\n")
        return []
    return with_duplicates(run(labels(media), judge_label, policy, jobs, "real files"))


def run(
    tasks: Sequence[T],
    judge: Callable[[T, FilterSettings], Outcome],
    policy: FilterSettings,
    jobs: int,
    name: str,
) -> list[Outcome]:
    """The outcomes in the order of the tasks."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    context = multiprocessing.get_context("spawn")  # a forked OpenCV hangs
    with (
        Progress(*columns, console=Console(stderr=True)) as progress,
        ProcessPoolExecutor(jobs, context, prepare) as pool,
    ):
        shown = progress.add_task(name, total=len(tasks))
        futures = [pool.submit(judge, task, policy) for task in tasks]
        for _ in as_completed(futures):
            progress.advance(shown)
        return [future.result() for future in futures]


def real_tables(outcomes: Sequence[Outcome]) -> list[Table]:
    """A confusion matrix of layouts and a line per file."""
    if not outcomes:
        return []
    rows = [
        (
            one.name,
            one.truth,
            one.layout,
            one.expected,
            str(one.reason or one.decision),
            _sentence(one) if one.faults else "right",
        )
        for one in outcomes
    ]
    head = ("file", "layout", "judged to be", "should be", "was", "")
    return [_confusion("Real files: layouts", outcomes), Table("Real files", head, rows)]


def _sentence(one: Outcome) -> str:
    words = EXPLAINED.get(one.name) or f"wrong {' and '.join(one.faults)}: {one.detail}"
    return f"{words}. {_numbers(one)}"


def half_tables(half: Half, outcomes: Sequence[Outcome]) -> list[Table]:
    """All that is said of a half."""
    name = f"The {half.name} half"
    seconds = sum(one.seconds for one in outcomes) / max(1, len(outcomes))
    made = (
        f"{len(outcomes)} videos: {', '.join(half.codecs)}; maps of {', '.join(map(str, sorted(set(half.heights))))} rows; "
        f"{' or '.join(map(str, half.rates))} frames per second; groups of {' or '.join(map(str, half.gops))}. "
        f"Judging takes {seconds:.2f} s of a core each."
    )
    rows = [
        (what, f"{right} of {of}", f"{right / of:.1%}")
        for what, right, of in tallies(outcomes)
        if of
    ]
    return [
        Table(f"{name}: how often it is right", ("what", "right", "share"), rows, made),
        _confusion(f"{name}: layouts", outcomes),
        _reasons(f"{name}: decisions", outcomes),
        _yields(f"{name}: yield of each filter", outcomes),
        _causes(f"{name}: misses by cause", outcomes),
        _misses(f"{name}: every miss with its scores", outcomes),
    ]


def tallies(outcomes: Sequence[Outcome]) -> list[tuple[str, int, int]]:
    """(what, right, of how many)."""
    seen = [one for one in outcomes if one.truth is not Layout.NONE]
    kept = [one for one in outcomes if one.decision is Decision.KEPT]
    return [
        ("layout, of readable videos", *_right(seen, "layout")),
        ("kept, or dropped for the right reason", *_right(outcomes, "decision")),
        (
            "kept, of what should be",
            *_right([one for one in outcomes if one.expected == "kept"], "decision"),
        ),
        (
            "dropped for the right reason, of what should be dropped",
            *_right([one for one in outcomes if one.expected != "kept"], "decision"),
        ),
        ("shot boundaries, of kept videos", *_right(kept, "cuts")),
        (
            "camera's tilt within 4°, where kept",
            *_right([one for one in kept if one.name.startswith("tilted")], "tilt"),
        ),
        (
            "operator's share within 0.15, where kept",
            *_right([one for one in kept if one.name.startswith("operator")], "nadir"),
        ),
    ]


def _right(outcomes: Sequence[Outcome], fault: str) -> tuple[int, int]:
    return sum(fault not in one.faults for one in outcomes), len(outcomes)


def _confusion(title: str, outcomes: Sequence[Outcome]) -> Table:
    counts = Counter((one.truth, one.layout) for one in outcomes)
    allowed = Counter(
        (one.truth, one.layout)
        for one in outcomes
        if one.truth is not one.layout and "layout" not in one.faults
    )
    columns = [layout for layout in Layout if any(layout is judged for _, judged in counts)]
    rows = [layout for layout in Layout if any(layout is truth for truth, _ in counts)]

    def cell(truth: Layout, judged: Layout) -> str:
        return (
            f"{counts[truth, judged]}{'*' * ((truth, judged) in allowed)}"
            if counts[truth, judged]
            else "·"
        )

    words = (
        "Rows: what it is; columns: what it was judged to be."
        + " *: that name is right too, or where nothing is declared." * bool(allowed)
    )
    return Table(
        title,
        ("", *columns),
        [(truth, *(cell(truth, judged) for judged in columns)) for truth in rows],
        words,
    )


def _reasons(title: str, outcomes: Sequence[Outcome]) -> Table:
    """What should become of videos, and what became of them."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    wrong: Counter[str] = Counter()
    for one in outcomes:
        counts[one.expected][str(one.reason or one.decision)] += 1
        wrong[one.expected] += "decision" in one.faults
    rows = [
        (
            expected,
            str(judged.total()),
            str(wrong[expected] or "·"),
            ", ".join(f"{what} {n}" for what, n in judged.most_common()),
        )
        for expected, judged in sorted(
            counts.items(), key=lambda item: (item[0] != "kept", item[0])
        )
    ]
    return Table(title, ("should be", "videos", "wrong", "was"), rows)


def _yields(title: str, outcomes: Sequence[Outcome]) -> Table:
    reached: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    rightly: Counter[str] = Counter()
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
                rightly[name] += "decision" not in one.faults
                break
    rows = [
        (
            name,
            str(count),
            str(dropped[name]),
            str(rightly[name]),
            f"{1 - dropped[name] / count:.1%}",
        )
        for name, count in reached.items()
    ]
    return Table(
        title,
        ("filter", "judged", "dropped", "for the right reason", "yield"),
        rows,
        "In the order in which they judge.",
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
    return Table(title, ("kind", "wrong", "should be", "judged", "how many"), rows)


def _misses(title: str, outcomes: Sequence[Outcome]) -> Table:
    rows = [
        (
            one.name,
            one.about,
            one.expected,
            f"{one.layout}: {one.reason or one.decision}",
            f"{one.detail}. {_numbers(one)}",
        )
        for one in outcomes
        if one.faults
    ]
    return Table(title, ("kind", "made with", "should be", "judged", "why, and scores"), rows)


def _numbers(one: Outcome) -> str:
    """The scores that matter: of the layout where that is wrong, else of the filters that dropped it or should have."""
    names = {name for name, kept in one.stages if not kept} | {
        name for reason in one.expected.split(" or ") for name in _FILTERS.get(reason, ())
    }
    names |= {fault for fault in one.faults if fault in ("layout", "nadir")} | {
        _MEASURES[fault] for fault in one.faults if fault in _MEASURES
    }
    return ", ".join(
        f"{score.filter}.{score.name} {score.value:.3g}"
        for score in one.scores
        if score.filter in names and score.value is not None
    )


def missed(scored: Sequence[Outcome], real: Sequence[Outcome]) -> list[str]:
    """Which targets are missed, in words."""
    found = []
    for (what, right, of), least in zip(tallies(scored)[:2], (LAYOUTS, DECISIONS), strict=True):
        if of and right < least * of:
            found.append(
                f"{what}: {right / of:.1%} of the scored half are right, the target is {least:.0%}"
            )
    return found + [
        f"{one.name}: {_sentence(one)}" for one in real if one.faults and one.name not in EXPLAINED
    ]


def document(tables: Sequence[Table], faults: Sequence[str]) -> str:
    """The page for `docs/`."""
    words, _, _ = (__doc__ or "").partition("\n\n    python")
    start = "# Calibration\n\nWritten by `make calibrate`; not by hand. " + words
    targets = f"Targets of the scored half: layouts {LAYOUTS:.0%}, decisions {DECISIONS:.0%}; and every real file right, or explained. "
    state = "All are met." if not faults else "Missed: " + "; ".join(faults)
    return (
        "\n\n".join(
            [start, targets + state, *(table.markdown().rstrip() for table in tables if table.rows)]
        )
        + "\n"
    )


if __name__ == "__main__":
    sys.exit(main())
