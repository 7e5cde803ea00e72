"""HTTP server that fails in the ways that video sites fail.

It refuses, breaks connections, stalls, announces wrong lengths and replaces files:

    with serve_with_faults(folder) as server:
        # the first fetch gets a 429, the second a reset connection, the third the file
        server.url("walk.mp4", Fault.TOO_MANY_REQUESTS, Fault.RESET)
        server.url("gone.mp4", Fault.NOT_FOUND, repeat_last=True)

        # a page whose video file gets a 403 until the page is read again
        server.page_url("walk.mp4", refusals=1)

A fetch is a request that starts at the first byte of a file. A request for a later range continues
the fetch before it and meets the same fault. `FaultyServer.log` holds all requests.
"""

import contextlib
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import Enum
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from argus.synth import FileHandler, parse_range, serve_handler


class Fault(Enum):
    """Outcome of a fetch. The values describe it."""

    NONE = "the file, unchanged"
    NOT_FOUND = HTTPStatus.NOT_FOUND
    GONE = HTTPStatus.GONE
    FORBIDDEN = HTTPStatus.FORBIDDEN
    TOO_MANY_REQUESTS = "429 with Retry-After in seconds"
    TOO_MANY_REQUESTS_DATE = "429 with Retry-After as a date"
    SERVER_ERROR = HTTPStatus.INTERNAL_SERVER_ERROR
    UNAVAILABLE = "503 with Retry-After in seconds"
    RESET = "connection reset before the response"
    RESET_IN_BODY = "connection reset within the body"
    STALL = "half of the body, then nothing while the connection stays open"
    TRUNCATED = "half of the announced body, then the connection closes"
    OVERSIZED = "Content-Length of one terabyte"
    ENDLESS = "no Content-Length and a body that never ends"
    SURPLUS = "more bytes than announced"
    NO_LENGTH = "whole file without Content-Length; the connection closes at its end"
    EXPIRED = "403 for the URL that a page named, until the page names another one"
    NO_RANGES = "whole file whatever range is requested"
    CHANGED = "from now on, another file of the same length"
    CHANGED_IGNORES_IF_RANGE = "as CHANGED, and ranges of it despite an If-Range of the old file"
    REDIRECT_TO_LOOPBACK = "redirect to another loopback address, 127.0.0.2"
    REDIRECT_LOOP = "redirect to itself"


DASH_PAGE = (
    "<MPD><Period><AdaptationSet mimeType='video/mp4'><Representation id='1' bandwidth='1'>"
    "<BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>"
)
"""A page that is read faster than HTML, which yt-dlp searches for the players of a thousand sites."""

HTML_PAGE = "<html><video src='{url}'></video></html>"
HLS_PAGE = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{url}\n#EXT-X-ENDLIST\n"


@dataclass(frozen=True)
class ReceivedRequest:
    """A request that the server received."""

    time_s: float  # time.monotonic(), the same clock in all processes of a machine
    name: str
    is_fetch: bool  # starts a fetch rather than continuing one
    fault: Fault
    range: str | None


@dataclass
class FaultyServer:
    """A running server; set `retry_after_s` to change the Retry-After of its refusals."""

    address: str  # base URL without a trailing slash
    folder: Path
    retry_after_s: int = 1
    log: list[ReceivedRequest] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)  # ends stalled responses
    _faults: dict[str, tuple[list[Fault], bool]] = field(default_factory=dict)
    _changed: set[str] = field(default_factory=set)
    _pages: dict[str, tuple[str, str]] = field(default_factory=dict)  # file and template by name
    _refusals: dict[str, float] = field(default_factory=dict)  # by the name of the file
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, name: str, *faults: Fault, repeat_last: bool = False) -> str:
        """Set the faults that the next fetches of a file meet, in order, and return its URL.

        Further fetches get the file, or the last fault if `repeat_last`.
        """
        self._faults[name] = (list(faults), repeat_last)
        return f"{self.address}/{quote(name)}"

    def page_url(
        self, name: str, *faults: Fault, refusals: float = 0, template: str = DASH_PAGE
    ) -> str:
        """Return the URL of a page that names a file, and set the faults of the file.

        Each response with the page names another URL of the file, as `url` of the template.
        The first `refusals` of these URLs get a 403; `math.inf` refuses all.
        """
        self.url(name, *faults)
        page = f"{name}.page"
        self._pages[page], self._refusals[name] = (name, template), refusals
        return f"{self.address}/{quote(page)}"

    def refuse(self, name: str, refusals: float) -> None:
        """Set how many of the URLs that the page of a file has named, or will name, get a 403."""
        self._refusals[name] = refusals

    def render_page(self, page: str) -> bytes | None:
        """Return a page with the next URL of its file; None if there is no such page."""
        if page not in self._pages:
            return None
        name, template = self._pages[page]
        url = f"{self.address}/{quote(name)}?extraction={len(self.fetches(page))}"
        return template.format(url=url).encode()

    def is_expired(self, name: str, query: str) -> bool:
        """Return whether a query of a file's URL is one of those that are refused."""
        extraction = query.removeprefix("extraction=")
        return extraction.isdecimal() and int(extraction) <= self._refusals.get(name, 0)

    def fetches(self, name: str | None = None) -> list[float]:
        """Return the start times of the fetches of one file or of all, in time.monotonic() s."""
        return sorted(
            request.time_s
            for request in self.log
            if request.is_fetch and name in (None, request.name)
        )

    def max_fetches(self, window_s: float) -> int:
        """Return the maximum number of fetches that started within any window of that length."""
        return max_count_in_window(self.fetches(), window_s)

    def select_fault(self, name: str, requested_range: str | None, query: str) -> Fault:
        """Log a request and return its fault; a continued fetch meets the fault of its start."""
        is_redirected = query == "redirected"
        with self._lock:
            if self.is_expired(name, query):
                self.log.append(
                    ReceivedRequest(time.monotonic(), name, False, Fault.EXPIRED, requested_range)
                )
                return Fault.EXPIRED
            is_fetch = not is_redirected and (requested_range or "bytes=0-").startswith("bytes=0-")
            faults, repeat_last = self._faults.get(name, ([], False))
            earlier = [request for request in self.log if request.name == name]
            number = sum(request.is_fetch for request in earlier) - (not is_fetch)
            fault = (
                faults[min(number, len(faults) - 1)]
                if faults and (repeat_last or number < len(faults))
                else Fault.NONE
            )
            if fault in (Fault.CHANGED, Fault.CHANGED_IGNORES_IF_RANGE):
                self._changed.add(name)
            self.log.append(
                ReceivedRequest(time.monotonic(), name, is_fetch, fault, requested_range)
            )
            return fault

    def body(self, name: str) -> bytes:
        """Return the current content of a file."""
        original = (self.folder / name).read_bytes()
        return bytes(byte ^ 0xFF for byte in original) if name in self._changed else original


def max_count_in_window(times_s: Sequence[float], window_s: float) -> int:
    """Return the maximum number of ascending times in any half-open window of that length."""
    last, maximum = 0, 0
    for first, start in enumerate(times_s):
        while last < len(times_s) and times_s[last] < start + window_s:
            last += 1
        maximum = max(maximum, last - first)
    return maximum


@contextlib.contextmanager
def serve_with_faults(folder: Path | str, port: int = 0) -> Iterator[FaultyServer]:
    """Serve the files of a folder on 127.0.0.1 until the block ends; port 0 picks a free one."""

    class Handler(_FaultyHandler):
        pass

    with serve_handler(Handler, port) as address:
        server = Handler.faulty_server = FaultyServer(address, Path(folder).absolute())
        Handler.folder, Handler.requests = server.folder, []
        try:
            yield server
        finally:
            server.released.set()


class _FaultyHandler(FileHandler):
    faulty_server: FaultyServer

    def respond(self, *, send_body: bool) -> None:
        url = urlsplit(self.path)
        name = unquote(url.path).lstrip("/")
        fault = self.faulty_server.select_fault(name, self.headers.get("Range"), url.query)
        page = self.faulty_server.render_page(name)
        match fault:
            case Fault.EXPIRED:
                self.send_status(HTTPStatus.FORBIDDEN, send_body=send_body)
            case Fault.NOT_FOUND | Fault.GONE | Fault.FORBIDDEN | Fault.SERVER_ERROR:
                self.send_status(fault.value, send_body=send_body)
            case Fault.TOO_MANY_REQUESTS | Fault.TOO_MANY_REQUESTS_DATE | Fault.UNAVAILABLE:
                self._send_retry_after(fault)
            case Fault.RESET:
                self._reset()
            case Fault.REDIRECT_LOOP:
                self._redirect(f"{url.path}?redirected", send_body=send_body)
            case Fault.REDIRECT_TO_LOOPBACK:
                address = self.faulty_server.address.replace("127.0.0.1", "127.0.0.2")
                self._redirect(f"{address}{url.path}?redirected", send_body=send_body)
            case _ if page is not None:
                self._send_page(page)
            case _ if self.find_file() is None:
                self.send_status(HTTPStatus.NOT_FOUND, send_body=send_body)
            case _:
                self._send_file(name, fault)

    def _redirect(self, location: str, *, send_body: bool) -> None:
        self.send_status(HTTPStatus.FOUND, send_body=send_body, headers={"Location": location})

    def _send_retry_after(self, fault: Fault) -> None:
        seconds = self.faulty_server.retry_after_s
        is_date = fault is Fault.TOO_MANY_REQUESTS_DATE
        retry_after = formatdate(time.time() + seconds, usegmt=True) if is_date else str(seconds)
        is_unavailable = fault is Fault.UNAVAILABLE
        self.send_status(
            HTTPStatus.SERVICE_UNAVAILABLE if is_unavailable else HTTPStatus.TOO_MANY_REQUESTS,
            send_body=True,
            headers={"Retry-After": retry_after},
        )

    def _send_page(self, page: bytes) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def _reset(self) -> None:
        """Close the connection with a TCP reset."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _send_file(self, name: str, fault: Fault) -> None:
        data = self.faulty_server.body(name)
        etag = f'"{zlib.crc32(data):x}"'
        start, stop, is_partial = 0, len(data), False
        if fault is Fault.CHANGED_IGNORES_IF_RANGE:
            del self.headers["If-Range"]
        if fault is not Fault.NO_RANGES:
            start, stop, is_partial = parse_range(self.headers, len(data), etag) or (
                0,
                len(data),
                False,
            )
        lengths = {Fault.OVERSIZED: 1 << 40, Fault.ENDLESS: None, Fault.NO_LENGTH: None}
        length = lengths.get(fault, stop - start)
        headers = {"ETag": etag, "Connection": "close"} | (
            {"Content-Length": str(length)} if length is not None else {}
        )
        self.record(HTTPStatus.PARTIAL_CONTENT if is_partial else HTTPStatus.OK, stop - start)
        self.send_file_headers(
            self.folder / name, (start, stop, len(data)) if is_partial else None, headers
        )
        is_cut = fault in (Fault.RESET_IN_BODY, Fault.STALL, Fault.TRUNCATED)
        self.wfile.write(data[start : start + (stop - start) // 2] if is_cut else data[start:stop])
        self._end_body(fault, data)

    def _end_body(self, fault: Fault, data: bytes) -> None:
        match fault:
            case Fault.RESET_IN_BODY:
                self._reset()
            case Fault.STALL:
                self.wfile.flush()
                self.faulty_server.released.wait(60)
            case Fault.SURPLUS:
                self.wfile.write(b"surplus" * 1000)
            case Fault.ENDLESS:
                while not self.faulty_server.released.is_set():
                    self.wfile.write(data)
