"""The records of a dataset, one per stage, shared by all that make, store or read them.

`Score` → `CuratedClip` → `CuratedVideo` → `SourceRow` describe a video while it is processed and in
the index; `ShardClip` is a clip in a shard, `SnapshotRow` a clip in a snapshot. All are frozen
dataclasses, so they pickle. `argus.dataset.rows` converts them to and from Arrow and JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from argus.media import MediaInfo
from schemas.credentials import redact_values
from schemas.names import Decision, Layout, Reason, Split

_JSON = ConfigDict(
    extra="forbid",
    ser_json_inf_nan="strings",
    ser_json_bytes="base64",
    val_json_bytes="base64",
)  # of staged results, see `argus.dataset.rows`


@dataclass(frozen=True, slots=True)
class Score:
    """One number that a filter measured.

    Attributes:
        filter: name of the filter, or of the step or learned scorer.
        name: name of the number within the filter.
        value: the number; None if it was requested and could not be measured.
        threshold: the threshold it was compared with; None if it is only recorded.
        kept: False if this number is a reason to drop the video or clip.
    """

    filter: str
    name: str
    value: float | None
    threshold: float | None = None
    kept: bool = True

    __pydantic_config__ = _JSON


@dataclass(frozen=True)
class ClipFile:
    """The encoded file of a clip that is in no shard yet. Not stored in the index."""

    name: str  # relative to the folder of the processed video
    height: int
    width: int
    fps: Fraction


@dataclass(frozen=True)
class CuratedClip:
    """A span of a video, with its decision.

    `shard`, `row` and `checksum` locate the bytes of a clip and are set when it is committed. A
    clip that was dropped later keeps them.
    """

    clip_id: str
    start_ms: int
    end_ms: int
    frames: int
    decision: Decision
    reason: Reason | None = None  # None exactly if the clip is kept
    quality: float | None = None  # in [0, 1], see `argus.curate.quality`
    high_quality: bool = False  # kept, and good enough for the second stage of training
    scores: tuple[Score, ...] = ()
    shard: str | None = None
    row: int | None = None
    checksum: str | None = None  # SHA-256 of the mp4
    signature: bytes | None = None  # `argus.curate.dedup.fingerprint`; None if it was never kept
    duplicate_of: str | None = None  # clip_id of the earlier clip with the same content
    file: ClipFile | None = None  # of a kept clip without a shard, while it is processed

    __pydantic_config__ = _JSON


@dataclass(frozen=True, kw_only=True)
class FetchInfo:
    """The tool, format and content hash of a fetched file.

    Attributes:
        client: the site's player client, or the extractor.
        etag: the entity tag of the file; None if the server gave none or the file has fragments.
        status: HTTP status of the response with the file; None if it is unknown.
    """

    tool: str
    version: str
    client: str
    format_id: str
    format_note: str
    bytes: int
    sha256: str
    etag: str | None = None
    status: int | None = None


@dataclass(frozen=True)
class StageSeconds:
    """Wall-clock seconds by stage, and CPU seconds; None for what was not reached or measured.

    Attributes:
        fetch: the fetch that succeeded, from its begin to its end.
        decode: reading, decoding and converting frames.
        filters: layout, filters, shot detection and signatures.
        encode: encoding of clips and of the contact sheet.
        wait: waiting for the rate limit of the site, also between fetches.
        startup: the part of `fetch` before the file arrives: process and extraction.
        transfer: the part of `fetch` in which the file arrives.
        fetch_cpu: CPU time of the process that fetched.
        process_cpu: CPU time of the process that processed.
    """

    fetch: float | None = None
    decode: float | None = None
    filters: float | None = None
    encode: float | None = None
    wait: float | None = None
    startup: float | None = None
    transfer: float | None = None
    fetch_cpu: float | None = None
    process_cpu: float | None = None


@dataclass(frozen=True, kw_only=True)
class FetchedFile(FetchInfo):
    """A fetched file on this machine, and the time that fetching it took."""

    path: Path
    seconds: StageSeconds | None = None

    @property
    def info(self) -> FetchInfo:
        """The part that is stored."""
        return FetchInfo(**{part.name: getattr(self, part.name) for part in fields(FetchInfo)})


@dataclass(frozen=True, kw_only=True)
class CuratedVideo:
    """The decision about a source video, its reason, and the clips that it gives.

    Attributes:
        url: the URL of the catalogue with `***` in place of credentials.
        detail: one sentence for a person.
        retryable: True if a later refresh should try a failed video again.
        failure_settings: JSON object of the settings that a failure depends on; a refresh with
            others tries the video again. None if it depends on none.
        layout_declared: the layout that the file's metadata declares; None if it declares none.
        layout: the layout as detected; None if the video was not read.
        conversion: how frames were converted to mono ERP; None if they were not.
        fetch: how the file was fetched; None if it was not.
        media: the file's properties; None if they could not be read.
        thumbnail: name of the contact sheet; None if there is none.
        measured_filters: filters that ran for this decision; empty if stored scores decided.
        networks: keys (name, version, weights) of the learned scorers behind the clips' scores.
        stage_seconds: cost of this decision; None if stored scores decided.
    """

    source_id: str
    url: str
    split: Split
    decision: Decision
    reason: Reason | None = None  # None exactly if the video is kept
    detail: str | None = None
    retryable: bool = False
    failure_settings: str | None = None
    layout_declared: Layout | None = None
    layout: Layout | None = None
    conversion: str | None = None
    scores: tuple[Score, ...] = ()
    clips: tuple[CuratedClip, ...] = ()
    fetch: FetchInfo | None = None
    media: MediaInfo | None = None
    thumbnail: str | None = None
    measured_filters: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    stage_seconds: StageSeconds | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name in ("url", "detail"):  # rows are stored and published
            object.__setattr__(self, name, redact_values(getattr(self, name)))

    @property
    def is_final(self) -> bool:
        """True unless a later refresh under the same recipe should try the video again."""
        return not (self.decision is Decision.FAILED and self.retryable)

    @property
    def kept_clips(self) -> tuple[CuratedClip, ...]:
        """The clips that are kept, in order."""
        return tuple(clip for clip in self.clips if clip.decision is Decision.KEPT)


@dataclass(frozen=True)
class Provenance:
    """The columns that all rows of one refresh have in common."""

    recipe: str  # digest
    run_id: str
    code_version: str


@dataclass(frozen=True, kw_only=True)
class SourceRow(CuratedVideo):
    """A row of the index: a curated video with its provenance."""

    recipe: str
    run_id: str
    code_version: str
    decided_at: datetime  # UTC


@dataclass(frozen=True)
class ShardClip:
    """One clip of a shard: a short mp4 (H.264) of an equirectangular video, and its origin."""

    clip_id: str
    source_id: str
    split: Split
    start_ms: int
    end_ms: int
    frames: int
    height: int
    width: int
    fps: Fraction  # the true rate of the stored frames
    quality: float
    video: bytes


@dataclass(frozen=True)
class SnapshotRow:
    """One clip of a snapshot."""

    clip_id: str
    source_id: str
    split: Split
    quality: float
    high_quality: bool
    frames: int
    shard: str  # path below the dataset's folder
    row: int
    checksum: str

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "SnapshotRow":
        """Build the record from a row of the snapshot's table."""
        is_high_quality = bool(values["high_quality"])  # null in snapshots without the column
        return cls(**{**values, "split": Split(values["split"]), "high_quality": is_high_quality})
