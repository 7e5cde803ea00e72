"""Proxies and cookies: used where they should be, told nowhere."""

import http.client
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from argus.curate import VideoSource, fetch
from argus.curate.download.network_guard import Guard
from argus.curate.download.proxies import Route, redacted, routes, secret_text, secrets_of
from argus.curate.download.rate_limit import LocalRateLimiter
from argus.dataset import identify
from argus.errors import FetchError, InvalidInput
from argus.runs import config_digest
from argus.synth import serve_handler
from schemas.config import CurateConfig, FetchSettings
from schemas.names import Reason
from tests.support.faulty_server import FaultyServer, serve_with_faults

VIDEO = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 40
OPEN = FetchSettings(allow_private_hosts=True, timeout_s=30, stall_s=5, min_free_bytes=0)
COOKIES = "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tc00kie-of-mine\n"


@dataclass
class Proxy:
    """A proxy on loopback that forwards GET, and what was asked of it."""

    url: str = ""
    asked: list[tuple[str, str | None, str | None]] = field(
        default_factory=list
    )  # target, Proxy-Authorization, Cookie


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    seen = Proxy()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Silent."""

        def do_GET(self) -> None:
            seen.asked.append(
                (self.path, self.headers.get("Proxy-Authorization"), self.headers.get("Cookie"))
            )
            target = urlsplit(self.path)
            connection = http.client.HTTPConnection(target.netloc, timeout=10)
            connection.request("GET", target.path)
            answer = connection.getresponse()
            self.send_response(answer.status)
            for name in ("Content-Type", "Content-Length", "ETag"):
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            self.end_headers()
            self.wfile.write(answer.read())
            connection.close()

    with serve_handler(Handler) as url:
        seen.url = url.replace("http://", "http://ada:l0ve%21ace@")
        yield seen


@pytest.fixture
def site(tmp_path: Path) -> Iterator[FaultyServer]:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a.mp4").write_bytes(VIDEO)
    with serve_with_faults(tmp_path / "site") as site:
        yield site


def secret_file(path: Path, text: str) -> str:
    path.touch(mode=0o600)
    path.write_text(text)
    return str(path)


def source_at(site: FaultyServer) -> VideoSource:
    return VideoSource(*identify(site.url("a.mp4")))


def test_a_fetch_goes_through_the_proxy_with_its_password_and_cookies(
    site: FaultyServer, proxy: Proxy, tmp_path: Path
) -> None:
    settings = OPEN.model_copy(
        update={
            "proxies_file": secret_file(tmp_path / "proxies", f"# ours\n\n{proxy.url}\n"),
            "cookies_file": secret_file(tmp_path / "cookies", COOKIES),
        }
    )
    assert (
        fetch(source_at(site), tmp_path / "out", settings, LocalRateLimiter()).path.read_bytes()
        == VIDEO
    )
    assert proxy.asked == [(site.url("a.mp4"), "Basic YWRhOmwwdmUhYWNl", "session=c00kie-of-mine")]
    assert (tmp_path / "cookies").read_text() == COOKIES


def test_each_proxy_is_an_address_with_a_pace_of_its_own(
    site: FaultyServer, proxy: Proxy, tmp_path: Path
) -> None:
    other = proxy.url.replace("ada", "eve")
    settings = OPEN.model_copy(
        update={
            "per_hour": 1,
            "timeout_s": 5.0,
            "proxies_file": secret_file(tmp_path / "p", f"{proxy.url}\n{other}\n"),
        }
    )
    gate = LocalRateLimiter()
    for _ in range(2):
        fetch(source_at(site), tmp_path / "out", settings, gate)
    assert len({password for _, password, _ in proxy.asked}) == 2
    with pytest.raises(FetchError, match="left alone") as caught:
        fetch(source_at(site), tmp_path / "out", settings, gate)
    assert not caught.value.is_attempt


def test_no_error_tells_a_secret(tmp_path: Path) -> None:
    """A proxy that is not there: libraries put its address into their messages."""
    proxies = secret_file(tmp_path / "p", "http://ada:l0ve%21ace@127.0.0.1:9\n")
    settings = OPEN.model_copy(
        update={"proxies_file": proxies, "cookies_file": secret_file(tmp_path / "c", COOKIES)}
    )
    with pytest.raises(FetchError) as caught:
        fetch(
            VideoSource(
                "url:0000000000000000", "http://bob:s3same@videos.example/c00kie-of-mine.mp4"
            ),
            tmp_path / "out",
            settings,
            LocalRateLimiter(),
        )
    assert caught.value.reason == Reason.UNREACHABLE
    told = f"{caught.value} {caught.value.args} {caught.value!r}"
    assert not any(secret in told for secret in ("l0ve", "ada", "c00kie", "s3same"))


@pytest.mark.parametrize(
    "host", ["127.0.0.1:1", "10.0.0.1", "2130706433", "0x7f.1", "localhost", "[::1]:80"]
)
def test_a_proxy_is_not_asked_for_what_is_private(host: str, proxy: Proxy, tmp_path: Path) -> None:
    settings = OPEN.model_copy(
        update={
            "allow_private_hosts": False,
            "proxies_file": secret_file(tmp_path / "p", proxy.url),
        }
    )
    with pytest.raises(FetchError) as caught:
        fetch(
            VideoSource("url:0000000000000000", f"http://{host}/a.mp4"),
            tmp_path / "out",
            settings,
            LocalRateLimiter(),
        )
    assert (caught.value.reason, caught.value.retryable) == (Reason.FORBIDDEN_HOST, False)
    assert proxy.asked == []


def test_behind_a_proxy_nothing_else_is_connected_to() -> None:
    guard = Guard(allow_private=True, proxy="http://127.0.0.1:8080")
    guard._audit("socket.connect", (None, ("127.0.0.1", 8080)))
    for address in (("127.0.0.1", 8081), ("93.184.215.14", 8080)):
        with pytest.raises(FetchError, match="is not the proxy"):
            guard._audit("socket.connect", (None, address))


@pytest.mark.parametrize("text", ["socks5://h:1", "h:1", "http://h", "http://h:port", "http://:1"])
def test_a_proxy_of_another_form_is_named_by_its_number(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidInput, match="proxy 2 in") as caught:
        routes(secret_file(tmp_path / "p", f"http://h:1\n{text}\n"))
    assert text not in str(caught.value).partition("correct")[0].replace(
        "http://[user:password@]host:port", ""
    )


def test_a_file_of_secrets_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "cookies"
    with pytest.raises(InvalidInput, match="No such file"):
        secret_text(str(path), "fetch.cookies_file")
    path.write_text("c00kie")
    for mode in (0o640, 0o604):
        path.chmod(mode)
        with pytest.raises(InvalidInput, match="chmod 600") as caught:
            secret_text(str(path), "fetch.cookies_file")
        assert "c00kie" not in str(caught.value)
    path.chmod(0o600)
    assert secret_text(str(path), "fetch.cookies_file") == "c00kie"
    with pytest.raises(InvalidInput, match="names no proxy"):
        routes(secret_file(tmp_path / "p", "# none\n"))


def test_a_configuration_names_files_and_holds_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = secret_file(tmp_path / "proxies", "http://ada:l0ve@h:1\n")
    config = CurateConfig(catalogue="x", dataset="y", fetch=FetchSettings(proxies_file="proxies"))
    assert config.fetch.proxies_file == file
    assert "l0ve" not in config.model_dump_json() + repr(routes(file))
    assert config_digest(config)


def test_redaction() -> None:
    secrets = secrets_of(Route("proxy 1", "http://ada%40x:l0ve%21@h:1"), COOKIES)
    assert (
        redacted("http://ada%40x:l0ve%21@h:1 ada@x l0ve! c00kie-of-mine", secrets)
        == "*** *** *** ***"
    )
    assert redacted("at https://me:pw@videos.example/x", ()) == "at https://***@videos.example/x"
