"""The two tasks of a curation run: fetch a video, then process it and stage the result.

An executor decides where a task runs; the scheduler decides when. Arguments and outcomes are small
records that pickle: videos and clips stay on disk.
"""

import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from argus.curate.download import RateLimiter, fetch
from argus.curate.failures import AccessSettings
from argus.curate.outcomes import FetchedVideo, FileLost, StagedVideo
from argus.curate.process import process_isolated
from argus.curate.recompute import recompute_isolated
from argus.curate.records import PriorResult, VideoSource
from argus.curate.results import stage_result
from argus.curate.staging import StagingArea
from argus.dataset import CuratedVideo, FetchedFile, Provenance
from argus.errors import FetchError
from schemas.config import CurateConfig
from schemas.names import Reason

if TYPE_CHECKING:
    from argus.curate.scorers import ScorerPool

MAX_RETRIES = 2
"""Further tries of a task whose process was killed from outside."""


@dataclass(frozen=True)
class VideoTasks:
    """The tasks of one run, bound to its configuration.

    Args:
        config: configuration of the run.
        provenance: recipe, run and code version, stored with every result.
        staging: the staging area of the run.
    """

    config: CurateConfig
    provenance: Provenance
    staging: StagingArea = field(repr=False)

    def fetch(
        self, source: VideoSource, limiter: RateLimiter, *, is_last_attempt: bool
    ) -> FetchedVideo | StagedVideo | FetchError:
        """Try once to fetch a video into this machine's work folder.

        Args:
            source: the video.
            limiter: the rate limiter that all fetches of the run share.
            is_last_attempt: True if a retryable failure is final: partial files are removed.

        Returns:
            FetchedVideo; StagedVideo if the result is staged already; or the FetchError.
        """
        start = time.monotonic()
        timeout_s = self.config.fetch.timeout_s
        try:
            with self.staging.claim(source.source_id, timeout_s) as folder:
                if self.staging.has_result(source.source_id):
                    return StagedVideo(source.source_id)
                file = self.staging.take_kept_file(source.source_id, folder)
                outcome = file or self._download(source, folder, limiter)
                if isinstance(outcome, FetchError):
                    if is_last_attempt or not outcome.retryable:
                        shutil.rmtree(folder, ignore_errors=True)
                    return outcome
        except TimeoutError:
            message = (
                f"{source.source_id}: another run has been working on it for {timeout_s:g} s "
                "(fetch.timeout_s); wait for that run, or raise the deadline"
            )
            return FetchError(Reason.TIMED_OUT, message, retryable=True, is_attempt=False)
        return FetchedVideo(outcome, time.monotonic() - start)

    def process(
        self,
        source: VideoSource,
        fetched: FetchedVideo,
        prior: PriorResult | None = None,
        scorers: "ScorerPool | None" = None,
    ) -> StagedVideo | FileLost:
        """Process a fetched file and stage the result.

        Args:
            source: the video.
            fetched: its file on this machine.
            prior: the stored result, whose scores are not computed again where they still count.
            scorers: learned scorers, which measure the kept clips last.

        Returns:
            StagedVideo, or FileLost if the file is gone and no result is staged.
        """
        file = fetched.file
        with self.staging.claim(source.source_id, self.config.video_timeout_s) as work:
            if not file.path.exists():
                if self.staging.has_result(source.source_id):
                    return StagedVideo(source.source_id)
                return FileLost(file.path)
            folder = work / "staged"
            video = self._process_in_sandbox(source, file, prior, folder, scorers)
            if scorers:
                video = scorers.score_video(video, work / "samples")
            row = stage_result(folder, video, file, self.provenance, fetched.seconds)
            shutil.rmtree(folder / "clips", ignore_errors=True)
            self.staging.store_result(folder, row)
            if self.config.fetch.keep_files:
                self.staging.keep_file(source.source_id, file)
            shutil.rmtree(work, ignore_errors=True)
        return StagedVideo(source.source_id)

    def _download(
        self, source: VideoSource, folder: Path, limiter: RateLimiter
    ) -> FetchedFile | FetchError:
        """Fetch a video; repeat if the downloading process was killed from outside."""
        for retries_left in range(MAX_RETRIES, -1, -1):
            try:
                return fetch(source, folder, self.config.fetch, limiter)
            except FetchError as error:
                if error.reason is not Reason.WORKER_DIED or not retries_left:
                    return error
        raise AssertionError("unreachable: the last attempt returns")

    def _process_in_sandbox(
        self,
        source: VideoSource,
        file: FetchedFile,
        prior: PriorResult | None,
        folder: Path,
        scorers: "ScorerPool | None",
    ) -> CuratedVideo:
        """Process a file into an empty folder; repeat if the process was killed from outside."""
        samples = folder.parent / "samples" if scorers and scorers.needs_samples else None
        for retries_left in range(MAX_RETRIES, -1, -1):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            if prior:
                video = recompute_isolated(file.path, source, prior, self.config, folder, samples)
            else:
                video = process_isolated(file.path, source, self.config, folder, samples)
            if video.reason is not Reason.WORKER_DIED or not retries_left:
                settings = AccessSettings(self.config.fetch).describe(video.reason, source.url)
                return replace(video, failure_settings=settings)
        raise AssertionError("unreachable: the last attempt returns")
