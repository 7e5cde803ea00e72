"""The records of a dataset: what a shard holds, what the index says of a source video, what a snapshot lists.

The index rows mirror `schemas.arrow.INDEX_SCHEMA`; they are pydantic models, so that a staged result lies on disk as JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

from pydantic import BaseModel, ConfigDict

from schemas.names import Decision, Layout, Reason, Split


@dataclass(frozen=True)
class ShardClip:
    """One clip of a shard: a short mp4 (H.264) of an equirectangular video and where it comes from."""

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


class _Row(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        ser_json_inf_nan="strings",
        ser_json_bytes="base64",
        val_json_bytes="base64",
    )


class ScoreRow(_Row):
    """One number that a filter measured."""

    filter: str
    name: str
    value: float | None
    threshold: float | None = None  # None where the score is only recorded
    kept: bool = True


class ClipRow(_Row):
    """A span of a source video. Where its bytes lie (shard, row, checksum) is filled in when it is committed."""

    clip_id: str
    start_ms: int
    end_ms: int
    frames: int
    decision: Decision
    reason: Reason | None = None
    quality: float | None = None
    high_quality: bool = False  # good enough for the second stage of training
    scores: tuple[ScoreRow, ...] = ()
    shard: str | None = None
    row: int | None = None
    checksum: str | None = None
    signature: bytes | None = None
    duplicate_of: str | None = None


class FetchRow(_Row):
    """How the file was fetched."""

    tool: str | None
    version: str | None
    client: str | None
    format_id: str | None
    format_note: str | None
    bytes: int | None
    sha256: str | None


class MediaRow(_Row):
    """What the fetched file is."""

    width: int
    height: int
    fps_num: int
    fps_den: int
    frames: int
    codec: str
    container: str


class SecondsRow(_Row):
    """What a row cost in seconds of one processor, or of waiting for a server; None where the stage was not reached."""

    fetch: float | None = None
    decode: float | None = None
    filters: float | None = None
    encode: float | None = None


class SourceRow(_Row):
    """What a refresh decided about a source video."""

    source_id: str
    url: str
    split: Split
    decision: Decision
    reason: Reason | None = None
    detail: str | None = None
    retryable: bool = False
    layout_declared: Layout | None = None
    layout: Layout | None = None
    conversion: str | None = None
    scores: tuple[ScoreRow, ...] = ()
    clips: tuple[ClipRow, ...] = ()
    fetch: FetchRow | None = None
    media: MediaRow | None = None
    thumbnail: str | None = None
    recipe: str
    run_id: str
    code_version: str
    decided: datetime
    scored: tuple[str, ...] | None = None  # None where it is older
    networks: tuple[str, ...] | None = None
    seconds: SecondsRow | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "SourceRow":
        """From a row of the index, whatever columns it has besides."""
        return cls.model_validate(
            {name: value for name, value in values.items() if name in cls.model_fields}
        )

    @property
    def settled(self) -> bool:
        """Whether a later refresh under the same recipe leaves it alone."""
        return not (self.decision is Decision.FAILED and self.retryable)

    @property
    def kept_clips(self) -> tuple[ClipRow, ...]:
        return tuple(clip for clip in self.clips if clip.decision is Decision.KEPT)


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
    def of(cls, values: dict[str, Any]) -> "SnapshotRow":
        """From a row of the snapshot's table."""
        return cls(
            **{
                **values,
                "split": Split(values["split"]),
                "high_quality": bool(values["high_quality"]),
            }
        )  # null where it is older
