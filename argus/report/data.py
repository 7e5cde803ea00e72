"""What a report says: plain records. Text in them may come from strangers (urls, titles, error messages); the page escapes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

Image = Path | bytes
"""An encoded JPEG, PNG, WebP or GIF: the file, or its bytes."""

Point = tuple[int, float]
"""A training step and the loss there."""


@dataclass(frozen=True)
class Picture:
    """An encoded picture and what to say below it."""

    image: Image
    caption: str = ""


@dataclass(frozen=True)
class VideoCard:
    """A source video and what was decided about it."""

    source_id: str
    url: str
    decision: str  # a schemas.names.Decision
    reason: str = ""  # a schemas.names.Reason; empty when kept
    detail: str = ""  # one sentence for a person
    thumbnail: Image | None = None
    layout: str = ""
    split: str = ""
    clips: int = 0  # kept clips


@dataclass(frozen=True)
class ReportData:
    """All that one report shows, in this order; what is empty is left out of the page."""

    title: str
    subtitle: str = ""
    summary: Mapping[str, str] = field(default_factory=dict)  # name → value, a short table
    model: Mapping[str, str] = field(
        default_factory=dict
    )  # name, version, alias, verdict of the gate …
    metrics: Mapping[str, Mapping[str, float]] = field(
        default_factory=dict
    )  # method → metric → dB; the model first
    results: tuple[Picture, ...] = ()  # input | generated | truth
    samples: tuple[Picture, ...] = ()  # made during training
    train_loss: tuple[Point, ...] = ()
    validation_loss: tuple[Point, ...] = ()
    videos: tuple[VideoCard, ...] = ()
    provenance: Mapping[str, str] = field(
        default_factory=dict
    )  # run ids, snapshot, digest, code version …
