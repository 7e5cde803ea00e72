"""What yt-dlp says, and what it means."""

import time
from email.utils import formatdate

import pytest
from yt_dlp.networking.exceptions import TransportError
from yt_dlp.utils import DownloadError, ExtractorError, GeoRestrictedError

from argus.curate.download.errors import fetch_error, retry_after_s
from argus.curate.download.ytdlp import SPHERICAL_FORMAT
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
        (
            "Requested format is not available. Use --list-formats",
            Reason.NO_SPHERICAL_FORMAT,
            False,
        ),
        ("something nobody has seen", Reason.FETCH_FAILED, False),
    ],
)
def test_what_a_site_says_has_its_reason(message: str, reason: Reason, retryable: bool) -> None:
    error = fetch_error(
        DownloadError(f"ERROR: [youtube] x: {message}"), "youtube:x", spherical=True
    )
    assert (error.reason, error.retryable) == (reason, retryable)
    assert "--" not in error.message


def test_the_cause_counts_more_than_the_message() -> None:
    geo = GeoRestrictedError("removed")
    late = ExtractorError("removed", cause=TransportError("Read timed out."))
    full = OSError(28, "No space left on device")
    for cause, reason in (
        (geo, Reason.GEO_BLOCKED),
        (late, Reason.TIMED_OUT),
        (full, Reason.DISK_FULL),
    ):
        error = DownloadError("ERROR: removed", (type(cause), cause, None))
        assert fetch_error(error, "x", spherical=False).reason == reason


def test_a_flat_stream_is_never_taken_for_a_spherical_one() -> None:
    """Every alternative of the choice asks for a spherical note."""
    assert all("format_note*=" in choice for choice in SPHERICAL_FORMAT.split("/"))


def test_retry_after_is_seconds_or_a_date() -> None:
    now = time.time()
    assert retry_after_s("120", now) == 120
    assert 88 < retry_after_s(formatdate(now + 90, usegmt=True), now) <= 90
    assert [
        retry_after_s(value, now)
        for value in (None, "", "soon", "-5", formatdate(now - 90, usegmt=True))
    ] == [0.0] * 5
