"""Plots as SVG or PNG bytes: the loss curve, and how many videos each reason dropped.

Colours are of Okabe and Ito's set, which the colour-blind tell apart.
"""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from argus.report.data import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Format = Literal["svg", "png"]

BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"
SKY = "#56B4E9"


def loss_curve(
    train: Sequence[Point],
    validation: Sequence[Point] = (),
    *,
    file_format: Format = "svg",
    dark: bool = False,
) -> bytes:
    """Training loss (each step faint, a running mean over it) and validation loss by step; logarithmic where they span more than a factor of 20."""
    figure, (axes,) = canvas(dark, 3.4)
    if train:
        steps, values = zip(*train, strict=True)
        colour = SKY if dark else BLUE
        axes.plot(steps, values, color=colour, alpha=0.3, linewidth=0.8)
        axes.plot(steps, _running_mean(values), color=colour, linewidth=1.8, label="training")
    if validation:
        axes.plot(
            *zip(*validation, strict=True),
            color=ORANGE,
            marker="o",
            markersize=4,
            linewidth=1.8,
            label="validation (fixed σ)",
        )
    if train or validation:
        axes.legend(frameon=False, labelcolor="linecolor")
    losses = [loss for _, loss in [*train, *validation]]
    if losses and 0 < 20 * min(losses) < max(losses):
        axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    return saved(figure, file_format)


def reason_bars(
    counts: Mapping[str, int], *, file_format: Format = "svg", dark: bool = False
) -> bytes:
    """A bar a reason, the largest on top, with its count; 'kept' has a colour of its own."""
    ordered = sorted(counts.items(), key=lambda item: (item[1], item[0]))
    figure, (axes,) = canvas(dark, 0.7 + 0.27 * max(1, len(ordered)))
    names = [name.replace("_", " ") for name, _ in ordered]
    bars = axes.barh(
        names,
        [count for _, count in ordered],
        color=[GREEN if name == "kept" else ORANGE for name, _ in ordered],
        height=0.7,
    )
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.bar_label(bars, padding=4, color=ink(dark))
    axes.grid(visible=False)
    axes.xaxis.set_visible(False)
    axes.spines[["bottom", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.margins(x=0.08)
    return saved(figure, file_format)


def _running_mean(values: Sequence[float]) -> list[float]:
    """The mean over about a tenth of the points around each, 51 at most."""
    half = min(25, len(values) // 20)
    windows = [values[max(0, k - half) : k + half + 1] for k in range(len(values))]
    return [sum(window) / len(window) for window in windows]


def ink(dark: bool) -> str:
    """The colour of lines and letters."""
    return "#c9d1d9" if dark else "#3a3f47"


def canvas(dark: bool, height: float, rows: int = 1) -> "tuple[Figure, list[Axes]]":
    """A figure 8 inches wide, transparent, with `rows` axes below each other that share x."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.patch.set_alpha(0)
    every = list(figure.subplots(rows, sharex=True, squeeze=False)[:, 0])
    for axes in every:
        axes.patch.set_alpha(0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["bottom", "left"]].set_color(ink(dark))
        axes.tick_params(colors=ink(dark), which="both")
        axes.xaxis.label.set_color(ink(dark))
        axes.yaxis.label.set_color(ink(dark))
        axes.grid(color=ink(dark), alpha=0.15, linewidth=0.6, which="both")
    return figure, every


def saved(figure: "Figure", file_format: Format) -> bytes:
    """The file; equal figures give equal bytes."""
    import matplotlib

    buffer = io.BytesIO()
    metadata = (
        {"Date": None} if file_format == "svg" else None
    )  # the same data gives the same bytes
    with matplotlib.rc_context({"svg.hashsalt": "argus", "svg.fonttype": "path"}):
        figure.savefig(buffer, format=file_format, dpi=144, metadata=metadata)
    return buffer.getvalue()
