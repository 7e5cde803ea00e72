"""The report of one refresh: a self-contained HTML page, and the same content as Markdown.

Prefect shows the Markdown.
"""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from argus.dataset import Dataset
from argus.files import write_text
from argus.report.page import data_uri, format_hours, render_page
from argus.report.pictures import crop_thumbnail, encode_jpeg, make_contact_sheet
from argus.report.refresh_figures import STAGES, Bottleneck, RefreshedVideo, RefreshFigures
from argus.report.refresh_rows import read_refreshed_videos
from schemas.names import Decision

_STAGE_NAMES = {
    "rate limit": "the rate limit",
    "start-up": "the start-up of downloads",
    "network": "the network",
    "download": "downloads",
    "decode": "decoding",
    "filters": "the filters",
    "encode": "encoding",
}
_SHEET_COLUMNS, _SHEET_PICTURES = 4, 24  # of the picture in the Markdown


@dataclass(frozen=True)
class Bar:
    """A line of a bar chart."""

    name: str
    kind: str  # CSS class
    amount: str
    share_of_longest: float  # in [0, 1]
    share_of_total: float  # in [0, 1]


@dataclass(frozen=True)
class PictureStrip:
    """Pictures of some videos with the same outcome."""

    name: str
    kind: str  # CSS class
    videos: int
    pictures: tuple[tuple[bytes, str], ...]  # (JPEG, caption)


@dataclass(frozen=True)
class RefreshReport:
    """Content of a refresh's report; `figures` has the numbers."""

    run_id: str
    place: str  # of the dataset
    figures: RefreshFigures
    facts: Mapping[str, str]
    outcomes: tuple[Bar, ...]
    clip_outcomes: tuple[Bar, ...]  # of clips that were not kept
    stages: tuple[Bar, ...]  # empty if no time was measured
    bottleneck: str  # empty if no time was measured
    advice: str
    strips: tuple[PictureStrip, ...]
    provenance: Mapping[str, str]


def write_refresh_report(
    dataset: Dataset, run_id: str, metrics: Mapping[str, float], path: Path
) -> RefreshReport:
    """Write the report of all that a run committed, including earlier attempts of the same run.

    Args:
        dataset: The dataset.
        run_id: The run.
        metrics: Metrics of the job's result. `considered`, `known` and `failed` are shown if
            present; `workers`, the number of videos processed at the same time, and `cpus` help to
            find the bottleneck.
        path: The HTML file to write; the Markdown file has the suffix .md.

    Returns:
        The content of the report.
    """
    figures = RefreshFigures()
    for video in read_refreshed_videos(dataset, run_id):
        figures.add(video)
    bottleneck = figures.find_bottleneck(metrics.get("workers"), metrics.get("cpus"))
    report = RefreshReport(
        run_id=run_id,
        place=dataset.store.uri,
        figures=figures,
        facts=_format_facts(figures, metrics),
        outcomes=_count_bars(figures.outcomes),
        clip_outcomes=_count_bars(
            (Decision.DROPPED, reason, count)
            for reason, count in figures.clip_reasons.most_common()
        ),
        stages=_stage_bars(figures),
        bottleneck=_format_bottleneck(bottleneck) if bottleneck else "",
        advice=bottleneck.advice if bottleneck else "",
        strips=tuple(_picture_strips(dataset, figures)),
        provenance=_format_provenance(dataset, run_id, figures),
    )
    write_text(path, render_page("refresh.html", report=report, stages=_measured(figures)))
    write_text(path.with_suffix(".md"), render_refresh_markdown(report))
    return report


def render_refresh_markdown(report: RefreshReport) -> str:
    """Return the report as Markdown, with all pictures in one data URI."""
    figures = report.figures
    parts = [
        f"# Refresh {_escape(report.run_id)}",
        _table(("figure", "value"), report.facts.items()),
        "## Decisions",
        _table(("outcome", "videos", "share"), map(_bar_cells, report.outcomes)),
    ]
    if report.stages:
        parts += [
            "## Processing time by stage",
            _table(("stage", "time", "share"), map(_bar_cells, report.stages)),
            f"**Bottleneck: {_escape(report.bottleneck)}.** {report.advice}",
        ]
    if sheet := _picture_sheet(report.strips):
        parts += ["## Pictures", f"![some of the videos, by outcome]({data_uri(sheet)})"]
    if figures.slowest:
        rows = (
            (
                video.source_id,
                f"{video.work_s:.1f} s",
                f"{video.length_s:.0f} s",
                video.reason or video.decision,
            )
            for video in figures.slowest
        )
        headers = ("video", "processing time", "length", "outcome")
        parts += ["## Slowest videos", _table(headers, rows)]
    if figures.to_retry:
        retries = ((video.source_id, video.reason, video.detail) for video in figures.to_retry)
        parts += [
            f"## Retried by the next refresh: {figures.retryable}",
            _table(("video", "reason", "message"), retries),
        ]
    return "\n\n".join(parts) + "\n"


def _format_facts(figures: RefreshFigures, metrics: Mapping[str, float]) -> dict[str, str]:
    # A video that fails again with the same reason is counted in the metrics, but not committed.
    repeated = metrics.get(Decision.FAILED, 0) - figures.decisions[Decision.FAILED]
    videos = figures.rate_per_hour(figures.videos)
    hours = figures.rate_per_hour(figures.hours_in)
    downloaded = figures.rate_per_hour(figures.download_bytes)
    facts = {
        "considered": f"{metrics['considered']:,.0f}" if "considered" in metrics else None,
        "known before": f"{metrics['known']:,.0f}" if "known" in metrics else None,
        "decided": f"{figures.videos:,}",
        "decided from stored scores": f"{figures.reevaluated:,}" if figures.reevaluated else None,
        "failed again": f"{repeated:,.0f}" if repeated > 0 else None,
        "kept": f"{figures.decisions[Decision.KEPT]:,}",
        "clips kept": f"{figures.clips:,}",
        "hours of video": format_hours(figures.hours_in),
        "hours of kept clips": format_hours(figures.hours_out),
        "downloaded": _format_bytes(figures.download_bytes),
        "working time": _format_duration(figures.working_s) if figures.seconds else None,
        "videos per hour": f"{videos:,.0f}" if videos is not None else None,
        "hours of video per hour": format_hours(hours) if hours is not None else None,
        "download rate": f"{_format_bytes(downloaded / 3600)}/s"
        if downloaded is not None
        else None,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _count_bars(outcomes: Iterable[tuple[str, str, int]]) -> tuple[Bar, ...]:
    """Return the bars of (decision, reason, count)."""
    return _make_bars(
        ((reason or "kept").replace("_", " "), decision, float(count), f"{count:,}")
        for decision, reason, count in outcomes
    )


def _format_bottleneck(bottleneck: Bottleneck) -> str:
    shares = {"workers were idle": bottleneck.idle, "CPUs were busy": bottleneck.cpu}
    known = [f"{name} {share:.0%}" for name, share in shares.items() if share is not None]
    suffix = f" ({' and '.join(known)} of the time)" if known else ""
    return _STAGE_NAMES[bottleneck.stage] + suffix


def _measured(figures: RefreshFigures) -> dict[str, str]:
    """Return the entries of `STAGES` for which there is time."""
    return {name: stage for name, stage in STAGES.items() if stage in figures.seconds}


def _stage_bars(figures: RefreshFigures) -> tuple[Bar, ...]:
    return _make_bars(
        (name, "stage", figures.seconds[name], _format_duration(figures.seconds[name]))
        for name in _measured(figures).values()
    )


def _make_bars(lines: Iterable[tuple[str, str, float, str]]) -> tuple[Bar, ...]:
    """Return the bars of (name, kind, value, text)."""
    lines = list(lines)
    values = [value for _, _, value, _ in lines]
    longest, total = max(values, default=0) or 1, sum(values) or 1
    return tuple(
        Bar(name, kind, text, value / longest, value / total) for name, kind, value, text in lines
    )


def _picture_strips(dataset: Dataset, figures: RefreshFigures) -> Iterator[PictureStrip]:
    """Yield strips in the order of the bars; lost pictures are left out."""
    for kind, reason, videos in figures.outcomes:
        pictures = tuple(
            (picture, video.detail or video.source_id)
            for video in figures.pictured.get(reason, ())
            if (picture := _read_picture(dataset, video)) is not None
        )
        if pictures:
            yield PictureStrip((reason or "kept").replace("_", " "), kind, videos, pictures)


def _read_picture(dataset: Dataset, video: RefreshedVideo) -> bytes | None:
    try:
        return crop_thumbnail(dataset.store.read(str(video.thumbnail)))
    except FileNotFoundError:
        return None


def _picture_sheet(strips: Sequence[PictureStrip]) -> bytes | None:
    """Return a labeled JPEG of the first pictures of each strip, as many as fit."""
    import numpy as np
    from PIL import Image

    ranked = sorted(
        (rank, number) for number, strip in enumerate(strips) for rank in range(len(strip.pictures))
    )
    selected = sorted((number, rank) for rank, number in ranked[:_SHEET_PICTURES])
    if not selected:
        return None
    arrays = [
        np.asarray(Image.open(io.BytesIO(strips[number].pictures[rank][0])).convert("RGB"))
        for number, rank in selected
    ]
    labels = [strips[number].name for number, _ in selected]
    return encode_jpeg(make_contact_sheet(arrays, labels, columns=_SHEET_COLUMNS), quality=75)


def _format_provenance(dataset: Dataset, run_id: str, figures: RefreshFigures) -> dict[str, str]:
    snapshots = dataset.list_snapshots() if dataset.exists else []
    facts = {
        "run": run_id,
        "dataset": dataset.store.uri,
        "latest snapshot": str(snapshots[-1].version) if snapshots else "none",
        "recipe": ", ".join(sorted(figures.recipes)),
        "code version": ", ".join(sorted(figures.code_versions)),
    }
    return {name: value for name, value in facts.items() if value}


def _bar_cells(bar: Bar) -> tuple[str, str, str]:
    return bar.name, bar.amount, f"{bar.share_of_total:.0%}"


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(map(_escape, line))} |" for line in lines)


def _escape(text: str) -> str:
    """Return text from strangers as one line of Markdown without markup or links."""
    return "".join(
        f"\\{letter}" if letter in "\\`*_[]<>|#!" else letter for letter in " ".join(text.split())
    )


def _format_bytes(amount: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:,.3g} TB"


def _format_duration(seconds: float) -> str:
    """Return a duration such as 42.5 s, 12:05 min or 3:07 h."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d} h"
