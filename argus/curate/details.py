"""Sentences for the detail of a decision: why, and how the frames of the file were read."""

from argus.curate.records import Verdict
from argus.media import MediaInfo, describe_reading
from schemas.config import ClipSettings


def describe_drop(verdict: Verdict) -> str:
    """Describe why a filter of whole videos dropped one."""
    return (
        f"{verdict.filter}: {verdict.name} is {verdict.value:.4g}, "
        f"the threshold is {verdict.threshold:g}"
    )


def describe_too_long(seconds: float, limit: float) -> str:
    """Describe a video that is longer than `fetch.max_duration_s`."""
    return f"{seconds:.0f} s long, but at most {limit:.0f} s are accepted (fetch.max_duration_s)"


def describe_too_short(seconds: float, settings: ClipSettings) -> str:
    """Describe a video that is too short for a clip."""
    return f"it is {seconds:.2f} s long, but a clip needs {settings.min_clip_s:g} s"


def describe_no_shot(settings: ClipSettings) -> str:
    """Describe a video of which no shot is long enough for a clip."""
    return f"none of its shots is {settings.min_clip_s:g} s long"


def describe_clips(kept: int, count: int) -> str:
    """Describe how many of the clips of a video (at least one) are kept."""
    return f"{kept} of {count} clips kept" if kept else f"none of its {count} clips is kept"


def add_reading(detail: str, media: MediaInfo | None) -> str:
    """Append to the detail of a decision how the frames of the file were read, if not as stored."""
    return "; ".join((detail, *(describe_reading(media) if media else ())))
