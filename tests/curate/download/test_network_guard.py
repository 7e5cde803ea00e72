"""Network guard: which addresses and programs a downloading process may use."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from argus.curate import VideoSource
from argus.curate.download import LocalRateLimiter, fetch
from argus.curate.download.network_guard import NetworkGuard, is_public_address
from argus.dataset import identify
from argus.errors import FetchError
from schemas.config import FetchSettings
from schemas.names import Reason
from tests.support.faulty_server import Fault, FaultyServer, serve_with_faults

PUBLIC = [
    "93.184.215.14",
    "2606:4700::1111",
    "::ffff:93.184.215.14",
    "64:ff9b::5db8:d70e",
]
PRIVATE = [
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "::1",
    "fe80::1%eth0",
    "fd00::1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b:1::7f00:1",
    "fec0::1",
    "3fff::1",
    "192.0.0.192",
    "168.63.129.16",
    "localhost",
]


def test_public_and_private_addresses_are_told_apart() -> None:
    assert [host for host in PUBLIC + PRIVATE if is_public_address(host)] == PUBLIC


def test_private_addresses_and_programs_are_forbidden() -> None:
    guard = NetworkGuard(allow_private=False)
    guard.check_event("socket.connect", (None, (PUBLIC[0], 443)))
    guard.check_event("subprocess.Popen", ("/usr/bin/deno", [], None, None))
    assert guard.violation is None
    for event, arguments in (
        ("socket.connect", (None, (PRIVATE[0], 80))),
        ("socket.sendto", (None, (PRIVATE[0], 53))),
        ("socket.sendmsg", (None, (PRIVATE[0], 53))),
        ("subprocess.Popen", ("/usr/bin/ffmpeg", [], None, None)),
    ):
        with pytest.raises(FetchError) as caught:
            guard.check_event(event, arguments)
        assert (caught.value.reason, caught.value.retryable) == (Reason.FORBIDDEN_HOST, False)
    assert guard.violation is not None
    assert PRIVATE[0] in guard.violation.message, "the first violation is kept"


def test_private_addresses_can_be_allowed() -> None:
    guard = NetworkGuard(allow_private=True)
    guard.check_event("socket.connect", (None, (PRIVATE[0], 80)))
    assert guard.violation is None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FaultyServer]:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(1000))
    with serve_with_faults(tmp_path / "site") as server:
        yield server


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0.0.0.0"])
def test_private_hosts_are_rejected_before_a_request(
    server: FaultyServer, tmp_path: Path, host: str
) -> None:
    source = VideoSource(*identify(server.url("a.mp4").replace("127.0.0.1", host)))
    settings = FetchSettings(allow_private_hosts=False, min_free_bytes=0)
    with pytest.raises(FetchError) as caught:
        fetch(source, tmp_path / "out", settings, LocalRateLimiter())
    assert (caught.value.reason, caught.value.retryable) == (Reason.FORBIDDEN_HOST, False)
    assert server.log == []


REDIRECTED = """
import sys
from pathlib import Path
from argus.curate import VideoSource
from argus.curate.download import Route, network_guard
from argus.curate.download.fetch import download_guarded
from argus.errors import FetchError
from schemas.config import FetchSettings
network_guard.is_public_address = lambda host: host == "127.0.0.1"  # acts as the public site
source, path = VideoSource("url:0000000000000000", sys.argv[1]), Path(sys.argv[2])
try:
    download_guarded(source, path, FetchSettings(min_free_bytes=0), Route("direct"), "")
except FetchError as error:
    print(error.reason, error.retryable)
"""


def test_redirect_to_a_private_host_is_rejected(server: FaultyServer, tmp_path: Path) -> None:
    """Require the guard: 127.0.0.2 is the same machine, so the redirect itself would succeed."""
    url = server.url("a.mp4", Fault.REDIRECT_TO_LOOPBACK, repeat_last=True)
    result = subprocess.run(
        [sys.executable, "-c", REDIRECTED, url, str(tmp_path / "x.video")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.stdout.split() == ["forbidden_host", "False"], result.stderr
    assert {request.fault for request in server.log} == {Fault.REDIRECT_TO_LOOPBACK}


HANDLERS = """
import socket, sys
from pathlib import Path
from yt_dlp.networking import Request
from yt_dlp.networking.common import _REQUEST_HANDLERS, RequestHandler, register_rh
from argus.curate import VideoSource
from argus.curate.download import Route, network_guard
from argus.curate.download.ytdlp import ResumingYoutubeDL
from schemas.config import FetchSettings

class CurlCFFIRH(RequestHandler):  # connects without Python's sockets
    _SUPPORTED_URL_SCHEMES = ("http",)
    def _send(self, request): raise AssertionError

register_rh(CurlCFFIRH)
real_getaddrinfo = socket.getaddrinfo
def getaddrinfo(host, *args, **kwargs):  # a public name with a private address
    return real_getaddrinfo("127.0.0.2" if host == "rebound.example" else host, *args, **kwargs)
socket.getaddrinfo = getaddrinfo
network_guard.is_public_address = lambda host: host == "127.0.0.1"  # acts as the public site
guard = network_guard.NetworkGuard(allow_private=False).install()
source = VideoSource("url:0000000000000000", sys.argv[1])
with ResumingYoutubeDL(source, Path("x"), FetchSettings(), Route("direct"), "") as downloader:
    print(*sorted(downloader._request_director.handlers))
    for handler in downloader._request_director.handlers.values():
        for url in sys.argv[1:]:
            url = url if handler.RH_KEY != "Websockets" else url.replace("http:", "ws:")
            guard.violation = None
            try:
                handler.send(Request(url))
            except Exception as error:
                pass
            print(handler.RH_KEY, guard.violation.reason if guard.violation else None)
"""


def test_every_handler_of_requests_is_guarded(server: FaultyServer) -> None:
    """After a redirect, by a name, and by an address; and none that the guard does not see."""
    redirected = server.url("a.mp4", Fault.REDIRECT_TO_LOOPBACK, repeat_last=True)
    address = server.address.replace("127.0.0.1", "127.0.0.2")
    name = server.address.replace("127.0.0.1", "rebound.example")
    command = [sys.executable, "-c", HANDLERS, redirected, f"{address}/a.mp4", f"{name}/a.mp4"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.stdout.splitlines() == [
        "Requests Urllib Websockets",
        *["Urllib forbidden_host"] * 3,
        *["Requests forbidden_host"] * 3,
        "Websockets None",  # a redirect is an error
        *["Websockets forbidden_host"] * 2,
    ], result.stderr
    assert {request.fault for request in server.log} == {Fault.REDIRECT_TO_LOOPBACK}
