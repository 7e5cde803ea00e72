"""Resuming: only the rest of the same version is fetched, and versions are never mixed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path

import pytest

from argus.curate import VideoSource
from argus.curate.download import LocalRateLimiter, Route, fetch, video_file_name
from argus.curate.download.resume import FileVersion, PartialFile
from argus.curate.download.ytdlp import BLOCK_BYTES, ResumingYoutubeDL
from argus.dataset import FetchedFile, identify
from argus.errors import FetchError
from schemas.config import FetchSettings
from schemas.names import Reason
from tests.support.faulty_server import Fault, FaultyServer, serve_with_faults

VIDEO = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 4000
HALF = len(VIDEO) // 2
SETTINGS = FetchSettings(
    allow_private_hosts=True, timeout_s=30, stall_s=1, min_free_bytes=0, max_bytes=10_000_000
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FaultyServer]:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "video.mp4").write_bytes(VIDEO)
    with serve_with_faults(folder) as server:
        yield server


def make_source(server: FaultyServer, *faults: Fault) -> VideoSource:
    return VideoSource(*identify(server.url("video.mp4", *faults)))


def fetch_bytes(source: VideoSource, folder: Path) -> bytes:
    return fetch(source, folder, SETTINGS, LocalRateLimiter()).path.read_bytes()


def fetch_twice(server: FaultyServer, folder: Path, *faults: Fault) -> bytes:
    """Return the file after a first attempt that fails and a second that succeeds."""
    source = make_source(server, *faults)
    with pytest.raises(FetchError) as caught:
        fetch_bytes(source, folder)
    assert caught.value.retryable
    return fetch_bytes(source, folder)


def range_start(header: str | None) -> int:
    """Return the first byte of a Range header."""
    return int((header or "").removeprefix("bytes=").partition("-")[0])


@pytest.mark.parametrize("fault", [Fault.TRUNCATED, Fault.STALL])
def test_only_the_rest_is_fetched_again(server: FaultyServer, tmp_path: Path, fault: Fault) -> None:
    assert fetch_twice(server, tmp_path / "out", fault) == VIDEO
    assert HALF - BLOCK_BYTES <= range_start(server.log[-1].range) <= HALF
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".video"}


def test_partial_file_is_resumed_more_than_once(server: FaultyServer, tmp_path: Path) -> None:
    source = make_source(server, Fault.TRUNCATED, Fault.TRUNCATED)
    for _ in range(2):
        with pytest.raises(FetchError):
            fetch_bytes(source, tmp_path / "out")
    assert fetch_bytes(source, tmp_path / "out") == VIDEO
    assert [request.is_fetch for request in server.log] == [True, True, False, True, False]
    assert 0 < range_start(server.log[2].range) < range_start(server.log[4].range)


@pytest.mark.parametrize("fault", [Fault.CHANGED, Fault.CHANGED_IGNORES_IF_RANGE, Fault.NO_RANGES])
def test_versions_are_never_mixed(server: FaultyServer, tmp_path: Path, fault: Fault) -> None:
    """The server reports a change, sends ranges of the new file, or ignores ranges."""
    fetched = fetch_twice(server, tmp_path / "out", Fault.TRUNCATED, fault)
    assert fetched == server.body("video.mp4")
    assert (server.body("video.mp4") == VIDEO) is (fault is Fault.NO_RANGES)


def test_partial_file_of_unknown_version_is_discarded(server: FaultyServer, tmp_path: Path) -> None:
    source = make_source(server)
    part = tmp_path / "out" / f"{video_file_name(source.source_id)}.part"
    part.parent.mkdir()
    part.write_bytes(b"x" * HALF)
    assert fetch_bytes(source, part.parent) == VIDEO
    assert [request.range for request in server.log] == [None]


@pytest.mark.parametrize("size", [len(VIDEO), len(VIDEO) + 50])
def test_partial_file_of_at_least_the_full_length_is_not_trusted(
    server: FaultyServer, tmp_path: Path, size: int
) -> None:
    source = make_source(server, Fault.TRUNCATED)
    with pytest.raises(FetchError):
        fetch_bytes(source, tmp_path / "out")
    (part,) = (tmp_path / "out").glob("*.part")
    part.write_bytes(b"x" * size)
    assert fetch_bytes(source, tmp_path / "out") == VIDEO


KILLED = """
import sys
from pathlib import Path
from argus.curate import VideoSource
from argus.curate.download import LocalRateLimiter, fetch
from schemas.config import FetchSettings
settings = FetchSettings(allow_private_hosts=True, timeout_s=60, stall_s=60, min_free_bytes=0)
fetch(VideoSource(sys.argv[1], sys.argv[2]), Path(sys.argv[3]), settings, LocalRateLimiter())
"""


@pytest.mark.slow
def test_killed_fetch_is_resumed(server: FaultyServer, tmp_path: Path) -> None:
    """SIGKILL of the fetching process after some bytes; its sandboxed child ends with it."""
    source = make_source(server, Fault.STALL)
    command = [sys.executable, "-c", KILLED, source.source_id, source.url, str(tmp_path / "out")]
    part = tmp_path / "out" / f"{video_file_name(source.source_id)}.part"
    with subprocess.Popen(command, start_new_session=True) as process:
        while not (part.exists() and part.stat().st_size):
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
    server.released.set()
    assert fetch_bytes(source, tmp_path / "out") == VIDEO
    assert server.log[-1].range is not None


def download_in_chunks(
    source: VideoSource, path: Path, after_chunk: Callable[[int], None] = lambda _: None
) -> FetchedFile:
    """Download in ranges of 100,000 bytes, as from YouTube.

    `after_chunk` is called with the number of bytes received.
    """
    path.parent.mkdir(exist_ok=True)
    with ResumingYoutubeDL(source, path, SETTINGS, Route("direct"), "") as downloader:
        downloader.params["http_chunk_size"] = 100_000
        downloader.add_progress_hook(lambda progress: after_chunk(progress["downloaded_bytes"]))
        info = downloader.extract_info(source.url, download=False)
        downloader.prepare_download(info)
        downloader.process_ie_result(info, download=True)
        return downloader.make_record(info)


def test_chunked_download_is_resumed(server: FaultyServer, tmp_path: Path) -> None:
    source, path = make_source(server), tmp_path / "out" / "x.video"

    def interrupt(size: int) -> None:
        if size > 300_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download_in_chunks(source, path, interrupt)
    earlier = len(server.log)
    assert download_in_chunks(source, path).path.read_bytes() == VIDEO
    # The first request is the extractor's.
    assert range_start(server.log[earlier + 1].range) > 200_000


def test_file_that_changes_between_chunks_is_not_mixed(
    server: FaultyServer, tmp_path: Path
) -> None:
    source, path = make_source(server), tmp_path / "out" / "x.video"
    other = VIDEO[::-1]

    def change(size: int) -> None:
        if size > 300_000:
            (server.folder / "video.mp4").write_bytes(other)

    with pytest.raises(FetchError) as caught:
        download_in_chunks(source, path, change)
    assert (caught.value.reason, caught.value.retryable) == (Reason.TRUNCATED, True)
    assert download_in_chunks(source, path).path.read_bytes() == other


def make_headers(**fields: str) -> Message:
    message = Message()
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    return message


DATE, LATER = "Sat, 21 Nov 2026 12:00:00 GMT", "Sat, 21 Nov 2026 12:00:01 GMT"


@pytest.mark.parametrize(
    ("fields", "validator"),
    [
        ({"ETag": '"a"', "Content_Length": "9"}, '"a"'),
        ({"ETag": 'W/"a"', "Content_Length": "9"}, None),
        ({"ETag": 'W/"a"', "Last_Modified": DATE, "Date": LATER}, None),
        ({"Last_Modified": DATE, "Date": LATER}, DATE),
        ({"Last_Modified": DATE, "Date": DATE}, None),
        ({"Last_Modified": DATE}, None),
        ({"Last_Modified": "yesterday", "Date": LATER}, None),
        ({"Content_Length": "9"}, None),
    ],
)
def test_validators(fields: dict[str, str], validator: str | None) -> None:
    """RFC 9110, 8.8: a weak ETag is no validator; a date is, a second before the response."""
    assert FileVersion.from_headers(make_headers(**fields)).validator == validator


def test_range_and_whole_file_have_one_version() -> None:
    def read_version(etag: str, length: str, **fields: str) -> FileVersion:
        return FileVersion.from_headers(make_headers(ETag=etag, Content_Length=length, **fields))

    whole = read_version('"a"', "9")
    assert read_version('"a"', "4", Content_Range="bytes 5-8/9") == whole
    assert read_version('"a"', "4", Content_Range="bytes 5-8/*") != whole
    assert read_version('"b"', "4", Content_Range="bytes 5-8/9") != whole


def test_partial_file_needs_its_record(tmp_path: Path) -> None:
    partial = PartialFile(tmp_path / "x.part")
    version = FileVersion('"a"', None, 9, dated=False)
    partial.path.write_bytes(b"12345")
    assert partial.read_version() is None
    partial.restart(version)
    assert not partial.path.exists()
    assert partial.read_version() is None
    partial.path.write_bytes(b"12345")
    assert partial.read_version() == version
    partial.path.write_bytes(b"1234567890")
    assert partial.read_version() is None, "longer than the file"
    (tmp_path / "x.part.json").write_text("{")
    assert partial.read_version() is None
    partial.remove()
    assert list(tmp_path.iterdir()) == []
