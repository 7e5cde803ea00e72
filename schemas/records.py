"""What jobs write for others to read: `JobResult` and `Progress`."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from schemas.names import JobKind, Outcome


class Record(BaseModel):
    """A frozen record that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class JobResult(Record):
    """How a job ended and what it made; `result.json` of its run folder."""

    schema_version: int = Field(1, alias="schema", serialization_alias="schema")
    kind: JobKind
    run_id: str
    outcome: Outcome
    reason: str = ""  # one sentence for a person; empty when all is well
    outputs: dict[str, Any] = Field(default_factory=dict)  # paths, ids, uris
    metrics: dict[str, float] = Field(default_factory=dict)
    started: datetime
    ended: datetime

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Progress(Record):
    """How far a job is; `progress.json` of its run folder."""

    step: int = Field(ge=0)
    total: int = Field(ge=0)
    unit: str  # "video", "step", "clip", "window"
    message: str = ""
    updated: datetime
