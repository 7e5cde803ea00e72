"""Files that are whole or absent, checks of paths that a user gave, and the rule for paths."""

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from argus.errors import InvalidInput

DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Error numbers of a write without room: a full disk, a quota, a limit on the size of files."""

_SET_BY_PEOPLE = ("user.", "system.posix_acl")
"""How the names of extended attributes begin that must be kept."""

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
    target, found = _find_target(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _temporary_prefix(target) as prefix:
        partial = target.with_name(f"{prefix}partial{_plain_suffix(path)}")
        try:
            kept = _Attributes.read(target, found) if found else None
            if kept:
                kept.create(partial)
            yield partial
            if partial.is_file():
                with partial.open("rb") as file:
                    if kept:
                        kept.finish(partial)
                    os.fsync(file.fileno())
            partial.replace(target)
        except BaseException:
            _remove_temporary(target.parent, prefix)
            raise
    if is_durable:
        _sync_folder(target.parent)


def is_disk_full(error: BaseException) -> bool:
    """Return True if an error means that a disk has no room.

    The Rust libraries (deltalake) give the error number only in their message.
    """
    if isinstance(error, OSError) and error.errno in DISK_FULL_ERRNOS:
        return True
    return any(f"os error {number})" in str(error) for number in DISK_FULL_ERRNOS)


def write_text(path: Path, text: str, *, is_durable: bool = True) -> None:
    """Write a whole text file (UTF-8), or nothing, as `replace_atomically` does."""
    with replace_atomically(path, is_durable=is_durable) as partial:
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
        target, status = _find_target(found)
        parent = next(folder for folder in target.absolute().parents if folder.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise InvalidInput(
                f"the {name} {found} cannot be written to {parent}; choose another path"
            )
        if status:
            _check_attributes(target, status)
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


def _find_target(path: Path) -> tuple[Path, os.stat_result | None]:
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


def _check_attributes(target: Path, found: os.stat_result) -> None:
    """Raise InvalidInput if a new file cannot get the attributes of a file of this status."""
    with _temporary_prefix(target) as prefix:
        partial = target.with_name(f"{prefix}partial")
        try:
            _Attributes.read(target, found).create(partial)
        finally:
            partial.unlink(missing_ok=True)


def _plain_suffix(path: Path) -> str:
    """Return the suffix if it may be that of a format: short, of ASCII letters and digits."""
    suffix = path.suffix
    is_plain = suffix.isascii() and suffix[1:].isalnum() and len(suffix) <= _MAX_SUFFIX
    return suffix if is_plain else ""


@contextlib.contextmanager
def _temporary_prefix(target: Path) -> Iterator[str]:
    """Yield how the names of this writer's temporary files begin; remove those of killed writers.

    Living writers of a target share a lock on a file beside it, on whatever host they run, and the
    last one removes it. A writer that finds the file and nobody's lock removes what was left.
    Where files cannot be locked, nothing is removed, and writers still do not disturb each other.
    """
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
                _become_last(lock, path, shared, own=1)
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
                _become_last(lock, path, shared, own=0)
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


def _become_last(lock: int, path: Path, shared: str, *, own: int) -> None:
    """Lock exclusively, and remove the temporary files of writers that were killed.

    Args:
        lock: the descriptor of the lock.
        path: the file that is locked.
        shared: how the names of all temporary files begin.
        own: bytes of the file that this writer wrote. Without more, there was no other writer.

    Raises:
        BlockingIOError: other writers live.
    """
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if os.fstat(lock).st_size > own:
        _remove_temporary(path.parent, shared, but=path.name)


def _remove_temporary(folder: Path, prefix: str, *, but: str = "") -> None:
    """Remove the files and folders of a folder whose names begin so, except one."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(prefix) or entry.name == but:
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink(missing_ok=True)


@dataclass(frozen=True)
class _Attributes:
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

        So an attribute that cannot be kept is found before anything is written, and nobody reads
        in the temporary file what the original does not show. Its time, 1970, tells whether it was
        written.
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
            if name.startswith(_SET_BY_PEOPLE):
                os.removexattr(partial, name)
        for name, value in self.extended.items():
            with _tolerate_system(name):
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
        with _tolerate_system(name):
            values[name] = os.getxattr(path, name)
    return values


def _tolerate_system(name: str) -> contextlib.AbstractContextManager[None]:
    """Return a context that ignores errors of attributes that the system sets by itself."""
    is_kept = name.startswith(_SET_BY_PEOPLE)
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


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems cannot
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
