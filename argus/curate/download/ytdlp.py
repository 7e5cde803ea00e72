"""One download with yt-dlp, inside the process that `argus.curate.download.fetch` has for it: what is chosen, what is refused, what is continued.

No configuration file, cache, plugin, program or proxy of the environment is used. Importing this takes a second or two, most of them for the
patterns of a thousand sites: the server of such processes does it once for all of them.
"""

import io
import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

os.environ["YTDLP_NO_PLUGINS"] = "1"  # before yt-dlp looks

import yt_dlp
from yt_dlp.extractor import gen_extractor_classes
from yt_dlp.extractor.generic import GenericIE
from yt_dlp.networking import Request, Response
from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.postprocessor import FFmpegPostProcessor
from yt_dlp.utils import unified_timestamp

from argus.curate.download.disk_space import check_room
from argus.curate.download.proxies import Route
from argus.curate.download.resume import Part, Version
from argus.curate.records import Fetched, VideoSource
from argus.errors import FetchError
from argus.files import sha256_file
from schemas.config import FetchSettings
from schemas.names import Reason

SPHERICAL_FORMAT = "bv[format_note*=equi]/bv[format_note*=mesh]"
PLAIN_FORMAT = "bv*/b"
BLOCK_BYTES = 1 << 16  # what an interruption may lose
WHOLE = frozenset({"http", "https"})
PROTOCOLS = WHOLE | {"http_dash_segments", "http_dash_segments_generator", "m3u8_native"}

for _extractor in (*gen_extractor_classes(), GenericIE):
    _extractor.suitable("")  # compiles its pattern
unified_timestamp("of no form")  # compiles those of all forms


def download(
    source: VideoSource, path: Path, settings: FetchSettings, route: Route, cookies: str
) -> Fetched:
    """Downloads a video to `path`. Raises FetchError, and whatever yt-dlp raises."""
    path.unlink(missing_ok=True)
    FFmpegPostProcessor._ffmpeg_location.set(
        os.devnull + "/none"
    )  # else it is started, and refused, to ask for its version
    with Client(source, path, settings, route, cookies) as client:
        info = client.extract_info(source.url, download=False)
        _check_choice(source, info, settings)
        client.choose(info)
        client.process_ie_result(info, download=True)
        client.part.drop()
    return client.fetched(info)


class Client(yt_dlp.YoutubeDL):
    """yt-dlp, with its requests for the file itself looked at.

    An extractor that asked for the very file, to see what it is, has an answer to the download's request: that one is not thrown away.
    """

    def __init__(
        self, source: VideoSource, path: Path, settings: FetchSettings, route: Route, cookies: str
    ) -> None:
        self.source = source
        self.path = path
        self.settings = settings
        self.part = Part(path.with_name(f"{path.name}.part"))
        self.version: Version | None = None  # of the file that is being received
        self._is_chosen = False
        self._answer: Response | None = None  # the last one to the extractor
        super().__init__(
            {**_options(source, path, settings, route, cookies), "progress_hooks": [self._watch]}
        )

    def choose(self, info: dict[str, Any]) -> None:
        """Told what will be downloaded."""
        self._is_chosen = info["protocol"] in WHOLE
        if not self._is_chosen:  # in pieces, which nobody vouches for
            self.part.drop()
            self.params["continuedl"] = False
            check_room(
                self.path.parent,
                info.get("filesize") or self.settings.max_bytes,
                self.settings.min_free_bytes,
            )
        elif self.part.version() is None:
            self.part.drop()

    def urlopen(self, req: Request | str) -> Response:
        """As yt-dlp's; a request for the rest of the file is answered with the rest of the same version, or with the whole file."""
        request = Request(req) if isinstance(req, str) else req
        if self._is_chosen:
            return self._open_file(request)
        self._answer = super().urlopen(request)
        return self._answer

    def fetched(self, info: dict[str, Any]) -> Fetched:
        """The finished file, and how it came here."""
        if not self.path.is_file():
            raise FetchError(
                Reason.FETCH_FAILED,
                f"{self.source.source_id}: yt-dlp ended without a file",
                retryable=True,
            )
        if self.path.stat().st_size == 0:
            raise FetchError(
                Reason.EMPTY_FILE, f"{self.source.source_id}: the file is empty", retryable=False
            )
        youtube = self.source.source_id.startswith("youtube:")
        client = parse_qs(urlsplit(str(info.get("url", ""))).query).get("c") if youtube else None
        return Fetched(
            path=self.path,
            tool="yt-dlp",
            version=yt_dlp.version.__version__,
            client=client[0] if client else str(info.get("extractor") or ""),
            format_id=str(info.get("format_id") or ""),
            format_note=str(info.get("format_note") or ""),
            bytes=self.path.stat().st_size,
            sha256=sha256_file(self.path),
        )

    def _open_file(self, request: Request) -> Response:
        """The first of these requests asks for the rest of the part, where there is one; the others, where a site has it so, for the next chunk."""
        is_first = self.version is None
        if request.headers.get("Range", "bytes=0-").startswith("bytes=0-"):
            return self._begun(self._answered(request) or super().urlopen(request))
        known = self.version or self.part.version()
        assert known, "a part that nothing is known of was dropped"
        if known.validator:
            request.headers["If-Range"] = known.validator
        try:
            response = super().urlopen(request)
        except HTTPError as error:
            if error.status != 416 or not is_first:
                raise
            response = error.response
        if response.status == 206 and Version.of(response.headers) == known:
            self._check_size(known, self.part.size())
            self.version = known
            return response
        if response.status == 200 and is_first:
            return self._begun(response)
        response.close()
        if not is_first:
            self.part.drop()
            raise FetchError(
                Reason.TRUNCATED,
                f"{self.source.source_id}: the file changed while it was fetched",
                retryable=True,
            )
        for name in ("Range", "If-Range"):
            request.headers.pop(name, None)
        return self._begun(super().urlopen(request))

    def _answered(self, request: Request) -> Response | None:
        """The extractor's answer, where it is one to this request and nothing of it has been read (a video is known by its type)."""
        answer, self._answer = self._answer, None
        if answer is None or answer.closed:
            return None
        is_video = answer.headers.get("Content-Type", "").lower().startswith("video/")
        if (
            is_video
            and answer.url == request.url
            and answer.status == 200
            and "Range" not in request.headers
        ):
            return answer
        answer.close()
        return None

    def _begun(self, response: Response) -> Response:
        """An answer that is the file from its beginning."""
        self.version = Version.of(response.headers)
        self.part.begin(self.version)
        self._check_size(self.version, 0)
        return response

    def _check_size(self, version: Version, here: int) -> None:
        if version.length and version.length > self.settings.max_bytes:
            raise self._too_large(version.length)
        check_room(
            self.path.parent,
            (version.length or self.settings.max_bytes) - here,
            self.settings.min_free_bytes,
        )

    def _watch(self, progress: dict[str, Any]) -> None:
        size = max(progress.get("total_bytes") or 0, progress.get("downloaded_bytes") or 0)
        if size > self.settings.max_bytes:
            raise self._too_large(size)

    def _too_large(self, size: int) -> FetchError:
        message = f"{self.source.source_id}: {size} bytes, but at most {self.settings.max_bytes} are allowed (fetch.max_bytes)"
        return FetchError(Reason.TOO_LARGE, message, retryable=False)


def _check_choice(
    source: VideoSource, info: dict[str, Any] | None, settings: FetchSettings
) -> None:
    if not info or "entries" in info:
        raise FetchError(
            Reason.UNSUPPORTED_URL,
            f"{source.source_id}: the url leads to a list or to no video; give the url of one video",
            retryable=False,
        )
    if info.get("is_live"):
        raise FetchError(
            Reason.UNSUPPORTED_URL,
            f"{source.source_id}: a live stream; try again when it has ended",
            retryable=True,
        )
    if info.get("protocol") not in PROTOCOLS:
        raise FetchError(
            Reason.UNSUPPORTED_URL,
            f"{source.source_id}: protocol {info.get('protocol')} is not supported",
            retryable=False,
        )
    if (seconds := info.get("duration") or 0) > settings.max_duration_s:
        message = f"{source.source_id}: {seconds:.0f} s long, but at most {settings.max_duration_s:.0f} s are allowed (fetch.max_duration_s)"
        raise FetchError(Reason.TOO_LONG, message, retryable=False)
    if (size := info.get("filesize") or 0) > settings.max_bytes:
        message = f"{source.source_id}: {size} bytes, but at most {settings.max_bytes} are allowed (fetch.max_bytes)"
        raise FetchError(Reason.TOO_LARGE, message, retryable=False)


def _options(
    source: VideoSource, path: Path, settings: FetchSettings, route: Route, cookies: str
) -> dict[str, Any]:
    """What yt-dlp is told. Its own retries are off: an attempt is ours to count."""
    return {
        "format": SPHERICAL_FORMAT if source.source_id.startswith("youtube:") else PLAIN_FORMAT,
        "paths": {"home": str(path.parent.absolute())},
        "outtmpl": {"default": path.name.replace("%", "%%")},
        "logger": _Silence(),
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
        "cookiefile": io.StringIO(cookies)
        if cookies
        else None,  # its changes end with this process
        "noplaylist": True,
        "playlist_items": "1",
        "extract_flat": "in_playlist",
        "allowed_extractors": ["default"],
        "fixup": "never",
        "external_downloader": {"default": "native"},
        "enable_file_urls": False,
        "quiet": True,
        "noprogress": True,
        "color": "no_color",
    }


class _Silence:
    """yt-dlp's messages go nowhere: what matters is raised."""

    def debug(self, message: str) -> None:
        """Nothing."""

    warning = error = info = debug
