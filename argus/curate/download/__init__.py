"""Fetching of videos: from a source to a file on this machine.

`fetch` makes one attempt: it waits for the rate limiter, then downloads with yt-dlp in a sandboxed
process that may connect only to public addresses, and resumes what an earlier attempt left.
"""

from typing import TYPE_CHECKING, Any

from argus.curate.download.fetch import (
    discard_files,
    fetch,
    retry_delay_s,
    video_file_name,
)
from argus.curate.download.javascript import find_runtime_fault
from argus.curate.download.proxies import Route, read_routes, read_secrets
from argus.curate.download.rate_limit import (
    LocalRateLimiter,
    RateKey,
    RateLimiter,
    RatePolicy,
    SiteResponse,
    get_site,
)

if TYPE_CHECKING:
    from argus.curate.download.ytdlp import download

__all__ = [
    "LocalRateLimiter",
    "RateKey",
    "RateLimiter",
    "RatePolicy",
    "Route",
    "SiteResponse",
    "discard_files",
    "download",
    "fetch",
    "find_runtime_fault",
    "get_site",
    "read_routes",
    "read_secrets",
    "retry_delay_s",
    "video_file_name",
]


def __getattr__(name: str) -> Any:
    if name == "download":  # imports yt-dlp, which takes a second or two
        from argus.curate.download.ytdlp import download

        return download
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
