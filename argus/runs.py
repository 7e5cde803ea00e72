"""The folder of one run: config.json, progress.json, result.json, the stop marker, checkpoints.

`$ARGUS_HOME/runs/{kind}/{run_id}/`. The same run_id resumes.
"""

import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from argus.errors import InvalidInput
from argus.files import write_text
from schemas.config import JobConfig
from schemas.names import JobKind, Outcome
from schemas.records import JobResult, Progress

C = TypeVar("C", bound=JobConfig)

ProgressHook = Callable[[int, int, str, str], None]
"""Called as (step, total, unit, message)."""


def argus_home() -> Path:
    """`ARGUS_HOME`, or `./.argus`; absolute."""
    return Path(os.environ.get("ARGUS_HOME", ".argus")).absolute()


def config_digest(config: BaseModel) -> str:
    """Twelve hexadecimal digits of a configuration without its run id."""
    text = config.model_dump_json(exclude={"run_id", "home"})
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def with_run_id(config: C) -> C:
    """The configuration with a run id: its own, or UTC time and configuration digest."""
    if config.run_id:
        return config
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    return config.model_copy(update={"run_id": f"{now}-{config_digest(config)}"})


class RunFolder:
    """Reads and writes one run's folder; every file in it is whole or absent."""

    def __init__(self, home: Path | str, kind: JobKind, run_id: str) -> None:
        self.kind = kind
        self.run_id = run_id
        self.path = Path(home).absolute() / "runs" / kind / run_id
        self.started = datetime.now(UTC)

    @classmethod
    def of(cls, config: JobConfig, kind: JobKind) -> "RunFolder":
        """The folder of a configuration that has a run id."""
        if not config.run_id:
            raise InvalidInput("the configuration has no run_id; give one, or use with_run_id()")
        return cls(config.home, kind, config.run_id)

    @property
    def config_path(self) -> Path:
        return self.path / "config.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def stop_path(self) -> Path:
        return self.path / "stop"

    def write_config(self, config: JobConfig) -> None:
        """Writes the resolved configuration. A run id that holds another configuration is refused."""
        if self.config_path.exists():
            before = type(config).model_validate_json(self.config_path.read_text())
            if config_digest(before) != config_digest(config):
                raise InvalidInput(
                    f"run {self.run_id} exists with another configuration ({self.config_path}); "
                    "choose another run_id, or give the same configuration to resume it"
                )
        write_text(self.config_path, config.model_dump_json(indent=2))

    def progress(self, step: int, total: int, unit: str, message: str = "") -> None:
        """Writes progress.json (a `ProgressHook`)."""
        record = Progress(
            step=step, total=total, unit=unit, message=message, updated=datetime.now(UTC)
        )
        write_text(self.path / "progress.json", record.model_dump_json())

    def phase(self, message: str) -> None:
        """Announce a sub-phase without a step count, such as "starting Ray".

        It is stored as progress 0 of 0 with an empty unit; displays show a spinner, the message
        and the time since it began.
        """
        self.progress(0, 0, "", message)

    def read_progress(self) -> Progress | None:
        path = self.path / "progress.json"
        return Progress.model_validate_json(path.read_text()) if path.exists() else None

    def finish(
        self,
        outcome: Outcome,
        reason: str = "",
        outputs: dict[str, Any] | None = None,
        metrics: dict[str, float] | None = None,
    ) -> JobResult:
        """Writes result.json, last of all, and gives it back."""
        result = JobResult(
            kind=self.kind,
            run_id=self.run_id,
            outcome=outcome,
            reason=reason,
            outputs=outputs or {},
            metrics=metrics or {},
            started=self.started,
            ended=datetime.now(UTC),
        )
        write_text(self.path / "result.json", result.model_dump_json(indent=2, by_alias=True))
        return result

    def read_result(self) -> JobResult | None:
        path = self.path / "result.json"
        return JobResult.model_validate_json(path.read_text()) if path.exists() else None

    def prepare(self) -> None:
        """For the submitter, before a new attempt: forgets the result and the stop marker of the one before."""
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / "result.json").unlink(missing_ok=True)
        self.stop_path.unlink(missing_ok=True)

    def request_stop(self) -> None:
        """Asks the run to leave at its next step."""
        write_text(self.stop_path, datetime.now(UTC).isoformat())

    @property
    def stop_requested(self) -> bool:
        return self.stop_path.exists()
