"""Agreement of a dataset with a clip list of the Argus authors.

A list has a line per clip that they kept: category, YouTube id and the name of the clip's file,
which ends in its number. Clips are spans of ten seconds, counted from 0, or from 1 if the list has
no clip 0. The authors publish neither how they cut nor the clips that they dropped, so spans of a
listed video that are not in the list count as dropped.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from argus.dataset import YOUTUBE_ID, CuratedClip, SourceRow
from argus.errors import InvalidInput
from schemas.names import Decision

CLIP_MS = 10_000
MIN_COVERED = 0.5
"""Share of a span that kept clips must cover for the span to count as kept."""
MIN_SPAN_MS = 2000
"""A shorter rest at the end of a video is no span."""

_NUMBER = re.compile(r"(\d{1,9})(?:\.mp4)?\Z")


@dataclass
class Agreement:
    """Counts of ten-second spans by what the authors and the dataset did with them.

    Attributes:
        videos: number of listed videos.
        present: those that the dataset has a decision on.
        unread: present videos that could not be read, by reason; their spans are not counted.
        first: number of the first clip of a video in the list.
        both_kept: spans that both keep.
        both_dropped: spans of listed videos that neither keeps.
        only_list: spans that only the list has, by the dataset's reason.
        only_dataset: spans that only the dataset keeps.
    """

    videos: int
    present: int = 0
    unread: Counter[str] = field(default_factory=Counter)
    first: int = 0
    both_kept: int = 0
    both_dropped: int = 0
    only_list: Counter[str] = field(default_factory=Counter)
    only_dataset: int = 0

    @property
    def spans(self) -> int:
        """Number of spans that were compared."""
        return self.both_kept + self.both_dropped + self.only_list.total() + self.only_dataset

    @property
    def agreement(self) -> float | None:
        """Share of spans on which both agree; None without spans."""
        return (self.both_kept + self.both_dropped) / self.spans if self.spans else None

    @property
    def recall(self) -> float | None:
        """Share of the list's spans that the dataset keeps; None without any."""
        listed = self.both_kept + self.only_list.total()
        return self.both_kept / listed if listed else None


def read_clip_list(path: Path | str) -> dict[str, set[int]]:
    """Return the numbers of the listed clips by YouTube id.

    Raises:
        InvalidInput: the file cannot be read, or a line is not of the form of the authors' lists.
    """
    clips: dict[str, set[int]] = defaultdict(set)
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the clip list {path} cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        values = [value.strip() for value in line.split("\t")]
        is_header = number == 1 and "video_id" in line
        if is_header or not line.strip():
            continue
        found = _NUMBER.search(values[-1]) if len(values) == 3 else None
        if not found or not YOUTUBE_ID.fullmatch(values[1]):
            raise InvalidInput(
                f"{path}, line {number}: {line[:60]!r} is not a category, a YouTube id and a clip "
                "that ends in its number, separated by tabs"
            )
        clips[values[1]].add(int(found[1]))
    if not clips:
        raise InvalidInput(f"the clip list {path} is empty; it needs a line per clip")
    return dict(clips)


def compare_clip_list(clips: Mapping[str, set[int]], videos: Iterable[SourceRow]) -> Agreement:
    """Compare a clip list with the decisions of a dataset.

    Args:
        clips: numbers of the listed clips by YouTube id (`read_clip_list`).
        videos: the latest decisions; those on other videos are ignored.
    """
    first = min(1, *(min(numbers) for numbers in clips.values()))
    found = Agreement(len(clips), first=first)
    for video in videos:
        listed = clips.get(video.source_id.removeprefix("youtube:"))
        if listed is None:
            continue
        found.present += 1
        if video.media is None or video.decision is Decision.FAILED:
            found.unread[video.reason or "unread"] += 1
        else:
            _compare_video(found, {number - first for number in listed}, video)
    return found


def _compare_video(found: Agreement, listed: set[int], video: SourceRow) -> None:
    end_ms = round(video.media.duration_s * 1000) if video.media else 0
    count = (end_ms - MIN_SPAN_MS) // CLIP_MS + 1
    for index in sorted(listed | set(range(count))):
        span = index * CLIP_MS, max(min((index + 1) * CLIP_MS, end_ms), index * CLIP_MS)
        is_kept = _covered_share(span, video.kept_clips) >= MIN_COVERED
        if index in listed and not is_kept:
            found.only_list[_find_reason(span, video)] += 1
        else:
            found.both_kept += index in listed
            found.only_dataset += is_kept and index not in listed
            found.both_dropped += not is_kept


def _covered_share(span: tuple[int, int], clips: Sequence[CuratedClip]) -> float:
    length = span[1] - span[0]
    return sum(_overlap_ms(span, clip) for clip in clips) / length if length else 0.0


def _overlap_ms(span: tuple[int, int], clip: CuratedClip) -> int:
    return max(0, min(span[1], clip.end_ms) - max(span[0], clip.start_ms))


def _find_reason(span: tuple[int, int], video: SourceRow) -> str:
    """Return why most of a span is not kept."""
    if span[0] >= span[1]:
        return "beyond_the_end"
    dropped = [clip for clip in video.clips if clip.reason and _overlap_ms(span, clip)]
    if dropped:
        return str(max(dropped, key=lambda clip: _overlap_ms(span, clip)).reason)
    return str(video.reason or "too_short")  # a rest between two shots
