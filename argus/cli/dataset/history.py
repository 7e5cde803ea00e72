"""The commands `log`, `diff` and `compact`: the commits and snapshots of a dataset."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from argus.cli.console import (
    handle_errors,
    new_table,
    open_stdout,
    print_json,
    print_note,
    stderr,
)
from argus.cli.options import (
    DatasetOption,
    JsonOption,
    LimitOption,
    locate_dataset,
    require_dataset,
)
from schemas.names import Decision

if TYPE_CHECKING:
    from argus.dataset import CompactReport, LoggedCommit

_SHORT_RECIPE = 8
"""Digits of a recipe's digest that are shown on a terminal."""


@handle_errors
def log(
    *,
    dataset: DatasetOption = None,
    limit: LimitOption = 30,
    as_json: JsonOption = False,
) -> None:
    """List the commits, newest first. A `*` marks those that a snapshot was published from.

    JSON: a list with the keys sequence, time, run_ids, recipes, decisions (videos by decision),
    clips, published.

    Example: `argus dataset log --limit 5`
    """
    place = require_dataset(locate_dataset(dataset))
    from argus.dataset import Dataset

    commits = Dataset(place).list_commits()[::-1]
    shown = commits[: limit or None]
    if as_json:
        print_json([{**asdict(commit), "time": commit.time.isoformat()} for commit in shown])
        return
    _print_commits(open_stdout(), shown)
    if len(shown) < len(commits):
        print_note(f"{len(shown)} of {len(commits)} commits; --limit 0 shows all")


@handle_errors
def diff(
    before: Annotated[int, typer.Argument(metavar="A", help="Version of a snapshot")],
    after: Annotated[
        int | None, typer.Argument(metavar="[B]", help="Version of another [default: the newest]")
    ] = None,
    *,
    dataset: DatasetOption = None,
    limit: LimitOption = 30,
    as_json: JsonOption = False,
) -> None:
    """Compare two snapshots: clips that were added, removed (with the reason) or changed.

    A changed clip has other bytes, another split or another quality.

    JSON keys: before, after, added (clip ids), removed (reason by clip id), changed (clip ids).

    Example: `argus dataset diff 3 5`
    """
    place = require_dataset(locate_dataset(dataset))
    from argus.dataset import Dataset
    from argus.report import clip_hours, removal_reasons

    opened = Dataset(place)
    found = opened.diff_snapshots(before, after)
    reasons = removal_reasons(opened, found.removed)
    if as_json:
        print_json({**asdict(found), "removed": reasons})
        return
    out = open_stdout()
    out.print(Text(f"Snapshot {found.before} to {found.after}", "bold"))
    table = new_table(out, "clips", "count", "hours")
    groups = {"added": found.added, "removed": found.removed, "changed": found.changed}
    for name, clips in groups.items():
        table.add_row(name, str(len(clips)), f"{clip_hours(clips):.3f}")
    for reason, count in Counter(reasons.values()).most_common():
        table.add_row(f"  removed: {reason}", str(count), "")
    out.print(table)
    changes = [("+", clip, "") for clip in found.added]
    changes += [("-", clip, reason) for clip, reason in reasons.items()]
    _print_changes(out, changes + [("~", clip, "") for clip in found.changed], limit)


@handle_errors
def compact(
    *,
    dataset: DatasetOption = None,
    keep_snapshots: Annotated[
        int | None, typer.Option(min=1, help="Newest snapshots to keep [default: all]")
    ] = None,
    keep_days: Annotated[
        float | None,
        typer.Option(min=0, help="Days for which snapshots are kept [default: all]"),
    ] = None,
    grace_hours: Annotated[
        float,
        typer.Option(
            min=0, help="Keep files younger than this; use 0 only if no other process writes"
        ),
    ] = 24.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be removed, and stop")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Merge the index's files, and remove files that no snapshot or decision refers to.

    Removes older snapshots, shards, pictures, and leftovers of killed refreshes. Snapshots are
    removed only if a limit is given. A snapshot that one of the limits keeps stays, and so does
    the newest. Refreshes and training may run at the same time.

    JSON keys: dry_run, snapshots, shards, thumbnails, staged (names), index_removed (count),
    bytes, index_files (before, after).

    Example: `argus dataset compact --keep-snapshots 5 --dry-run`
    """
    place = require_dataset(locate_dataset(dataset))
    from argus.dataset import Dataset

    with stderr.status("compacting"):
        report = Dataset(place).compact(
            keep_snapshots, keep_days, dry_run=dry_run, grace_h=grace_hours
        )
    if as_json:
        print_json(asdict(report))
    else:
        _print_compaction(open_stdout(), report)


def _print_commits(out: Console, commits: "Sequence[LoggedCommit]") -> None:
    """Print one line per commit; a terminal gets shorter times, run ids and digests."""
    counts = [str(decision) for decision in Decision]
    table = new_table(
        out, "commit", *counts, "clips", "time, UTC", "run", "recipe",
        left=["time, UTC", "run", "recipe"], shrink=["run"],
    )  # fmt: skip
    digits = _SHORT_RECIPE if out.is_terminal else None
    time_format = "%Y-%m-%d %H:%M" if out.is_terminal else "%Y-%m-%d %H:%M:%S"
    for commit in commits:
        cells = [commit.decisions[decision] for decision in Decision]
        table.add_row(
            f"{commit.sequence}{'*' if commit.published else ''}",
            *(str(count or "") for count in (*cells, commit.clips)),
            commit.time.strftime(time_format),
            ", ".join(commit.run_ids),
            ", ".join(recipe[:digits] for recipe in commit.recipes),
        )
    out.print(table)


def _print_changes(out: Console, changes: Sequence[tuple[str, str, str]], limit: int) -> None:
    """Print (sign, clip_id, remark) of at most `limit` clips."""
    colors = {"+": "green", "-": "red", "~": "yellow"}
    for sign, clip_id, remark in changes[: limit or None]:
        out.print(Text(f"{sign} {clip_id}  {remark}".rstrip(), colors[sign]), soft_wrap=True)
    if limit and len(changes) > limit:
        print_note(f"{limit} of {len(changes)} clips are shown; --limit 0 shows all")


def _print_compaction(out: Console, report: "CompactReport") -> None:
    table = new_table(out, "would be removed" if report.dry_run else "removed", "count", "unit",
                      left=["unit"])  # fmt: skip
    rows = {
        "snapshots": len(report.snapshots),
        "shards": len(report.shards),
        "pictures": len(report.thumbnails),
        "staged results": len(report.staged),
        "index of earlier versions": report.index_removed,
    }
    for name, count in rows.items():
        table.add_row(name, str(count), "files")
    table.add_row("size without the index", f"{report.bytes / 1e6:.1f}", "MB")
    out.print(table)
    before, after = report.index_files
    print_note(f"index files: {before} before, {after} now")
