"""Streams of other sites that are live: refused before the download, and tried again later."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from argus.curate import VideoSource
from argus.curate.download import LocalRateLimiter, fetch
from argus.dataset import identify
from argus.errors import FetchError
from schemas.config import FetchSettings
from schemas.names import Reason
from tests.support.faulty_server import FaultyServer, serve_with_faults

SETTINGS = FetchSettings(allow_private_hosts=True, timeout_s=30, stall_s=5, min_free_bytes=0)
SEGMENTS = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", "#EXTINF:2,", "segment.ts"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FaultyServer]:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "segment.ts").write_bytes(bytes(1000))
    with serve_with_faults(tmp_path / "site") as server:
        yield server


@pytest.mark.parametrize("kind", ["", "#EXT-X-PLAYLIST-TYPE:EVENT"])
def test_playlist_without_an_end_is_live(server: FaultyServer, tmp_path: Path, kind: str) -> None:
    playlist = "\n".join(filter(None, [*SEGMENTS[:2], kind, *SEGMENTS[2:], ""]))
    (server.folder / "stream.m3u8").write_text(playlist)
    source = VideoSource(*identify(server.url("stream.m3u8")))
    with pytest.raises(FetchError) as caught:
        fetch(source, tmp_path / "out", SETTINGS, LocalRateLimiter())
    assert (caught.value.reason, caught.value.retryable) == (Reason.LIVE, True)
    assert server.fetches("segment.ts") == []


def test_playlist_with_an_end_is_a_video(server: FaultyServer, tmp_path: Path) -> None:
    (server.folder / "stream.m3u8").write_text("\n".join([*SEGMENTS, "#EXT-X-ENDLIST", ""]))
    source = VideoSource(*identify(server.url("stream.m3u8")))
    assert fetch(source, tmp_path / "out", SETTINGS, LocalRateLimiter()).bytes == 1000
