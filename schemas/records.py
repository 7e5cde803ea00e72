"""Records that jobs write to their run folder: `JobResult` and `Progress`."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from schemas.credentials import redact_values
from schemas.names import JobKind, Outcome


class Record(BaseModel):
    """A frozen record that refuses unknown fields and holds no credential of a URI."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*")
    @classmethod
    def _redact(cls, value: Any) -> Any:
        return redact_values(value)


class JobResult(Record):
    """Outcome and outputs of a job, stored as `result.json`."""

    schema_version: int = Field(1, alias="schema", serialization_alias="schema")
    kind: JobKind
    run_id: str
    outcome: Outcome
    reason: str = ""  # one sentence; empty on success
    outputs: dict[str, Any] = Field(default_factory=dict)  # paths, ids, URIs
    metrics: dict[str, float] = Field(default_factory=dict)
    started: datetime
    ended: datetime

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Progress(Record):
    """Progress of a job, stored as `progress.json`. A phase without a step count has 0 of 0."""

    step: int = Field(ge=0)
    total: int = Field(ge=0)
    unit: str  # "video", "step", "clip", "window", or empty for a phase without steps
    message: str = ""
    updated: datetime
