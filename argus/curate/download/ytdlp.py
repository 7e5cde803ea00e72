"""One download with yt-dlp: selection of the format, limits, and resuming of partial files.

No configuration file, cache, plugin, program or proxy of the environment is used. Importing this
module takes a second or two, mostly to compile the URL patterns of a thousand sites; the fork
server of the sandbox does it once for all downloads.
"""

import io
import os
import time
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

os.environ["YTDLP_NO_PLUGINS"] = "1"  # read when yt-dlp is imported

import yt_dlp
from yt_dlp.extractor import gen_extractor_classes
from yt_dlp.extractor.generic import GenericIE
from yt_dlp.networking import Request, Response
from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.postprocessor import FFmpegPostProcessor
from yt_dlp.utils import YoutubeDLError, unified_timestamp

from argus.curate.download.errors import shorten_message, to_fetch_error
from argus.curate.download.proxies import Route
from argus.curate.download.resume import FileVersion, PartialFile, check_free_space
from argus.curate.download.youtube import (
    LIVE_STATUSES,
    SPHERICAL_FORMAT,
    check_formats,
    make_runtime_options,
)
from argus.curate.records import VideoSource
from argus.curate.stage_timer import measure_cpu_s
from argus.dataset import FetchedFile, StageSeconds
from argus.errors import FetchError
from argus.files import sha256_file
from schemas.config import FetchSettings
from schemas.credentials import redact
from schemas.names import Reason

PLAIN_FORMAT = "bv*/b"
BLOCK_BYTES = 1 << 16  # an interruption may lose this much
MAX_ETAG_LENGTH = 256  # a longer one is not stored
GUARDED_HANDLERS = frozenset({"Urllib", "Requests", "Websockets"})
"""yt-dlp's request handlers that use Python's sockets; curl_cffi connects by itself."""

MAX_WARNINGS = 50
SINGLE_FILE_PROTOCOLS = frozenset({"http", "https"})
SUPPORTED_PROTOCOLS = SINGLE_FILE_PROTOCOLS | {
    "http_dash_segments",
    "http_dash_segments_generator",
    "m3u8_native",
}

for _extractor in (*gen_extractor_classes(), GenericIE):
    _extractor.suitable("")  # compiles its URL pattern
unified_timestamp("not a date")  # compiles all date patterns


def download(
    source: VideoSource, path: Path, settings: FetchSettings, route: Route, cookies: str
) -> FetchedFile:
    """Download a video in this process, without network restrictions.

    Args:
        source: the video.
        path: the file to write.
        settings: limits of the download.
        route: the network route to use.
        cookies: the text of a cookies file; empty for none.

    Returns:
        The file and how it was obtained.

    Raises:
        FetchError: a limit is exceeded, the URL does not lead to one video, or yt-dlp failed.
    """
    path.unlink(missing_ok=True)
    # Otherwise yt-dlp tries to start ffmpeg to ask for its version.
    FFmpegPostProcessor._ffmpeg_location.set(os.devnull + "/none")
    with ResumingYoutubeDL(source, path, settings, route, cookies) as downloader:
        try:
            info = downloader.extract_info(source.url, download=False)
            _check_format(source, info, settings)
            downloader.prepare_download(info)
            downloader.process_ie_result(info, download=True)
        except YoutubeDLError as error:
            raise to_fetch_error(error, source.source_id, downloader.log.warnings) from error
        downloader.partial.remove()
    return downloader.make_record(info)


class ResumingYoutubeDL(yt_dlp.YoutubeDL):
    """yt-dlp that resumes a partial file only if the server confirms its version.

    If an extractor requests the video file itself to determine its type, the response is reused for
    the download.

    Args:
        source: the video.
        path: the file to write.
        settings: limits of the download.
        route: the network route to use.
        cookies: the text of a cookies file; empty for none.
    """

    def __init__(
        self, source: VideoSource, path: Path, settings: FetchSettings, route: Route, cookies: str
    ) -> None:
        self.source = source
        self.path = path
        self.settings = settings
        self.partial = PartialFile(path.with_name(f"{path.name}.part"))
        self.version: FileVersion | None = None  # of the file being received
        self.status: int | None = None  # of the response with the file
        self._cpu_start_s, self._transfer_start = measure_cpu_s(), 0.0
        self._is_media_request = False  # further requests follow the extraction
        self._is_file_request = False  # and are for a video of one file
        self._extractor_response: Response | None = None  # the latest one
        self.log = _WarningLog()
        options = _make_options(source, path, settings, route, cookies)
        hooks = [self._check_progress]
        super().__init__({**options, "logger": self.log, "progress_hooks": hooks})

    def build_request_director(self, handlers: Iterable[Any], preferences: Any = None) -> Any:
        """Leave out the handlers whose connections the network guard does not see."""
        guarded = [one for one in handlers if one.RH_KEY in GUARDED_HANDLERS]
        return super().build_request_director(guarded, preferences)

    @property
    def is_youtube(self) -> bool:
        """True for a video of YouTube."""
        return self.source.source_id.startswith("youtube:")

    def process_video_result(
        self, info_dict: dict[str, Any], download: bool = True
    ) -> dict[str, Any]:
        """Check what an extractor returned before yt-dlp selects a format."""
        if not download:
            _check_live(self.source, info_dict)
            if self.is_youtube:
                check_formats(self.source.source_id, info_dict, self.log.warnings)
        return super().process_video_result(info_dict, download)

    def prepare_download(self, info: dict[str, Any]) -> None:
        """Prepare for the download of the selected format; discard what cannot be resumed."""
        self._is_media_request, self._transfer_start = True, time.monotonic()
        self._is_file_request = info["protocol"] in SINGLE_FILE_PROTOCOLS
        if not self._is_file_request:  # fragments, whose versions are unknown
            self.partial.remove()
            self.params["continuedl"] = False
            size = info.get("filesize") or self.settings.max_bytes
            check_free_space(self.path.parent, size, self.settings.min_free_bytes)
        elif self.partial.read_version() is None:
            self.partial.remove()

    def urlopen(self, req: Request | str) -> Response:
        """Send a request; one for the rest of the file gets the same version or the whole file."""
        request = Request(req) if isinstance(req, str) else req
        if self._is_media_request:
            return self._open_media(request)
        self._extractor_response = super().urlopen(request)
        return self._extractor_response

    def make_record(self, info: dict[str, Any]) -> FetchedFile:
        """Return the record of the finished file.

        Raises:
            FetchError: there is no file, or it is empty.
        """
        if not self.path.is_file():
            message = f"{self.source.source_id}: yt-dlp ended without writing a file"
            raise FetchError(Reason.FETCH_FAILED, message, retryable=True)
        if self.path.stat().st_size == 0:
            message = f"{self.source.source_id}: the file is empty"
            raise FetchError(Reason.EMPTY_FILE, message, retryable=False)
        query = urlsplit(str(info.get("url", ""))).query
        client = parse_qs(query).get("c") if self.is_youtube else None
        return FetchedFile(
            path=self.path,
            tool="yt-dlp",
            version=yt_dlp.version.__version__,
            client=client[0] if client else str(info.get("extractor") or ""),
            format_id=str(info.get("format_id") or ""),
            format_note=str(info.get("format_note") or ""),
            bytes=self.path.stat().st_size,
            sha256=sha256_file(self.path),
            etag=self._read_etag(),
            status=self.status,
            seconds=StageSeconds(
                transfer=time.monotonic() - self._transfer_start,
                fetch_cpu=measure_cpu_s() - self._cpu_start_s,
            ),
        )

    def _read_etag(self) -> str | None:
        etag = self.version.etag if self.version else None
        return etag if etag and len(etag) <= MAX_ETAG_LENGTH and etag.isprintable() else None

    def _open_media(self, request: Request) -> Response:
        """Send a request for the video file or a fragment; a 403 is marked as one of the media."""
        try:
            if not self._is_file_request:
                return super().urlopen(request)
            response = self._open_file(request)
        except HTTPError as error:
            if error.status != HTTPStatus.FORBIDDEN:
                raise
            error.close()
            message = f"{self.source.source_id}: 403 for the media file that the site named"
            raise FetchError(Reason.FORBIDDEN, message, retryable=False, is_media=True) from error
        self.status = response.status
        return response

    def _open_file(self, request: Request) -> Response:
        """Send a request for the video file.

        The first one resumes the partial file if there is one. Later ones request further chunks,
        as some sites require.
        """
        if request.headers.get("Range", "bytes=0-").startswith("bytes=0-"):
            response = self._take_extractor_response(request) or super().urlopen(request)
            return self._start_file(response)
        is_first = self.version is None
        expected = self.version or self.partial.read_version()
        assert expected, "a partial file of unknown version is removed in prepare_download"
        if expected.validator:
            request.headers["If-Range"] = expected.validator
        try:
            response = super().urlopen(request)
        except HTTPError as error:
            is_out_of_range = error.status == 416 and is_first  # the server has fewer bytes
            if not is_out_of_range:
                raise
            response = error.response
        if response.status == 206 and FileVersion.from_headers(response.headers) == expected:
            self._check_size(expected, self.partial.size())
            self.version = expected
            return response
        if response.status == 200 and is_first:
            return self._start_file(response)
        response.close()
        if not is_first:
            self.partial.remove()
            message = f"{self.source.source_id}: the file changed during the download"
            raise FetchError(Reason.TRUNCATED, message, retryable=True)
        for name in ("Range", "If-Range"):
            request.headers.pop(name, None)
        return self._start_file(super().urlopen(request))

    def _take_extractor_response(self, request: Request) -> Response | None:
        """Return the extractor's response if it answers this request and its body is unread.

        Extractors do not read the body of a response with a video's content type.
        """
        response, self._extractor_response = self._extractor_response, None
        if response is None or response.closed:
            return None
        is_video = response.headers.get("Content-Type", "").lower().startswith("video/")
        is_same_request = response.url == request.url and "Range" not in request.headers
        if is_video and is_same_request and response.status == 200:
            return response
        response.close()
        return None

    def _start_file(self, response: Response) -> Response:
        """Restart the partial file for a response with the whole file."""
        self.version = FileVersion.from_headers(response.headers)
        self.partial.restart(self.version)
        self._check_size(self.version, 0)
        return response

    def _check_size(self, version: FileVersion, received_bytes: int) -> None:
        if version.length and version.length > self.settings.max_bytes:
            raise _too_large_error(self.source, version.length, self.settings)
        remaining = (version.length or self.settings.max_bytes) - received_bytes
        check_free_space(self.path.parent, remaining, self.settings.min_free_bytes)

    def _check_progress(self, progress: dict[str, Any]) -> None:
        size = max(progress.get("total_bytes") or 0, progress.get("downloaded_bytes") or 0)
        if size > self.settings.max_bytes:
            raise _too_large_error(self.source, size, self.settings)


def _check_format(
    source: VideoSource, info: dict[str, Any] | None, settings: FetchSettings
) -> None:
    """Raise FetchError if the URL does not lead to one video, or its format exceeds a limit."""
    if not info or "entries" in info:
        message = f"{source.source_id}: the URL leads to a list or to no video; give one video"
        raise FetchError(Reason.UNSUPPORTED_URL, message, retryable=False)
    if info.get("protocol") not in SUPPORTED_PROTOCOLS:
        message = (
            f"{source.source_id}: protocol {info.get('protocol')} is not supported; "
            f"it must be one of {', '.join(sorted(SUPPORTED_PROTOCOLS))}"
        )
        raise FetchError(Reason.UNSUPPORTED_URL, message, retryable=False)
    if (seconds := info.get("duration") or 0) > settings.max_duration_s:
        message = (
            f"{source.source_id}: it is {seconds:.0f} s long, but at most "
            f"{settings.max_duration_s:.0f} s are allowed (fetch.max_duration_s)"
        )
        raise FetchError(Reason.TOO_LONG, message, retryable=False)
    if (size := info.get("filesize") or 0) > settings.max_bytes:
        raise _too_large_error(source, size, settings)


def _check_live(source: VideoSource, info: dict[str, Any]) -> None:
    """Raise FetchError if a video is streamed live, or will be."""
    status = "is_live" if info.get("is_live") else info.get("live_status")
    if explanation := LIVE_STATUSES.get(str(status)):
        message = f"{source.source_id}: {explanation}"
        raise FetchError(Reason.LIVE, message, retryable=True)


def _too_large_error(source: VideoSource, size: int, settings: FetchSettings) -> FetchError:
    message = (
        f"{source.source_id}: it has {size} bytes, but at most {settings.max_bytes} are allowed "
        "(fetch.max_bytes)"
    )
    return FetchError(Reason.TOO_LARGE, message, retryable=False)


def _make_options(
    source: VideoSource, path: Path, settings: FetchSettings, route: Route, cookies: str
) -> dict[str, Any]:
    """Return yt-dlp's options; its own retries are off, because the caller counts attempts."""
    return {
        "format": SPHERICAL_FORMAT if source.source_id.startswith("youtube:") else PLAIN_FORMAT,
        "paths": {"home": str(path.parent.absolute())},
        "outtmpl": {"default": path.name.replace("%", "%%")},
        "socket_timeout": min(settings.stall_s, settings.timeout_s),
        "retries": 0,
        "extractor_retries": 0,
        "fragment_retries": 2,
        "skip_unavailable_fragments": False,
        "concurrent_fragment_downloads": 1,
        "buffersize": BLOCK_BYTES,
        "noresizebuffer": True,
        "continuedl": True,
        "overwrites": True,
        "updatetime": False,
        "cachedir": False,
        "usenetrc": False,
        "proxy": route.proxy,
        # In memory: changes of the cookies end with this process.
        "cookiefile": io.StringIO(cookies) if cookies else None,
        "noplaylist": True,
        "playlist_items": "1",
        "extract_flat": "in_playlist",
        "allowed_extractors": ["default"],
        **make_runtime_options(),
        "fixup": "never",
        "external_downloader": {"default": "native"},
        "enable_file_urls": False,
        "quiet": True,
        "noprogress": True,
        "color": "no_color",
    }


class _WarningLog:
    """Logger that keeps yt-dlp's warnings; errors are raised, and other messages discarded."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, message: str) -> None:
        """Keep a warning, shortened."""
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(shorten_message(redact(message)))

    def debug(self, message: str) -> None:
        """Discard a message."""

    error = info = debug
