"""Classification of yt-dlp's exceptions and messages."""

import time
from email.utils import formatdate

import pytest
from yt_dlp.networking.exceptions import TransportError
from yt_dlp.utils import DownloadError, ExtractorError, GeoRestrictedError, UserNotLive

from argus.curate.download.errors import parse_retry_after, to_fetch_error
from argus.curate.download.youtube import SPHERICAL_FORMAT
from schemas.names import Reason


@pytest.mark.parametrize(
    ("message", "reason", "retryable"),
    [
        ("Sign in to confirm you’re not a bot. Use --cookies", Reason.BOT_CHECK, True),
        (
            "Sign in to confirm your age. This video may be inappropriate for some users.",
            Reason.AGE_GATED,
            False,
        ),
        ("Private video. Sign in if you've been granted access", Reason.PRIVATE, False),
        ("Video unavailable. This video has been removed by the uploader", Reason.REMOVED, False),
        (
            "The uploader has not made this video available in your country",
            Reason.GEO_BLOCKED,
            False,
        ),
        ("Requested format is not available. Use --list-formats", Reason.UNSUPPORTED_URL, False),
        ("This content isn’t available, try again later.", Reason.RATE_LIMITED, True),
        (
            "This video is unavailable. The current session has been rate-limited by YouTube",
            Reason.RATE_LIMITED,
            True,
        ),
        (
            "This video is available to this channel's members on level: Gold",
            Reason.MEMBERS_ONLY,
            False,
        ),
        ("This video requires payment to watch", Reason.PRIVATE, False),
        ("This live event will begin in 3 hours.", Reason.LIVE, True),
        ("Premieres in 2 hours", Reason.LIVE, True),
        ("This live event has ended.", Reason.LIVE, True),
        ("This live stream recording is not available.", Reason.REMOVED, False),
        ("This video is not available on this app", Reason.FORMATS_WITHHELD, True),
        ("Failed to extract any player response", Reason.FORMATS_WITHHELD, True),
        ("We're processing this video. Check back later.", Reason.FETCH_FAILED, True),
        (
            "Unable to extract title; please report this issue on https://github.com/x",
            Reason.FETCH_FAILED,
            True,
        ),
        ("an unknown message", Reason.FETCH_FAILED, False),
    ],
)
def test_message_is_classified(message: str, reason: Reason, retryable: bool) -> None:
    error = to_fetch_error(DownloadError(f"ERROR: [youtube] x: {message}"), "youtube:x")
    assert (error.reason, error.retryable) == (reason, retryable)
    assert "--" not in error.message


@pytest.mark.parametrize(
    ("message", "warnings", "reason"),
    [
        ("Failed to extract any player response", ["HTTP Error 429"], Reason.RATE_LIMITED),
        ("Failed to extract any player response", ["HTTP Error 403"], Reason.FORBIDDEN),
        ("an unknown message", ["n challenge solving failed"], Reason.CHALLENGE_UNSOLVED),
        ("an unknown message", ["Read timed out.", "HTTP Error 404"], Reason.TIMED_OUT),
        ("Private video", ["HTTP Error 429"], Reason.PRIVATE),
    ],
)
def test_warning_decides_if_the_message_is_vague(
    message: str, warnings: list[str], reason: Reason
) -> None:
    """Only of a failure that may pass: a 404 may be that of a thumbnail."""
    error = to_fetch_error(DownloadError(message), "youtube:x", warnings)
    assert error.reason is reason
    assert error.retryable is (reason is not Reason.PRIVATE)
    assert message in error.message


def test_cause_takes_precedence_over_the_message() -> None:
    for cause, reason in (
        (GeoRestrictedError("removed"), Reason.GEO_BLOCKED),
        (UserNotLive(), Reason.LIVE),
        (ExtractorError("removed", cause=TransportError("Read timed out.")), Reason.TIMED_OUT),
        (OSError(28, "No space left on device"), Reason.DISK_FULL),
    ):
        error = DownloadError("ERROR: removed", (type(cause), cause, None))
        assert to_fetch_error(error, "x").reason == reason


def test_every_alternative_of_the_spherical_format_requires_a_spherical_note() -> None:
    assert all("format_note*=" in choice for choice in SPHERICAL_FORMAT.split("/"))


def test_retry_after_is_seconds_or_a_date() -> None:
    now = time.time()
    assert parse_retry_after("120", now) == 120
    assert 88 < parse_retry_after(formatdate(now + 90, usegmt=True), now) <= 90
    past = formatdate(now - 90, usegmt=True)
    for value in (None, "", "soon", "-5", past):
        assert parse_retry_after(value, now) == 0.0, value
