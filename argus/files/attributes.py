"""Attributes of a file that its replacement keeps."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from argus.errors import InvalidInput

_USER_ATTRIBUTES = ("user.", "system.posix_acl")
"""Beginnings of the names of extended attributes that must be kept."""


@dataclass(frozen=True)
class FileAttributes:
    """Mode, owner, group and extended attributes (with access control lists) of a file."""

    path: Path
    mode: int
    owner: tuple[int, int]  # user and group
    extended: Mapping[str, bytes]

    @classmethod
    def read(cls, path: Path, found: os.stat_result) -> Self:
        """Return the attributes of a file of this status."""
        mode = stat.S_IMODE(found.st_mode)
        with _map_refusals(path):
            return cls(path, mode, (found.st_uid, found.st_gid), _read_extended(path))

    def create(self, partial: Path) -> None:
        """Create an empty file with these attributes that its owner can write.

        Attributes that cannot be kept are thus found before anything is written, and the temporary
        file is never more readable than the original. Its time of modification is 1970, by which
        `finish` recognizes that nothing was written.
        """
        mode = self.mode | stat.S_IRUSR | stat.S_IWUSR
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
        self._apply(partial, partial.stat(), mode)
        os.utime(partial, (0, 0))

    def finish(self, partial: Path) -> None:
        """Set the attributes of the written file, which may be another than `create` made."""
        found = partial.stat()
        if not found.st_size and not found.st_mtime:
            raise InvalidInput(f"nothing was written to replace {self.path}, so it is kept")
        self._apply(partial, found, self.mode)

    def _apply(self, partial: Path, found: os.stat_result, mode: int) -> None:
        with _map_refusals(self.path):
            if (found.st_uid, found.st_gid) != self.owner:
                os.chown(partial, *self.owner)
            if (own := _read_extended(partial)) != self.extended:
                self._apply_extended(partial, own)
            if stat.S_IMODE(partial.stat().st_mode) != mode:
                partial.chmod(mode)

    def _apply_extended(self, partial: Path, own: Mapping[str, bytes]) -> None:
        for name in own.keys() - self.extended.keys():  # such as a folder's default list
            if name.startswith(_USER_ATTRIBUTES):
                os.removexattr(partial, name)
        for name, value in self.extended.items():
            with _ignore_system_errors(name):
                os.setxattr(partial, name, value)


def _read_extended(path: Path) -> dict[str, bytes]:
    if not hasattr(os, "listxattr"):
        return {}
    try:
        names = os.listxattr(path)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return {}
    values = {}
    for name in names:
        with _ignore_system_errors(name):
            values[name] = os.getxattr(path, name)
    return values


def _ignore_system_errors(name: str) -> contextlib.AbstractContextManager[None]:
    """Return a context that ignores errors of attributes that the system sets by itself."""
    is_kept = name.startswith(_USER_ATTRIBUTES)
    return contextlib.nullcontext() if is_kept else contextlib.suppress(OSError)


@contextlib.contextmanager
def _map_refusals(path: Path) -> Iterator[None]:
    """Raise InvalidInput if a new file is not allowed the attributes of the one at `path`."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EACCES, errno.ENOTSUP}:
            raise
        raise InvalidInput(
            f"{path} cannot be replaced without losing its owner, mode or attributes "
            f"({error.strerror}); write to another name, or run as its owner"
        ) from error
