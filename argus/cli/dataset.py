"""`argus dataset`: looking at what was decided. These commands only read the dataset, and decode nothing; `argus.cli.versions` has the others."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from argus.cli.errors import console, guarded
from argus.cli.tables import LEFT, Folder, new_table, output, place
from argus.errors import InvalidInput
from argus.files import write_text
from argus.runs import ProgressHook

if TYPE_CHECKING:
    from argus.dataset import SourceRow
    from argus.dataset.view import DatasetView
    from argus.report.lineage import ScoreLine, Stage
    from argus.report.sweep import Sweep
    from argus.report.tallies import FilterTally, Tallies

dataset_app = typer.Typer(
    help="Live with a dataset: look at what was decided and why, compare its versions, share it, rebuild it, keep it small.",
    epilog="All but `rebuild` and `compact` only read what refreshes have stored; only `rebuild` fetches and decodes.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

_BAR = 24
_BINS = 10


@dataset_app.command()
@guarded
def why(
    name: Annotated[
        str,
        typer.Argument(
            metavar="VIDEO_OR_CLIP",
            help="A source id (youtube:ID, url:DIGITS), a url, a YouTube id, or a clip id",
        ),
    ],
    dataset: Folder = None,
) -> None:
    """Tell everything about one video or clip: how it was fetched, what it is, each score beside its threshold, and the decision.

    A score's margin is its distance from the threshold; red ones dropped it. A clip also tells its shard, row and checksum.

    Example: `argus dataset why youtube:dQw4w9WgXcQ@0-10000`
    """
    from argus.report.lineage import lineage

    ledger = _ledger(dataset)
    out = output()
    for stage in lineage(ledger, ledger.find(name)):
        _print_stage(out, stage)


@dataset_app.command()
@guarded
def stats(
    dataset: Folder = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with plots as well")
    ] = None,
) -> None:
    """Count what was decided: by decision, reason, layout, split and codec; hours in and out; lengths, quality; what each filter drops.

    A filter that drops something *alone* is the only one that does: so much more would be kept without it.
    """
    from argus.report.tallies import Tallies

    ledger = _ledger(dataset)
    videos = _videos(ledger)
    tallies = Tallies()
    with _bar("counting") as told:
        for done, video in enumerate(videos, start=1):
            tallies.add(video)
            told(done, len(videos), "video", "")
    _print_tallies(output(), tallies)
    if html:
        from argus.report.stats_page import render_stats

        _writable(html, {".html", ".htm"})
        write_text(html, render_stats(ledger.store, tallies))
        typer.echo(f"page: {html.absolute()}")


@dataset_app.command()
@guarded
def sweep(
    name: Annotated[
        str,
        typer.Argument(
            metavar="FILTER[.SCORE]",
            help="Such as static, or seam.seam_ratio where a filter has several",
        ),
    ],
    dataset: Folder = None,
    steps: Annotated[
        int, typer.Option(min=2, max=1000, help="How many thresholds, spread over the scores")
    ] = 12,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the curves: .svg or .png")
    ] = None,
) -> None:
    """Show what would be kept with another threshold of one filter, every other filter's decision being held.

    The decisions are made again from stored scores. A video that was dropped has no judged clips yet: what a laxer threshold
    lets through is counted as *unjudged*, with its whole length.
    """
    from argus.report.sweep import sweep as swept

    if plot:
        _writable(plot, {".svg", ".png"})
    ledger = _ledger(dataset)
    videos = _videos(ledger)
    with _bar("deciding") as told:
        found = swept(videos, ledger.policies(), name, steps=steps, told=told)
    _print_sweep(output(), found)
    if plot:
        from argus.files import replace_atomically
        from argus.report.dataset_plots import yield_curves

        with replace_atomically(plot) as beside:
            beside.write_bytes(
                yield_curves(found, file_format="png" if plot.suffix.lower() == ".png" else "svg")
            )
        typer.echo(f"plot: {plot.absolute()}")


@dataset_app.command()
@guarded
def gallery(
    page: Annotated[Path, typer.Argument(metavar="OUT.html", help="The page to write")],
    dataset: Folder = None,
    limit: Annotated[
        int,
        typer.Option(
            min=1, help="Most videos on it; when there are more, some of every reason are taken"
        ),
    ] = 2000,
) -> None:
    """Write one page of kept and dropped videos and clips: pictures, reasons, scores, and filters that work without a server.

    While the pictures are few they are inside the page; otherwise they lie in `OUT_pictures` beside it, and both belong together.
    """
    from argus.report.gallery import write_gallery

    _writable(page, {".html", ".htm"})
    ledger = _ledger(dataset)
    videos = _videos(ledger)
    with _bar("gallery") as told:
        made = write_gallery(page, ledger.store, videos, limit=limit, told=told)
    if made.videos < len(videos):
        console.print(
            f"{made.videos} of {len(videos)} videos, some of every reason; --limit shows more"
        )
    typer.echo(f"videos: {made.videos}\nclips: {made.clips}\npage: {made.page.absolute()}")
    if made.pictures:
        typer.echo(f"pictures: {made.pictures.absolute()}")


def _ledger(dataset: str | None) -> "DatasetView":
    from argus.dataset.view import DatasetView

    return DatasetView(place(dataset))


def _videos(ledger: "DatasetView") -> "list[SourceRow]":
    """Leaves with status 0 and a word where nothing was decided yet."""
    with console.status("reading the index"):
        videos = ledger.videos()
    if not videos:
        words = f"The dataset at {ledger.store.uri} is empty: nothing was decided yet. `argus refresh CATALOGUE --dataset DIR` fills it."
        console.print(escape(words), soft_wrap=True, highlight=False)
        raise typer.Exit
    return videos


def _writable(path: Path, endings: set[str]) -> None:
    if path.suffix.lower() not in endings:
        raise InvalidInput(
            f"the file to write is {path}, but its name must end in {' or '.join(sorted(endings, reverse=True))}"
        )


def _print_stage(out: Console, stage: "Stage") -> None:
    said = (
        (": ", (stage.said, {True: "bold green", False: "bold red", None: ""}[stage.kept]))
        if stage.said
        else ()
    )
    out.print(Text.assemble((stage.title, "bold"), *said), soft_wrap=True)
    width = max(map(len, stage.facts), default=0)
    for name, value in stage.facts.items():
        out.print(Text.assemble("  ", (f"{name:<{width}}  ", "dim"), value), soft_wrap=True)
    if stage.scores:
        out.print(_score_table(out, stage.scores))
    out.print()


def _score_table(out: Console, lines: "Sequence[ScoreLine]") -> Table:
    table = new_table(out, "  score", "value", "threshold", "margin", "says")
    for line in lines:
        judged = line.threshold is not None
        says, colour = (
            ("keep" if line.kept else "drop", "green" if line.kept else "red")
            if judged
            else ("recorded", "dim")
        )
        cells = (_figure(line.value), _figure(line.threshold), line.margin, says)
        table.add_row(
            f"  {line.filter}.{line.score}", *cells, style=colour if colour != "green" else None
        )
    return table


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _print_tallies(out: Console, tallies: "Tallies") -> None:
    from schemas.names import Decision

    videos, clips = sum(tallies.videos.values()), sum(tallies.clips.values())
    kept = (tallies.videos[Decision.KEPT], tallies.clips[Decision.KEPT])
    out.print(
        Text.assemble(
            (f"{videos} videos", "bold"), f", {kept[0]} kept; {clips} clips cut, {kept[1]} kept"
        )
    )
    out.print(
        Text.assemble(
            (f"{tallies.hours_in:.2f} hours", "bold"),
            f" of video in, {tallies.hours_out:.2f} hours of clips out\n",
        )
    )
    for title, counts in (
        ("Videos by decision", tallies.videos),
        ("Videos not kept, by reason", tallies.reasons),
        ("Clips not kept, by reason", tallies.clip_reasons),
        ("Videos by layout", tallies.layouts),
        ("Videos by codec", tallies.codecs),
        ("Kept clips by split", tallies.splits),
    ):
        _print_counts(out, title, counts.most_common())
    _print_filters(out, "Filters of whole videos", tallies.video_filters)
    _print_filters(out, "Filters of clips", tallies.clip_filters)
    _print_counts(out, "Kept clips by length, s", _binned(tallies.lengths))
    _print_counts(out, "Kept clips by quality", _binned(tallies.qualities))


def _print_counts(out: Console, title: str, counts: Sequence[tuple[str, int]]) -> None:
    if not counts:
        return
    table = new_table(out, title, "", "", LEFT)
    most, total = max(count for _, count in counts), sum(count for _, count in counts)
    for name, count in counts:
        colour = "green" if name == "kept" else "cyan"
        table.add_row(
            str(name),
            str(count),
            f"{count / total:.0%}",
            Text(_block(count / max(1, most)), style=colour),
        )
    out.print(table)
    out.print()


def _block(share: float) -> str:
    eighths = round(share * _BAR * 8)
    return ("█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8]).rstrip()


def _binned(values: Sequence[float]) -> list[tuple[str, int]]:
    """Counts in at most ten equal bins, by their bounds."""
    import numpy as np

    if not values:
        return []
    counts, edges = np.histogram(values, bins=min(_BINS, len(set(values))))
    return [
        (f"{low:.3g} to {high:.3g}", int(count))
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
    ]


def _print_filters(out: Console, title: str, filters: "Mapping[str, FilterTally]") -> None:
    if not filters:
        return
    table = new_table(out, title, "judged", "kept", "dropped", "alone")
    for name, one in filters.items():
        kept = f"{(one.judged - one.dropped) / one.judged:.1%}"
        table.add_row(
            name,
            str(one.judged),
            kept,
            str(one.dropped),
            str(one.alone),
            style="red" if one.dropped == one.judged else None,
        )
    out.print(table)
    out.print()


def _present(found: "Sweep") -> str:
    return "now only recorded" if found.present is None else f"now {found.present:g}"


def _print_sweep(out: Console, found: "Sweep") -> None:
    words = f" against policy.{found.setting}, {_present(found)}; {len(found.values)} scores"
    out.print(Text.assemble((f"{found.filter}.{found.score}", "bold"), words))
    table = new_table(
        out, "threshold", "videos", "clips", "hours", "unjudged videos", "their hours", ""
    )
    for one in found.yields:
        present = one.threshold == found.present
        figures = (
            str(one.videos),
            str(one.clips),
            f"{one.hours:.3f}",
            str(one.unjudged or ""),
            f"{one.unjudged_hours:.3f}" if one.unjudged else "",
        )
        table.add_row(
            f"{one.threshold:.4g}",
            *figures,
            "<- now" if present else "",
            style="bold green" if present else None,
        )
    out.print(table)
    if found.left_out:
        console.print(
            f"{found.left_out} videos are left out: the settings they were decided with are not stored, or of another version"
        )


@contextmanager
def _bar(title: str) -> Iterator[ProgressHook]:
    """Shown while it lasts, on standard error."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(title, total=None)

        def told(step: int, total: int, unit: str, message: str) -> None:  # noqa: ARG001  a ProgressHook
            progress.update(task, completed=step, total=total)

        yield told
