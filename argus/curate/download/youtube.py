"""YouTube's answers, as yt-dlp reports them: which are final, and which withhold the formats.

YouTube withholds formats in ways that yt-dlp reports as warnings, if at all, so that its last word
is always "Requested format is not available". Only a healthy list without a spherical format says
that the video has none.
"""

from collections.abc import Sequence
from typing import Any, Never

from yt_dlp.extractor.youtube.jsc._builtin.deno import DenoJCP
from yt_dlp.extractor.youtube.jsc.provider import JsChallengeProviderError

from argus.curate.download.errors import find_passing_cause
from argus.curate.download.javascript import find_deno, run_deno
from argus.errors import FetchError
from schemas.names import Reason

SPHERICAL_NOTES = ("equi", "mesh")
SPHERICAL_FORMAT = "/".join(f"bv[format_note*={note}]" for note in SPHERICAL_NOTES)
MIN_VIDEO_FORMATS = 2  # without sound, of a healthy list; the poorest videos have some more

LIVE_STATUSES = {
    "is_live": "it is a live stream; try again when it has ended",
    "is_upcoming": "it has not begun; try again when it has ended",
    "post_live": "its live stream has just ended; try again when it is processed",
}
_WITHHOLDING = (Reason.NO_JS_RUNTIME, Reason.CHALLENGE_UNSOLVED, Reason.FORMATS_WITHHELD)


def make_runtime_options() -> dict[str, Any]:
    """Return yt-dlp's options that permit Deno, no other runtime, and no downloaded code."""
    path = find_deno()
    return {"js_runtimes": {"deno": {"path": path}} if path else {}, "remote_components": ()}


def check_formats(source_id: str, info: dict[str, Any], warnings: Sequence[str]) -> None:
    """Check that YouTube lists a spherical format of the video.

    Args:
        source_id: the video, `youtube:ID`.
        info: what yt-dlp extracted, before a format is selected.
        warnings: yt-dlp's warnings during the extraction.

    Raises:
        FetchError: PRIVATE for the trailer of a paid video; NO_SPHERICAL_FORMAT, terminal, if the
            list is healthy; else retryable, with the reason of the decisive warning, or
            FORMATS_WITHHELD without one.
    """
    if f"youtube:{info.get('id')}" != source_id:
        message = f"{source_id}: YouTube gives only a trailer ({info.get('id')}) of a paid video"
        raise FetchError(Reason.PRIVATE, message, retryable=False)
    videos = [one for one in info.get("formats") or () if _is_silent_video(one)]
    if any(note in str(one.get("format_note")) for one in videos for note in SPHERICAL_NOTES):
        return
    _raise_without_spherical(source_id, info, len(videos), warnings)


def _raise_without_spherical(
    source_id: str, info: dict[str, Any], videos: int, warnings: Sequence[str]
) -> Never:
    is_healthy = videos >= MIN_VIDEO_FORMATS
    listed = ", ".join(str(one.get("format_id")) for one in info.get("formats") or ())[:100]
    found = f"{source_id}: none of YouTube's formats is spherical ({listed or 'it lists none'})"
    decisive = find_passing_cause(warnings, _WITHHOLDING)
    if decisive is None and not is_healthy:
        decisive = find_passing_cause(warnings)
    if decisive:
        warning, cause = decisive
        raise FetchError(cause.reason, f"{found}; yt-dlp warned: {warning}", retryable=True)
    reason = Reason.NO_SPHERICAL_FORMAT if is_healthy else Reason.FORMATS_WITHHELD
    raise FetchError(reason, found, retryable=not is_healthy)


def _is_silent_video(one: dict[str, Any]) -> bool:
    """Return whether a format is what `bv` selects; storyboards are no videos."""
    is_video = one.get("vcodec") not in (None, "none") and one.get("acodec") == "none"
    return is_video and bool(one.get("url")) and not one.get("has_drm")


def _run_isolated(provider: Any, stdin: str, options: list[str]) -> str:
    """Run Deno within limits of time and memory, and without this process's environment."""
    try:
        return run_deno(provider.runtime_info.path, stdin, options)
    except (RuntimeError, OSError) as error:
        raise JsChallengeProviderError(str(error), expected=True) from error


# yt-dlp has no option for the environment and the limits of the runtime.
DenoJCP._run_deno = _run_isolated
