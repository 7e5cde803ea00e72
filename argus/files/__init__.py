"""Files that are whole or absent, locks of folders, and checks of paths that a user gave."""

from argus.files.checks import (
    absolute_path,
    is_url,
    require_file,
    require_utf8,
    require_writable,
    sha256_file,
)
from argus.files.locking import lock_folder
from argus.files.replacing import (
    DISK_FULL_ERRNOS,
    is_disk_full,
    replace_atomically,
    write_text,
)

__all__ = [
    "DISK_FULL_ERRNOS",
    "absolute_path",
    "is_disk_full",
    "is_url",
    "lock_folder",
    "replace_atomically",
    "require_file",
    "require_utf8",
    "require_writable",
    "sha256_file",
    "write_text",
]
