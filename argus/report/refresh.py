"""The report of one refresh: a page with pictures, which needs nothing else, and beside it the same in Markdown, which Prefect shows."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from argus.dataset import Dataset
from argus.files import write_text
from argus.report.page import data_uri, render_page
from argus.report.pictures import contact_sheet, encode_jpeg, first_picture
from argus.report.refresh_figures import STAGES, RefreshedVideo, RefreshFigures
from argus.report.refresh_rows import refreshed_videos
from schemas.names import Decision

_HOLDS = {
    "network": "the network",
    "decode": "decoding",
    "filters": "the filters",
    "encode": "encoding",
}
_SHEET_COLUMNS, _SHEET_PICTURES = 4, 24  # of the Markdown's picture


@dataclass(frozen=True)
class Bar:
    """A line of a bar chart; `share` is of the longest bar, `of_all` of the sum, both in [0,1]."""

    name: str
    kind: str  # a class of the page's style
    amount: str
    share: float
    of_all: float


@dataclass(frozen=True)
class Strip:
    """Pictures of some of the videos that met the same end: (JPEG, caption) each."""

    name: str
    kind: str
    videos: int
    pictures: tuple[tuple[bytes, str], ...]


@dataclass(frozen=True)
class RefreshReport:
    """What the report of a refresh says, in words and pictures; `figures` has the numbers."""

    run_id: str
    place: str  # of the dataset
    figures: RefreshFigures
    facts: Mapping[str, str]
    outcomes: tuple[Bar, ...]
    clip_outcomes: tuple[Bar, ...]  # of clips that are not kept
    stages: tuple[Bar, ...]  # none where nothing was measured
    held_up: str  # the stage that does, and by how much; empty where nothing was measured
    advice: str
    strips: tuple[Strip, ...]
    provenance: Mapping[str, str]


def write_refresh_report(
    dataset: Dataset, run_id: str, metrics: Mapping[str, float], path: Path
) -> RefreshReport:
    """Writes `path` (HTML) and, with the ending .md, the same in Markdown. Both are of all that the run committed, however often it was begun again.

    Of the result's metrics it shows `considered`, `known` and `failed`, and reckons with `workers`, the videos judged at once, where they are there.
    """
    figures = RefreshFigures()
    for video in refreshed_videos(dataset, run_id):
        figures.add(video)
    bottleneck = figures.bottleneck(metrics.get("workers"))
    idle = (
        f", {bottleneck.idle:.0%} of the workers' time unused"
        if bottleneck and bottleneck.idle is not None
        else ""
    )
    report = RefreshReport(
        run_id=run_id,
        place=dataset.store.uri,
        figures=figures,
        facts=_facts(figures, metrics),
        outcomes=_counts(figures.outcomes),
        clip_outcomes=_counts(
            ("dropped", reason, count) for reason, count in figures.clip_reasons.most_common()
        ),
        stages=_stages(figures),
        held_up=f"{_HOLDS[bottleneck.stage]}{idle}" if bottleneck else "",
        advice=bottleneck.advice if bottleneck else "",
        strips=tuple(_strips(dataset, figures)),
        provenance=_provenance(dataset, run_id, figures),
    )
    write_text(path, render_page("refresh.html", report=report, stages=STAGES))
    write_text(path.with_suffix(".md"), refresh_markdown(report))
    return report


def refresh_markdown(report: RefreshReport) -> str:
    """The report as Markdown; its pictures are one data: URI."""
    figures = report.figures
    parts = [
        f"# Refresh {_plain(report.run_id)}",
        _table(("figure", "value"), report.facts.items()),
    ]
    parts += [
        "## What became of the videos",
        _table(("outcome", "videos", "share"), map(_cells, report.outcomes)),
    ]
    if report.stages:
        parts += [
            "## Where the time went",
            _table(("stage", "time", "share"), map(_cells, report.stages)),
        ]
        parts += [f"**Held up by {_plain(report.held_up)}.** {report.advice}"]
    if sheet := _sheet(report.strips):
        parts += ["## Pictures", f"![some of the videos, by outcome]({data_uri(sheet)})"]
    if figures.slowest:
        slowest = (
            (
                one.source_id,
                f"{one.worked_s:.1f} s",
                f"{one.length_s:.0f} s",
                one.reason or one.decision,
            )
            for one in figures.slowest
        )
        parts += ["## The slowest videos", _table(("video", "work", "length", "outcome"), slowest)]
    if figures.to_retry:
        again = ((one.source_id, one.reason, one.detail) for one in figures.to_retry)
        parts += [
            f"## To be tried again: {figures.retryable}",
            _table(("video", "reason", "what was said"), again),
        ]
    return "\n\n".join(parts) + "\n"


def _facts(figures: RefreshFigures, metrics: Mapping[str, float]) -> dict[str, str]:
    repeated = (
        metrics.get(Decision.FAILED, 0) - figures.decisions[Decision.FAILED]
    )  # which is not committed again
    videos, hours, moved = (
        figures.per_hour(amount) for amount in (figures.videos, figures.hours_in, figures.fetched)
    )
    facts = {
        "considered": f"{metrics['considered']:,.0f}" if "considered" in metrics else None,
        "known before": f"{metrics['known']:,.0f}" if "known" in metrics else None,
        "decided": f"{figures.videos:,}",
        "of these from stored scores": f"{figures.decided_again:,}"
        if figures.decided_again
        else None,
        "failed as they did before": f"{repeated:,.0f}" if repeated > 0 else None,
        "kept": f"{figures.decisions[Decision.KEPT]:,}",
        "clips kept": f"{figures.clips:,}",
        "hours of video in": _figure(figures.hours_in),
        "hours of clips out": _figure(figures.hours_out),
        "fetched": _bytes(figures.fetched),
        "worked for": _duration(figures.worked_s) if figures.seconds else None,
        "videos an hour": f"{videos:,.0f}" if videos is not None else None,
        "video-hours an hour": _figure(hours) if hours is not None else None,
        "fetched a second": _bytes(moved / 3600) if moved is not None else None,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _counts(outcomes: Iterable[tuple[str, str, int]]) -> tuple[Bar, ...]:
    """Of (decision, reason, how many)."""
    return tuple(
        _bars(
            [
                ((reason or "kept").replace("_", " "), decision, float(count), f"{count:,}")
                for decision, reason, count in outcomes
            ]
        )
    )


def _stages(figures: RefreshFigures) -> tuple[Bar, ...]:
    return tuple(
        _bars(
            [
                (name, "stage", figures.seconds[name], _duration(figures.seconds[name]))
                for name in STAGES.values()
                if figures.seconds
            ]
        )
    )


def _bars(lines: Sequence[tuple[str, str, float, str]]) -> Iterator[Bar]:
    longest, total = (
        max((value for *_, value, _ in lines), default=0),
        sum(value for *_, value, _ in lines),
    )
    for name, kind, value, amount in lines:
        yield Bar(
            name, kind, amount, value / longest if longest else 0.0, value / total if total else 0.0
        )


def _strips(dataset: Dataset, figures: RefreshFigures) -> Iterator[Strip]:
    """The kept ones first, then by reason, as the bars are; a lost picture is left out."""
    for kind, reason, videos in figures.outcomes:
        shown = (
            (_picture(dataset, video), video.detail or video.source_id)
            for video in figures.pictured.get(reason, ())
        )
        if pictures := tuple(
            (picture, caption) for picture, caption in shown if picture is not None
        ):
            yield Strip((reason or "kept").replace("_", " "), kind, videos, pictures)


def _picture(dataset: Dataset, video: RefreshedVideo) -> bytes | None:
    try:
        return first_picture(dataset.store.read(str(video.thumbnail)))
    except FileNotFoundError:
        return None


def _sheet(strips: Sequence[Strip]) -> bytes | None:
    """One of each kind, then the second of each, … as one labelled JPEG."""
    import numpy as np
    from PIL import Image

    ranked = sorted(
        (place, number)
        for number, strip in enumerate(strips)
        for place in range(len(strip.pictures))
    )
    chosen = sorted((number, place) for place, number in ranked[:_SHEET_PICTURES])
    if not chosen:
        return None
    arrays = [
        np.asarray(Image.open(io.BytesIO(strips[number].pictures[place][0])).convert("RGB"))
        for number, place in chosen
    ]
    return encode_jpeg(
        contact_sheet(
            arrays, [strips[number].name for number, _ in chosen], columns=_SHEET_COLUMNS
        ),
        quality=75,
    )


def _provenance(dataset: Dataset, run_id: str, figures: RefreshFigures) -> dict[str, str]:
    snapshots = dataset.snapshots() if dataset.exists else []
    facts = {
        "run": run_id,
        "dataset": dataset.store.uri,
        "newest snapshot": str(snapshots[-1].version) if snapshots else "none",
        "recipe": ", ".join(sorted(figures.recipes)),
        "code version": ", ".join(sorted(figures.code_versions)),
    }
    return {name: value for name, value in facts.items() if value}


def _cells(bar: Bar) -> tuple[str, str, str]:
    return bar.name, bar.amount, f"{bar.of_all:.0%}"


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(map(_plain, line))} |" for line in lines)


def _plain(text: str) -> str:
    """A stranger's text as Markdown that says it and does nothing: no markup, no link, one line."""
    return "".join(
        f"\\{letter}" if letter in "\\`*_[]<>|#!" else letter for letter in " ".join(text.split())
    )


def _figure(value: float) -> str:
    """Two digits after the point, more where that would show little."""
    return f"{value:,.2f}" if value >= 0.1 else f"{value:.2g}"


def _bytes(amount: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:,.3g} TB"


def _duration(seconds: float) -> str:
    """Such as 42.5 s, 12:05 min, 3:07 h."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d} h"
