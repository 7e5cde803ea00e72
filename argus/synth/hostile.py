"""A site that treats whoever fetches from it as sites do: it refuses, breaks off, stalls, lies about lengths and changes its files.

    with serve_hostile(folder) as site:
        site.url("walk.mp4", Fault.TOO_MANY, Fault.RESET)  # the first fetch meets a 429, the second is cut off, the third gets the file
        site.url("gone.mp4", Fault.NOT_FOUND, lasting=True)

A fetch is a request that does not continue another one (which has a range that begins later than the file); `site.log` holds all requests.
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

from argus.synth.site import FileHandler, asked_range, listening


class Fault(Enum):
    """What a fetch meets."""

    NONE = "the file as it is"
    NOT_FOUND = HTTPStatus.NOT_FOUND
    GONE = HTTPStatus.GONE
    FORBIDDEN = HTTPStatus.FORBIDDEN
    TOO_MANY = "429, with Retry-After in seconds"
    TOO_MANY_UNTIL = "429, with Retry-After as a date"
    SERVER_ERROR = HTTPStatus.INTERNAL_SERVER_ERROR
    UNAVAILABLE = "503, with Retry-After in seconds"
    RESET = "the connection is reset before an answer"
    CUT = "the connection is reset within the body"
    STALL = "half of the body, then nothing"
    TRUNCATED = "half of the announced body, then the end"
    OVERSIZED = "a body announced as a terabyte"
    ENDLESS = "a body of no announced length that never ends"
    SURPLUS = "more bytes than announced"
    NO_LENGTH = "the whole file, its length not announced, its connection closed at its end"
    NO_RANGES = "the whole file, whatever range is asked for"
    CHANGED = "from now on, another file of the same length"
    CHANGED_UNSAID = "the same, and ranges of it for whoever asks for the rest of the one before"
    INWARDS = "a redirect to a loopback address, 127.0.0.2"
    LOOP = "a redirect to itself"


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    at: float  # seconds of time.monotonic(), the clock of all processes of this machine
    name: str
    begins: bool  # a fetch
    fault: Fault
    range: str | None


@dataclass
class HostileSite:
    """A running site; `retry_after_s` is what its refusals ask for."""

    address: str  # without a slash at the end
    folder: Path
    retry_after_s: int = 1
    log: list[Request] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)  # ends the stalls
    _faults: dict[str, tuple[list[Fault], bool]] = field(default_factory=dict)
    _changed: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, name: str, *faults: Fault, lasting: bool = False) -> str:
        """The address of a file of the folder; its fetches meet these faults in order, then the file, or the last fault for ever."""
        self._faults[name] = (list(faults), lasting)
        return f"{self.address}/{quote(name)}"

    def fetches(self, name: str | None = None) -> list[float]:
        """When fetches began, of one file or of all: seconds of time.monotonic()."""
        return sorted(
            request.at for request in self.log if request.begins and name in (None, request.name)
        )

    def most_within(self, window_s: float) -> int:
        """The most fetches that began within any such time: what a rate is held against."""
        return most_within(self.fetches(), window_s)

    def meet(self, name: str, asked: str | None, *, again: bool) -> Fault:
        """Notes a request and says what it meets; one that continues a fetch meets what that met."""
        with self._lock:
            begins = not again and (asked or "bytes=0-").startswith("bytes=0-")
            faults, lasting = self._faults.get(name, ([], False))
            before = [request for request in self.log if request.name == name]
            number = sum(request.begins for request in before) - (not begins)
            fault = (
                faults[min(number, len(faults) - 1)]
                if faults and (lasting or number < len(faults))
                else Fault.NONE
            )
            if fault in (Fault.CHANGED, Fault.CHANGED_UNSAID):
                self._changed.add(name)
            self.log.append(Request(time.monotonic(), name, begins, fault, asked))
            return fault

    def body(self, name: str) -> bytes:
        """The file as it is by now."""
        original = (self.folder / name).read_bytes()
        return bytes(byte ^ 0xFF for byte in original) if name in self._changed else original


def most_within(times: Sequence[float], window_s: float) -> int:
    """The most of these ascending times within any such window, its end left out."""
    last, most = 0, 0
    for first, start in enumerate(times):
        while last < len(times) and times[last] < start + window_s:
            last += 1
        most = max(most, last - first)
    return most


@contextlib.contextmanager
def serve_hostile(folder: Path | str, port: int = 0) -> Iterator[HostileSite]:
    """Serves a folder's files on 127.0.0.1 (a free port by default) until the block ends."""

    class Handler(_HostileHandler):
        pass

    with listening(Handler, port) as address:
        site = Handler.site = HostileSite(address, Path(folder).absolute())
        Handler.folder, Handler.requests = site.folder, []
        try:
            yield site
        finally:
            site.released.set()


class _HostileHandler(FileHandler):
    site: HostileSite

    def _answer(self, *, body: bool) -> None:
        parts = urlsplit(self.path)
        name = unquote(parts.path).lstrip("/")
        fault = self.site.meet(name, self.headers.get("Range"), again=parts.query == "again")
        match fault:
            case Fault.NOT_FOUND | Fault.GONE | Fault.FORBIDDEN | Fault.SERVER_ERROR:
                self._plain(fault.value, body=body)
            case Fault.TOO_MANY | Fault.TOO_MANY_UNTIL | Fault.UNAVAILABLE:
                self._later(fault)
            case Fault.RESET:
                self._reset()
            case Fault.LOOP:
                self._plain(HTTPStatus.FOUND, body=body, extra={"Location": f"{parts.path}?again"})
            case Fault.INWARDS:
                inside = self.site.address.replace("127.0.0.1", "127.0.0.2")
                self._plain(
                    HTTPStatus.FOUND, body=body, extra={"Location": f"{inside}{parts.path}?again"}
                )
            case _ if self._file() is None:
                self._plain(HTTPStatus.NOT_FOUND, body=body)
            case _:
                self._send_body(name, fault)

    def _later(self, fault: Fault) -> None:
        seconds = self.site.retry_after_s
        asked = (
            formatdate(time.time() + seconds, usegmt=True)
            if fault is Fault.TOO_MANY_UNTIL
            else str(seconds)
        )
        status = (
            HTTPStatus.SERVICE_UNAVAILABLE
            if fault is Fault.UNAVAILABLE
            else HTTPStatus.TOO_MANY_REQUESTS
        )
        self._plain(status, body=True, extra={"Retry-After": asked})

    def _reset(self) -> None:
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _send_body(self, name: str, fault: Fault) -> None:
        data = self.site.body(name)
        etag = f'"{zlib.crc32(data):x}"'
        start, stop, partial = 0, len(data), False
        if fault is Fault.CHANGED_UNSAID:
            del self.headers["If-Range"]
        if fault is not Fault.NO_RANGES:
            start, stop, partial = asked_range(self.headers, len(data), etag) or (
                0,
                len(data),
                False,
            )
        lengths = {Fault.OVERSIZED: 1 << 40, Fault.ENDLESS: None, Fault.NO_LENGTH: None}
        length = lengths.get(fault, stop - start)
        extra = {"ETag": etag, "Connection": "close"} | (
            {"Content-Length": str(length)} if length is not None else {}
        )
        self._note(HTTPStatus.PARTIAL_CONTENT if partial else HTTPStatus.OK, stop - start)
        self._head(self.folder / name, (start, stop, len(data)) if partial else None, extra)
        broken = fault in (Fault.CUT, Fault.STALL, Fault.TRUNCATED)
        self.wfile.write(data[start : start + (stop - start) // 2] if broken else data[start:stop])
        match fault:
            case Fault.CUT:
                self._reset()
            case Fault.STALL:
                self.wfile.flush()
                self.site.released.wait(60)
            case Fault.SURPLUS:
                self.wfile.write(b"surplus" * 1000)
            case Fault.ENDLESS:
                while not self.site.released.is_set():
                    self.wfile.write(data)
