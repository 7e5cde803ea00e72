"""The bottleneck of real refreshes, by what is measured in their fetches."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from argus.report import Bottleneck, RefreshFigures, read_refreshed_videos
from argus.synth import write_video_kind
from tests.support.faulty_server import HTML_PAGE, Fault, FaultyServer, serve_with_faults
from tests.support.refreshes import Refresh

pytestmark = pytest.mark.slow
VIDEOS = 5
FETCH = {"allow_private_hosts": True, "min_free_bytes": 0, "attempts": 2, "backoff_s": 0.1}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FaultyServer]:
    folder = tmp_path / "site"
    folder.mkdir()
    for number in range(VIDEOS):
        path = folder / f"{number}.mp4"
        write_video_kind(path, "walk", seed=number, seconds=1, fps=5, height=32)
    with serve_with_faults(folder) as server:
        yield server


def find_bottleneck(refresh: Refresh) -> tuple[RefreshFigures, Bottleneck]:
    metrics = refresh.run().metrics
    figures = RefreshFigures()
    for video in read_refreshed_videos(refresh.dataset, refresh.config["run_id"]):
        assert video.download_bytes
        assert video.fetch_cpu_s > 0
        assert video.process_cpu_s > 0
        figures.add(video)
    assert figures.videos == VIDEOS
    assert metrics["cpus"] > 0
    found = figures.find_bottleneck(metrics["workers"], metrics["cpus"])
    assert found
    return figures, found


def test_a_rate_limited_site(server: FaultyServer, tmp_path: Path) -> None:
    """One video in four seconds: the network is idle."""
    urls = [server.url(f"{number}.mp4") for number in range(VIDEOS)]
    refresh = Refresh(tmp_path / "refresh", urls, fetch={**FETCH, "per_hour": 900})
    _, bottleneck = find_bottleneck(refresh)
    assert bottleneck.stage == "rate limit"


def test_the_pause_that_a_site_asks_for_counts_as_waiting(
    server: FaultyServer, tmp_path: Path
) -> None:
    """The videos wait between two fetches, in the scheduler."""
    server.retry_after_s = 6
    urls = [server.url(f"{number}.mp4", Fault.TOO_MANY_REQUESTS) for number in range(VIDEOS)]
    refresh = Refresh(tmp_path / "refresh", urls, fetch={**FETCH, "breaker_after": 50})
    figures, bottleneck = find_bottleneck(refresh)
    assert bottleneck.stage == "rate limit"
    assert figures.seconds["rate limit"] > 6


def test_downloads_that_take_long_to_start(server: FaultyServer, tmp_path: Path) -> None:
    """Pages that yt-dlp searches for a second or two of CPU time, and small files."""
    urls = [server.page_url(f"{number}.mp4", template=HTML_PAGE) for number in range(VIDEOS)]
    refresh = Refresh(tmp_path / "refresh", urls, fetch=FETCH)
    figures, bottleneck = find_bottleneck(refresh)
    assert bottleneck.stage == "start-up"
    assert "proxies" not in bottleneck.advice
    assert figures.seconds["start-up"] > figures.seconds["network"]
