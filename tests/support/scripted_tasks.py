"""Tasks of a curation run that end in the ways that an executor must handle."""

import errno
import time

from argus.curate import FetchedVideo, StagedVideo, VideoSource, VideoTasks
from argus.curate.download import RateLimiter
from argus.errors import FetchError, ServiceError, VideoError
from argus.media import run_sandboxed

MEMORY_BYTES = 1 << 30
SLEEP_S = 60.0


class ScriptedTasks(VideoTasks):
    """Tasks whose outcome is named by the id of the source."""

    def fetch(
        self,
        source: VideoSource,
        limiter: RateLimiter,
        *,
        is_last_attempt: bool,
    ) -> FetchedVideo | StagedVideo | FetchError:
        """Return, raise, use too much memory or sleep, as the source's id says."""
        match source.source_id:
            case "url:raises":
                raise KeyError("a bug")
            case "url:disk-full":
                raise OSError(errno.ENOSPC, "no space left on device")
            case "url:service":
                raise ServiceError("the object store is away")
            case "url:memory":
                return self._sandboxed(bytearray, 2 * MEMORY_BYTES)
            case "url:sleeps":
                return self._sandboxed(time.sleep, SLEEP_S)
            case _:
                return StagedVideo(f"{source.source_id}:{is_last_attempt}")

    def _sandboxed(self, function: type | object, argument: float) -> FetchError | StagedVideo:
        try:
            run_sandboxed(function, argument, timeout_s=SLEEP_S, memory_bytes=MEMORY_BYTES)  # type: ignore[arg-type]
        except VideoError as error:
            return FetchError(error.reason, error.message, retryable=False)
        return StagedVideo("url:done")
