"""Files that are either whole or not there: written beside their final name and renamed."""

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a write that finds no room fails with: on a full disk, at a quota, at a limit on the size of files."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a path to write to (a file or a folder); on success it becomes `path`, on an error it is removed.

    An existing file is replaced; an existing folder is an error.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(
        f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.partial{path.suffix}"
    )
    try:
        yield beside
        if beside.is_file():
            _sync(beside)
        beside.replace(path)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True) if beside.is_dir() else beside.unlink(
            missing_ok=True
        )
        raise


def is_full(error: BaseException) -> bool:
    """Whether an error says that a disk has no room; Rust's libraries (deltalake) say it in words alone."""
    return (isinstance(error, OSError) and error.errno in FULL) or any(
        f"os error {number})" in str(error) for number in FULL
    )


def write_text(path: Path, text: str) -> None:
    """Writes a whole text file, or nothing."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def sha256_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
