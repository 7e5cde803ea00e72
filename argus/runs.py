"""The folder of one run: config.json, progress.json, result.json, the stop marker, checkpoints.

It is `$ARGUS_HOME/runs/{kind}/{run_id}/`. A job that is started again with the same run id resumes.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from argus.config import validate_config
from argus.errors import InvalidInput
from argus.files import write_text
from schemas.config import JobConfig
from schemas.names import JobKind, Outcome
from schemas.records import JobResult, Progress

C = TypeVar("C", bound=JobConfig)

ProgressHook = Callable[[int, int, str, str], None]
"""A callback (step, total, unit, message); a phase without a step count is (0, 0, "", message)."""

ConfigMigration = Callable[[JobKind, Mapping[str, Any]], dict[str, Any]]
"""A function that renames the settings of a stored configuration to the present names."""


def argus_home() -> Path:
    """Return the absolute path of `ARGUS_HOME`, by default `./.argus`."""
    return Path(os.environ.get("ARGUS_HOME", ".argus")).absolute()


def config_digest(config: BaseModel) -> str:
    """Return twelve hexadecimal digits that identify a configuration without its run id and home.

    They are the beginning of the SHA-256 of its JSON.
    """
    text = config.model_dump_json(exclude={"run_id", "home", "executor"})
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def with_run_id(config: C) -> C:
    """Return the configuration with a run id: its own, or UTC time and configuration digest."""
    if config.run_id:
        return config
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    return config.model_copy(update={"run_id": f"{now}-{config_digest(config)}"})


class RunFolder:
    """Reader and writer of one run's folder; every file in it is whole or absent.

    Args:
        home: the folder `ARGUS_HOME`.
        kind: the kind of job.
        run_id: the name of the run.
    """

    def __init__(self, home: Path | str, kind: JobKind, run_id: str) -> None:
        self.kind = kind
        self.run_id = run_id
        self.path = Path(home).absolute() / "runs" / kind / run_id
        self.started = datetime.now(UTC)

    @classmethod
    def of(cls, config: JobConfig, kind: JobKind) -> "RunFolder":
        """Return the folder of a configuration.

        Raises:
            InvalidInput: the configuration has no run id.
        """
        if not config.run_id:
            raise InvalidInput("the configuration has no run_id; give one, or use with_run_id()")
        return cls(config.home, kind, config.run_id)

    @property
    def config_path(self) -> Path:
        """Path of the resolved configuration."""
        return self.path / "config.json"

    @property
    def checkpoints(self) -> Path:
        """Folder of the run's checkpoints."""
        return self.path / "checkpoints"

    @property
    def stop_path(self) -> Path:
        """Path of the stop marker."""
        return self.path / "stop"

    def write_config(self, config: JobConfig, migrate: ConfigMigration | None = None) -> None:
        """Write the resolved configuration.

        Args:
            config: the configuration of this run.
            migrate: renames the settings of a configuration that an earlier version stored here,
                before the two are compared.

        Raises:
            InvalidInput: the run id already holds another configuration, or one with settings
                that this version does not know.
        """
        if self.config_path.exists():
            stored = self._read_config(type(config), migrate)
            if config_digest(stored) != config_digest(config):
                raise InvalidInput(
                    f"run {self.run_id} exists with another configuration ({self.config_path}); "
                    "choose another run_id, or give the same configuration to resume it"
                )
        write_text(self.config_path, config.model_dump_json(indent=2))

    def _read_config(self, model: type[C], migrate: ConfigMigration | None) -> C:
        values = json.loads(self.config_path.read_text(encoding="utf-8"))
        try:
            return validate_config(model, migrate(self.kind, values) if migrate else values)
        except InvalidInput as error:
            raise InvalidInput(
                f"the configuration of run {self.run_id} ({self.config_path}) cannot be read: "
                f"{error}; choose another run_id"
            ) from error

    def progress(self, step: int, total: int, unit: str, message: str = "") -> None:
        """Write progress.json; this method is a `ProgressHook`."""
        record = Progress(
            step=step, total=total, unit=unit, message=message, updated=datetime.now(UTC)
        )
        write_text(self.path / "progress.json", record.model_dump_json(), is_durable=False)

    def phase(self, message: str) -> None:
        """Announce a sub-phase without a step count, such as "starting Ray".

        It is stored as progress 0 of 0 with an empty unit; displays show a spinner, the message
        and the time since it began.
        """
        self.progress(0, 0, "", message)

    def read_progress(self) -> Progress | None:
        """Return the latest progress, or None before the first."""
        path = self.path / "progress.json"
        return Progress.model_validate_json(path.read_text()) if path.exists() else None

    def finish(
        self,
        outcome: Outcome,
        reason: str = "",
        outputs: dict[str, Any] | None = None,
        metrics: dict[str, float] | None = None,
    ) -> JobResult:
        """Write result.json, the last file of a run, and return its content.

        Args:
            outcome: how the job ended.
            reason: one sentence for a person; empty if all is well.
            outputs: paths, ids and URIs of what was made.
            metrics: figures by name.
        """
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
        """Return the result, or None if the run has not ended."""
        path = self.path / "result.json"
        return JobResult.model_validate_json(path.read_text()) if path.exists() else None

    def prepare(self) -> None:
        """Remove the result and the stop marker of an earlier attempt.

        Whoever submits the job calls this before a new attempt.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / "result.json").unlink(missing_ok=True)
        self.stop_path.unlink(missing_ok=True)

    def request_stop(self) -> None:
        """Write the stop marker: the run ends at its next step."""
        write_text(self.stop_path, datetime.now(UTC).isoformat())

    @property
    def is_stop_requested(self) -> bool:
        """True if the stop marker exists."""
        return self.stop_path.exists()
