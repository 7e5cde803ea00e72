"""The commands `stats` and `sweep`: counts of all decisions, and the yield of other thresholds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.text import Text

from argus.cli.console import (
    handle_errors,
    new_table,
    open_stdout,
    print_counts,
    print_json,
    print_note,
)
from argus.cli.dataset.inspect import open_view, read_videos
from argus.cli.options import DatasetOption, JsonOption
from argus.cli.progress import ProgressDisplay
from argus.files import replace_atomically, require_writable, write_text

if TYPE_CHECKING:
    from argus.report import FilterTally, Sweep, Tallies

_MAX_BINS = 10


@handle_errors
def stats(
    *,
    dataset: DatasetOption = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a page with plots, .html")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Count the decisions: by reason, layout, split, codec and filter; hours, lengths, quality.

    The column `alone` counts what only this filter drops: what would be kept without it.

    JSON keys: hours_in, hours_out; counts by name in videos, clips, reasons, clip_reasons,
    layouts, codecs, splits; judged, dropped and alone by filter in video_filters, clip_filters;
    lists of (low, high, count) in lengths_s, qualities.

    Example: `argus dataset stats --html stats.html`
    """
    if html:
        require_writable(html, "page", (".html", ".htm"))
    view = open_view(dataset)
    from argus.report import Tallies, describe_small_splits, render_stats

    videos = read_videos(view)
    tallies = Tallies()
    with ProgressDisplay("stats", transient=True) as display:
        for done, video in enumerate(videos, start=1):
            tallies.add(video)
            display.update(done, len(videos), "video", "")
    if as_json:
        print_json(_to_json(tallies))
    else:
        _print_tallies(open_stdout(), tallies)
    if small := describe_small_splits(tallies.splits, tallies.split_videos):
        print_note(small)
    if html:
        write_text(html, render_stats(view.store, tallies))
        print_note(f"page: {html.absolute()}")


@handle_errors
def sweep(
    name: Annotated[
        str,
        typer.Argument(
            metavar="REASON|FILTER[.SCORE]",
            help="Such as static for all thresholds that drop for this reason, motion for those of "
            "one filter, or seam.seam_ratio for one",
        ),
    ],
    *,
    dataset: DatasetOption = None,
    steps: Annotated[
        int, typer.Option(min=2, max=1000, help="Number of thresholds, spread over the scores")
    ] = 12,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also draw the curves: .svg or .png")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what would be kept with other thresholds of a filter or reason, each by itself.

    The decisions are made again from stored scores; nothing is decoded. A dropped video has no
    clips yet: those that a laxer threshold lets through are counted as *unjudged*, with their
    whole length. What several thresholds drop comes back with none of them alone.

    JSON: a list of thresholds with the keys filter, score, setting, current, values, dropped,
    alone (dropped by no other threshold), left_out, yields (threshold, videos, clips, hours,
    unjudged, unjudged_hours).

    Example: `argus dataset sweep static --steps 20 --plot static.svg`
    """
    if plot:
        require_writable(plot, "plot", (".svg", ".png"))
    view = open_view(dataset)
    from argus.report import compute_sweeps, draw_yield_curves

    videos = read_videos(view)
    with ProgressDisplay("sweep", transient=True) as display:
        found = compute_sweeps(
            videos, view.read_filter_settings(), name, steps=steps, on_progress=display.update
        )
    if as_json:
        print_json([asdict(one) for one in found])
    else:
        for one in found:
            _print_sweep(open_stdout(), one)
    if found[0].left_out:
        print_note(
            f"{found[0].left_out} videos are left out: their settings are not stored, or belong to "
            "another version"
        )
    if plot:
        file_format: Literal["svg", "png"] = "png" if plot.suffix.lower() == ".png" else "svg"
        with replace_atomically(plot) as partial:
            partial.write_bytes(draw_yield_curves(found, file_format=file_format))
        print_note(f"plot: {plot.absolute()}")


def _to_json(tallies: "Tallies") -> dict[str, Any]:
    counts = ("videos", "clips", "reasons", "clip_reasons", "layouts", "codecs", "splits")
    filters = ("video_filters", "clip_filters")
    return {
        "hours_in": tallies.hours_in,
        "hours_out": tallies.hours_out,
        **{name: dict(getattr(tallies, name).most_common()) for name in counts},
        **{
            name: {key: asdict(tally) for key, tally in getattr(tallies, name).items()}
            for name in filters
        },
        "lengths_s": _histogram(tallies.lengths),
        "qualities": _histogram(tallies.qualities),
    }


def _print_tallies(out: Console, tallies: "Tallies") -> None:
    videos, clips = sum(tallies.videos.values()), sum(tallies.clips.values())
    out.print(
        Text.assemble(
            (f"{videos} videos", "bold"), f", {tallies.videos['kept']} kept; ",
            f"{clips} clips cut, {tallies.clips['kept']} kept",
        )
    )  # fmt: skip
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
        print_counts(out, title, counts.most_common())
    _print_filters(out, "Filters of whole videos", tallies.video_filters)
    _print_filters(out, "Filters of clips", tallies.clip_filters)
    print_counts(out, "Kept clips by length, s", _bin_labels(tallies.lengths))
    print_counts(out, "Kept clips by quality", _bin_labels(tallies.qualities))


def _print_filters(out: Console, title: str, filters: "Mapping[str, FilterTally]") -> None:
    if not filters:
        return
    table = new_table(out, title, "judged", "kept", "dropped", "alone")
    for name, tally in filters.items():
        table.add_row(
            name,
            str(tally.judged),
            f"{(tally.judged - tally.dropped) / tally.judged:.1%}",
            str(tally.dropped),
            str(tally.alone),
            style="red" if tally.dropped == tally.judged else None,
        )
    out.print(table)
    out.print()


def _histogram(values: Sequence[float]) -> list[tuple[float, float, int]]:
    """Return (low, high, count) of at most ten equal bins."""
    import numpy as np

    if not values:
        return []
    counts, edges = np.histogram(values, bins=min(_MAX_BINS, len(set(values))))
    bins = zip(edges, edges[1:], counts, strict=False)
    return [(float(low), float(high), int(count)) for low, high, count in bins]


def _bin_labels(values: Sequence[float]) -> list[tuple[str, int]]:
    return [(f"{low:.3g} to {high:.3g}", count) for low, high, count in _histogram(values)]


def _print_sweep(out: Console, found: "Sweep") -> None:
    current = "only recorded now" if found.current is None else f"now {found.current:g}"
    words = (
        f" against filters.{found.setting}, {current}; {len(found.values)} scores; "
        f"drops {found.dropped}, {found.alone} of them alone"
    )
    out.print(Text.assemble((f"{found.filter}.{found.score}", "bold"), words))
    table = new_table(
        out, "threshold", "videos", "clips", "hours", "unjudged", "their hours", "", left=[""]
    )
    for point in found.yields:
        is_current = point.threshold == found.current
        table.add_row(
            f"{point.threshold:.4g}",
            str(point.videos),
            str(point.clips),
            f"{point.hours:.3f}",
            str(point.unjudged or ""),
            f"{point.unjudged_hours:.3f}" if point.unjudged else "",
            "<- now" if is_current else "",
            style="bold green" if is_current else None,
        )
    out.print(table)
    out.print()
