"""Plots of a whole dataset, as SVG or PNG bytes: distributions of clips and scores, and what a threshold yields."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from argus.report.plots import BLUE, GREEN, ORANGE, SKY, Format, canvas, ink, saved

if TYPE_CHECKING:
    from argus.report.sweep import Sweep

_BINS = 40


def distribution(
    values: Sequence[float], label: str, *, file_format: Format = "svg", dark: bool = False
) -> bytes:
    """How many clips have which value."""
    from matplotlib.ticker import MaxNLocator

    figure, (axes,) = canvas(dark, 2.2)
    axes.hist(
        values, bins=min(_BINS, max(1, len(set(values)))), color=SKY if dark else BLUE, rwidth=0.94
    )
    axes.set_xlabel(label)
    axes.set_ylabel("clips")
    axes.grid(visible=False, axis="x")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return saved(figure, file_format)


def yield_curves(found: "Sweep", *, file_format: Format = "svg") -> bytes:
    """Videos, clips and hours kept against the threshold, the scores themselves below, the present threshold as a line through all; on white."""
    figure, panels = canvas(False, 6.4, rows=4)
    yields, thresholds = list(found.yields), [one.threshold for one in found.yields]
    # a threshold that drops what is above it keeps as much until the next score, one that drops what is below it from the last score on
    rising = yields[-1].clips + yields[-1].unjudged >= yields[0].clips + yields[0].unjudged
    step: Literal["post", "pre"] = "post" if rising else "pre"
    beyond = 0.03 * (thresholds[-1] - thresholds[0])
    if rising:
        yields, thresholds = [*yields, yields[-1]], [*thresholds, thresholds[-1] + beyond]
    else:
        yields, thresholds = [yields[0], *yields], [thresholds[0] - beyond, *thresholds]
    series: dict[str, tuple[Sequence[float], Sequence[float]]] = {
        "videos": ([one.videos for one in yields], [one.videos + one.unjudged for one in yields]),
        "clips": ([one.clips for one in yields], ()),
        "hours": (
            [one.hours for one in yields],
            [one.hours + one.unjudged_hours for one in yields],
        ),
    }
    for axes, (name, (kept, most)) in zip(panels, series.items(), strict=False):
        if most:
            axes.fill_between(
                thresholds,
                kept,
                most,
                color=ORANGE,
                alpha=0.3,
                linewidth=0,
                step=step,
                label="not judged yet",
            )
        axes.plot(thresholds, kept, color=BLUE, linewidth=1.8, drawstyle=f"steps-{step}")
        axes.set_ylim(bottom=0)
        axes.set_ylabel(name)
    if any(one.unjudged for one in found.yields):
        panels[0].legend(frameon=False, labelcolor=ink(False))
    ends = min(thresholds[0], *found.values), max(thresholds[-1], *found.values)
    panels[-1].hist(found.values, bins=_BINS, range=ends, color=BLUE, alpha=0.6, rwidth=0.94)
    panels[-1].set_ylabel("scores")
    panels[-1].set_xlabel(
        f"{found.filter}.{found.score} (policy.{found.setting})", parse_math=False
    )
    if found.present is not None:
        for axes in panels:
            axes.axvline(found.present, color=GREEN, linewidth=1.4, linestyle="--")
        panels[0].set_title(
            f"present threshold {found.present:g}", color=GREEN, fontsize=10, loc="left"
        )
    figure.align_ylabels(panels)
    figure.patch.set(alpha=1, facecolor="white")
    return saved(figure, file_format)
