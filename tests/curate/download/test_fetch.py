"""Fetching, from a site on loopback that answers as sites do."""

import hashlib
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from argus.curate import VideoSource, fetch, process_video
from argus.curate.download.fetch import file_name, pause_s
from argus.curate.download.network_guard import is_public
from argus.curate.download.rate_limit import Key, LocalRateLimiter, RatePolicy, SiteResponse
from argus.dataset import identify
from argus.errors import FetchError
from argus.synth import write_video_kind
from schemas.config import CurateConfig, FetchSettings
from schemas.names import Decision, Reason
from tests.support.faulty_server import Fault, FaultyServer, serve_with_faults

VIDEO = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 400
OPEN = FetchSettings(
    allow_private_hosts=True,
    attempts=1,
    timeout_s=30,
    stall_s=1,
    min_free_bytes=0,
    max_bytes=10_000_000,
)
OUTCOMES = [
    (Fault.NOT_FOUND, Reason.NOT_FOUND, False, 0),
    (Fault.GONE, Reason.NOT_FOUND, False, 0),
    (Fault.FORBIDDEN, Reason.FORBIDDEN, False, 0),
    (Fault.TOO_MANY_REQUESTS, Reason.RATE_LIMITED, True, 7),
    (Fault.TOO_MANY_REQUESTS_DATE, Reason.RATE_LIMITED, True, 7),
    (Fault.SERVER_ERROR, Reason.SERVER_ERROR, True, 0),
    (Fault.UNAVAILABLE, Reason.SERVER_ERROR, True, 7),
    (Fault.RESET, Reason.UNREACHABLE, True, 0),
    (Fault.RESET_IN_BODY, Reason.UNREACHABLE, True, 0),
    (Fault.STALL, Reason.TIMED_OUT, True, 0),
    (Fault.TRUNCATED, Reason.TRUNCATED, True, 0),
    (Fault.OVERSIZED, Reason.TOO_LARGE, False, 0),
    (Fault.ENDLESS, Reason.TOO_LARGE, False, 0),
    (Fault.REDIRECT_LOOP, Reason.FETCH_FAILED, False, 0),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyServer]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "video.mp4").write_bytes(VIDEO)
    with serve_with_faults(folder) as site:
        site.retry_after_s = 7
        yield site


@pytest.fixture
def source(site: FaultyServer, request: pytest.FixtureRequest) -> VideoSource:
    """A video of this test alone."""
    return video(site, f"{hashlib.sha256(request.node.name.encode()).hexdigest()[:12]}.mp4")


def video(site: FaultyServer, name: str, data: bytes = VIDEO) -> VideoSource:
    (site.folder / name).write_bytes(data)
    return VideoSource(*identify(site.url(name)))


def meets(site: FaultyServer, source: VideoSource, *faults: Fault, lasting: bool = False) -> None:
    site.url(source.url.rpartition("/")[2], *faults, repeat_last=lasting)


def failure(source: VideoSource, folder: Path, **settings: object) -> FetchError:
    with pytest.raises(FetchError) as caught:
        fetch(source, folder, OPEN.model_copy(update=settings), LocalRateLimiter())
    return caught.value


def left(folder: Path) -> set[str]:
    return {path.name.partition(".video")[2] for path in folder.iterdir()}


def test_a_video_arrives_whole_with_its_provenance_in_one_request(
    site: FaultyServer, source: VideoSource, tmp_path: Path
) -> None:
    fetched = fetch(source, tmp_path, OPEN, LocalRateLimiter())
    assert fetched.path == tmp_path / file_name(source.source_id)
    assert fetched.path.read_bytes() == VIDEO
    assert (fetched.tool, fetched.bytes, fetched.sha256) == (
        "yt-dlp",
        len(VIDEO),
        hashlib.sha256(VIDEO).hexdigest(),
    )
    assert (fetched.client, fetched.format_id) == ("generic", "mp4")
    assert fetched.version
    assert left(tmp_path) == {""}
    assert len([request for request in site.log if source.url.endswith(request.name)]) == 1


@pytest.mark.parametrize(("fault", "reason", "retryable", "retry_after_s"), OUTCOMES)
def test_every_answer_has_its_reason(
    site: FaultyServer,
    source: VideoSource,
    tmp_path: Path,
    fault: Fault,
    reason: Reason,
    retryable: bool,
    retry_after_s: int,
) -> None:
    meets(site, source, fault, lasting=True)
    error = failure(source, tmp_path)
    assert (error.reason, error.retryable, error.is_attempt) == (reason, retryable, True), error.message
    assert retry_after_s - 1.5 < error.retry_after_s <= retry_after_s
    if not retryable:
        assert left(tmp_path) == set(), "something half-written stays"


@pytest.mark.parametrize(
    ("data", "name", "reason"),
    [
        (b"", "empty.mp4", Reason.EMPTY_FILE),
        (b"<html>no video</html>", "page.html", Reason.UNSUPPORTED_URL),
    ],
)
def test_what_is_no_video_has_its_reason(
    site: FaultyServer, tmp_path: Path, data: bytes, name: str, reason: Reason
) -> None:
    error = failure(video(site, name, data), tmp_path)
    assert (error.reason, error.retryable) == (reason, False)
    assert left(tmp_path) == set()


@pytest.mark.parametrize(
    "fault",
    [Fault.TOO_MANY_REQUESTS, Fault.SERVER_ERROR, Fault.RESET, Fault.RESET_IN_BODY, Fault.STALL, Fault.TRUNCATED],
)
def test_what_may_pass_is_fetched_by_the_next_try(
    site: FaultyServer, source: VideoSource, tmp_path: Path, fault: Fault
) -> None:
    meets(site, source, fault)
    failure(source, tmp_path)
    assert fetch(source, tmp_path, OPEN, LocalRateLimiter()).path.read_bytes() == VIDEO
    assert left(tmp_path) == {""}


def test_a_late_video_times_out(site: FaultyServer, source: VideoSource, tmp_path: Path) -> None:
    meets(site, source, Fault.STALL)
    error = failure(source, tmp_path, timeout_s=1.0, stall_s=30)
    assert (error.reason, error.retryable) == (Reason.TIMED_OUT, True)


def test_a_body_over_the_limit_is_refused(source: VideoSource, tmp_path: Path) -> None:
    error = failure(source, tmp_path, max_bytes=len(VIDEO) - 1)
    assert (error.reason, error.retryable) == (Reason.TOO_LARGE, False)
    assert str(len(VIDEO)) in error.message


def test_a_body_of_unknown_length_arrives(
    site: FaultyServer, source: VideoSource, tmp_path: Path
) -> None:
    meets(site, source, Fault.NO_LENGTH)
    assert fetch(source, tmp_path, OPEN, LocalRateLimiter()).path.read_bytes() == VIDEO


def test_what_a_server_sends_beyond_its_word_is_not_taken(
    site: FaultyServer, source: VideoSource, tmp_path: Path
) -> None:
    meets(site, source, Fault.SURPLUS)
    assert fetch(source, tmp_path, OPEN, LocalRateLimiter()).path.read_bytes() == VIDEO


def test_a_video_is_too_long_when_its_site_says_so(
    site: FaultyServer, source: VideoSource, tmp_path: Path
) -> None:
    told = {
        "@context": "https://schema.org",
        "@type": "VideoObject",
        "name": "x",
        "contentUrl": source.url,
        "duration": "PT2H",
    }
    page = (
        f"<html><body><script type='application/ld+json'>{json.dumps(told)}</script></body></html>"
    )
    error = failure(video(site, "long.html", page.encode()), tmp_path, max_duration_s=3600.0)
    assert (error.reason, error.retryable) == (Reason.TOO_LONG, False), error.message
    assert left(tmp_path) == set()


def test_a_long_video_whose_site_does_not_say_is_dropped_before_it_is_looked_at(
    tmp_path: Path,
) -> None:
    path = tmp_path / "walk.mp4"
    write_video_kind(path, "walk", seed=7, seconds=4, fps=5, height=64)
    config = CurateConfig(catalogue="none", dataset="none", fetch=FetchSettings(max_duration_s=3.0))
    judged = process_video(
        path, VideoSource("url:0000000000000000", "https://videos.example/walk.mp4"), config
    )
    assert (judged.decision, judged.reason) == (Decision.DROPPED, Reason.TOO_LONG)
    assert judged.scored == ()


def test_a_video_in_pieces_begins_anew(site: FaultyServer, tmp_path: Path) -> None:
    """Nobody vouches for what an interrupted one left: the second try takes all of them again."""
    pieces = [bytes([number]) * 50_000 for number in range(3)]
    for number, piece in enumerate(pieces):
        video(site, f"piece{number}.ts", piece)
    playlist = [
        "#EXTM3U",
        "#EXT-X-TARGETDURATION:2",
        *(f"#EXTINF:2,\npiece{number}.ts" for number in range(3)),
        "#EXT-X-ENDLIST",
        "",
    ]
    source = video(site, "pieces.m3u8", "\n".join(playlist).encode())
    site.url("piece2.ts", Fault.SERVER_ERROR)
    assert failure(source, tmp_path).retryable
    fetched = fetch(source, tmp_path, OPEN, LocalRateLimiter())
    assert fetched.path.read_bytes() == b"".join(pieces)
    assert len(site.fetches("piece0.ts")) == 2
    assert left(tmp_path) == {""}


def test_nobody_answers(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        error = failure(
            VideoSource(*identify(f"http://127.0.0.1:{free.getsockname()[1]}/x.mp4")), tmp_path
        )
    assert (error.reason, error.retryable) == (Reason.UNREACHABLE, True)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/x.mp4",
        "file:///etc/passwd",
        "not a url",
        "http://",
        "http://[broken/x.mp4",
        "",
    ],
)
def test_only_http_urls_are_fetched(tmp_path: Path, url: str) -> None:
    error = failure(VideoSource("url:0000000000000000", url), tmp_path)
    assert (error.reason, error.retryable) == (Reason.BAD_URL, False)


def test_a_full_disk_is_told_before_anything_is_asked(
    site: FaultyServer, source: VideoSource, tmp_path: Path
) -> None:
    free = shutil.disk_usage(tmp_path).free
    error = failure(source, tmp_path, min_free_bytes=2 * free)
    assert (error.reason, error.retryable) == (Reason.DISK_FULL, True)
    assert "fetch.min_free_bytes" in error.message
    assert site.fetches(source.url.rpartition("/")[2]) == []


def test_a_file_too_large_for_the_disk_is_not_begun(
    site: FaultyServer, source: VideoSource, tmp_path: Path
) -> None:
    """A terabyte is announced; where that much is free, the test says nothing."""
    if shutil.disk_usage(tmp_path).free > 1 << 40:
        pytest.skip("needs a disk with less than a terabyte free")
    meets(site, source, Fault.OVERSIZED)
    assert failure(source, tmp_path, max_bytes=1 << 41).reason == Reason.DISK_FULL
    assert left(tmp_path) == set()


CRAMPED = """
import resource, sys
from pathlib import Path
from argus.curate import VideoSource
from argus.curate.download.proxies import Route
from argus.curate.download.fetch import download_guarded
from argus.errors import FetchError
from schemas.config import CurateConfig, FetchSettings
import argus.curate.download.ytdlp
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    settings = FetchSettings(allow_private_hosts=True, min_free_bytes=0)
    download_guarded(VideoSource("url:0000000000000000", sys.argv[1]), Path(sys.argv[2]), settings, Route("direct"), "")
except FetchError as error:
    print(error.reason, error.retryable)
"""


def test_a_write_that_finds_no_room_is_a_full_disk(source: VideoSource, tmp_path: Path) -> None:
    """A limit on the size of files fails where a full disk would."""
    result = subprocess.run(
        [sys.executable, "-c", CRAMPED, source.url, str(tmp_path / "x.video")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.stdout.split() == ["disk_full", "True"], result.stderr


class Refusing:
    """A gate that lets nobody through for a while."""

    def __init__(self, wait: float) -> None:
        self.wait = wait

    def acquire(self, key: Key, pace: RatePolicy) -> float:
        return self.wait

    def report(
        self, key: Key, pace: RatePolicy, answer: SiteResponse, retry_after_s: float = 0.0
    ) -> bool:
        raise AssertionError("nothing was admitted")


def test_a_gate_that_stays_closed_for_long_is_not_waited_for(
    site: FaultyServer, source: VideoSource, tmp_path: Path
) -> None:
    with pytest.raises(FetchError) as caught:
        fetch(source, tmp_path, OPEN, Refusing(3600))
    error = caught.value
    assert (error.reason, error.retryable, error.retry_after_s, error.is_attempt) == (
        Reason.RATE_LIMITED,
        True,
        3600,
        False,
    )
    assert site.fetches(source.url.rpartition("/")[2]) == []


def test_a_sites_pause_holds_for_all_of_its_videos(
    site: FaultyServer, source: VideoSource, tmp_path: Path
) -> None:
    meets(site, source, Fault.TOO_MANY_REQUESTS)
    other = video(site, "innocent.mp4")
    gate = LocalRateLimiter()
    with pytest.raises(FetchError, match="429"):
        fetch(source, tmp_path, OPEN, gate)
    with pytest.raises(FetchError) as caught:
        fetch(other, tmp_path, OPEN.model_copy(update={"timeout_s": 5.0}), gate)
    assert (caught.value.is_attempt, caught.value.reason) == (False, Reason.RATE_LIMITED)
    assert 5 < caught.value.retry_after_s <= 7
    assert site.fetches("innocent.mp4") == []


def test_a_403_is_final_unless_it_is_one_of_a_run(site: FaultyServer, tmp_path: Path) -> None:
    sources = [video(site, f"forbidden{number}.mp4") for number in range(3)]
    gate, found = LocalRateLimiter(), []
    for source in sources:
        meets(site, source, Fault.FORBIDDEN, lasting=True)
        with pytest.raises(FetchError) as caught:
            fetch(source, tmp_path, OPEN.model_copy(update={"breaker_after": 3}), gate)
        found.append((caught.value.reason, caught.value.retryable))
    assert found == [(Reason.FORBIDDEN, False), (Reason.FORBIDDEN, False), (Reason.FORBIDDEN, True)]
    with pytest.raises(FetchError) as caught:
        fetch(sources[0], tmp_path, OPEN, gate)
    assert not caught.value.is_attempt


def test_the_rate_at_the_server_never_exceeds_the_limit(site: FaultyServer, tmp_path: Path) -> None:
    """Six fetches by three threads at ten a second: over the whole time, no more than the limit and the first."""
    sources = [video(site, f"paced{number}.mp4") for number in range(6)]
    settings = OPEN.model_copy(update={"per_hour": 36_000})
    gate = LocalRateLimiter()
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda source: fetch(source, tmp_path, settings, gate), sources))
    times = sorted(
        time for source in sources for time in site.fetches(source.url.rpartition("/")[2])
    )
    assert len(times) == 6
    assert len(times) - 1 <= 10 * (times[-1] - times[0]) + 1


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0.0.0.0"])
def test_private_hosts_are_refused_before_a_request(
    site: FaultyServer, source: VideoSource, tmp_path: Path, host: str
) -> None:
    name = source.url.rpartition("/")[2]
    error = failure(
        VideoSource(*identify(source.url.replace("127.0.0.1", host))),
        tmp_path,
        allow_private_hosts=False,
    )
    assert (error.reason, error.retryable) == (Reason.FORBIDDEN_HOST, False)
    assert site.fetches(name) == []


REDIRECTED = """
import sys
from pathlib import Path
from argus.curate import VideoSource
from argus.curate.download import guard
from argus.curate.download.proxies import Route
from argus.curate.download.fetch import download_guarded
from argus.errors import FetchError
from schemas.config import CurateConfig, FetchSettings
guard.is_public = lambda host: host == "127.0.0.1"  # plays the public site
try:
    download_guarded(VideoSource("url:0000000000000000", sys.argv[1]), Path(sys.argv[2]), FetchSettings(min_free_bytes=0), Route("direct"), "")
except FetchError as error:
    print(error.reason, error.retryable)
"""


def test_a_redirect_to_a_private_host_is_refused(
    site: FaultyServer, source: VideoSource, tmp_path: Path
) -> None:
    """127.0.0.2 leads to the same machine, so an unguarded redirect would be answered."""
    meets(site, source, Fault.REDIRECT_TO_LOOPBACK, lasting=True)
    result = subprocess.run(
        [sys.executable, "-c", REDIRECTED, source.url, str(tmp_path / "x.video")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.stdout.split() == ["forbidden_host", "False"], result.stderr
    assert {request.fault for request in site.log if source.url.endswith(request.name)} == {
        Fault.REDIRECT_TO_LOOPBACK
    }


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


def test_pauses_double_are_bounded_and_never_shorter_than_asked() -> None:
    for attempt in range(1, 12):
        middle = min(60.0, 2.0 * 2 ** (attempt - 1))
        assert 0.5 * middle <= pause_s(attempt, 2.0) <= 1.5 * middle
        assert 100 + 0.5 * middle <= pause_s(attempt, 2.0, 100) <= 100 + 1.5 * middle
