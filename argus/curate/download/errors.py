"""Mapping of yt-dlp's exceptions to FetchError, with one reason each, terminal or retryable."""

import email.utils
import re
import time
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from yt_dlp.networking.exceptions import (
    CertificateVerifyError,
    HTTPError,
    IncompleteRead,
    TransportError,
)
from yt_dlp.utils import (
    ContentTooShortError,
    GeoRestrictedError,
    UnsupportedError,
    UserNotLive,
)

from argus.errors import FetchError
from argus.files import DISK_FULL_ERRNOS
from schemas.credentials import redact
from schemas.names import Reason


class FailureCause(NamedTuple):
    """The classification of a failed download."""

    reason: Reason
    retryable: bool
    retry_after_s: float = 0.0


MESSAGE_PATTERNS: tuple[tuple[str, FailureCause], ...] = (
    (
        r"not a bot|unusual traffic|captcha|your ip is likely being blocked",
        FailureCause(Reason.BOT_CHECK, True),
    ),
    (
        r"rate.?limit|too many requests|content isn.t available, try again later",
        FailureCause(Reason.RATE_LIMITED, True),
    ),
    (
        r"confirm your age|age.restricted|inappropriate for some users|requires age.verification",
        FailureCause(Reason.AGE_GATED, False),
    ),
    (
        r"not (made this video )?available in your (country|location|region)|geo.?restrict"
        r"|blocked it in your country|not available from your location",
        FailureCause(Reason.GEO_BLOCKED, False),
    ),
    (
        r"members.only|join this channel|available to this channel.s members",
        FailureCause(Reason.MEMBERS_ONLY, False),
    ),
    (r"private video|video is private|requires payment", FailureCause(Reason.PRIVATE, False)),
    (
        r"(live event|live stream|livestream|premiere) (will|has ended|is offline)|premieres in"
        r"|not currently live|waiting for live|stream is offline",
        FailureCause(Reason.LIVE, True),
    ),
    (
        r"not available on this app|page needs to be reloaded"
        r"|failed to extract any player response",
        FailureCause(Reason.FORMATS_WITHHELD, True),
    ),
    (
        r"removed|terminated|copyright|no longer available|video (is )?(unavailable|not available)"
        r"|does not exist|deleted|recording is not available",
        FailureCause(Reason.REMOVED, False),
    ),
    (r"no supported javascript runtime", FailureCause(Reason.NO_JS_RUNTIME, True)),
    (r"(challenge|signature) solving failed", FailureCause(Reason.CHALLENGE_UNSOLVED, True)),
    (
        r"formats have been skipped as they are (missing a url|drm protected)|po token",
        FailureCause(Reason.FORMATS_WITHHELD, True),
    ),
    (
        r"did not get any data blocks|downloaded file is empty",
        FailureCause(Reason.EMPTY_FILE, False),
    ),
    (r"more expected|content too short", FailureCause(Reason.TRUNCATED, True)),
    (r"timed? ?out", FailureCause(Reason.TIMED_OUT, True)),
    (
        r"processing this video|an error occurred|extractor error|please report this issue",
        FailureCause(Reason.FETCH_FAILED, True),
    ),
    (
        r"connection (aborted|broken|refused|reset)|unable to connect|remote end closed",
        FailureCause(Reason.UNREACHABLE, True),
    ),
)
"""Patterns of the lower-case message, for failures that yt-dlp reports as text; first match."""

_VAGUE = (Reason.FETCH_FAILED, Reason.FORMATS_WITHHELD)  # a warning may say more


def to_fetch_error(
    error: BaseException, source_id: str, warnings: Sequence[str] = ()
) -> FetchError:
    """Convert an exception of yt-dlp.

    Args:
        error: the exception.
        source_id: prefix of the message.
        warnings: yt-dlp's warnings before it. If the exception says nothing, such as "Failed to
            extract any player response", the latest one of a failure that may pass decides.

    Returns:
        The error to raise: a FetchError in the chain of causes if there is one, else the cause
        that the first classified exception of the chain gives, else that of the message, else that
        of a warning.
    """
    chain = list(_iter_chain(error))
    own = next((link for link in chain if isinstance(link, FetchError)), None)
    if own:
        return own
    message = shorten_message(redact(str(error)))
    cause = next(filter(None, map(_classify_exception, chain)), None)
    cause = cause or _classify_message(str(error))
    if cause.reason in _VAGUE and (decisive := find_passing_cause(warnings)):
        warning, cause = decisive
        message = f"{message}; yt-dlp warned: {warning}"
    return FetchError(
        cause.reason,
        f"{source_id}: {message}",
        retryable=cause.retryable,
        retry_after_s=cause.retry_after_s,
    )


def find_passing_cause(
    warnings: Sequence[str], reasons: Collection[Reason] = frozenset(Reason)
) -> tuple[str, FailureCause] | None:
    """Return the latest of yt-dlp's warnings about a failure that may pass, and its cause.

    Args:
        warnings: yt-dlp's warnings.
        reasons: the reasons that count.
    """
    for warning in reversed(warnings):
        cause = _classify_message(warning)
        is_passing = cause.retryable or cause.reason is Reason.FORBIDDEN
        if is_passing and cause.reason in reasons:
            return warning, cause._replace(retryable=True)
    return None


def parse_retry_after(value: str | None, now: float | None = None) -> float:
    """Return the seconds that a Retry-After header asks for.

    Args:
        value: seconds or an HTTP date (RFC 9110, 10.2.3).
        now: Unix time; the current time if None.

    Returns:
        Seconds; 0 if the header is absent or invalid, or the date has passed.
    """
    text = (value or "").strip()
    if text.isdecimal():
        return float(text)
    try:
        date = email.utils.parsedate_to_datetime(text).timestamp()
    except ValueError:
        return 0.0
    return max(0.0, date - (time.time() if now is None else now))


def _iter_chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all its causes, nearest first."""
    seen: set[int] = set()
    pending: list[object] = [error]
    while pending:
        link = pending.pop(0)
        if isinstance(link, BaseException) and id(link) not in seen:
            seen.add(id(link))
            yield link
            exc_info = getattr(link, "exc_info", None)
            pending += [
                exc_info[1] if exc_info else None,
                getattr(link, "cause", None),
                link.__cause__,
                link.__context__,
            ]


def _classify_exception(link: BaseException) -> FailureCause | None:
    match link:
        case OSError(errno=number) if number in DISK_FULL_ERRNOS:
            return FailureCause(Reason.DISK_FULL, True)
        case HTTPError():
            cause = _classify_status(link.status)
            if not cause.retryable:
                return cause
            delay_s = parse_retry_after(link.response.headers.get("Retry-After"))
            return cause._replace(retry_after_s=delay_s)
        case UserNotLive():
            return FailureCause(Reason.LIVE, True)
        case GeoRestrictedError():
            return FailureCause(Reason.GEO_BLOCKED, False)
        case UnsupportedError():
            return FailureCause(Reason.UNSUPPORTED_URL, False)
        case ContentTooShortError() | IncompleteRead():
            return FailureCause(Reason.TRUNCATED, True)
        case CertificateVerifyError():
            return FailureCause(Reason.UNREACHABLE, False)
        case TimeoutError():
            return FailureCause(Reason.TIMED_OUT, True)
        case TransportError():
            is_timeout = "timed out" in str(link).lower()
            return FailureCause(Reason.TIMED_OUT if is_timeout else Reason.UNREACHABLE, True)
    return None


def _classify_status(status: int) -> FailureCause:
    match status:
        case 404 | 410:
            return FailureCause(Reason.NOT_FOUND, False)
        case 401 | 403:
            return FailureCause(Reason.FORBIDDEN, False)
        case 408:
            return FailureCause(Reason.TIMED_OUT, True)
        case 429:
            return FailureCause(Reason.RATE_LIMITED, True)
        case 451:
            return FailureCause(Reason.GEO_BLOCKED, False)
    if status >= 500:
        return FailureCause(Reason.SERVER_ERROR, True)
    return FailureCause(Reason.FETCH_FAILED, False)


def _classify_message(message: str) -> FailureCause:
    lower = message.lower()
    if "requested format is not available" in lower or "no video formats" in lower:
        return FailureCause(Reason.UNSUPPORTED_URL, False)
    if status := re.search(r"http error (\d{3})", lower):
        return _classify_status(int(status[1]))
    return next(
        (cause for pattern, cause in MESSAGE_PATTERNS if re.search(pattern, lower)),
        FailureCause(Reason.FETCH_FAILED, False),
    )


def shorten_message(message: str) -> str:
    """Return the first line of yt-dlp's message without names and hints for its users."""
    message = re.sub(r"^(ERROR: )?(\[\w+(:\w+)?\] )?([\w-]+: )?", "", message)
    hints = r"\n|; please report|\. +Use --|\.? +See +http|\. Ensure you have a supported"
    return re.split(hints, message)[0].strip()[:300]
