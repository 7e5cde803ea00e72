"""Files that are whole or absent, checks of paths that a user gave, and the rule for paths."""

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from argus.errors import InvalidInput

DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Error numbers of a write without room: a full disk, a quota, a limit on the size of files."""


@contextlib.contextmanager
def replace_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that becomes `path` on success.

    The temporary path is for a file or a folder; on an error it is removed. An existing file at
    `path` is replaced; an existing folder is an error.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(
        f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.partial{path.suffix}"
    )
    try:
        yield partial
        if partial.is_file():
            _sync(partial)
        partial.replace(path)
    except BaseException:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)
        raise


def is_disk_full(error: BaseException) -> bool:
    """Return True if an error means that a disk has no room.

    The Rust libraries (deltalake) give the error number only in their message.
    """
    if isinstance(error, OSError) and error.errno in DISK_FULL_ERRNOS:
        return True
    return any(f"os error {number})" in str(error) for number in DISK_FULL_ERRNOS)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file (UTF-8), or nothing."""
    with replace_atomically(path) as partial:
        partial.write_text(text, encoding="utf-8")


def sha256_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_url(path: str) -> bool:
    """Return True for a location with a scheme, such as s3://bucket/data."""
    return "://" in path


def absolute_path(path: str) -> str:
    """Return a path that holds in every working folder: absolute, or unchanged if it is a URL.

    Jobs and flows run in other working folders than the caller.
    """
    return path if is_url(path) else str(Path(path).absolute())


def require_file(path: Path | str, name: str) -> Path:
    """Return the path of an existing, non-empty file that can be read.

    Args:
        path: a local path.
        name: the word for the file in error messages, such as "video".

    Raises:
        InvalidInput: the name is not UTF-8, or the path is missing, a folder, empty or unreadable.
    """
    found = require_utf8(path, name)
    if found.is_dir():
        raise InvalidInput(f"the {name} {found} is a folder; give the path of a file")
    if not found.exists():
        raise InvalidInput(f"the {name} {found} does not exist; check the path")
    if not os.access(found, os.R_OK):
        raise InvalidInput(f"the {name} {found} cannot be read; check its permissions")
    if found.is_file() and not found.stat().st_size:
        raise InvalidInput(f"the {name} {found} is empty (0 bytes)")
    return found


def require_writable(path: Path | str, name: str, suffixes: Collection[str] = ()) -> Path:
    """Return a path where a file can be written.

    Args:
        path: a local path; its folder need not exist.
        name: the word for the file in error messages, such as "output".
        suffixes: allowed endings in lower case, such as ".mp4"; empty for any.

    Raises:
        InvalidInput: the name is not UTF-8 or ends otherwise, the path is a folder, or its folder
            cannot be written to.
    """
    found = require_utf8(path, name)
    if suffixes and found.suffix.lower() not in suffixes:
        raise InvalidInput(f"the {name} is {found}, but must end in {' or '.join(suffixes)}")
    if found.is_dir():
        raise InvalidInput(f"the {name} {found} is a folder; give the path of a file")
    parent = next(folder for folder in found.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise InvalidInput(f"the {name} {found} cannot be written to {parent}; choose another path")
    return found


def require_utf8(path: Path | str, name: str) -> Path:
    """Return the path if its name is UTF-8: JSON and Arrow can hold no other name.

    Raises:
        InvalidInput: the name holds bytes that are not UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        shown = ascii(str(path))
        raise InvalidInput(f"the name of the {name} {shown} is not UTF-8; rename it") from error
    return Path(path)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
