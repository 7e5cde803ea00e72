"""Checks of paths that a user gave."""

import hashlib
import os
import stat
from collections.abc import Collection
from pathlib import Path

from argus.errors import InvalidInput
from argus.files.replacing import check_attributes, find_target


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
        InvalidInput: the path is missing, too long, a folder, empty or unreadable.
    """
    found = Path(path)
    try:
        status = found.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InvalidInput(f"the {name} {found} does not exist; check the path") from error
    except OSError as error:
        raise InvalidInput(
            f"the {name} {found} cannot be used: {error.strerror}; check the path"
        ) from error
    if stat.S_ISDIR(status.st_mode):
        raise InvalidInput(f"the {name} {found} is a folder; give the path of a file")
    if not os.access(found, os.R_OK):
        raise InvalidInput(f"the {name} {found} cannot be read; check its permissions")
    if stat.S_ISREG(status.st_mode) and not status.st_size:
        raise InvalidInput(f"the {name} {found} is empty (0 bytes)")
    return found


def require_writable(path: Path | str, name: str, suffixes: Collection[str] = ()) -> Path:
    """Return a path where `replace_atomically` can write a file.

    Args:
        path: a local path; its folder need not exist.
        name: the word for the file in error messages, such as "output".
        suffixes: allowed endings in lower case, such as ".mp4"; empty for any.

    Raises:
        InvalidInput: the name is too long or ends otherwise, the path is a folder or a file that
            must not be replaced, or its folder cannot be written to.
    """
    found = Path(path)
    if suffixes and found.suffix.lower() not in suffixes:
        raise InvalidInput(f"the {name} is {found}, but must end in {' or '.join(suffixes)}")
    try:
        if found.is_dir():
            raise InvalidInput(f"the {name} {found} is a folder; give the path of a file")
        target, status = find_target(found)
        parent = next(folder for folder in target.absolute().parents if folder.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise InvalidInput(
                f"the {name} {found} cannot be written to {parent}; choose another path"
            )
        if status:
            check_attributes(target, status)
    except OSError as error:
        raise InvalidInput(
            f"the {name} {found} cannot be written: {error.strerror}; choose another path"
        ) from error
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


def sha256_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
