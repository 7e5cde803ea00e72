"""Lock of a folder between processes."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def lock_folder(
    folder: Path, on_wait: Callable[[], None] | None = None, *, is_waiting: bool = True
) -> Iterator[bool]:
    """Hold the lock of a folder until the block ends; a kill of the process releases it.

    Args:
        folder: an existing folder; the lock is the file `.lock` in it.
        on_wait: called before waiting, if another process holds the lock.
        is_waiting: False if the block is to run without the lock in that case.

    Yields:
        True if the lock is held.
    """
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        is_locked = _try_lock(descriptor)
        if not is_locked and is_waiting:
            if on_wait:
                on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            is_locked = True
        yield is_locked
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
