"""The page: one HTML file that needs nothing else. Every text is escaped, every picture is inside it."""

import base64
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from argus.errors import InvalidInput
from argus.files import write_text
from argus.report.data import Image, Point, ReportData, VideoCard

_MAGIC = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}
_METRIC_NAMES = {
    "psnr_all": "PSNR all",
    "psnr_seen": "PSNR seen",
    "psnr_unseen": "PSNR unseen",
    "ws_psnr_all": "WS-PSNR all",
    "ws_psnr_seen": "WS-PSNR seen",
    "ws_psnr_unseen": "WS-PSNR unseen",
}


@dataclass(frozen=True)
class Plot:
    """The same plot for light and for dark pages."""

    light: str  # data URIs
    dark: str


def write_report(path: Path, data: ReportData) -> None:
    """Writes the page, whole or not at all. Raises InvalidInput when a picture cannot be read or is no JPEG, PNG, GIF or WebP."""
    write_text(path, render_report(data))


def render_report(data: ReportData) -> str:
    """The page's HTML."""
    return render_page("report.html", data=data, **_derived(data))


def render_page(name: str, **values: Any) -> str:
    """The HTML of a template of this package; whatever is put into it is escaped, and `picture` makes a data: URI of an image."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    def load(name: str) -> str:
        return (resources.files("argus.report") / name).read_text(encoding="utf-8")

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(load),
    )
    environment.filters["picture"] = data_uri
    return environment.get_template(name).render(**values)


def data_uri(image: Image) -> str:
    """An encoded picture as a data: URI."""
    try:
        content = image if isinstance(image, bytes) else image.read_bytes()
    except OSError as error:
        raise InvalidInput(f"picture {image!r} of the report cannot be read: {error}") from error
    kind = next((kind for magic, kind in _MAGIC.items() if content.startswith(magic)), None)
    if kind is None:
        raise InvalidInput(
            f"a picture of the report starts with {content[:8]!r}, but must be a JPEG, PNG, GIF or WebP file"
        )
    return _uri(content, kind)


def _derived(data: ReportData) -> dict[str, Any]:
    kept = [video for video in data.videos if video.decision == "kept"]
    dropped = sorted(
        (video for video in data.videos if video.decision != "kept"),
        key=lambda video: (video.reason, video.source_id),
    )
    names = list(dict.fromkeys(name for values in data.metrics.values() for name in values))
    return {
        "kept": kept,
        "dropped": dropped,
        "reasons": Counter(video.reason or video.decision for video in dropped).most_common(),
        "bars": _bars(data.videos),
        "loss": _loss(data.train_loss, data.validation_loss),
        "metric_names": {name: _METRIC_NAMES.get(name, name.replace("_", " ")) for name in names},
        "best": _best(data.metrics, names),
    }


def _best(metrics: Mapping[str, Mapping[str, float]], names: list[str]) -> dict[str, float]:
    return {
        name: max(values[name] for values in metrics.values() if name in values) for name in names
    }


def _bars(videos: tuple[VideoCard, ...]) -> Plot | None:
    if not videos:
        return None
    from argus.report.plots import reason_bars

    counts = Counter(
        "kept" if video.decision == "kept" else video.reason or video.decision for video in videos
    )
    return Plot(svg_uri(reason_bars(counts)), svg_uri(reason_bars(counts, dark=True)))


def _loss(train: tuple[Point, ...], validation: tuple[Point, ...]) -> Plot | None:
    if not train and not validation:
        return None
    from argus.report.plots import loss_curve

    return Plot(
        svg_uri(loss_curve(train, validation)), svg_uri(loss_curve(train, validation, dark=True))
    )


def svg_uri(content: bytes) -> str:
    """An SVG file as a data: URI."""
    return _uri(content, "image/svg+xml")


def _uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
