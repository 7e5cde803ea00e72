"""Records between the scheduler and an executor: work items, and outcomes of their tasks.

Everything here pickles, and nothing is imported that takes long to import.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from argus.errors import FetchError

if TYPE_CHECKING:
    from pathlib import Path

    from argus.curate.records import PriorResult, VideoSource
    from argus.dataset import FetchedFile, SourceRow


@dataclass
class WorkItem:
    """One video of a run, with the state of its attempts."""

    source: VideoSource
    prior: PriorResult | None = None  # None: nothing stored counts, so everything is computed
    kept_row: SourceRow | None = None  # stays if the video is gone for good
    attempts: int = 0
    rate_wait_s: float = 0.0  # for the rate limit, between attempts
    losses: int = 0  # fetched files or staged results that disappeared
    first_attempt: float | None = None  # time.monotonic() of the first attempt


@dataclass(frozen=True)
class FetchedVideo:
    """A fetched file on the disk of one machine."""

    file: FetchedFile
    seconds: float  # wall clock of the fetch
    node: str = ""  # the executor's id of the machine; empty if there is only one

    def add_wait(self, seconds: float) -> FetchedVideo:
        """Return the record with more seconds of waiting for the rate limit, if it has any."""
        spent = self.file.seconds
        if not spent or not seconds:
            return self
        spent = replace(spent, wait=(spent.wait or 0.0) + seconds)
        return replace(self, file=replace(self.file, seconds=spent))


@dataclass(frozen=True)
class StagedVideo:
    """A video whose result is in the staging area."""

    source_id: str


@dataclass(frozen=True)
class FileLost:
    """A fetched file that is gone: its machine left, or another run finished the video."""

    path: Path


@dataclass(frozen=True)
class WorkerDied:
    """A task that ended without an outcome of its own."""

    detail: str


TaskOutcome = FetchedVideo | StagedVideo | FetchError | FileLost | WorkerDied
"""Everything that a submitted task can end with."""
