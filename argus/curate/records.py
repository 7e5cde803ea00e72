"""Records of curation that are not stored; those that are live in `argus.dataset`.

VideoSource → FetchedFile → SampledFrames → Score, Verdict → CuratedClip → CuratedVideo → SourceRow.
All records pickle, so that a video may be processed in another process.
"""

from dataclasses import dataclass

from argus.dataset import SourceRow, assign_split
from schemas.names import Reason, Split


@dataclass(frozen=True, slots=True)
class VideoSource:
    """An entry of a catalogue.

    Attributes:
        source_id: `youtube:ID`, or `url:` and 16 hexadecimal digits (`argus.dataset.identify`).
        url: where to fetch the video.
        split: the split that the catalogue sets; None if it sets none.
    """

    source_id: str
    url: str
    split: Split | None = None

    @property
    def assigned_split(self) -> Split:
        """The catalogue's split, or the one that the id implies."""
        return self.split or assign_split(self.source_id)


@dataclass(frozen=True)
class Verdict:
    """The decision of one filter, and the score that it is based on."""

    filter: str
    name: str
    kept: bool
    reason: Reason | None  # None exactly if kept
    value: float
    threshold: float


@dataclass(frozen=True)
class PriorResult:
    """The stored row of a video, and the filters whose stored scores no longer count."""

    row: SourceRow
    stale_filters: frozenset[str] = frozenset()
