"""Tests of written files: the writers, another user, and the names in a folder."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@contextlib.contextmanager
def as_user(number: int) -> Iterator[None]:
    """Act as another user, of the group of the same number."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(number)
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def write_part(partial: Path) -> None:
    partial.write_text("half")


def write_folder(partial: Path) -> None:
    partial.unlink(missing_ok=True)
    partial.mkdir()
    write_part(partial / "inside")
