"""A folder served over HTTP on loopback, with ranges and validators, as a video site would: for tests and the demo."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

_TYPES = {
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".ts": "video/mp2t",
    ".csv": "text/csv",
    ".json": "application/json",
}
_CHUNK = 1 << 16


@dataclass
class Site:
    """A running site. `requests` grows by (path, status, bytes of the body) as they are answered."""

    url: str  # without a slash at the end
    folder: Path
    requests: list[tuple[str, int, int]] = field(default_factory=list)


@contextlib.contextmanager
def serve_folder(folder: Path | str, port: int = 0) -> Iterator[Site]:
    """Serves a folder's files on 127.0.0.1 (a free port by default) until the block ends."""

    class Handler(FileHandler):
        pass

    with listening(Handler, port) as url:
        site = Site(url, Path(folder).absolute())
        Handler.folder, Handler.requests = site.folder, site.requests
        yield site


@contextlib.contextmanager
def listening(handler: type[BaseHTTPRequestHandler], port: int = 0) -> Iterator[str]:
    """Answers requests to 127.0.0.1, each in a thread of its own, until the block ends; gives the address."""
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
    """GET and HEAD of whole files and single byte ranges of the files of `folder`; `requests` grows."""

    protocol_version = "HTTP/1.1"
    folder: Path
    requests: list[tuple[str, int, int]]

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # clients may leave early
            super().handle()

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def _answer(self, *, body: bool) -> None:
        path = self._file()
        if path is None:
            self._plain(HTTPStatus.NOT_FOUND, body=body)
            return
        size, etag = path.stat().st_size, _etag(path)
        span = asked_range(self.headers, size, etag)
        if span is None:
            self._plain(
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                body=body,
                extra={"Content-Range": f"bytes */{size}"},
            )
            return
        start, stop, partial = span
        self._note(
            HTTPStatus.PARTIAL_CONTENT if partial else HTTPStatus.OK, stop - start if body else 0
        )
        self._head(
            path,
            (start, stop, size) if partial else None,
            {"Content-Length": str(stop - start), "ETag": etag},
        )
        if body:
            self._send(path, start, stop)

    def _head(self, path: Path, span: tuple[int, int, int] | None, extra: dict[str, str]) -> None:
        """Status and headers of a file, or of its bytes from start to stop of size."""
        self.send_response(HTTPStatus.PARTIAL_CONTENT if span else HTTPStatus.OK)
        self.send_header(
            "Content-Type", _TYPES.get(path.suffix.lower(), "application/octet-stream")
        )
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Last-Modified", formatdate(path.stat().st_mtime, usegmt=True))
        for name, value in extra.items():
            self.send_header(name, value)
        if span:
            self.send_header("Content-Range", f"bytes {span[0]}-{span[1] - 1}/{span[2]}")
        self.end_headers()

    def _file(self) -> Path | None:
        """The file that is asked for, if it is one and lies in the folder, links resolved."""
        name = unquote(urlsplit(self.path).path).lstrip("/")
        if "\0" in name:
            return None
        path = (self.folder / name).resolve()
        return path if path.is_relative_to(self.folder.resolve()) and path.is_file() else None

    def _plain(
        self, status: HTTPStatus, *, body: bool, extra: dict[str, str] | None = None
    ) -> None:
        text = f"{status.value} {status.phrase}\n".encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "text/plain",
            "Content-Length": str(len(text)),
            **(extra or {}),
        }.items():
            self.send_header(name, value)
        self._note(status, len(text) if body else 0)
        self.end_headers()
        if body:
            self.wfile.write(text)

    def _send(self, path: Path, start: int, stop: int) -> None:
        with path.open("rb") as file:
            file.seek(start)
            while start < stop and (chunk := file.read(min(_CHUNK, stop - start))):
                self.wfile.write(chunk)
                start += len(chunk)

    def _note(self, status: HTTPStatus, sent: int) -> None:
        """Before anything is sent, so that whoever has read an answer finds it noted."""
        self.requests.append((unquote(urlsplit(self.path).path), status.value, sent))


def _etag(path: Path) -> str:
    return f'"{path.stat().st_mtime_ns:x}-{path.stat().st_size:x}"'


def asked_range(headers: Message, size: int, etag: str) -> tuple[int, int, bool] | None:
    """(start, stop, whether partial) that a request asks for; None when out of range.

    What is not understood, and what is asked of another version, means the whole file (RFC 9110, 14.2 and 13.1.5).
    """
    header = headers.get("Range", "")
    if not header.startswith("bytes=") or "," in header or headers.get("If-Range", etag) != etag:
        return 0, size, False
    first, dash, last = header.removeprefix("bytes=").strip().partition("-")
    if (
        not dash
        or not (first or last)
        or not all(part == "" or part.isdecimal() for part in (first, last))
    ):
        return 0, size, False
    start = int(first) if first else max(0, size - int(last))
    stop = min(size, int(last) + 1) if first and last else size
    return (start, stop, True) if start < stop else None
