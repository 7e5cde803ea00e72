"""Whether there is room on the disk for what is to be fetched."""

import shutil
from pathlib import Path

from argus.errors import FetchError
from schemas.names import Reason


def check_room(folder: Path, more: int, min_free: int) -> None:
    """Raises FetchError (DISK_FULL, may pass) where `more` bytes more would leave less than `min_free` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < more + min_free:
        wanted = f"{more:,} more and " if more else ""
        message = f"{free:,} bytes are free in {folder}; wanted are {wanted}{min_free:,} that stay free (fetch.min_free_bytes): make room"
        raise FetchError(Reason.DISK_FULL, message, retryable=True)
