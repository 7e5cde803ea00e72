"""Statistics of a dataset: counts, hours and the effect of each filter, and their HTML page."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from argus.dataset import Score, SourceRow, Store
from argus.report.page import Plot, format_hours, render_page
from argus.report.plots import draw_bars, draw_histogram
from schemas.names import Decision, Split

MIN_CLIPS, MIN_VIDEOS = 30, 5
"""Least number of clips and videos of a held-out split whose figures mean anything."""


@dataclass
class FilterTally:
    """Counts of one filter over videos or clips. Several filters may drop the same one."""

    judged: int = 0  # videos or clips that the filter decided about
    dropped: int = 0
    alone: int = 0  # dropped by this filter and no other


@dataclass
class Tallies:
    """Counts over the latest decision about each video."""

    videos: Counter[str] = field(default_factory=Counter)  # by decision
    clips: Counter[str] = field(default_factory=Counter)  # by decision
    reasons: Counter[str] = field(default_factory=Counter)  # of videos that were not kept
    clip_reasons: Counter[str] = field(default_factory=Counter)  # of clips that were not kept
    layouts: Counter[str] = field(default_factory=Counter)
    layouts_kept: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)  # of kept clips
    split_videos: Counter[str] = field(default_factory=Counter)  # of kept videos
    codecs: Counter[str] = field(default_factory=Counter)
    hours_in: float = 0.0  # of all videos that could be read
    hours_out: float = 0.0  # of kept clips
    lengths: list[float] = field(default_factory=list)  # of kept clips, in seconds
    qualities: list[float] = field(default_factory=list)  # of kept clips
    video_filters: dict[str, FilterTally] = field(default_factory=dict)
    clip_filters: dict[str, FilterTally] = field(default_factory=dict)

    def add(self, video: SourceRow) -> None:
        """Count one video and its clips."""
        self.videos[video.decision] += 1
        self.layouts[video.layout or "unread"] += 1
        self.layouts_kept[video.layout or "unread"] += video.decision is Decision.KEPT
        if video.reason:
            self.reasons[video.reason] += 1
        if video.media:
            self.codecs[video.media.codec] += 1
            self.hours_in += video.media.duration_s / 3600
        _count_filters(self.video_filters, video.scores)
        for clip in video.clips:
            self.clips[clip.decision] += 1
            _count_filters(self.clip_filters, clip.scores)
            if clip.reason:
                self.clip_reasons[clip.reason] += 1
        self.split_videos[video.split] += bool(video.kept_clips)
        for clip in video.kept_clips:
            self.splits[video.split] += 1
            self.lengths.append((clip.end_ms - clip.start_ms) / 1000)
            self.hours_out += self.lengths[-1] / 3600
            if clip.quality is not None:
                self.qualities.append(clip.quality)


def describe_small_splits(clips: Mapping[str, int], videos: Mapping[str, int]) -> str:
    """Return which held-out splits are too small to mean anything; empty if none is.

    Args:
        clips: number of kept clips by split.
        videos: number of their videos by split.
    """
    small = [
        f"{split} has {clips.get(split, 0)} clips of {videos.get(split, 0)} videos"
        for split in (Split.VAL, Split.TEST)
        if clips.get(split, 0) < MIN_CLIPS or videos.get(split, 0) < MIN_VIDEOS
    ]
    if not small:
        return ""
    return (
        f"{' and '.join(small)}; figures on fewer than {MIN_CLIPS} clips or {MIN_VIDEOS} videos "
        "say little"
    )


def render_stats(dataset: Store, tallies: Tallies) -> str:
    """Return the statistics as an HTML page with plots.

    Args:
        dataset: The dataset, whose name and location the page shows.
        tallies: Its statistics.
    """
    return render_page(
        "stats.html",
        title=dataset.name,
        place=dataset.uri,
        facts=_format_facts(tallies),
        small=describe_small_splits(tallies.splits, tallies.split_videos),
        plots=_draw_plots(tallies),
        filters={
            "Filters of whole videos": tallies.video_filters,
            "Filters of clips": tallies.clip_filters,
        },
        counts={"Kept clips by split": tallies.splits, "Videos by codec": tallies.codecs},
    )


def _count_filters(filters: dict[str, FilterTally], scores: Sequence[Score]) -> None:
    """Count the filters that decided; scores without a threshold are only recorded."""
    decisive = [score for score in scores if score.threshold is not None]
    dropping = {score.filter for score in decisive if not score.kept}
    for name in dict.fromkeys(score.filter for score in decisive):
        tally = filters.setdefault(name, FilterTally())
        tally.judged += 1
        tally.dropped += name in dropping
        tally.alone += dropping == {name}


def _draw_plots(tallies: Tallies) -> dict[str, Plot]:
    """Return the plots by title, without those that have no data."""
    bars = {
        "Videos by decision and reason": (
            {"kept": tallies.videos[Decision.KEPT], **tallies.reasons},
            False,
        ),
        "Videos by layout": (tallies.layouts, True),
        "Clips that were not kept, by reason": (tallies.clip_reasons, False),
    }  # (counts, is neutral)
    histograms = {
        "Kept clips by length": (tallies.lengths, "seconds"),
        "Kept clips by quality": (tallies.qualities, "quality"),
    }
    plots = {
        title: Plot.draw(partial(_draw_bars, counts, neutral))
        for title, (counts, neutral) in bars.items()
        if counts
    }
    for title, (values, label) in histograms.items():
        if values:
            plots[title] = Plot.draw(partial(_draw_distribution, values, label))
    return plots


def _draw_bars(counts: Mapping[str, int], neutral: bool, dark: bool) -> bytes:
    return draw_bars(counts, neutral=neutral, dark=dark)


def _draw_distribution(values: Sequence[float], label: str, dark: bool) -> bytes:
    return draw_histogram(values, label, dark=dark)


def _format_facts(tallies: Tallies) -> dict[str, str]:
    videos, clips = sum(tallies.videos.values()), sum(tallies.clips.values())
    return {
        "videos considered": f"{videos:,}",
        "videos kept": f"{tallies.videos[Decision.KEPT]:,}",
        "clips cut": f"{clips:,}",
        "clips kept": f"{tallies.clips[Decision.KEPT]:,}",
        "hours of video": format_hours(tallies.hours_in),
        "hours of kept clips": format_hours(tallies.hours_out),
    }
