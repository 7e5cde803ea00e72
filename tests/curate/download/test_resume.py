"""An interrupted download is continued where the server says that the rest belongs to it, and is never a mixture."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path

import pytest

from argus.curate import FetchedFile, VideoSource, fetch
from argus.curate.download.proxies import Route
from argus.curate.download.rate_limit import LocalRateLimiter
from argus.curate.download.resume import Part, Version
from argus.curate.download.ytdlp import BLOCK_BYTES, Client
from argus.dataset import identify
from argus.errors import FetchError
from schemas.config import FetchSettings
from schemas.names import Reason
from tests.support.faulty_server import Fault, FaultyServer, serve_with_faults

VIDEO = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 4000
HALF = len(VIDEO) // 2
OPEN = FetchSettings(
    allow_private_hosts=True, timeout_s=30, stall_s=1, min_free_bytes=0, max_bytes=10_000_000
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[FaultyServer]:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "video.mp4").write_bytes(VIDEO)
    with serve_with_faults(folder) as site:
        yield site


def tried_twice(site: FaultyServer, folder: Path, *faults: Fault) -> bytes:
    """The file after a first try that fails."""
    source = VideoSource(*identify(site.url("video.mp4", *faults)))
    with pytest.raises(FetchError) as caught:
        fetch(source, folder, OPEN, LocalRateLimiter())
    assert caught.value.retryable
    return fetch(source, folder, OPEN, LocalRateLimiter()).path.read_bytes()


def start(asked: str | None) -> int:
    """The first byte of a range."""
    return int((asked or "").removeprefix("bytes=").partition("-")[0])


@pytest.mark.parametrize("fault", [Fault.TRUNCATED, Fault.STALL])
def test_only_the_rest_is_fetched_again(site: FaultyServer, tmp_path: Path, fault: Fault) -> None:
    assert tried_twice(site, tmp_path / "out", fault) == VIDEO
    assert HALF - BLOCK_BYTES <= start(site.log[-1].range) <= HALF
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".video"}


def test_a_part_is_continued_more_than_once(site: FaultyServer, tmp_path: Path) -> None:
    source = VideoSource(*identify(site.url("video.mp4", Fault.TRUNCATED, Fault.TRUNCATED)))
    for _ in range(2):
        with pytest.raises(FetchError):
            fetch(source, tmp_path / "out", OPEN, LocalRateLimiter())
    assert fetch(source, tmp_path / "out", OPEN, LocalRateLimiter()).path.read_bytes() == VIDEO
    assert [request.is_fetch for request in site.log] == [True, True, False, True, False]
    assert 0 < start(site.log[2].range) < start(site.log[4].range)


@pytest.mark.parametrize("fault", [Fault.CHANGED, Fault.CHANGED_IGNORES_IF_RANGE, Fault.NO_RANGES])
def test_a_file_is_never_a_mixture(site: FaultyServer, tmp_path: Path, fault: Fault) -> None:
    """Whether the server says that its file changed, sends ranges of the new one all the same, or knows no ranges."""
    assert tried_twice(site, tmp_path / "out", Fault.TRUNCATED, fault) == site.body("video.mp4")
    assert (site.body("video.mp4") == VIDEO) is (fault is Fault.NO_RANGES)


def test_a_part_of_nobody_knows_what_is_thrown_away(site: FaultyServer, tmp_path: Path) -> None:
    source = VideoSource(*identify(site.url("video.mp4")))
    part = tmp_path / "out" / f"{source.source_id.replace(':', '-')}.video.part"
    part.parent.mkdir()
    part.write_bytes(b"x" * HALF)
    assert fetch(source, part.parent, OPEN, LocalRateLimiter()).path.read_bytes() == VIDEO
    assert [request.range for request in site.log] == [None]


@pytest.mark.parametrize("size", [len(VIDEO), len(VIDEO) + 50])
def test_a_part_as_long_as_the_file_or_longer_is_no_reason_to_trust_it(
    site: FaultyServer, tmp_path: Path, size: int
) -> None:
    source = VideoSource(*identify(site.url("video.mp4", Fault.TRUNCATED)))
    with pytest.raises(FetchError):
        fetch(source, tmp_path / "out", OPEN, LocalRateLimiter())
    (part,) = (tmp_path / "out").glob("*.part")
    part.write_bytes(b"x" * size)
    assert fetch(source, tmp_path / "out", OPEN, LocalRateLimiter()).path.read_bytes() == VIDEO


KILLED = """
import sys
from pathlib import Path
from argus.curate import FetchedFile, VideoSource, fetch
from argus.curate.download.rate_limit import LocalRateLimiter
from schemas.config import FetchSettings
settings = FetchSettings(allow_private_hosts=True, timeout_s=60, stall_s=60, min_free_bytes=0)
fetch(VideoSource(sys.argv[1], sys.argv[2]), Path(sys.argv[3]), settings, LocalRateLimiter())
"""


@pytest.mark.slow
def test_a_killed_fetch_is_continued(site: FaultyServer, tmp_path: Path) -> None:
    """kill -9 of the fetching process, once some of the file is there; the process that it downloads in ends with it."""
    source = VideoSource(*identify(site.url("video.mp4", Fault.STALL)))
    command = [sys.executable, "-c", KILLED, source.source_id, source.url, str(tmp_path / "out")]
    part = tmp_path / "out" / f"{source.source_id.replace(':', '-')}.video.part"
    with subprocess.Popen(command, start_new_session=True) as process:
        while not (part.exists() and part.stat().st_size):
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
    site.released.set()
    assert fetch(source, tmp_path / "out", OPEN, LocalRateLimiter()).path.read_bytes() == VIDEO
    assert site.log[-1].range is not None


def in_chunks(
    source: VideoSource, path: Path, after: Callable[[int], None] = lambda _: None
) -> FetchedFile:
    """As YouTube's files are fetched: by ranges of some 100,000 bytes; `after` is told how much is there."""
    path.parent.mkdir(exist_ok=True)
    with Client(source, path, OPEN, Route("direct"), "") as client:
        client.params["http_chunk_size"] = 100_000
        client.add_progress_hook(lambda progress: after(progress["downloaded_bytes"]))
        info = client.extract_info(source.url, download=False)
        client.choose(info)
        client.process_ie_result(info, download=True)
        return client.fetched(info)


def test_chunks_make_the_file_and_are_continued(site: FaultyServer, tmp_path: Path) -> None:
    source = VideoSource(*identify(site.url("video.mp4")))

    def interrupt(size: int) -> None:
        if size > 300_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_chunks(source, tmp_path / "out" / "x.video", interrupt)
    asked = len(site.log)
    assert in_chunks(source, tmp_path / "out" / "x.video").path.read_bytes() == VIDEO
    assert start(site.log[asked + 1].range) > 200_000, "the first request is the extractor's"


def test_a_file_that_changes_between_two_chunks_is_no_mixture(
    site: FaultyServer, tmp_path: Path
) -> None:
    source = VideoSource(*identify(site.url("video.mp4")))
    other = VIDEO[::-1]

    def change(size: int) -> None:
        if size > 300_000:
            (site.folder / "video.mp4").write_bytes(other)

    with pytest.raises(FetchError, match="changed while it was fetched") as caught:
        in_chunks(source, tmp_path / "out" / "x.video", change)
    assert (caught.value.reason, caught.value.retryable) == (Reason.TRUNCATED, True)
    assert in_chunks(source, tmp_path / "out" / "x.video").path.read_bytes() == other


def headers(**fields: str) -> Message:
    message = Message()
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    return message


DATE, LATER = "Sat, 21 Nov 2026 12:00:00 GMT", "Sat, 21 Nov 2026 12:00:01 GMT"


@pytest.mark.parametrize(
    ("said", "validator"),
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
def test_what_tells_versions_apart(said: dict[str, str], validator: str | None) -> None:
    """RFC 9110, 8.8: a weak ETag never does; a date does where it lies a second before the answer."""
    assert Version.of(headers(**said)).validator == validator


def test_a_range_and_the_whole_are_one_version(tmp_path: Path) -> None:
    whole = Version.of(headers(ETag='"a"', Content_Length="9"))
    assert Version.of(headers(ETag='"a"', Content_Length="4", Content_Range="bytes 5-8/9")) == whole
    assert Version.of(headers(ETag='"a"', Content_Length="4", Content_Range="bytes 5-8/*")) != whole
    assert Version.of(headers(ETag='"b"', Content_Length="4", Content_Range="bytes 5-8/9")) != whole


def test_a_part_counts_with_its_record_alone(tmp_path: Path) -> None:
    part = Part(tmp_path / "x.part")
    part.path.write_bytes(b"12345")
    assert part.version() is None
    part.begin(Version('"a"', None, 9, dated=False))
    assert not part.path.exists()
    assert part.version() is None
    part.path.write_bytes(b"12345")
    assert part.version() == Version('"a"', None, 9, dated=False)
    part.path.write_bytes(b"1234567890")
    assert part.version() is None
    (tmp_path / "x.part.json").write_text("{")
    assert part.version() is None
    part.drop()
    assert list(tmp_path.iterdir()) == []
