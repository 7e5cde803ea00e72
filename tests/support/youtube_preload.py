"""Preloaded by the fork server of downloads: sends requests for YouTube to a local server.

Everything else of yt-dlp is real: its extractor, its clients, the player and its challenges.
"""

import os
from typing import Any
from urllib.parse import urlsplit

import yt_dlp
from yt_dlp.networking import Request, Response

from argus.curate.download import download

__all__ = ["SERVER_VARIABLE", "download", "urlopen"]  # the import preloads what it needs

SERVER_VARIABLE = "ARGUS_TEST_YOUTUBE"
HOSTS = ("youtube.com", "googlevideo.com", "ytimg.com", "googleapis.com")

_open = yt_dlp.YoutubeDL.urlopen


def urlopen(self: yt_dlp.YoutubeDL, req: Request | str) -> Response:
    """Send a request to `SERVER_VARIABLE`, below the name of the host, if it is for YouTube."""
    request = Request(req) if isinstance(req, str) else req
    parts = urlsplit(request.url)
    if (parts.hostname or "").endswith(HOSTS):
        request.url = f"{os.environ[SERVER_VARIABLE]}/{parts.netloc}{parts.path}?{parts.query}"
    response: Any = _open(self, request)
    return response  # type: ignore[no-any-return]


yt_dlp.YoutubeDL.urlopen = urlopen
