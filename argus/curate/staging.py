"""One video from its url to a staged result: what the tasks of a refresh do.

A machine works on a video in a folder of its own (`work`), which is locked while it does: another refresh that wants the same video waits, and then
finds it staged. The result is put into the dataset's `staging/{source hash}-{recipe}/` (clips.arrow, thumb.jpg, and row.json last, which makes it
count), so that what a killed refresh had finished is not worked on again; it is no part of the dataset until its wave is committed.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from argus.curate import Fetched, VideoSource, fetch, process_isolated
from argus.curate.download.fetch import file_name
from argus.curate.recompute import PriorResult, recompute_isolated
from argus.curate.results import Provenance, fetch_row, stage_result
from argus.dataset import DecidedVideo, ShardClip, ShardReader, SourceRow, Store
from argus.errors import FetchError
from schemas.config import CurateConfig
from schemas.names import Reason

if TYPE_CHECKING:
    from ray_jobs.curate.rate_limiter import ClusterRateLimiter
    from ray_jobs.curate.scorer_pool import Scoring

CLAIM_POLL_S = 0.2
_MARKER = "row.json"


class StagedGone(FileNotFoundError):
    """A staged result that is not there any more: another refresh has committed it."""


@dataclass(frozen=True)
class FetchedVideo:
    """A file on the disk of one machine, and what it took to have it there."""

    file: Fetched
    node: str  # Ray's id of the machine
    seconds: float


@dataclass(frozen=True)
class FileLost:
    """A fetched file that is not where it was: its machine has left the cluster, or another refresh was done with it."""

    path: Path


def fetch_video(
    source: VideoSource,
    config: CurateConfig,
    stamp: Provenance,
    gate: "ClusterRateLimiter",
    last_try: bool,
) -> FetchedVideo | FetchError | str:
    """A task: one try at a video. Returns the name of what is staged where that is settled already."""
    import ray

    store, name = Store.of(config.dataset), staged_name(source.source_id, stamp.recipe)
    begun = time.monotonic()
    try:
        with claimed(work_folder(config, source.source_id), config.fetch.timeout_s) as folder:
            if store.exists(f"{name}/{_MARKER}"):
                return name
            try:
                file = _kept_file(store, source, folder) or fetch(
                    source, folder, config.fetch, gate
                )
            except FetchError as error:
                if last_try or not error.retryable:
                    shutil.rmtree(folder, ignore_errors=True)
                return error
    except TimeoutError:
        message = f"{source.source_id}: another refresh has been at it for {config.fetch.timeout_s:g} s (fetch.timeout_s)"
        return FetchError(Reason.TIMED_OUT, message, retryable=True, is_attempt=False)
    return FetchedVideo(file, ray.get_runtime_context().get_node_id(), time.monotonic() - begun)


def stage_video(
    source: VideoSource,
    fetched: FetchedVideo,
    config: CurateConfig,
    stamp: Provenance,
    *,
    stored: PriorResult | None = None,
    scoring: "Scoring | None" = None,
) -> str | FileLost:
    """A task: judges a fetched file and stages the result; returns its name below the dataset.

    What is `stored` of it already is not measured again. `scoring` are the learned scorers, which judge the clips that are left last.
    """
    store, name = Store.of(config.dataset), staged_name(source.source_id, stamp.recipe)
    with claimed(fetched.file.path.parent, config.video_timeout_s) as work:
        if not fetched.file.path.exists():
            return name if store.exists(f"{name}/{_MARKER}") else FileLost(fetched.file.path)
        folder = work / "staged"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        samples = work / "samples" if scoring and scoring.processes else None
        if stored:
            video = recompute_isolated(fetched.file.path, source, stored, config, folder, samples)
        else:
            video = process_isolated(fetched.file.path, source, config, folder, samples)
        judged = stage_result(
            folder,
            scoring.judge(video, work / "samples") if scoring else video,
            fetched.file,
            stamp,
            fetched.seconds,
        )
        shutil.rmtree(folder / "clips", ignore_errors=True)
        (folder / _MARKER).write_text(judged.model_dump_json(), encoding="utf-8")
        store.put_folder(name, folder, marker=_MARKER)
        if config.fetch.keep_files:
            _keep_file(store, source, fetched.file)
        shutil.rmtree(work, ignore_errors=True)
    return name


@contextlib.contextmanager
def claimed(folder: Path, patience_s: float) -> Iterator[Path]:
    """The folder, made if it is not there, while no other process of this machine has it. Raises TimeoutError."""
    end = time.monotonic() + patience_s
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if folder.exists() and os.path.samestat(
                os.fstat(handle), folder.stat()
            ):  # who had it may have removed it
                try:
                    yield folder
                finally:
                    with contextlib.suppress(OSError):  # something is in it, or it was removed
                        folder.rmdir()
                return
        except BlockingIOError:
            if time.monotonic() >= end:
                raise TimeoutError(f"{folder} is in use") from None
            time.sleep(CLAIM_POLL_S)
        finally:
            os.close(handle)


def work_folder(config: CurateConfig, source_id: str) -> Path:
    """Where this machine works on a video."""
    return Path(config.work or Path(config.home) / "work").absolute() / _digits(source_id)


def clear_work(config: CurateConfig, source_ids: Iterable[str]) -> None:
    """Removes what killed processes left on this machine of these videos, unless somebody is at them."""
    root = work_folder(config, "").parent
    names = set(map(_digits, source_ids))
    for folder in root.iterdir() if root.is_dir() else ():
        if folder.name in names:
            with contextlib.suppress(TimeoutError), claimed(folder, 0):
                shutil.rmtree(folder, ignore_errors=True)


def clear_staged(store: Store, recipe: str, source_ids: Iterable[str]) -> None:
    """Removes what a refresh that was killed between its commit and its clearing left of these settled sources."""
    if left := store.folders("staging"):
        for name in {staged_name(source_id, recipe) for source_id in source_ids}.intersection(left):
            store.delete_folder(name)


def read_staged(store: Store, name: str) -> DecidedVideo:
    """The staged result; its clips are read one by one when they are asked for. Raises StagedGone, which reading the clips does too."""
    try:
        row = SourceRow.model_validate_json(store.read(f"{name}/{_MARKER}"))
    except FileNotFoundError as error:
        raise StagedGone(name) from error
    return DecidedVideo(
        row, _StagedClips(store, name) if any(clip.shard is None for clip in row.kept_clips) else ()
    )


def place_thumbnail(store: Store, name: str, row: SourceRow) -> None:
    """Puts a staged thumbnail to where its row says."""
    if row.thumbnail:
        with contextlib.suppress(FileNotFoundError):  # another refresh was faster
            store.write(row.thumbnail, store.read(f"{name}/thumb.jpg"))


def discard_staged(store: Store, recipe: str, source_ids: Iterable[str]) -> None:
    """Removes what is staged for these sources."""
    for source_id in source_ids:
        store.delete_folder(staged_name(source_id, recipe))


def staged_name(source_id: str, recipe: str) -> str:
    """Where the result of a source under a recipe is staged, below the dataset."""
    return f"staging/{_digits(source_id)}-{recipe}"


@dataclass(frozen=True)
class _StagedClips:
    """The clips of a staged result, read one by one, as often as they are asked for."""

    store: Store
    name: str

    def __iter__(self) -> Iterator[ShardClip]:
        if not self.store.exists(f"{self.name}/clips.arrow"):
            raise StagedGone(self.name)
        with ShardReader(f"{self.name}/clips.arrow", self.store) as reader:
            yield from map(reader.clip, range(len(reader)))


def _kept_file(store: Store, source: VideoSource, folder: Path) -> Fetched | None:
    """A file that an earlier refresh kept on purpose, taken back into work."""
    name = f"fetched/{file_name(source.source_id)}"
    if store.local is None or not store.exists(f"{name}.json"):
        return None
    path = folder / file_name(source.source_id)
    shutil.move(store.local / name, path)
    return Fetched(path=path, **json.loads(store.read(f"{name}.json")))


def _keep_file(store: Store, source: VideoSource, fetched: Fetched) -> None:
    """Keeps a fetched file with the dataset: the file first, then how it was fetched, by which it counts."""
    name = f"fetched/{file_name(source.source_id)}"
    store.put(name, fetched.path)
    store.write(f"{name}.json", fetch_row(fetched).model_dump_json().encode())


def _digits(source_id: str) -> str:
    return hashlib.sha256(source_id.encode()).hexdigest()[:16]
