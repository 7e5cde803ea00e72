import http.client
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from argus.synth import serve_folder


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "public"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.mp4").write_bytes(bytes(range(200)))
    (folder / "deep" / "b c.txt").write_text("hello")
    (folder / "empty.mp4").write_bytes(b"")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    with serve_folder(folder) as site:
        yield site


def ask(site, target, method="GET", **headers):
    """(status, headers, body) of a raw request: no client tidies the path."""
    connection = http.client.HTTPConnection(urlsplit(site.url).netloc, timeout=10)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def test_files_come_whole_and_are_counted(site):
    status, headers, body = ask(site, "/a.mp4")
    assert (status, body) == (200, bytes(range(200)))
    assert (headers["Content-Type"], headers["Content-Length"], headers["Accept-Ranges"]) == (
        "video/mp4",
        "200",
        "bytes",
    )
    assert ask(site, "/deep/b%20c.txt")[2] == b"hello"
    assert ask(site, "/empty.mp4")[:1] == (200,)
    assert site.requests == [
        ("/a.mp4", 200, 200),
        ("/deep/b c.txt", 200, 5),
        ("/empty.mp4", 200, 0),
    ]


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=190-", 190, 200),
        ("bytes=-5", 195, 200),
        ("bytes=150-999", 150, 200),
    ],
)
def test_ranges(site, header, start, stop):
    status, headers, body = ask(site, "/a.mp4", Range=header)
    assert (status, headers["Content-Range"], body) == (
        206,
        f"bytes {start}-{stop - 1}/200",
        bytes(range(start, stop)),
    )


def test_impossible_ranges_are_refused_and_strange_ones_ignored(site):
    status, headers, _ = ask(site, "/a.mp4", Range="bytes=200-")
    assert (status, headers["Content-Range"]) == (416, "bytes */200")
    for header in ("bytes=a-b", "lines=1-2", "bytes=0-1,5-6"):
        assert ask(site, "/a.mp4", Range=header)[0] == 200


def test_head_has_no_body(site):
    status, headers, body = ask(site, "/a.mp4", method="HEAD")
    assert (status, headers["Content-Length"], body) == (200, "200", b"")


@pytest.mark.parametrize(
    "target",
    [
        "/absent.mp4",
        "/deep",
        "/",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/deep/../../secret.txt",
        "//etc/passwd",
        "/link.txt",
        "/a%00.mp4",
    ],
)
def test_nothing_else_is_served(site, target):
    status, _, body = ask(site, target)
    assert (status, body) == (404, b"404 Not Found\n")


def test_many_clients_at_once(site):
    with ThreadPoolExecutor(8) as pool:
        bodies = list(
            pool.map(
                lambda _: urllib.request.urlopen(site.url + "/a.mp4", timeout=10).read(), range(24)
            )
        )
    assert bodies == [bytes(range(200))] * 24


def test_it_listens_on_loopback_and_stops(tmp_path, capfd):
    before = threading.active_count()
    with serve_folder(tmp_path) as site:
        assert site.url.startswith("http://127.0.0.1:")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(site.url + "/x", timeout=10)
        caught.value.close()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(site.url + "/x", timeout=10)
    assert threading.active_count() == before
    assert capfd.readouterr() == ("", "")
