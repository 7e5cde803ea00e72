"""A recorded day of YouTube: yt-dlp's real extractor and solver against recorded answers."""

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from argus.curate.download import (
    LocalRateLimiter,
    RateKey,
    RatePolicy,
    SiteResponse,
    fetch,
)
from argus.curate.download.youtube import check_formats
from argus.errors import FetchError
from schemas.config import FetchSettings
from schemas.names import Reason
from tests.support.youtube_preload import SERVER_VARIABLE
from tests.support.youtube_site import YoutubeSite, serve_youtube

VIDEO = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 400
SETTINGS = FetchSettings(
    allow_private_hosts=True, timeout_s=120, stall_s=60, min_free_bytes=0, youtube_per_hour=0
)
REFUSED, SERVED, BOT_CHECK = SiteResponse.REFUSED, SiteResponse.SERVED, SiteResponse.BOT_CHECK
DAY = [  # answer, reason, retryable, response as the rate limiter counts it
    ("storyboards only", Reason.FORMATS_WITHHELD, True, REFUSED),
    ("format 18 only", Reason.FORMATS_WITHHELD, True, REFUSED),
    ("challenge unsolved", Reason.CHALLENGE_UNSOLVED, True, REFUSED),
    ("always 403", Reason.FORBIDDEN, True, REFUSED),
    ("bot check", Reason.BOT_CHECK, True, BOT_CHECK),
    ("private", Reason.PRIVATE, False, SERVED),
    ("removed", Reason.REMOVED, False, SERVED),
    ("members only", Reason.MEMBERS_ONLY, False, SERVED),
    ("live", Reason.LIVE, True, SERVED),
    ("flat", Reason.NO_SPHERICAL_FORMAT, False, SERVED),
]
RARE = [
    ("empty", Reason.FORMATS_WITHHELD, True, REFUSED),
    ("sound and one video", Reason.FORMATS_WITHHELD, True, REFUSED),
    ("without urls", Reason.FORMATS_WITHHELD, True, REFUSED),
    ("other app", Reason.FORMATS_WITHHELD, True, REFUSED),
    ("player changed", Reason.CHALLENGE_UNSOLVED, True, REFUSED),
    ("captcha", Reason.BOT_CHECK, True, BOT_CHECK),
    ("other video", Reason.BOT_CHECK, True, BOT_CHECK),
    ("rate limited", Reason.RATE_LIMITED, True, REFUSED),
    ("player API 429", Reason.RATE_LIMITED, True, REFUSED),
    ("player API 403", Reason.FORBIDDEN, True, REFUSED),
    ("terminated", Reason.REMOVED, False, SERVED),
    ("copyright", Reason.REMOVED, False, SERVED),
    ("members of a level", Reason.MEMBERS_ONLY, False, SERVED),
    ("upcoming", Reason.LIVE, True, SERVED),
    ("premiere", Reason.LIVE, True, SERVED),
    ("just ended", Reason.LIVE, True, SERVED),
    ("age", Reason.AGE_GATED, False, SERVED),
    ("geo", Reason.GEO_BLOCKED, False, SERVED),
    ("paid", Reason.PRIVATE, False, SERVED),
]


class RecordingLimiter(LocalRateLimiter):
    """A rate limiter that keeps the reported responses."""

    def __init__(self) -> None:
        super().__init__()
        self.responses: list[SiteResponse] = []

    def report(
        self, key: RateKey, policy: RatePolicy, response: SiteResponse, retry_after_s: float = 0.0
    ) -> bool:
        self.responses.append(response)
        return super().report(key, policy, response, retry_after_s)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[YoutubeSite]:
    video = tmp_path_factory.mktemp("site") / "video.mp4"
    video.write_bytes(VIDEO)
    module = importlib.import_module("argus.curate.download.fetch")
    with serve_youtube(video) as site, pytest.MonkeyPatch.context() as patch:
        patch.setenv(SERVER_VARIABLE, site.url)
        patch.setattr(module, "PRELOAD", "tests.support.youtube_preload")
        patch.setattr(module, "EXTRACTION_PAUSE_S", 0.02)
        yield site


def check_failure(
    site: YoutubeSite,
    folder: Path,
    answer: str,
    expected: tuple[Reason, bool, SiteResponse],
) -> None:
    limiter, source = RecordingLimiter(), site.add(answer)
    with pytest.raises(FetchError) as caught:
        fetch(source, folder, SETTINGS, limiter)
    error = caught.value
    assert (error.reason, error.retryable, limiter.responses[-1]) == expected, error.message
    assert source.source_id in error.message
    assert not any(folder.iterdir())


@pytest.mark.parametrize(
    ("answer", "format_id", "note"),
    [("healthy", "247", "720s, equi"), ("mesh", "136", "720s, mesh")],
)
def test_spherical_format_is_fetched(
    site: YoutubeSite, tmp_path: Path, answer: str, format_id: str, note: str
) -> None:
    """The server refuses a media file unless Deno solved the challenge of its player."""
    fetched = fetch(site.add(answer), tmp_path, SETTINGS, LocalRateLimiter())
    assert fetched.path.read_bytes() == VIDEO
    assert (fetched.format_id, fetched.format_note) == (format_id, note)
    assert fetched.client == "TVHTML5"


def test_signature_is_solved_and_no_cache_written(
    site: YoutubeSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DENO_DIR", str(tmp_path / "cache"))
    fetched = fetch(site.add("ciphered"), tmp_path / "out", SETTINGS, LocalRateLimiter())
    assert fetched.format_id == "136"
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(("answer", "reason", "retryable", "response"), DAY)
def test_every_failure_has_its_reason(
    site: YoutubeSite,
    tmp_path: Path,
    answer: str,
    reason: Reason,
    retryable: bool,
    response: SiteResponse,
) -> None:
    check_failure(site, tmp_path, answer, (reason, retryable, response))


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "reason", "retryable", "response"), RARE)
def test_every_rare_failure_has_its_reason(
    site: YoutubeSite,
    tmp_path: Path,
    answer: str,
    reason: Reason,
    retryable: bool,
    response: SiteResponse,
) -> None:
    check_failure(site, tmp_path, answer, (reason, retryable, response))


def test_message_names_the_decisive_warning(site: YoutubeSite, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="n challenge solving failed"):
        fetch(site.add("challenge unsolved"), tmp_path, SETTINGS, LocalRateLimiter())


def test_a_new_extraction_cures_a_403(site: YoutubeSite, tmp_path: Path) -> None:
    source = site.add("403 until extracted again")
    site.log.clear()
    assert fetch(source, tmp_path, SETTINGS, LocalRateLimiter()).path.read_bytes() == VIDEO
    assert (site.log["watch"], site.log["refused"], site.log["media"]) == (2, 1, 1)


def test_withheld_formats_open_the_breaker(site: YoutubeSite, tmp_path: Path) -> None:
    settings, limiter = SETTINGS.model_copy(update={"breaker_after": 2}), LocalRateLimiter()
    for answer in ("storyboards only", "challenge unsolved"):
        with pytest.raises(FetchError) as caught:
            fetch(site.add(answer), tmp_path, settings, limiter)
        assert caught.value.is_attempt
    site.log.clear()
    with pytest.raises(FetchError) as caught:
        fetch(site.add("healthy"), tmp_path, settings, limiter)
    assert (caught.value.reason, caught.value.is_attempt) == (Reason.RATE_LIMITED, False)
    assert not site.log


@pytest.mark.slow
def test_player_that_uses_the_network_is_stopped(site: YoutubeSite, tmp_path: Path) -> None:
    """The player fetches a page of the local server, which would answer."""
    site.log.clear()
    check_failure(site, tmp_path, "player calls home", (Reason.CHALLENGE_UNSOLVED, True, REFUSED))
    assert site.log["other"] == 0


VIDEO_FORMATS = [
    {"format_id": f"13{number}", "vcodec": "avc1", "acodec": "none", "url": "x"}
    for number in range(4)
]


@pytest.mark.parametrize(
    ("formats", "warnings", "reason"),
    [
        (VIDEO_FORMATS, [], Reason.NO_SPHERICAL_FORMAT),
        (VIDEO_FORMATS, ["n challenge solving failed"], Reason.CHALLENGE_UNSOLVED),
        (VIDEO_FORMATS, ["HTTP Error 403: Forbidden"], Reason.NO_SPHERICAL_FORMAT),
        (VIDEO_FORMATS[:1], ["HTTP Error 403: Forbidden"], Reason.FORBIDDEN),
        (VIDEO_FORMATS[:1], ["Read timed out."], Reason.TIMED_OUT),
        (VIDEO_FORMATS[:1], ["Some subtitles are missing"], Reason.FORMATS_WITHHELD),
        ([{**one, "has_drm": True} for one in VIDEO_FORMATS], [], Reason.FORMATS_WITHHELD),
        ([{**one, "url": None} for one in VIDEO_FORMATS], [], Reason.FORMATS_WITHHELD),
        (
            VIDEO_FORMATS,
            ["Some web_safari client hls formats require a GVS PO Token which was not provided."],
            Reason.FORMATS_WITHHELD,
        ),
        ([], ["No supported JavaScript runtime could be found."], Reason.NO_JS_RUNTIME),
    ],
)
def test_only_a_healthy_list_without_a_spherical_format_is_final(
    formats: list[dict[str, object]], warnings: list[str], reason: Reason
) -> None:
    with pytest.raises(FetchError) as caught:
        check_formats("youtube:x", {"id": "x", "formats": formats}, warnings)
    is_final = reason is Reason.NO_SPHERICAL_FORMAT
    assert (caught.value.reason, caught.value.retryable) == (reason, not is_final)


def test_spherical_format_counts_in_a_list_with_warnings() -> None:
    """One spherical format is enough, whatever other clients failed to list."""
    formats = [{**VIDEO_FORMATS[0], "format_note": "720s, equi"}]
    check_formats("youtube:x", {"id": "x", "formats": formats}, ["n challenge solving failed"])


def test_trailer_of_a_paid_video_is_not_the_video() -> None:
    formats = [{**one, "format_note": "720s, equi"} for one in VIDEO_FORMATS]
    with pytest.raises(FetchError) as caught:
        check_formats("youtube:x", {"id": "trailer", "formats": formats}, [])
    assert (caught.value.reason, caught.value.retryable) == (Reason.PRIVATE, False)
