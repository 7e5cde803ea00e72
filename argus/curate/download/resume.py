"""Partial files of interrupted downloads, and the disk space that downloads need.

A partial file is resumed only if the server confirms that the rest belongs to the same version;
otherwise the download restarts, so that a file never mixes two versions. Beside `NAME.part` lies
`NAME.part.json`, which describes the version; it is written while the partial file is still empty.
"""

import email.message
import email.utils
import json
import re
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

from argus.errors import FetchError
from argus.files import write_text
from schemas.names import Reason


@dataclass(frozen=True)
class FileVersion:
    """HTTP headers that identify a version of a remote file.

    Attributes:
        etag: the ETag header.
        last_modified: the Last-Modified header.
        length: bytes of the complete file as it is sent.
        dated: True if Last-Modified tells versions apart, because it lies at least a second before
            the response (RFC 9110, 8.8.2.2). Not compared.
    """

    etag: str | None
    last_modified: str | None
    length: int | None
    dated: bool = field(compare=False)

    @classmethod
    def from_headers(cls, headers: email.message.Message) -> "FileVersion":
        """Read the version from the headers of a response with the file or a range of it."""
        content_range = headers.get("Content-Range", "").strip()
        if match := re.fullmatch(r"bytes \d+-\d+/(\d+)", content_range):
            length = match[1]
        elif "Content-Range" in headers or "Content-Encoding" in headers:
            length = None
        else:
            length = headers.get("Content-Length")
        modified, sent = _parse_date(headers.get("Last-Modified")), _parse_date(headers.get("Date"))
        return cls(
            headers.get("ETag"),
            headers.get("Last-Modified"),
            int(length) if length and length.isdecimal() else None,
            dated=modified is not None and sent is not None and sent - modified >= 1,
        )

    @property
    def validator(self) -> str | None:
        """Value for `If-Range`: a strong ETag, else a reliable date (RFC 9110, 13.1.5)."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified if self.dated and not self.etag else None


@dataclass(frozen=True)
class PartialFile:
    """The file `NAME.part` that yt-dlp writes, and the record of its version."""

    path: Path

    @property
    def _record(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    def read_version(self) -> FileVersion | None:
        """Return the version of the partial file if it can be resumed."""
        try:
            version = FileVersion(**json.loads(self._record.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        if version.validator and version.length and 0 < self.size() <= version.length:
            return version
        return None

    def size(self) -> int:
        """Return the number of bytes received."""
        return self.path.stat().st_size if self.path.exists() else 0

    def restart(self, version: FileVersion) -> None:
        """Remove the partial file and record the version of the bytes that will follow."""
        self.remove()
        if version.validator and version.length:
            write_text(self._record, json.dumps(asdict(version)))

    def remove(self) -> None:
        """Remove the partial file and its record."""
        self.path.unlink(missing_ok=True)
        self._record.unlink(missing_ok=True)


def check_free_space(folder: Path, needed_bytes: int, min_free_bytes: int) -> None:
    """Raise FetchError if a download would leave too little free disk space.

    Args:
        folder: a folder on the disk.
        needed_bytes: bytes to be written.
        min_free_bytes: bytes that must stay free.

    Raises:
        FetchError: DISK_FULL, retryable.
    """
    free = shutil.disk_usage(folder).free
    if free < needed_bytes + min_free_bytes:
        message = (
            f"{free:,} bytes are free in {folder}, but {needed_bytes:,} are needed and "
            f"{min_free_bytes:,} must stay free (fetch.min_free_bytes); free disk space"
        )
        raise FetchError(Reason.DISK_FULL, message, retryable=True)


def _parse_date(date: str | None) -> float | None:
    """Return an HTTP date as a Unix time."""
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() if date else None
    except ValueError:
        return None
