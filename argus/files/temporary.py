"""Names of temporary files, and the removal of those that killed writers left."""

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.[0-9a-f]{8}\.")
"""Beginning of the name of a temporary file: a hash of the target, and the writer."""


def is_temporary(path: Path) -> bool:
    """Return True for a temporary file of a writer."""
    return bool(_TEMPORARY.match(path.name))


@contextlib.contextmanager
def temporary_prefix(target: Path) -> Iterator[str]:
    """Yield how the names of this writer's temporary files begin; remove those of killed writers.

    The writers of a target share a lock on a file beside it, on whatever host they run, and the
    last one removes it. A writer that finds the file without a lock removes what was left.
    Where files cannot be locked, nothing is removed, and writers still do not disturb each other.
    A temporary file that is replaced itself belongs to its writer, and so do the files beside it.
    """
    if match := _TEMPORARY.match(target.name):
        yield f"{match[0]}{secrets.token_hex(4)}."
        return
    # Users do not share a prefix, because they cannot open each other's lock.
    identity = f"{os.geteuid()}/".encode() + os.fsencode(target.name)
    shared = f".{hashlib.sha256(identity).hexdigest()[:16]}."
    path = target.with_name(f"{shared}lock")
    lock = _share_lock(path, shared)
    try:
        yield f"{shared}{secrets.token_hex(4)}."
    finally:
        if lock is not None:
            with contextlib.suppress(OSError):  # others write too
                _remove_leftovers(lock, path, shared, own=1)
                path.unlink()
            os.close(lock)


def _share_lock(path: Path, shared: str) -> int | None:
    """Return the open descriptor of a shared lock on a file, or None if it cannot be locked.

    The file has one byte for each writer that held the lock since it was created.
    """
    while True:
        try:  # NFS locks only files that may be written
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        except OSError:  # the write itself will report it
            return None
        try:
            with contextlib.suppress(BlockingIOError):  # others write
                _remove_leftovers(lock, path, shared, own=0)
            fcntl.flock(lock, fcntl.LOCK_SH)
            if os.path.samestat(os.fstat(lock), path.lstat()):
                os.write(lock, b"+")
                return lock
        except FileNotFoundError:  # the last writer removed it
            pass
        except OSError:
            if not os.fstat(lock).st_size:
                path.unlink(missing_ok=True)
            os.close(lock)
            return None
        os.close(lock)


def _remove_leftovers(lock: int, path: Path, shared: str, *, own: int) -> None:
    """Remove the temporary files of killed writers, under an exclusive lock.

    Args:
        lock: the descriptor of the lock.
        path: the file that is locked.
        shared: how the names of all temporary files begin.
        own: bytes of the file that this writer wrote. Without more, there was no other writer.

    Raises:
        BlockingIOError: there are other writers.
    """
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if os.fstat(lock).st_size > own:
        remove_temporary(path.parent, shared, but=path.name)


def remove_temporary(folder: Path, prefix: str, *, but: str = "") -> None:
    """Remove the files and folders of a folder whose names begin so, except one."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(prefix) or entry.name == but:
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink(missing_ok=True)
