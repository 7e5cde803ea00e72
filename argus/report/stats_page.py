"""The page of a dataset's figures: one HTML file with plots, which needs nothing else."""

from collections.abc import Callable

from argus.dataset import Store
from argus.report.dataset_plots import distribution
from argus.report.page import Plot, render_page, svg_uri
from argus.report.plots import reason_bars
from argus.report.tallies import Tallies
from schemas.names import Decision


def render_stats(dataset: Store, tallies: Tallies) -> str:
    """The page's HTML."""
    decisions = {"kept": tallies.videos[Decision.KEPT], **tallies.reasons}
    plots = {
        "Videos, by what became of them": _pair(lambda dark: reason_bars(decisions, dark=dark)),
        "Videos, by layout": _pair(lambda dark: reason_bars(tallies.layouts, dark=dark)),
        "Clips not kept, by reason": tallies.clip_reasons
        and _pair(lambda dark: reason_bars(tallies.clip_reasons, dark=dark)),
        "Kept clips, by length": tallies.lengths
        and _pair(lambda dark: distribution(tallies.lengths, "seconds", dark=dark)),
        "Kept clips, by quality": tallies.qualities
        and _pair(lambda dark: distribution(tallies.qualities, "quality", dark=dark)),
    }
    return render_page(
        "stats.html",
        title=dataset.name,
        place=dataset.uri,
        facts=_facts(tallies),
        plots={title: plot for title, plot in plots.items() if plot},
        filters={
            "Filters of whole videos": tallies.video_filters,
            "Filters of clips": tallies.clip_filters,
        },
        counts={"Kept clips by split": tallies.splits, "Videos by codec": tallies.codecs},
    )


def _facts(tallies: Tallies) -> dict[str, str]:
    videos, clips = sum(tallies.videos.values()), sum(tallies.clips.values())
    return {
        "videos considered": f"{videos:,}",
        "videos kept": f"{tallies.videos[Decision.KEPT]:,}",
        "clips cut": f"{clips:,}",
        "clips kept": f"{tallies.clips[Decision.KEPT]:,}",
        "hours in": f"{tallies.hours_in:,.2f}",
        "hours out": f"{tallies.hours_out:,.2f}",
    }


def _pair(drawn: Callable[[bool], bytes]) -> Plot:
    return Plot(svg_uri(drawn(False)), svg_uri(drawn(True)))
