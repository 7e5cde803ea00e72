"""The part of a file that an interrupted download left, and which version of the file it is a part of.

A part is continued only where the server says that the rest belongs to the same version; everything else starts anew, so that a file is never
a mixture. Beside `NAME.part` lies `NAME.part.json` with what the server said of the version; it is written while the part is still empty.
"""

import email.message
import email.utils
import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

from argus.files import write_text


@dataclass(frozen=True)
class Version:
    """What a server says of the file that it sends."""

    etag: str | None
    last_modified: str | None
    length: int | None  # bytes of the whole file, as it is sent
    dated: bool = field(
        compare=False
    )  # Last-Modified tells versions apart: it lies a second before the answer (RFC 9110, 8.8.2.2)

    @classmethod
    def of(cls, headers: email.message.Message) -> "Version":
        """From the headers of an answer that is the whole file or a range of it."""
        whole = re.fullmatch(r"bytes \d+-\d+/(\d+)", headers.get("Content-Range", "").strip())
        length = (
            whole[1]
            if whole
            else None
            if "Content-Range" in headers or "Content-Encoding" in headers
            else headers.get("Content-Length")
        )
        changed, answered = _seconds(headers.get("Last-Modified")), _seconds(headers.get("Date"))
        dated = changed is not None and answered is not None and answered - changed >= 1
        return cls(
            headers.get("ETag"),
            headers.get("Last-Modified"),
            int(length) if length and length.isdecimal() else None,
            dated,
        )

    @property
    def validator(self) -> str | None:
        """What `If-Range` may name: a strong ETag, else a date that tells versions apart (RFC 9110, 13.1.5)."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified if self.dated and not self.etag else None


@dataclass(frozen=True)
class Part:
    """`NAME.part`, which yt-dlp writes, and what is known about it."""

    path: Path

    @property
    def _record(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    def version(self) -> Version | None:
        """The version that there are some bytes of, where it can be continued."""
        try:
            version = Version(**json.loads(self._record.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return (
            version
            if version.validator and version.length and 0 < self.size() <= version.length
            else None
        )

    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.exists() else 0

    def begin(self, version: Version) -> None:
        """Forgets what is there; what comes next is of this version."""
        self.drop()
        if version.validator and version.length:
            write_text(self._record, json.dumps(asdict(version)))

    def drop(self) -> None:
        """Leaves nothing."""
        self.path.unlink(missing_ok=True)
        self._record.unlink(missing_ok=True)


def _seconds(date: str | None) -> float | None:
    """An HTTP date as seconds since 1970."""
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() if date else None
    except ValueError:
        return None
