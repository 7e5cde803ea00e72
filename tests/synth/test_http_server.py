import http.client
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from argus.synth import serve_folder


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "public"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.mp4").write_bytes(bytes(range(200)))
    (folder / "deep" / "b c.txt").write_text("hello")
    (folder / "empty.mp4").write_bytes(b"")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    with serve_folder(folder) as server:
        yield server


def request(server, target, method="GET", **headers):
    """Send a raw request, whose path no client normalizes; return (status, headers, body)."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def test_whole_files_are_served_and_recorded(server):
    status, headers, body = request(server, "/a.mp4")
    assert (status, body) == (200, bytes(range(200)))
    assert (headers["Content-Type"], headers["Content-Length"], headers["Accept-Ranges"]) == (
        "video/mp4",
        "200",
        "bytes",
    )
    assert request(server, "/deep/b%20c.txt")[2] == b"hello"
    assert request(server, "/empty.mp4")[0] == 200
    assert server.requests == [
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
def test_ranges_are_served(server, header, start, stop):
    status, headers, body = request(server, "/a.mp4", Range=header)
    assert (status, headers["Content-Range"], body) == (
        206,
        f"bytes {start}-{stop - 1}/200",
        bytes(range(start, stop)),
    )


def test_ranges_of_another_version_select_the_whole_file(server):
    etag = request(server, "/a.mp4")[1]["ETag"]
    for if_range, status in ((etag, 206), ('"another"', 200)):
        headers = {"Range": "bytes=10-19", "If-Range": if_range}
        assert request(server, "/a.mp4", **headers)[0] == status


def test_unsatisfiable_ranges_are_rejected_and_malformed_ones_ignored(server):
    status, headers, _ = request(server, "/a.mp4", Range="bytes=200-")
    assert (status, headers["Content-Range"]) == (416, "bytes */200")
    for header in ("bytes=a-b", "lines=1-2", "bytes=0-1,5-6"):
        assert request(server, "/a.mp4", Range=header)[0] == 200


def test_head_has_no_body(server):
    status, headers, body = request(server, "/a.mp4", method="HEAD")
    assert (status, headers["Content-Length"], body) == (200, "200", b"")


@pytest.mark.parametrize(
    "target",
    [
        "/missing.mp4",
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
def test_nothing_outside_the_folder_is_served(server, target):
    status, _, body = request(server, target)
    assert (status, body) == (404, b"404 Not Found\n")


def test_many_clients_are_served_at_once(server):
    def download(_):
        with urllib.request.urlopen(server.url + "/a.mp4", timeout=10) as response:
            return response.read()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(download, range(24))) == [bytes(range(200))] * 24


def test_the_server_listens_on_loopback_and_stops(tmp_path, capfd):
    before = threading.active_count()
    with serve_folder(tmp_path) as server:
        assert server.url.startswith("http://127.0.0.1:")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(server.url + "/x", timeout=10)
        caught.value.close()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(server.url + "/x", timeout=10)
    assert threading.active_count() == before
    assert capfd.readouterr() == ("", "")
