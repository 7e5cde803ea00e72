"""A 403 for the media file is cured by a new extraction, within what the rate limiter allows."""

import importlib
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from argus.curate import VideoSource
from argus.curate.download import LocalRateLimiter, fetch
from argus.curate.download.rate_limit import UNSERVED_EXTRACTIONS
from argus.dataset import FetchedFile, identify
from argus.errors import FetchError
from schemas.config import FetchSettings
from schemas.names import Reason
from tests.support.faulty_server import (
    DASH_PAGE,
    HLS_PAGE,
    HTML_PAGE,
    Fault,
    FaultyServer,
    serve_with_faults,
)

VIDEO = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 1000
SETTINGS = FetchSettings(
    allow_private_hosts=True,
    attempts=1,
    timeout_s=30,
    stall_s=1,
    min_free_bytes=0,
    max_bytes=10_000_000,
    breaker_after=5,
)
VIDEOS_OF_THE_LONG_TEST = 100


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("argus.curate.download.fetch")
    monkeypatch.setattr(module, "EXTRACTION_PAUSE_S", 0.02)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FaultyServer]:
    folder = tmp_path / "site"
    folder.mkdir()
    with serve_with_faults(folder) as server:
        yield server


def add_page(
    server: FaultyServer,
    name: str,
    *faults: Fault,
    refusals: float = 0,
    template: str = DASH_PAGE,
) -> VideoSource:
    (server.folder / name).write_bytes(VIDEO)
    return VideoSource(
        *identify(server.page_url(name, *faults, refusals=refusals, template=template))
    )


def try_fetch(
    source: VideoSource, folder: Path, limiter: LocalRateLimiter, **settings: object
) -> FetchedFile | FetchError:
    try:
        return fetch(source, folder, SETTINGS.model_copy(update=settings), limiter)
    except FetchError as error:
        return error


def fail(
    source: VideoSource, folder: Path, limiter: LocalRateLimiter, **settings: object
) -> FetchError:
    outcome = try_fetch(source, folder, limiter, **settings)
    assert isinstance(outcome, FetchError)
    return outcome


def count_media_requests(server: FaultyServer, name: str | None = None) -> int:
    media = [request for request in server.log if not request.name.endswith(".page")]
    return len([request for request in media if name in (None, request.name)])


@pytest.mark.parametrize(
    ("template", "refusals"), [(DASH_PAGE, 1), (DASH_PAGE, 2), (HTML_PAGE, 1), (HLS_PAGE, 4)]
)
def test_a_new_extraction_cures_a_refused_media_file(
    server: FaultyServer, tmp_path: Path, template: str, refusals: int
) -> None:
    """A playlist is read four times per extraction, so four of its URLs are those of the first."""
    source = add_page(server, "video.mp4", refusals=refusals, template=template)
    fetched = fetch(source, tmp_path / "out", SETTINGS, LocalRateLimiter())
    assert fetched.path.read_bytes() == VIDEO
    refused = [request for request in server.log if request.fault is Fault.EXPIRED]
    assert len(refused) == (1 if template == HLS_PAGE else refusals)
    assert (fetched.status, bool(fetched.etag)) == (
        (None, False) if template == HLS_PAGE else (200, True)
    )


def test_the_partial_file_is_resumed_from_the_new_url(server: FaultyServer, tmp_path: Path) -> None:
    source, limiter = add_page(server, "video.mp4", Fault.TRUNCATED), LocalRateLimiter()
    assert fail(source, tmp_path / "out", limiter).reason is Reason.TRUNCATED
    server.url("video.mp4")
    server.refuse("video.mp4", 2)
    fetched = try_fetch(source, tmp_path / "out", limiter)
    assert isinstance(fetched, FetchedFile)
    assert fetched.path.read_bytes() == VIDEO
    assert fetched.status == 206
    first, refused, resumed = [one for one in server.log if one.name == "video.mp4"]
    assert (first.fault, refused.fault) == (Fault.TRUNCATED, Fault.EXPIRED)
    assert first.range is None
    assert refused.range == resumed.range is not None


def test_after_two_more_extractions_the_403_is_terminal(
    server: FaultyServer, tmp_path: Path
) -> None:
    limiter = LocalRateLimiter()
    assert isinstance(try_fetch(add_page(server, "good.mp4"), tmp_path, limiter), FetchedFile)
    source = add_page(server, "video.mp4", Fault.TRUNCATED, refusals=0)
    fail(source, tmp_path / "out", limiter)
    assert list((tmp_path / "out").iterdir())
    server.refuse("video.mp4", math.inf)
    error = fail(source, tmp_path / "out", limiter)
    assert (error.reason, error.is_media, error.retryable) == (Reason.FORBIDDEN, True, False)
    assert count_media_requests(server, "video.mp4") == 1 + 3
    assert list((tmp_path / "out").iterdir()) == [], "no partial file is left"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.TOO_MANY_REQUESTS, Reason.RATE_LIMITED),
        (Fault.NOT_FOUND, Reason.NOT_FOUND),
        (Fault.SERVER_ERROR, Reason.SERVER_ERROR),
    ],
)
def test_other_refusals_of_the_media_file_are_not_extracted_again(
    server: FaultyServer, tmp_path: Path, fault: Fault, reason: Reason
) -> None:
    error = fail(add_page(server, "video.mp4", fault), tmp_path, LocalRateLimiter())
    assert (error.reason, error.is_media) == (reason, False)
    assert count_media_requests(server) == 1


def test_a_refused_page_or_direct_link_is_not_requested_again(
    server: FaultyServer, tmp_path: Path
) -> None:
    page = add_page(server, "video.mp4")
    server.url("video.mp4.page", Fault.FORBIDDEN)
    (server.folder / "direct.mp4").write_bytes(VIDEO)
    direct = VideoSource(*identify(server.url("direct.mp4", Fault.FORBIDDEN)))
    for source in (page, direct):
        error = fail(source, tmp_path, LocalRateLimiter())
        assert (error.reason, error.retryable) == (Reason.FORBIDDEN, False)
        assert not error.is_media
    assert len(server.log) == 2


@pytest.mark.parametrize("threads", [1, 4])
def test_a_site_that_refuses_all_media_gets_no_more_requests_until_the_breaker_opens(
    server: FaultyServer, tmp_path: Path, threads: int
) -> None:
    """Further extractions count for the breaker until the site has served once."""
    sources = [add_page(server, f"{number}.mp4", refusals=math.inf) for number in range(8)]
    limiter = LocalRateLimiter()
    settings = {"timeout_s": 10.0}
    with ThreadPoolExecutor(threads) as pool:
        errors = list(pool.map(lambda source: fail(source, tmp_path, limiter, **settings), sources))
    in_flight = threads - 1  # when the breaker opens
    assert count_media_requests(server) <= SETTINGS.breaker_after + in_flight
    requested = [error for error in errors if error.is_attempt]
    assert {error.reason for error in requested} == {Reason.FORBIDDEN}
    by_name = {name: count_media_requests(server, f"{name}.mp4") for name in range(8)}
    assert sum(count - 1 for count in by_name.values() if count) <= UNSERVED_EXTRACTIONS
    spent = [error for error in requested if not error.retryable]
    assert len(spent) <= 1, "only a video that was extracted three times is written off"


def test_an_extraction_takes_a_place_in_the_rate(server: FaultyServer, tmp_path: Path) -> None:
    """One video per hour: the next extraction would come too late, so the video is tried later."""
    source = add_page(server, "video.mp4", refusals=1)
    error = fail(source, tmp_path, LocalRateLimiter(), per_hour=1)
    assert (error.reason, error.is_media, error.retryable) == (Reason.FORBIDDEN, True, True)
    assert count_media_requests(server) == 1


def test_waiting_startup_and_transfer_are_measured_apart(
    server: FaultyServer, tmp_path: Path
) -> None:
    start = time.monotonic()
    source = add_page(server, "video.mp4", refusals=1)
    spent = fetch(source, tmp_path, SETTINGS, LocalRateLimiter()).seconds
    total_s = time.monotonic() - start
    assert spent is not None
    parts = (spent.wait, spent.startup, spent.transfer)
    assert all(part is not None and part > 0 for part in parts)
    assert sum(part or 0.0 for part in parts) <= total_s
    assert spent.fetch_cpu


def test_no_extraction_begins_that_the_deadline_would_end(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("argus.curate.download.fetch")
    monkeypatch.setattr(module, "EXTRACTION_PAUSE_S", 1000.0)
    error = fail(add_page(server, "video.mp4", refusals=1), tmp_path, LocalRateLimiter())
    assert (error.is_media, error.retryable) == (True, True)
    assert count_media_requests(server) == 1


def fetch_all(
    sources: list[VideoSource], folder: Path, limiter: LocalRateLimiter, threads: int
) -> list[FetchedFile | FetchError]:
    """Fetch videos side by side, each once more after a retryable failure, as a refresh does."""

    def fetch_one(source: VideoSource) -> FetchedFile | FetchError:
        outcome = try_fetch(source, folder, limiter)
        if isinstance(outcome, FetchError) and outcome.retryable:
            return try_fetch(source, folder, limiter)
        return outcome

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(fetch_one, sources))


@pytest.mark.parametrize(
    "videos", [12, pytest.param(VIDEOS_OF_THE_LONG_TEST, marks=pytest.mark.slow)]
)
def test_all_videos_of_a_site_that_refuses_a_third_are_fetched(
    server: FaultyServer, tmp_path: Path, videos: int
) -> None:
    sources = [
        add_page(server, f"{number}.mp4", refusals=number % 3 == 0) for number in range(videos)
    ]
    outcomes = fetch_all(sources, tmp_path / "out", LocalRateLimiter(), threads=4)
    failed = [one for one in outcomes if isinstance(one, FetchError)]
    assert failed == []
    assert count_media_requests(server) == videos + -(-videos // 3)
