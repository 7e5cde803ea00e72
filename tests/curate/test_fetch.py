"""Fetching, from a site on loopback that answers as sites do."""

import hashlib
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from yt_dlp.networking.exceptions import TransportError
from yt_dlp.utils import DownloadError, ExtractorError, GeoRestrictedError

from argus.curate import VideoSource, fetch
from argus.curate.catalogue import identify
from argus.curate.faults import fetch_error
from argus.curate.fetch import SPHERICAL_FORMAT, download_with, pause_s
from argus.curate.guard import Guard, is_public
from argus.errors import FetchError
from schemas.config import FetchSettings
from schemas.names import Reason

VIDEO = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 400
OPEN = FetchSettings(allow_private_hosts=True, attempts=1, timeout_s=30)
OUTCOMES = [
    ("/status/404", Reason.NOT_FOUND, False),
    ("/status/410", Reason.NOT_FOUND, False),
    ("/status/403", Reason.FORBIDDEN, False),
    ("/status/429", Reason.RATE_LIMITED, True),
    ("/status/503", Reason.SERVER_ERROR, True),
    ("/reset.mp4", Reason.UNREACHABLE, True),
    ("/truncated.mp4", Reason.TRUNCATED, True),
    ("/empty.mp4", Reason.EMPTY_FILE, False),
    ("/page.html", Reason.UNSUPPORTED_URL, False),
    ("/redirect/ftp://127.0.0.1/x.mp4", Reason.FETCH_FAILED, False),
]


@dataclass
class Site:
    """What is served by path, and every request that came."""

    pages: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    failures_left: dict[str, int] = field(default_factory=dict)
    released: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    def source(self, path: str, host: str = "127.0.0.1") -> VideoSource:
        return VideoSource(*identify(f"http://{host}:{self.port}{path}"))


def handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Silent."""

        def do_GET(self) -> None:
            site.requests.append(self.path)
            name = self.path.rpartition("/")[2].removesuffix(".mp4")
            if self.path.startswith("/status/"):
                return self.send_error(int(name))
            if self.path.startswith("/redirect/"):
                return self.redirect(self.path.removeprefix("/redirect/"))
            if site.failures_left.get(self.path, 0) > 0:
                site.failures_left[self.path] -= 1
                return self.send_error(503)
            return getattr(self, f"serve_{name}", self.serve_page)()

        do_HEAD = do_GET

        def redirect(self, target: str) -> None:
            self.send_response(302)
            self.send_header("Location", target)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def head(self, length: int, kind: str = "video/mp4") -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(length))
            self.end_headers()

        def serve_page(self) -> None:
            if self.path not in site.pages:
                return self.send_error(404)
            body = site.pages[self.path]
            self.head(len(body), "text/html" if self.path.endswith(".html") else "video/mp4")
            self.wfile.write(body)
            return None

        def serve_truncated(self) -> None:
            self.head(100_000)
            self.wfile.write(b"\0" * 50_000)

        def serve_stall(self) -> None:
            self.head(100_000)
            self.wfile.write(b"\0" * 50_000)
            self.wfile.flush()
            site.released.wait(60)

        def serve_reset(self) -> None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    return Handler


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    site = Site()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler(site)) as server:
        site.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield site
        site.released.set()
        server.shutdown()
        thread.join()


def failure(source: VideoSource, folder: Path, settings: FetchSettings = OPEN) -> FetchError:
    with pytest.raises(FetchError) as caught:
        fetch(source, folder, settings)
    assert list(folder.glob("*")) == [], "something half-written stays"
    return caught.value


def test_a_video_arrives_whole_with_its_provenance(site: Site, tmp_path: Path) -> None:
    site.pages["/one.mp4"] = VIDEO
    source = site.source("/one.mp4")
    fetched = fetch(source, tmp_path, OPEN)
    assert fetched.path == tmp_path / f"{source.source_id.replace(':', '-')}.video"
    assert fetched.path.read_bytes() == VIDEO
    assert (fetched.tool, fetched.bytes, fetched.sha256) == ("yt-dlp", len(VIDEO), hashlib.sha256(VIDEO).hexdigest())
    assert (fetched.client, fetched.format_id) == ("generic", "mp4")
    assert fetched.version
    assert list(tmp_path.iterdir()) == [fetched.path]


@pytest.mark.parametrize(("path", "reason", "retryable"), OUTCOMES)
def test_every_answer_has_its_reason(site: Site, tmp_path: Path, path: str, reason: Reason, retryable: bool) -> None:
    site.pages |= {"/empty.mp4": b"", "/page.html": b"<html><body>no video here</body></html>"}
    with pytest.raises(FetchError) as caught:
        download_with(Guard(allow_private=True), site.source(path), tmp_path, OPEN)
    assert (caught.value.reason, caught.value.retryable) == (reason, retryable), caught.value.message


def test_nothing_half_written_stays(site: Site, tmp_path: Path) -> None:
    assert failure(site.source("/truncated.mp4"), tmp_path).reason == Reason.TRUNCATED


def test_a_stalled_body_times_out(site: Site, tmp_path: Path) -> None:
    error = failure(site.source("/stall.mp4"), tmp_path, OPEN.model_copy(update={"timeout_s": 2.0}))
    assert (error.reason, error.retryable) == (Reason.TIMED_OUT, True)


def test_a_body_over_the_limit_is_refused(site: Site, tmp_path: Path) -> None:
    site.pages["/large.mp4"] = VIDEO
    error = failure(site.source("/large.mp4"), tmp_path, OPEN.model_copy(update={"max_bytes": len(VIDEO) - 1}))
    assert (error.reason, error.retryable) == (Reason.TOO_LARGE, False)
    assert str(len(VIDEO)) in error.message


def test_nobody_answers(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x.mp4"
        error = failure(VideoSource(*identify(url)), tmp_path)
    assert (error.reason, error.retryable) == (Reason.UNREACHABLE, True)


@pytest.mark.parametrize("url", ["ftp://example.com/x.mp4", "file:///etc/passwd", "not a url", "http://", "http://[broken/x.mp4", ""])
def test_only_http_urls_are_fetched(tmp_path: Path, url: str) -> None:
    error = failure(VideoSource("url:0000000000000000", url), tmp_path)
    assert (error.reason, error.retryable) == (Reason.BAD_URL, False)


def test_what_may_pass_is_tried_again_and_what_may_not_is_not(site: Site, tmp_path: Path) -> None:
    patient = OPEN.model_copy(update={"attempts": 2, "backoff_s": 0.0})
    site.pages["/later.mp4"] = VIDEO
    site.failures_left["/later.mp4"] = 1
    assert fetch(site.source("/later.mp4"), tmp_path / "later", patient).bytes == len(VIDEO)
    failure(site.source("/status/once/404"), tmp_path / "never", patient)
    assert site.requests.count("/status/once/404") == 1


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0.0.0.0"])
def test_private_hosts_are_refused_before_a_request(site: Site, tmp_path: Path, host: str) -> None:
    error = failure(site.source("/private.mp4", host), tmp_path, OPEN.model_copy(update={"allow_private_hosts": False}))
    assert (error.reason, error.retryable) == (Reason.FORBIDDEN_HOST, False)
    assert "/private.mp4" not in site.requests


REDIRECTED = """
import sys
from pathlib import Path
from argus.curate import VideoSource, guard
from argus.curate.fetch import download
from argus.errors import FetchError
from schemas.config import FetchSettings
guard.is_public = lambda host: host == "127.0.0.1"  # plays the public site
try:
    download(VideoSource("url:0000000000000000", sys.argv[1]), Path(sys.argv[2]), FetchSettings())
except FetchError as error:
    print(error.reason, error.retryable)
"""


def test_a_redirect_to_a_private_host_is_refused(site: Site, tmp_path: Path) -> None:
    """127.0.0.2 leads to the same machine, so an unguarded redirect would be answered."""
    site.pages["/inner.mp4"] = VIDEO
    target = f"http://127.0.0.2:{site.port}/inner.mp4"
    source = site.source(f"/redirect/{target}")
    result = subprocess.run([sys.executable, "-c", REDIRECTED, source.url, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert result.stdout.split() == ["forbidden_host", "False"], result.stderr
    assert f"/redirect/{target}" in site.requests
    assert "/inner.mp4" not in site.requests


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:4700::1111", True),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.215.14", True),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("localhost", False),
    ],
)
def test_addresses_are_public_or_not(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize(
    ("message", "reason", "retryable"),
    [
        ("Sign in to confirm you’re not a bot. Use --cookies", Reason.BOT_CHECK, True),
        ("Sign in to confirm your age. This video may be inappropriate for some users.", Reason.AGE_GATED, False),
        ("Private video. Sign in if you've been granted access", Reason.PRIVATE, False),
        ("Video unavailable. This video has been removed by the uploader", Reason.REMOVED, False),
        ("The uploader has not made this video available in your country", Reason.GEO_BLOCKED, False),
        ("Requested format is not available. Use --list-formats", Reason.NO_SPHERICAL_FORMAT, False),
        ("something nobody has seen", Reason.FETCH_FAILED, False),
    ],
)
def test_what_a_site_says_has_its_reason(message: str, reason: Reason, retryable: bool) -> None:
    error = fetch_error(DownloadError(f"ERROR: [youtube] x: {message}"), "youtube:x", spherical=True)
    assert (error.reason, error.retryable) == (reason, retryable)
    assert "--" not in error.message


def test_the_cause_counts_more_than_the_message() -> None:
    geo = GeoRestrictedError("removed")
    late = ExtractorError("removed", cause=TransportError("Read timed out."))
    for cause, reason in ((geo, Reason.GEO_BLOCKED), (late, Reason.TIMED_OUT)):
        error = DownloadError("ERROR: removed", (type(cause), cause, None))
        assert fetch_error(error, "x", spherical=False).reason == reason


def test_a_flat_stream_is_never_taken_for_a_spherical_one() -> None:
    """Every alternative of the choice asks for a spherical note."""
    assert all("format_note*=" in choice for choice in SPHERICAL_FORMAT.split("/"))


def test_pauses_double_and_are_bounded() -> None:
    for attempt in range(1, 12):
        middle = min(60.0, 2.0 * 2 ** (attempt - 1))
        assert 0.5 * middle <= pause_s(attempt, 2.0) <= 1.5 * middle
