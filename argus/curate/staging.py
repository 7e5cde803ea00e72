"""The staging area: results that wait for their commit, and the folders for videos in work.

A machine works on a video in a folder of its own below `work`, which it locks while it does:
another run that wants the same video waits, and then finds the result staged. A result is put into
the dataset's `staging/{source hash}-{recipe}/` (clips.arrow, thumb.jpg, and row.json last, which
makes it count), so that a run continues where a killed one stopped. It is part of the dataset only
after the commit of its chunk.
"""

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from argus.curate.download import video_file_name
from argus.dataset import (
    DecidedVideo,
    FetchedFile,
    ShardClip,
    ShardReader,
    SourceRow,
    Store,
    hash_source_id,
    row_from_json,
    row_to_json,
)
from schemas.config import CurateConfig

CLAIM_POLL_S = 0.2
_MARKER, _CLIPS, _THUMBNAIL = "row.json", "clips.arrow", "thumb.jpg"


class StagedResultGone(FileNotFoundError):
    """A staged result that was removed, because another run committed it."""


@dataclass(frozen=True)
class StagingArea:
    """Staged results of one recipe, and this machine's work folders.

    Args:
        store: the dataset's store.
        recipe: digest of the recipe.
        work: absolute folder on this machine for files in work.
    """

    store: Store
    recipe: str
    work: Path

    @classmethod
    def of(cls, config: CurateConfig, recipe: str) -> "StagingArea":
        """Return the staging area of a configuration and a recipe digest."""
        work = Path(config.work or Path(config.home) / "work").absolute()
        return cls(Store.of(config.dataset), recipe, work)

    def work_folder(self, source_id: str) -> Path:
        """Return the folder in which this machine works on a video."""
        return self.work / hash_source_id(source_id)

    @contextlib.contextmanager
    def claim(self, source_id: str, patience_s: float) -> Iterator[Path]:
        """Lock a video's work folder against other tasks of this machine, and yield its path.

        The folder is created if necessary, and removed at the end if it is empty. A kill of the
        process releases the lock.

        Raises:
            TimeoutError: another task held the folder for `patience_s` seconds.
        """
        end = time.monotonic() + patience_s
        while (claim := _try_lock(folder := self.work_folder(source_id))) is None:
            if time.monotonic() >= end:
                raise TimeoutError(f"{folder} is in use")
            time.sleep(CLAIM_POLL_S)
        try:
            yield folder
        finally:
            with contextlib.suppress(OSError):  # not empty, or removed by its owner
                folder.rmdir()
            os.close(claim)

    def clear_work(self, source_ids: Iterable[str]) -> None:
        """Remove what killed processes left of these videos, except folders that are in use."""
        names = {hash_source_id(source_id): source_id for source_id in source_ids}
        for folder in self.work.iterdir() if self.work.is_dir() else ():
            if source_id := names.get(folder.name):
                with contextlib.suppress(TimeoutError), self.claim(source_id, 0):
                    shutil.rmtree(folder, ignore_errors=True)

    def has_result(self, source_id: str) -> bool:
        """Return True if a complete result is staged."""
        return self.store.exists(f"{self._name(source_id)}/{_MARKER}")

    def store_result(self, folder: Path, row: SourceRow) -> None:
        """Move a folder with clips.arrow and thumb.jpg to its staged place; the marker is last."""
        (folder / _MARKER).write_text(row_to_json(row), encoding="utf-8")
        self.store.put_folder(self._name(row.source_id), folder, marker=_MARKER)

    def read_result(self, source_id: str) -> DecidedVideo:
        """Return a staged result; its clips are read from disk one by one when iterated.

        Raises:
            StagedResultGone: here, or later while the clips are read.
        """
        name = self._name(source_id)
        try:
            row = row_from_json(self.store.read(f"{name}/{_MARKER}"))
        except FileNotFoundError as error:
            raise StagedResultGone(name) from error
        has_clips = any(clip.shard is None for clip in row.kept_clips)
        return DecidedVideo(row, _StagedClips(self.store, name) if has_clips else ())

    def publish_thumbnail(self, row: SourceRow, *, is_committed: bool) -> None:
        """Copy a staged thumbnail to the place in the dataset that its row names.

        Args:
            row: the row.
            is_committed: True if the row counts now, so that its thumbnail replaces an earlier one.
        """
        if row.thumbnail and (is_committed or not self.store.exists(row.thumbnail)):
            with contextlib.suppress(FileNotFoundError):  # another run did it
                content = self.store.read(f"{self._name(row.source_id)}/{_THUMBNAIL}")
                self.store.write(row.thumbnail, content)

    def discard(self, source_ids: Iterable[str]) -> None:
        """Remove the staged results of these sources."""
        for source_id in source_ids:
            self.store.delete_folder(self._name(source_id))

    def discard_committed(self, source_ids: Iterable[str]) -> None:
        """Remove results that a run left when it was killed between their commit and its cleanup.

        Lists the staging area first, so that many source ids cost little.
        """
        if left := self.store.list_folders("staging"):
            for name in {self._name(source_id) for source_id in source_ids}.intersection(left):
                self.store.delete_folder(name)

    def keep_file(self, source_id: str, fetched: FetchedFile) -> None:
        """Move a fetched file into the dataset: the file first, then its record as the marker."""
        name = f"fetched/{video_file_name(source_id)}"
        self.store.put(name, fetched.path)
        self.store.write(f"{name}.json", json.dumps(asdict(fetched.info)).encode())

    def take_kept_file(self, source_id: str, folder: Path) -> FetchedFile | None:
        """Move a file that an earlier run kept into a work folder; None if there is none."""
        name = f"fetched/{video_file_name(source_id)}"
        if self.store.local is None:
            return None
        if not (self.store.exists(name) and self.store.exists(f"{name}.json")):
            return None
        path = folder / video_file_name(source_id)
        shutil.move(self.store.local / name, path)
        return FetchedFile(path=path, **json.loads(self.store.read(f"{name}.json")))

    def _name(self, source_id: str) -> str:
        return f"staging/{hash_source_id(source_id)}-{self.recipe}"


@dataclass(frozen=True)
class _StagedClips:
    """The clips of a staged result; may be iterated more than once."""

    store: Store
    name: str

    def __iter__(self) -> Iterator[ShardClip]:
        if not self.store.exists(f"{self.name}/{_CLIPS}"):
            raise StagedResultGone(self.name)
        with ShardReader(f"{self.name}/{_CLIPS}", self.store) as reader:
            yield from map(reader.clip, range(len(reader)))


def _try_lock(folder: Path) -> int | None:
    """Create and lock a folder; return the open descriptor, or None if another task holds it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except (FileExistsError, FileNotFoundError):
        if folder.exists() and not folder.is_dir():
            raise
        return None  # its owner removed it meanwhile
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_same_folder(handle, folder):
            return handle
    except BlockingIOError:
        pass
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _is_same_folder(handle: int, folder: Path) -> bool:
    """Return False if the folder was removed, and maybe created again, since it was opened."""
    try:
        return os.path.samestat(os.fstat(handle), folder.stat())
    except FileNotFoundError:
        return False
