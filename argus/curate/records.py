"""The records of curation, one per stage: VideoSource → Fetched → Samples → Score, Verdict → CuratedClip, CuratedVideo.

Everything here pickles, so that a video may be judged in another process.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from argus.media import MediaInfo
from schemas.names import Decision, Layout, Reason, Split


@dataclass(frozen=True, slots=True)
class VideoSource:
    """One line of a catalogue: what to fetch, under which id, and the split if the catalogue set one."""

    source_id: str  # youtube:ID, or url: and 16 hexadecimal digits
    url: str
    split: Split | None = None


@dataclass(frozen=True)
class Fetched:
    """A file that lies on this machine, and how it came here."""

    path: Path
    tool: str
    version: str
    client: str  # which player client of the site answered, or the extractor
    format_id: str
    format_note: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Score:
    """One stored number; `threshold` is None where it is only recorded, `value` where it was asked for and could not be measured."""

    filter: str
    name: str
    value: float | None
    threshold: float | None
    kept: bool


@dataclass(frozen=True)
class Verdict:
    """What one filter says, and by which of its scores."""

    filter: str
    name: str
    kept: bool
    reason: Reason | None  # None exactly when kept
    value: float
    threshold: float


@dataclass(frozen=True)
class CuratedClip:
    """A span of a video, at most `clip_s` long; `video` holds the encoded mp4 when kept, else None."""

    clip_id: str
    start_ms: int
    end_ms: int
    frames: int
    height: int
    width: int
    fps: Fraction
    decision: Decision
    reason: Reason | None
    quality: float  # in [0, 1], see `argus.curate.quality`
    scores: tuple[Score, ...]
    video: bytes | None
    picture: NDArray[np.uint8] = field(compare=False, repr=False)  # its row of the contact sheet
    signature: bytes | None = None  # `argus.curate.signature`; None when dropped
    high_quality: bool = False  # kept, and good enough for the second stage of training


@dataclass(frozen=True)
class CuratedVideo:
    """What was decided about a video, why, and its clips. `detail` is one sentence for a person."""

    source: VideoSource
    decision: Decision
    reason: Reason | None
    detail: str
    layout_declared: Layout | None
    layout: Layout
    scores: tuple[Score, ...]
    clips: tuple[CuratedClip, ...]
    media: MediaInfo | None
    thumbnail: bytes | None  # JPEG, a contact sheet: see `argus.curate.sheet`
    retryable: bool = False  # whether a later refresh should try again


def clip_id(source_id: str, start_ms: int, end_ms: int) -> str:
    """`source_id@start_ms-end_ms`."""
    return f"{source_id}@{start_ms}-{end_ms}"
