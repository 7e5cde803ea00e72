"""The records of curation, one per stage: VideoSource → Fetched → Samples → Score, Verdict → CuratedClip, CuratedVideo.

Everything here pickles, so that a video may be judged in another process.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

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
class Seconds:
    """What judging a video took, wall clock."""

    decode: float = 0.0  # reading, decoding, converting
    filters: float = 0.0  # layout, filters, shots, signatures
    encode: float = 0.0


@dataclass(frozen=True)
class Place:
    """Where a clip that was committed before lies."""

    shard: str
    row: int
    checksum: str


@dataclass(frozen=True)
class CuratedClip:
    """A span of a video, at most `clip_s` long; `video` names the file of its mp4 when it is kept, else None."""

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
    video: str | None  # below the folder that was given for files; None also where none was
    signature: bytes | None = None  # `argus.curate.dedup.fingerprint`; None when it was never kept
    high_quality: bool = False  # kept, and good enough for the second stage of training
    place: Place | None = None  # of one that is judged again: it needs no file


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
    thumbnail: (
        str | None
    )  # names the contact sheet below the folder for files: see `argus.curate.thumbnails`
    retryable: bool = False  # whether a later refresh should try again
    conversion: str | None = None  # `Conversion` in words, where frames were converted by it
    scored: tuple[str, ...] = ()  # the filters that ran
    networks: tuple[
        str, ...
    ] = ()  # the learned scorers that its clips' numbers are of, with version and weights
    seconds: Seconds | None = field(default=None, compare=False)
