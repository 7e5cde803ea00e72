"""The report of a demo run: its data and the HTML page.

Text may come from strangers (URLs, titles, error messages); the page escapes it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from argus.files import write_text
from argus.report.page import Image, Plot, render_page
from argus.report.plots import Point, draw_bars, draw_loss_curve

_METRIC_NAMES = {
    "psnr_all": "PSNR all",
    "psnr_seen": "PSNR seen",
    "psnr_unseen": "PSNR unseen",
    "ws_psnr_all": "WS-PSNR all",
    "ws_psnr_seen": "WS-PSNR seen",
    "ws_psnr_unseen": "WS-PSNR unseen",
}


@dataclass(frozen=True)
class Picture:
    """An encoded picture and its caption."""

    image: Image
    caption: str = ""


@dataclass(frozen=True)
class VideoCard:
    """A source video and the decision about it."""

    source_id: str
    url: str
    decision: str  # a schemas.names.Decision
    reason: str = ""  # a schemas.names.Reason; empty if kept
    detail: str = ""  # one sentence
    thumbnail: Image | None = None
    layout: str = ""
    split: str = ""
    clips: int = 0  # number of kept clips


@dataclass(frozen=True)
class ReportData:
    """Content of a report, in the order of the page. Empty parts are left out."""

    title: str
    subtitle: str = ""
    summary: Mapping[str, str] = field(default_factory=dict)  # value by name
    model: Mapping[str, str] = field(default_factory=dict)  # URI, decision, …
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By method and metric, in dB; the model comes first."""
    results: tuple[Picture, ...] = ()  # input | generated | truth
    samples: tuple[Picture, ...] = ()  # from training
    train_loss: tuple[Point, ...] = ()
    validation_loss: tuple[Point, ...] = ()
    videos: tuple[VideoCard, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)  # run ids, snapshot, digest, …


def write_report(path: Path, data: ReportData) -> None:
    """Write the report as an HTML page.

    Args:
        path: The file to write.
        data: The content of the report.

    Raises:
        InvalidInput: A picture cannot be read, or is not a JPEG, PNG, GIF or WebP.
    """
    write_text(path, render_report(data))


def render_report(data: ReportData) -> str:
    """Return the HTML of the report; raise InvalidInput like `write_report`."""
    kept = [video for video in data.videos if video.decision == "kept"]
    dropped = sorted(
        (video for video in data.videos if video.decision != "kept"),
        key=lambda video: (video.reason, video.source_id),
    )
    names = list(dict.fromkeys(name for values in data.metrics.values() for name in values))
    return render_page(
        "report.html",
        data=data,
        kept=kept,
        dropped=dropped,
        reasons=Counter(video.reason or video.decision for video in dropped).most_common(),
        bars=_draw_bars(data.videos),
        loss=_draw_loss(data),
        metric_names={name: _METRIC_NAMES.get(name, name.replace("_", " ")) for name in names},
        best=_best_values(data.metrics, names),
    )


def _best_values(
    metrics: Mapping[str, Mapping[str, float]], names: Iterable[str]
) -> dict[str, float]:
    return {
        name: max(values[name] for values in metrics.values() if name in values) for name in names
    }


def _draw_bars(videos: tuple[VideoCard, ...]) -> Plot | None:
    counts: Counter[str] = Counter(
        "kept" if video.decision == "kept" else video.reason or video.decision for video in videos
    )
    return Plot.draw(lambda dark: draw_bars(counts, dark=dark)) if counts else None


def _draw_loss(data: ReportData) -> Plot | None:
    train, validation = data.train_loss, data.validation_loss
    if not train and not validation:
        return None
    return Plot.draw(lambda dark: draw_loss_curve(train, validation, dark=dark))
