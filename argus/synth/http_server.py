"""HTTP server on loopback for the files of a folder, with byte ranges and validators.

Tests, benchmarks and the demo download videos from it as they would from a video site.
"""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

_CONTENT_TYPES = {
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".ts": "video/mp2t",
    ".csv": "text/csv",
    ".json": "application/json",
}
_SEND_BYTES = 1 << 16


class ServedRequest(NamedTuple):
    """A request and its response."""

    path: str  # decoded
    status: int
    body_bytes: int


@dataclass
class FolderServer:
    """A running server.

    Attributes:
        url: Base URL without a trailing slash.
        folder: The served folder.
        requests: All requests so far; the server appends to it before it sends a response.
    """

    url: str
    folder: Path
    requests: list[ServedRequest] = field(default_factory=list)


@contextlib.contextmanager
def serve_folder(folder: Path | str, port: int = 0) -> Iterator[FolderServer]:
    """Serve the files of a folder on 127.0.0.1 until the block ends.

    Args:
        folder: Folder to serve; symbolic links that lead out of it are not followed.
        port: TCP port; 0 picks a free one.
    """

    class Handler(FileHandler):
        pass

    with serve_handler(Handler, port) as url:
        server = FolderServer(url, Path(folder).absolute())
        Handler.folder, Handler.requests = server.folder, server.requests
        yield server


@contextlib.contextmanager
def serve_handler(handler: type[BaseHTTPRequestHandler], port: int = 0) -> Iterator[str]:
    """Run a request handler on 127.0.0.1, one thread per request, until the block ends.

    Args:
        handler: Handler class of `http.server`.
        port: TCP port; 0 picks a free one.

    Yields:
        The base URL, without a trailing slash.
    """
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class FileHandler(BaseHTTPRequestHandler):
    """Handler for GET and HEAD of the files below `folder`, whole or one byte range.

    Subclasses override `respond`. Every response is appended to `requests`.
    """

    protocol_version = "HTTP/1.1"
    folder: Path
    requests: list[ServedRequest]

    def do_GET(self) -> None:
        """Respond to GET."""
        self.respond(send_body=True)

    def do_HEAD(self) -> None:
        """Respond to HEAD."""
        self.respond(send_body=False)

    def handle(self) -> None:
        """Handle a connection; clients may close it early."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def respond(self, *, send_body: bool) -> None:
        """Send the requested file or range, 404, or 416."""
        path = self.find_file()
        if path is None:
            self.send_status(HTTPStatus.NOT_FOUND, send_body=send_body)
            return
        size, etag = path.stat().st_size, _make_etag(path)
        byte_range = parse_range(self.headers, size, etag)
        if byte_range is None:
            self.send_status(
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                send_body=send_body,
                headers={"Content-Range": f"bytes */{size}"},
            )
            return
        start, stop, is_partial = byte_range
        self.record(
            HTTPStatus.PARTIAL_CONTENT if is_partial else HTTPStatus.OK,
            stop - start if send_body else 0,
        )
        self.send_file_headers(
            path,
            (start, stop, size) if is_partial else None,
            {"Content-Length": str(stop - start), "ETag": etag},
        )
        if send_body:
            self._send_bytes(path, start, stop)

    def send_file_headers(
        self, path: Path, content_range: tuple[int, int, int] | None, headers: dict[str, str]
    ) -> None:
        """Send status and headers of a file.

        Args:
            path: The file.
            content_range: (start, stop, file size) of a partial response, None for a whole one.
            headers: Further headers.
        """
        self.send_response(HTTPStatus.PARTIAL_CONTENT if content_range else HTTPStatus.OK)
        self.send_header(
            "Content-Type", _CONTENT_TYPES.get(path.suffix.lower(), "application/octet-stream")
        )
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Last-Modified", formatdate(path.stat().st_mtime, usegmt=True))
        for name, value in headers.items():
            self.send_header(name, value)
        if content_range:
            start, stop, size = content_range
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.end_headers()

    def find_file(self) -> Path | None:
        """Return the requested file, or None unless it is a file inside the folder."""
        name = unquote(urlsplit(self.path).path).lstrip("/")
        if "\0" in name:
            return None
        path = (self.folder / name).resolve()
        return path if path.is_relative_to(self.folder.resolve()) and path.is_file() else None

    def send_status(
        self, status: HTTPStatus, *, send_body: bool, headers: dict[str, str] | None = None
    ) -> None:
        """Send a status with a short text body."""
        text = f"{status.value} {status.phrase}\n".encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "text/plain",
            "Content-Length": str(len(text)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.record(status, len(text) if send_body else 0)
        self.end_headers()
        if send_body:
            self.wfile.write(text)

    def record(self, status: HTTPStatus, body_bytes: int) -> None:
        """Append to `requests`. Call it before sending, so that clients find the entry."""
        path = unquote(urlsplit(self.path).path)
        self.requests.append(ServedRequest(path, status.value, body_bytes))

    def _send_bytes(self, path: Path, start: int, stop: int) -> None:
        with path.open("rb") as file:
            file.seek(start)
            while start < stop and (chunk := file.read(min(_SEND_BYTES, stop - start))):
                self.wfile.write(chunk)
                start += len(chunk)


def parse_range(headers: Message, size: int, etag: str) -> tuple[int, int, bool] | None:
    """Parse the Range and If-Range headers of a request.

    Ranges that are malformed, multiple, or for another version of the file select the whole file
    (RFC 9110, sections 14.2 and 13.1.5).

    Args:
        headers: Request headers.
        size: File size in bytes.
        etag: Current entity tag of the file.

    Returns:
        (start, stop, is_partial) in bytes, or None if the range is not satisfiable.
    """
    header = headers.get("Range", "")
    if not header.startswith("bytes=") or "," in header or headers.get("If-Range", etag) != etag:
        return 0, size, False
    first, dash, last = header.removeprefix("bytes=").strip().partition("-")
    is_well_formed = all(part == "" or part.isdecimal() for part in (first, last))
    if not dash or not (first or last) or not is_well_formed:
        return 0, size, False
    start = int(first) if first else max(0, size - int(last))
    stop = min(size, int(last) + 1) if first and last else size
    return (start, stop, True) if start < stop else None


def _make_etag(path: Path) -> str:
    return f'"{path.stat().st_mtime_ns:x}-{path.stat().st_size:x}"'
