"""Proxies and cookies: used for requests, absent from errors and configurations."""

import http.client
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from argus.curate import VideoSource
from argus.curate.download import LocalRateLimiter, Route, fetch, read_routes
from argus.curate.download.network_guard import NetworkGuard
from argus.curate.download.proxies import collect_secrets, read_secret_file, redact_secrets
from argus.dataset import identify
from argus.errors import FetchError, InvalidInput
from argus.runs import config_digest
from argus.synth import serve_handler
from schemas.config import CurateConfig, FetchSettings
from schemas.names import Reason
from tests.support.faulty_server import FaultyServer, serve_with_faults

VIDEO = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 40
SETTINGS = FetchSettings(allow_private_hosts=True, timeout_s=30, stall_s=5, min_free_bytes=0)
COOKIES = "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tc00kie-of-mine\n"


@dataclass
class ForwardingProxy:
    """A proxy on loopback that forwards GET; `log` holds its requests."""

    url: str = ""
    # target, Proxy-Authorization, Cookie
    log: list[tuple[str, str | None, str | None]] = field(default_factory=list)


@pytest.fixture
def proxy() -> Iterator[ForwardingProxy]:
    proxy = ForwardingProxy()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Log nothing."""

        def do_GET(self) -> None:
            authorization = self.headers.get("Proxy-Authorization")
            proxy.log.append((self.path, authorization, self.headers.get("Cookie")))
            target = urlsplit(self.path)
            connection = http.client.HTTPConnection(target.netloc, timeout=10)
            connection.request("GET", target.path)
            response = connection.getresponse()
            self.send_response(response.status)
            for name in ("Content-Type", "Content-Length", "ETag"):
                if name in response.headers:
                    self.send_header(name, response.headers[name])
            self.end_headers()
            self.wfile.write(response.read())
            connection.close()

    with serve_handler(Handler) as url:
        proxy.url = url.replace("http://", "http://ada:l0ve%21ace@")
        yield proxy


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FaultyServer]:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a.mp4").write_bytes(VIDEO)
    with serve_with_faults(tmp_path / "site") as server:
        yield server


def write_secret(path: Path, text: str) -> str:
    path.touch(mode=0o600)
    path.write_text(text)
    return str(path)


def make_source(server: FaultyServer) -> VideoSource:
    return VideoSource(*identify(server.url("a.mp4")))


def test_fetch_uses_the_proxy_its_password_and_the_cookies(
    server: FaultyServer, proxy: ForwardingProxy, tmp_path: Path
) -> None:
    settings = SETTINGS.model_copy(
        update={
            "proxies_file": write_secret(tmp_path / "proxies", f"# ours\n\n{proxy.url}\n"),
            "cookies_file": write_secret(tmp_path / "cookies", COOKIES),
        }
    )
    fetched = fetch(make_source(server), tmp_path / "out", settings, LocalRateLimiter())
    assert fetched.path.read_bytes() == VIDEO
    authorization = "Basic YWRhOmwwdmUhYWNl"
    assert proxy.log == [(server.url("a.mp4"), authorization, "session=c00kie-of-mine")]
    assert (tmp_path / "cookies").read_text() == COOKIES


def test_each_proxy_has_its_own_rate_limit(
    server: FaultyServer, proxy: ForwardingProxy, tmp_path: Path
) -> None:
    other = proxy.url.replace("ada", "eve")
    proxies_file = write_secret(tmp_path / "p", f"{proxy.url}\n{other}\n")
    settings = SETTINGS.model_copy(
        update={"per_hour": 1, "timeout_s": 5.0, "proxies_file": proxies_file}
    )
    limiter = LocalRateLimiter()
    for _ in range(2):
        fetch(make_source(server), tmp_path / "out", settings, limiter)
    assert len({authorization for _, authorization, _ in proxy.log}) == 2
    with pytest.raises(FetchError) as caught:
        fetch(make_source(server), tmp_path / "out", settings, limiter)
    assert (caught.value.reason, caught.value.is_attempt) == (Reason.RATE_LIMITED, False)


def test_errors_contain_no_secret(tmp_path: Path) -> None:
    """The proxy is not running; libraries put its address into their messages."""
    proxies_file = write_secret(tmp_path / "p", "http://ada:l0ve%21ace@127.0.0.1:9\n")
    cookies_file = write_secret(tmp_path / "c", COOKIES)
    settings = SETTINGS.model_copy(
        update={"proxies_file": proxies_file, "cookies_file": cookies_file}
    )
    source = VideoSource(
        "url:0000000000000000", "http://bob:s3same@videos.example/c00kie-of-mine.mp4"
    )
    with pytest.raises(FetchError) as caught:
        fetch(source, tmp_path / "out", settings, LocalRateLimiter())
    assert caught.value.reason == Reason.UNREACHABLE
    text = f"{caught.value} {caught.value.args} {caught.value!r}"
    assert not any(secret in text for secret in ("l0ve", "ada", "c00kie", "s3same"))


@pytest.mark.parametrize(
    "host", ["127.0.0.1:1", "10.0.0.1", "2130706433", "0x7f.1", "localhost", "[::1]:80"]
)
def test_private_hosts_are_not_requested_from_a_proxy(
    host: str, proxy: ForwardingProxy, tmp_path: Path
) -> None:
    proxies_file = write_secret(tmp_path / "p", proxy.url)
    settings = SETTINGS.model_copy(
        update={"allow_private_hosts": False, "proxies_file": proxies_file}
    )
    source = VideoSource("url:0000000000000000", f"http://{host}/a.mp4")
    with pytest.raises(FetchError) as caught:
        fetch(source, tmp_path / "out", settings, LocalRateLimiter())
    assert (caught.value.reason, caught.value.retryable) == (Reason.FORBIDDEN_HOST, False)
    assert proxy.log == []


def test_behind_a_proxy_no_other_address_is_connected_to() -> None:
    guard = NetworkGuard(allow_private=True, proxy="http://127.0.0.1:8080")
    guard.check_event("socket.connect", (None, ("127.0.0.1", 8080)))
    assert guard.violation is None
    for address in (("127.0.0.1", 8081), ("93.184.215.14", 8080)):
        with pytest.raises(FetchError) as caught:
            guard.check_event("socket.connect", (None, address))
        assert caught.value.reason == Reason.FORBIDDEN_HOST
    assert guard.violation is not None


@pytest.mark.parametrize("text", ["socks5://h:1", "h:1", "http://h", "http://h:port", "http://:1"])
def test_malformed_proxy_is_reported_by_its_number_only(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidInput, match="proxy 2") as caught:
        read_routes(write_secret(tmp_path / "p", f"http://h:1\n{text}\n"))
    assert text not in str(caught.value).replace("http://[user:password@]host:port", "")


def test_secret_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "cookies"
    with pytest.raises(InvalidInput, match=r"fetch\.cookies_file"):
        read_secret_file(str(path), "fetch.cookies_file")
    path.write_text("c00kie")
    for mode in (0o640, 0o604):
        path.chmod(mode)
        with pytest.raises(InvalidInput, match="chmod 600") as caught:
            read_secret_file(str(path), "fetch.cookies_file")
        assert "c00kie" not in str(caught.value)
    path.chmod(0o600)
    assert read_secret_file(str(path), "fetch.cookies_file") == "c00kie"
    with pytest.raises(InvalidInput, match=r"fetch\.proxies_file"):
        read_routes(write_secret(tmp_path / "p", "# none\n"))


def test_configuration_names_files_and_contains_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = write_secret(tmp_path / "proxies", "http://ada:l0ve@h:1\n")
    config = CurateConfig(catalogue="x", dataset="y", fetch=FetchSettings(proxies_file="proxies"))
    assert config.fetch.proxies_file == file
    assert "l0ve" not in config.model_dump_json() + repr(read_routes(file))
    assert config_digest(config)


def test_secrets_are_redacted() -> None:
    secrets = collect_secrets(Route("proxy 1", "http://ada%40x:l0ve%21@h:1"), COOKIES)
    message = "http://ada%40x:l0ve%21@h:1 ada@x l0ve! c00kie-of-mine"
    assert redact_secrets(message, secrets) == "*** *** *** ***"
    assert (
        redact_secrets("at https://me:pw@videos.example/x", ()) == "at https://***@videos.example/x"
    )
