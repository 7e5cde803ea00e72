"""Plots as SVG or PNG bytes, in the colors of Okabe and Ito, which color-blind people distinguish.

matplotlib is imported when a plot is drawn. Equal data give equal bytes.
"""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from argus.report.sweep import Sweep

PlotFormat = Literal["svg", "png"]
Point = tuple[int, float]
"""A training step and its loss."""

_BLUE, _ORANGE, _GREEN, _SKY = "#0072B2", "#E69F00", "#009E73", "#56B4E9"
_WIDTH_IN = 8
_BINS = 40


def draw_loss_curve(
    train: Sequence[Point],
    validation: Sequence[Point] = (),
    *,
    file_format: PlotFormat = "svg",
    dark: bool = False,
) -> bytes:
    """Plot training loss (each step, and its running mean) and validation loss by step.

    The loss axis is logarithmic if the values span more than a factor of 20.

    Args:
        train: Training loss.
        validation: Validation loss.
        file_format: Format of the result.
        dark: Use colors for a dark page.
    """
    figure, (axes,) = _new_figure(dark, 3.4)
    if train:
        steps, values = zip(*train, strict=True)
        color = _SKY if dark else _BLUE
        axes.plot(steps, values, color=color, alpha=0.3, linewidth=0.8)
        axes.plot(steps, _running_mean(values), color=color, linewidth=1.8, label="training")
    if validation:
        axes.plot(
            *zip(*validation, strict=True),
            color=_ORANGE,
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
    return _save_figure(figure, file_format)


def draw_bars(
    counts: Mapping[str, int],
    *,
    neutral: bool = False,
    file_format: PlotFormat = "svg",
    dark: bool = False,
) -> bytes:
    """Plot a bar per name with its count, the largest on top.

    Args:
        counts: Number of videos or clips by name.
        neutral: Draw all bars in one color. By default the names are reasons, and "kept" is green
            while the others are orange.
        file_format: Format of the result.
        dark: Use colors for a dark page.
    """
    ordered = sorted(counts.items(), key=lambda item: (item[1], item[0]))
    figure, (axes,) = _new_figure(dark, 0.7 + 0.27 * max(1, len(ordered)))
    bars = axes.barh(
        [name.replace("_", " ") for name, _ in ordered],
        [count for _, count in ordered],
        color=[_bar_color(name, neutral, dark) for name, _ in ordered],
        height=0.7,
    )
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.bar_label(bars, padding=4, color=_text_color(dark))
    axes.grid(visible=False)
    axes.xaxis.set_visible(False)
    axes.spines[["bottom", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.margins(x=0.08)
    return _save_figure(figure, file_format)


def draw_histogram(
    values: Sequence[float], label: str, *, file_format: PlotFormat = "svg", dark: bool = False
) -> bytes:
    """Plot the number of clips by value.

    Args:
        values: One value per clip.
        label: Name of the value axis.
        file_format: Format of the result.
        dark: Use colors for a dark page.
    """
    from matplotlib.ticker import MaxNLocator

    figure, (axes,) = _new_figure(dark, 2.2)
    bins = min(_BINS, max(1, len(set(values))))
    axes.hist(values, bins=bins, color=_SKY if dark else _BLUE, rwidth=0.94)
    axes.set_xlabel(label)
    axes.set_ylabel("clips")
    axes.grid(visible=False, axis="x")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return _save_figure(figure, file_format)


def draw_yield_curves(sweeps: "Sequence[Sweep]", *, file_format: PlotFormat = "svg") -> bytes:
    """Plot kept videos, clips and hours by threshold, and the distribution of the scores.

    The current threshold is a dashed line through the panels of its sweep. The background is white.

    Args:
        sweeps: The yields at each value of each threshold, from the top to the bottom.
        file_format: Format of the result.
    """
    figure, panels = _new_figure(False, 6.4 * len(sweeps), rows=4 * len(sweeps))
    for number, sweep in enumerate(sweeps):
        _draw_sweep(panels[4 * number : 4 * number + 4], sweep)
    figure.align_ylabels(panels)
    figure.patch.set(alpha=1, facecolor="white")
    return _save_figure(figure, file_format)


def _draw_sweep(panels: "list[Axes]", sweep: "Sweep") -> None:
    """Draw three panels of yields and one of scores, which share their horizontal axis."""
    for axes in panels[1:]:
        axes.sharex(panels[0])
    for axes in panels[:3]:
        axes.tick_params(labelbottom=False)
    _draw_yields(panels[:3], sweep)
    thresholds = [point.threshold for point in sweep.yields]
    ends = min(thresholds[0], *sweep.values), max(thresholds[-1], *sweep.values)
    panels[3].hist(sweep.values, bins=_BINS, range=ends, color=_BLUE, alpha=0.6, rwidth=0.94)
    panels[3].set_ylabel("scores")
    panels[3].set_xlabel(
        f"{sweep.filter}.{sweep.score} (filters.{sweep.setting})", parse_math=False
    )
    if sweep.current is not None:
        for axes in panels:
            axes.axvline(sweep.current, color=_GREEN, linewidth=1.4, linestyle="--")
        panels[0].set_title(
            f"current threshold {sweep.current:g}", color=_GREEN, fontsize=10, loc="left"
        )


def _draw_yields(panels: "list[Axes]", sweep: "Sweep") -> None:
    """Draw step curves of videos, clips and hours.

    A filter that drops values above the threshold keeps the same until the next score; one that
    drops values below it, since the previous score. The steps are therefore to the right ("post")
    or to the left ("pre") of each threshold.
    """
    points, thresholds = list(sweep.yields), [point.threshold for point in sweep.yields]
    first, last = points[0], points[-1]
    is_rising = last.clips + last.unjudged >= first.clips + first.unjudged
    step: Literal["post", "pre"] = "post" if is_rising else "pre"
    margin = 0.03 * (thresholds[-1] - thresholds[0])
    if is_rising:
        points, thresholds = [*points, last], [*thresholds, thresholds[-1] + margin]
    else:
        points, thresholds = [first, *points], [thresholds[0] - margin, *thresholds]
    series: dict[str, tuple[Sequence[float], Sequence[float]]] = {
        "videos": (
            [point.videos for point in points],
            [point.videos + point.unjudged for point in points],
        ),
        "clips": ([point.clips for point in points], ()),
        "hours": (
            [point.hours for point in points],
            [point.hours + point.unjudged_hours for point in points],
        ),
    }  # (kept, upper bound)
    for axes, (name, (kept, upper)) in zip(panels, series.items(), strict=True):
        if upper:
            axes.fill_between(
                thresholds,
                kept,
                upper,
                color=_ORANGE,
                alpha=0.3,
                linewidth=0,
                step=step,
                label="not processed yet",
            )
        axes.plot(thresholds, kept, color=_BLUE, linewidth=1.8, drawstyle=f"steps-{step}")
        axes.set_ylim(bottom=0)
        axes.set_ylabel(name)
    if any(point.unjudged for point in sweep.yields):
        panels[0].legend(frameon=False, labelcolor=_text_color(False))


def _running_mean(values: Sequence[float]) -> list[float]:
    """Return the mean over a centered window of a tenth of the points, at most 51."""
    half = min(25, len(values) // 20)
    windows = [values[max(0, k - half) : k + half + 1] for k in range(len(values))]
    return [sum(window) / len(window) for window in windows]


def _bar_color(name: str, neutral: bool, dark: bool) -> str:
    if neutral:
        return _SKY if dark else _BLUE
    return _GREEN if name == "kept" else _ORANGE


def _text_color(dark: bool) -> str:
    return "#c9d1d9" if dark else "#3a3f47"


def _new_figure(dark: bool, height_in: float, rows: int = 1) -> "tuple[Figure, list[Axes]]":
    """Return a transparent figure with `rows` axes below each other."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH_IN, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    figure.patch.set_alpha(0)
    panels = list(figure.subplots(rows, squeeze=False)[:, 0])
    color = _text_color(dark)
    for axes in panels:
        axes.patch.set_alpha(0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["bottom", "left"]].set_color(color)
        axes.tick_params(colors=color, which="both")
        axes.xaxis.label.set_color(color)
        axes.yaxis.label.set_color(color)
        axes.grid(color=color, alpha=0.15, linewidth=0.6, which="both")
    return figure, panels


def _save_figure(figure: "Figure", file_format: PlotFormat) -> bytes:
    """Return the encoded figure, without a date, so that equal figures give equal bytes."""
    import matplotlib

    buffer = io.BytesIO()
    metadata = {"Date": None} if file_format == "svg" else None
    with matplotlib.rc_context({"svg.hashsalt": "argus", "svg.fonttype": "path"}):
        figure.savefig(buffer, format=file_format, dpi=144, metadata=metadata)
    return buffer.getvalue()
