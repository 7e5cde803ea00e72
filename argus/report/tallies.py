"""The figures of a whole dataset: how many videos and clips by decision, reason, layout, split and codec, hours, and what each filter drops."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from argus.dataset import ScoreRow, SourceRow
from schemas.names import Decision


@dataclass
class FilterTally:
    """What one filter made of the videos, or of the clips, that it judged. Several may drop the same one; the first gives its reason."""

    judged: int = 0
    dropped: int = 0
    alone: int = 0  # dropped by it and no other: what its absence would let through


@dataclass
class Tallies:
    """Counts over the latest decision on each video."""

    videos: Counter[str] = field(default_factory=Counter)  # by decision
    clips: Counter[str] = field(default_factory=Counter)  # by decision
    reasons: Counter[str] = field(default_factory=Counter)  # of videos that are not kept
    clip_reasons: Counter[str] = field(default_factory=Counter)  # of clips of videos that were cut
    layouts: Counter[str] = field(default_factory=Counter)
    layouts_kept: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)  # of kept clips
    codecs: Counter[str] = field(default_factory=Counter)
    hours_in: float = 0.0  # of all videos that could be read
    hours_out: float = 0.0  # of kept clips
    lengths: list[float] = field(default_factory=list)  # seconds, kept clips
    qualities: list[float] = field(default_factory=list)  # kept clips
    video_filters: dict[str, FilterTally] = field(default_factory=dict)
    clip_filters: dict[str, FilterTally] = field(default_factory=dict)

    def add(self, video: SourceRow) -> None:
        """Counts one video and its clips."""
        self.videos[video.decision] += 1
        self.layouts[video.layout or "unread"] += 1
        self.layouts_kept[video.layout or "unread"] += video.decision is Decision.KEPT
        if video.reason:
            self.reasons[video.reason] += 1
        if video.media:
            self.codecs[video.media.codec] += 1
            self.hours_in += (
                video.media.frames * video.media.fps_den / max(1, video.media.fps_num) / 3600
            )
        _judge(self.video_filters, video.scores)
        for clip in video.clips:
            self.clips[clip.decision] += 1
            _judge(self.clip_filters, clip.scores)
            if clip.reason:
                self.clip_reasons[clip.reason] += 1
        for clip in video.kept_clips:
            self.splits[video.split] += 1
            self.lengths.append((clip.end_ms - clip.start_ms) / 1000)
            self.hours_out += self.lengths[-1] / 3600
            if clip.quality is not None:
                self.qualities.append(clip.quality)


def tally(videos: Iterable[SourceRow]) -> Tallies:
    """The figures of all of them."""
    tallies = Tallies()
    for video in videos:
        tallies.add(video)
    return tallies


def _judge(filters: dict[str, FilterTally], scores: Sequence[ScoreRow]) -> None:
    """Only what has a threshold judges; the rest is recorded."""
    judging = [score for score in scores if score.threshold is not None]
    dropping = {score.filter for score in judging if not score.kept}
    for name in dict.fromkeys(score.filter for score in judging):
        one = filters.setdefault(name, FilterTally())
        one.judged += 1
        one.dropped += name in dropping
        one.alone += dropping == {name}
