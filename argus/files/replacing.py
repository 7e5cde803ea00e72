"""Files that are whole or absent: written beside their final name, and renamed."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from argus.errors import InvalidInput
from argus.files.attributes import FileAttributes
from argus.files.temporary import is_temporary, remove_temporary, temporary_prefix

DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Error numbers of a write without room: a full disk, a quota, a limit on the size of files."""

_MAX_SUFFIX = 16
"""Characters of a suffix that a temporary file keeps."""


@contextlib.contextmanager
def replace_atomically(path: Path, *, is_durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path` that becomes `path` on success.

    The temporary path is for a file or a folder. It has the suffix of `path`, by which many
    libraries choose the format, and is otherwise ASCII and short. Further temporary files lie
    beside it and begin as it does: `partial.with_suffix(".plain.mp4")`. On an error all of them
    are removed; what a killed process left is removed by the next write to `path`.

    An existing file keeps its mode, owner, group and extended attributes. A symbolic link stays,
    and the file that it points to is replaced or created. An existing folder is an error, unless
    it is empty and a folder replaces it.

    Args:
        path: the file or folder to write; its parents are created.
        is_durable: False if a loss of power may bring the earlier content back.

    Raises:
        InvalidInput: `path` has several hard links, is a loop of links or a device, or cannot
            keep its owner or attributes; or the caller wrote nothing. `path` is unchanged.
    """
    target, found = find_target(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    is_part = is_temporary(target)  # its writer synchronizes the whole
    with temporary_prefix(target) as prefix:
        partial = target.with_name(f"{prefix}partial{_plain_suffix(path)}")
        try:
            kept = FileAttributes.read(target, found) if found else None
            if kept:
                kept.create(partial)
            yield partial
            if partial.is_file():
                with partial.open("rb") as file:
                    if kept:
                        kept.finish(partial)
                    if not is_part:
                        os.fsync(file.fileno())
            partial.replace(target)
        except BaseException:
            remove_temporary(target.parent, prefix)
            raise
    if is_durable and not is_part:
        _sync_folder(target.parent)


def write_text(path: Path, text: str, *, is_durable: bool = True) -> None:
    """Write a whole text file (UTF-8), or nothing, as `replace_atomically` does."""
    with replace_atomically(path, is_durable=is_durable) as partial:
        partial.write_text(text, encoding="utf-8")


def is_disk_full(error: BaseException) -> bool:
    """Return True if an error means that a disk has no room.

    The Rust libraries (deltalake) give the error number only in their message.
    """
    if isinstance(error, OSError) and error.errno in DISK_FULL_ERRNOS:
        return True
    return any(f"os error {number})" in str(error) for number in DISK_FULL_ERRNOS)


def find_target(path: Path) -> tuple[Path, os.stat_result | None]:
    """Return the path that a path names or links to, and the status of the file there, if any.

    Raises:
        InvalidInput: there is a file that must not be replaced, or the links form a loop.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        found = None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise InvalidInput(f"{path} is a link that leads back to itself; remove it") from error
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if found is None or stat.S_ISDIR(found.st_mode):
        return target, None
    if not stat.S_ISREG(found.st_mode):
        raise InvalidInput(f"{path} is a device, a pipe or a socket; give the path of a file")
    if found.st_nlink > 1:
        raise InvalidInput(
            f"{path} has {found.st_nlink} names (hard links), and the others would keep the old "
            "content; write to another name, or remove the other names"
        )
    return target, found


def check_attributes(target: Path, found: os.stat_result) -> None:
    """Raise InvalidInput if a new file cannot get the attributes of a file of this status."""
    with temporary_prefix(target) as prefix:
        partial = target.with_name(f"{prefix}partial")
        try:
            FileAttributes.read(target, found).create(partial)
        finally:
            partial.unlink(missing_ok=True)


def _plain_suffix(path: Path) -> str:
    """Return the suffix if it may be that of a format: short, of ASCII letters and digits."""
    suffix = path.suffix
    is_plain = suffix.isascii() and suffix[1:].isalnum() and len(suffix) <= _MAX_SUFFIX
    return suffix if is_plain else ""


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems cannot
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
