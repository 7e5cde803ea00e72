"""Fetching from a loopback server that fails as video sites do: every failure has its reason."""

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
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from argus.curate import VideoSource, process_video
from argus.curate.download import (
    LocalRateLimiter,
    RateKey,
    RatePolicy,
    SiteResponse,
    fetch,
    retry_delay_s,
    video_file_name,
)
from argus.dataset import identify
from argus.errors import FetchError
from argus.synth import write_video_kind
from schemas.config import CurateConfig, FetchSettings
from schemas.names import Decision, Reason
from tests.support.faulty_server import Fault, FaultyServer, serve_with_faults

VIDEO = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 400
SETTINGS = FetchSettings(
    allow_private_hosts=True,
    attempts=1,
    timeout_s=30,
    stall_s=1,
    min_free_bytes=0,
    max_bytes=10_000_000,
)
OUTCOMES = [  # fault, reason, retryable, retry_after_s
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
TRANSIENT = [
    Fault.TOO_MANY_REQUESTS,
    Fault.SERVER_ERROR,
    Fault.RESET,
    Fault.RESET_IN_BODY,
    Fault.STALL,
    Fault.TRUNCATED,
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyServer]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "video.mp4").write_bytes(VIDEO)
    with serve_with_faults(folder) as server:
        server.retry_after_s = 7
        yield server


@pytest.fixture
def source(server: FaultyServer, request: pytest.FixtureRequest) -> VideoSource:
    """A video that only this test fetches."""
    digest = hashlib.sha256(request.node.name.encode()).hexdigest()
    return add_file(server, f"{digest[:12]}.mp4")


def add_file(server: FaultyServer, name: str, data: bytes = VIDEO) -> VideoSource:
    (server.folder / name).write_bytes(data)
    return VideoSource(*identify(server.url(name)))


def get_name(source: VideoSource) -> str:
    return source.url.rpartition("/")[2]


def set_faults(
    server: FaultyServer, source: VideoSource, *faults: Fault, repeat_last: bool = False
) -> None:
    server.url(get_name(source), *faults, repeat_last=repeat_last)


def fail(source: VideoSource, folder: Path, **settings: object) -> FetchError:
    with pytest.raises(FetchError) as caught:
        fetch(source, folder, SETTINGS.model_copy(update=settings), LocalRateLimiter())
    return caught.value


def fetch_bytes(source: VideoSource, folder: Path) -> bytes:
    return fetch(source, folder, SETTINGS, LocalRateLimiter()).path.read_bytes()


def list_suffixes(folder: Path) -> set[str]:
    """Return what follows `.video` in the names of the files; empty for the complete file."""
    return {path.name.partition(".video")[2] for path in folder.iterdir()}


def test_video_is_fetched_in_one_request_with_its_provenance(
    server: FaultyServer, source: VideoSource, tmp_path: Path
) -> None:
    fetched = fetch(source, tmp_path, SETTINGS, LocalRateLimiter())
    assert fetched.path == tmp_path / video_file_name(source.source_id)
    assert fetched.path.read_bytes() == VIDEO
    assert (fetched.tool, fetched.bytes) == ("yt-dlp", len(VIDEO))
    assert fetched.sha256 == hashlib.sha256(VIDEO).hexdigest()
    assert (fetched.client, fetched.format_id) == ("generic", "mp4")
    assert fetched.version
    assert list_suffixes(tmp_path) == {""}
    assert len([request for request in server.log if request.name == get_name(source)]) == 1


@pytest.mark.parametrize(("fault", "reason", "retryable", "retry_after_s"), OUTCOMES)
def test_every_failure_has_its_reason(
    server: FaultyServer,
    source: VideoSource,
    tmp_path: Path,
    fault: Fault,
    reason: Reason,
    retryable: bool,
    retry_after_s: int,
) -> None:
    set_faults(server, source, fault, repeat_last=True)
    error = fail(source, tmp_path)
    assert (error.reason, error.retryable, error.is_attempt) == (reason, retryable, True)
    assert retry_after_s - 1.5 < error.retry_after_s <= retry_after_s
    if not retryable:
        assert list_suffixes(tmp_path) == set(), "a terminal failure leaves no partial file"


@pytest.mark.parametrize(
    ("data", "name", "reason"),
    [
        (b"", "empty.mp4", Reason.EMPTY_FILE),
        (b"<html>no video</html>", "page.html", Reason.UNSUPPORTED_URL),
    ],
)
def test_other_content_has_its_reason(
    server: FaultyServer, tmp_path: Path, data: bytes, name: str, reason: Reason
) -> None:
    error = fail(add_file(server, name, data), tmp_path)
    assert (error.reason, error.retryable) == (reason, False)
    assert list_suffixes(tmp_path) == set()


@pytest.mark.parametrize("fault", TRANSIENT)
def test_next_attempt_succeeds_after_a_transient_failure(
    server: FaultyServer, source: VideoSource, tmp_path: Path, fault: Fault
) -> None:
    set_faults(server, source, fault)
    fail(source, tmp_path)
    assert fetch_bytes(source, tmp_path) == VIDEO
    assert list_suffixes(tmp_path) == {""}


def test_deadline_is_enforced(server: FaultyServer, source: VideoSource, tmp_path: Path) -> None:
    set_faults(server, source, Fault.STALL)
    error = fail(source, tmp_path, timeout_s=1.0, stall_s=30)
    assert (error.reason, error.retryable) == (Reason.TIMED_OUT, True)


def test_body_over_the_limit_is_rejected(source: VideoSource, tmp_path: Path) -> None:
    error = fail(source, tmp_path, max_bytes=len(VIDEO) - 1)
    assert (error.reason, error.retryable) == (Reason.TOO_LARGE, False)
    assert str(len(VIDEO)) in error.message


@pytest.mark.parametrize("fault", [Fault.NO_LENGTH, Fault.SURPLUS])
def test_body_of_unknown_or_wrong_length_is_read_correctly(
    server: FaultyServer, source: VideoSource, tmp_path: Path, fault: Fault
) -> None:
    set_faults(server, source, fault)
    assert fetch_bytes(source, tmp_path) == VIDEO


def test_video_with_a_declared_duration_over_the_limit_is_rejected(
    server: FaultyServer, source: VideoSource, tmp_path: Path
) -> None:
    metadata = {
        "@context": "https://schema.org",
        "@type": "VideoObject",
        "name": "x",
        "contentUrl": source.url,
        "duration": "PT2H",
    }
    script = f"<script type='application/ld+json'>{json.dumps(metadata)}</script>"
    page = f"<html><body>{script}</body></html>".encode()
    error = fail(add_file(server, "long.html", page), tmp_path, max_duration_s=3600.0)
    assert (error.reason, error.retryable) == (Reason.TOO_LONG, False), error.message
    assert list_suffixes(tmp_path) == set()


def test_video_with_an_undeclared_duration_over_the_limit_is_dropped_unfiltered(
    tmp_path: Path,
) -> None:
    path = tmp_path / "walk.mp4"
    write_video_kind(path, "walk", seed=7, seconds=4, fps=5, height=64)
    config = CurateConfig(catalogue="none", dataset="none", fetch=FetchSettings(max_duration_s=3.0))
    source = VideoSource("url:0000000000000000", "https://videos.example/walk.mp4")
    video = process_video(path, source, config)
    assert (video.decision, video.reason) == (Decision.DROPPED, Reason.TOO_LONG)
    assert video.measured_filters == ()


def test_fragmented_video_restarts(server: FaultyServer, tmp_path: Path) -> None:
    """The versions of fragments are unknown, so the second attempt fetches all of them again."""
    fragments = [bytes([number]) * 50_000 for number in range(3)]
    for number, fragment in enumerate(fragments):
        add_file(server, f"fragment{number}.ts", fragment)
    playlist = [
        "#EXTM3U",
        "#EXT-X-TARGETDURATION:2",
        *(f"#EXTINF:2,\nfragment{number}.ts" for number in range(3)),
        "#EXT-X-ENDLIST",
        "",
    ]
    source = add_file(server, "fragments.m3u8", "\n".join(playlist).encode())
    server.url("fragment2.ts", Fault.SERVER_ERROR)
    assert fail(source, tmp_path).retryable
    assert fetch_bytes(source, tmp_path) == b"".join(fragments)
    assert len(server.fetches("fragment0.ts")) == 2
    assert list_suffixes(tmp_path) == {""}


def test_unreachable_host(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/x.mp4"
        error = fail(VideoSource(*identify(url)), tmp_path)
    assert (error.reason, error.retryable) == (Reason.UNREACHABLE, True)


def test_only_http_urls_are_fetched(tmp_path: Path) -> None:
    for url in (
        "ftp://example.com/x.mp4",
        "file:///etc/passwd",
        "not a url",
        "http://",
        "http://[broken/x.mp4",
        "",
    ):
        error = fail(VideoSource("url:0000000000000000", url), tmp_path)
        assert (error.reason, error.retryable) == (Reason.BAD_URL, False), url


def test_full_disk_is_detected_before_any_request(
    server: FaultyServer, source: VideoSource, tmp_path: Path
) -> None:
    free = shutil.disk_usage(tmp_path).free
    error = fail(source, tmp_path, min_free_bytes=2 * free)
    assert (error.reason, error.retryable) == (Reason.DISK_FULL, True)
    assert "fetch.min_free_bytes" in error.message
    assert server.fetches(get_name(source)) == []


def test_file_too_large_for_the_disk_is_not_started(
    server: FaultyServer, source: VideoSource, tmp_path: Path
) -> None:
    """The server announces a terabyte."""
    if shutil.disk_usage(tmp_path).free > 1 << 40:
        pytest.skip("needs a disk with less than a terabyte free")
    set_faults(server, source, Fault.OVERSIZED)
    assert fail(source, tmp_path, max_bytes=1 << 41).reason == Reason.DISK_FULL
    assert list_suffixes(tmp_path) == set()


LIMITED_FILE_SIZE = """
import resource, sys
from pathlib import Path
from argus.curate import VideoSource
from argus.curate.download import Route
from argus.curate.download.fetch import download_guarded
from argus.errors import FetchError
from schemas.config import FetchSettings
import argus.curate.download.ytdlp
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
settings = FetchSettings(allow_private_hosts=True, min_free_bytes=0)
source, path = VideoSource("url:0000000000000000", sys.argv[1]), Path(sys.argv[2])
try:
    download_guarded(source, path, settings, Route("direct"), "")
except FetchError as error:
    print(error.reason, error.retryable)
"""


def test_write_error_is_a_full_disk(source: VideoSource, tmp_path: Path) -> None:
    """A limit on the size of files fails as a full disk does."""
    result = subprocess.run(
        [sys.executable, "-c", LIMITED_FILE_SIZE, source.url, str(tmp_path / "x.video")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.stdout.split() == ["disk_full", "True"], result.stderr


class ClosedRateLimiter:
    """A rate limiter that never admits a fetch."""

    def __init__(self, wait: float) -> None:
        self.wait = wait

    def acquire(self, key: RateKey, policy: RatePolicy) -> float:
        return self.wait

    def report(
        self,
        key: RateKey,
        policy: RatePolicy,
        response: SiteResponse,
        retry_after_s: float = 0.0,
    ) -> bool:
        raise AssertionError("no fetch was admitted")

    def allow_extraction(self, key: RateKey, policy: RatePolicy) -> bool:
        raise AssertionError("no fetch was admitted")


def test_long_wait_for_the_rate_limiter_is_an_error_but_no_attempt(
    server: FaultyServer, source: VideoSource, tmp_path: Path
) -> None:
    with pytest.raises(FetchError) as caught:
        fetch(source, tmp_path, SETTINGS, ClosedRateLimiter(3600))
    error = caught.value
    assert (error.reason, error.retryable) == (Reason.RATE_LIMITED, True)
    assert (error.retry_after_s, error.is_attempt) == (3600, False)
    assert server.fetches(get_name(source)) == []


def test_retry_after_holds_for_all_videos_of_a_site(
    server: FaultyServer, source: VideoSource, tmp_path: Path
) -> None:
    set_faults(server, source, Fault.TOO_MANY_REQUESTS)
    other = add_file(server, "other.mp4")
    limiter = LocalRateLimiter()
    with pytest.raises(FetchError) as caught:
        fetch(source, tmp_path, SETTINGS, limiter)
    assert (caught.value.is_attempt, caught.value.reason) == (True, Reason.RATE_LIMITED)
    with pytest.raises(FetchError) as caught:
        fetch(other, tmp_path, SETTINGS.model_copy(update={"timeout_s": 5.0}), limiter)
    assert (caught.value.is_attempt, caught.value.reason) == (False, Reason.RATE_LIMITED)
    assert 5 < caught.value.retry_after_s <= 7
    assert server.fetches("other.mp4") == []


def test_403_is_terminal_unless_it_opens_the_breaker(server: FaultyServer, tmp_path: Path) -> None:
    sources = [add_file(server, f"forbidden{number}.mp4") for number in range(3)]
    limiter, found = LocalRateLimiter(), []
    for source in sources:
        set_faults(server, source, Fault.FORBIDDEN, repeat_last=True)
        with pytest.raises(FetchError) as caught:
            fetch(source, tmp_path, SETTINGS.model_copy(update={"breaker_after": 3}), limiter)
        found.append((caught.value.reason, caught.value.retryable))
    assert found == [(Reason.FORBIDDEN, False), (Reason.FORBIDDEN, False), (Reason.FORBIDDEN, True)]
    with pytest.raises(FetchError) as caught:
        fetch(sources[0], tmp_path, SETTINGS, limiter)
    assert not caught.value.is_attempt


def test_request_rate_never_exceeds_the_limit(server: FaultyServer, tmp_path: Path) -> None:
    """Six fetches in three threads at ten per second."""
    sources = [add_file(server, f"limited{number}.mp4") for number in range(6)]
    settings = SETTINGS.model_copy(update={"per_hour": 36_000})
    limiter = LocalRateLimiter()
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda source: fetch(source, tmp_path, settings, limiter), sources))
    times = sorted(time for source in sources for time in server.fetches(get_name(source)))
    assert len(times) == 6
    assert len(times) - 1 <= 10 * (times[-1] - times[0]) + 1


@hypothesis_settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(1, 30), st.floats(0.1, 100), st.floats(0, 1000))
def test_retry_delay_doubles_with_jitter_up_to_a_bound(
    attempt: int, base_s: float, retry_after_s: float
) -> None:
    backoff_s = min(60.0, base_s * 2 ** (attempt - 1))
    delay_s = retry_delay_s(attempt, base_s, retry_after_s)
    assert retry_after_s + 0.49 * backoff_s <= delay_s <= retry_after_s + 1.51 * backoff_s
