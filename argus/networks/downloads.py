"""Download of one file over HTTPS that resumes where it was interrupted.

Beside the partial file lies `NAME.etag`, by which the server confirms that the rest belongs to the
same version (RFC 9110, 13.1.5); otherwise the download begins anew.
"""

import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from argus.errors import ArgusError, InvalidInput, ServiceError
from argus.files import is_disk_full

HUB = "https://huggingface.co"

TIMEOUT_S = 60.0
"""Time without a byte after which a connection is given up."""

MAX_STALLED_ATTEMPTS = 3
"""Attempts in a row that brought no byte, before a download is given up."""

RETRY_WAIT_S = 1.0
"""Wait before the second attempt in a row that brought no byte; the wait grows with each."""

_CHUNK = 1 << 20
_REFUSALS = frozenset({401, 403})

ReceivedHook = Callable[[int, int], None]
"""Called with the bytes received so far and in total."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but none from HTTPS to HTTP."""

    def redirect_request(self, req: Any, *rest: Any) -> urllib.request.Request | None:
        found = super().redirect_request(req, *rest)
        if found and req.type == "https" and found.type != "https":
            raise ServiceError(f"{req.full_url} redirects to {found.full_url}, which is not HTTPS")
        return found


def download(url: str, partial: Path, size: int | None, on_received: ReceivedHook) -> None:
    """Download a file, continuing a partial one.

    Args:
        url: HTTPS URL. HF_ENDPOINT replaces the host of the Hugging Face hub.
        partial: the file to write; it is kept if the download is interrupted.
        size: bytes of the whole file, if known.
        on_received: receives the progress.

    Raises:
        InvalidInput: there is no such file, or it is refused without a login.
        ServiceError: the server is away or broke off repeatedly, or has a file of another size.
        ArgusError: the disk has less room than the file needs.
        OSError: the disk was filled meanwhile.
    """
    stalled = 0
    while (before := _size_of(partial)) != size or size is None:
        try:
            _continue(url, partial, size, on_received)
            return
        except (OSError, http.client.HTTPException) as error:
            if is_disk_full(error):
                raise
            _raise_if_final(url, error)
            if getattr(error, "code", 0) == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                partial.unlink()
            stalled = 0 if _size_of(partial) > before else stalled + 1
            if stalled == MAX_STALLED_ATTEMPTS:
                raise ServiceError(f"{url} could not be downloaded: {error}") from error
            time.sleep(stalled * RETRY_WAIT_S)


def require_disk_space(folder: Path, needed: int) -> None:
    """Check the free space of a folder's disk.

    Raises:
        ArgusError: there are fewer bytes than needed.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ArgusError(
            f"{folder} needs {needed / 1e6:.1f} MB more, but its disk has {free / 1e6:.1f} MB free"
        )


def _continue(url: str, partial: Path, size: int | None, on_received: ReceivedHook) -> None:
    """Send one request, and append what it brings."""
    etag_file = partial.with_name(f"{partial.name}.etag")
    etag = etag_file.read_text(encoding="utf-8") if etag_file.is_file() else ""
    start = _size_of(partial) if etag else 0
    start = 0 if size is not None and start > size else start
    headers = {"Range": f"bytes={start}-", "If-Range": etag} if start else {}
    opener = urllib.request.build_opener(_Redirects)
    with opener.open(_make_request(url, headers), timeout=TIMEOUT_S) as response:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            start = 0
        total = _whole_size(response, start)
        if size is not None and total not in {size, None}:
            raise ServiceError(f"{url} has {total} bytes, but the manifest says {size}")
        total = size if size is not None else total
        if total is None:
            raise ServiceError(f"{url}: the server does not state the size of the file")
        require_disk_space(partial.parent, total - start)
        with partial.open("ab" if start else "wb") as file:
            etag = response.headers.get("ETag", "")
            etag_file.write_text("" if etag.startswith("W/") else etag, encoding="utf-8")
            _copy(response, file, start, total, on_received)
    etag_file.unlink()


def _copy(
    response: IO[bytes], file: IO[bytes], start: int, total: int, on_received: ReceivedHook
) -> None:
    received = start
    while received < total and (chunk := response.read(min(_CHUNK, total - received))):
        received += file.write(chunk)
        on_received(received, total)
    if received < total:
        raise http.client.IncompleteRead(b"", total - received)


def _make_request(url: str, headers: dict[str, str]) -> urllib.request.Request:
    """Return a request, with the user's login if it goes to the Hugging Face hub."""
    is_hub = url.startswith(f"{HUB}/")
    if is_hub:
        url = os.environ.get("HF_ENDPOINT", HUB).rstrip("/") + url.removeprefix(HUB)
    if urlsplit(url).scheme not in {"https", "http"}:
        raise InvalidInput(f"{url} is no HTTP URL; check HF_ENDPOINT")
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  the scheme was checked
    if is_hub:
        from huggingface_hub import get_token

        if token := get_token():  # not sent on to the host of a redirect
            request.add_unredirected_header("Authorization", f"Bearer {token}")
    return request


def _whole_size(response: Any, start: int) -> int | None:
    """Return the bytes of the whole file by the headers of a response that begins at `start`."""
    length = response.headers.get("Content-Length", "")
    return start + int(length) if length.isdecimal() else None


def _raise_if_final(url: str, error: Exception) -> None:
    """Raise the project's error for a response that no later attempt changes."""
    if not isinstance(error, urllib.error.HTTPError) or error.code not in {*_REFUSALS, 404, 410}:
        return
    if error.code not in _REFUSALS:
        raise InvalidInput(f"{url} does not exist (HTTP {error.code})") from error
    raise InvalidInput(
        f"{url} is refused (HTTP {error.code}); if it is a gated repository of the Hugging Face "
        "hub, agree to its license on its page and log in with `hf auth login`"
    ) from error


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
