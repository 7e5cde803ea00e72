"""Maps what yt-dlp raises to this project's errors: one reason each, terminal or retryable."""

import email.utils
import re
import time
from collections.abc import Iterator
from typing import NamedTuple

from yt_dlp.networking.exceptions import (
    CertificateVerifyError,
    HTTPError,
    IncompleteRead,
    TransportError,
)
from yt_dlp.utils import ContentTooShortError, GeoRestrictedError, UnsupportedError

from argus.errors import FetchError
from argus.files import DISK_FULL_ERRNOS
from schemas.names import Reason


class Fault(NamedTuple):
    reason: Reason
    retryable: bool
    retry_after_s: float = 0.0


MESSAGES: tuple[tuple[str, Fault], ...] = (
    (r"not a bot|unusual traffic|captcha", Fault(Reason.BOT_CHECK, True)),
    (r"rate.?limit|too many requests", Fault(Reason.RATE_LIMITED, True)),
    (
        r"confirm your age|age.restricted|inappropriate for some users",
        Fault(Reason.AGE_GATED, False),
    ),
    (
        r"not (made this video )?available in your (country|location|region)|geo.?restrict",
        Fault(Reason.GEO_BLOCKED, False),
    ),
    (
        r"private video|video is private|members.only|join this channel|requires payment",
        Fault(Reason.PRIVATE, False),
    ),
    (
        r"removed|terminated|no longer available|video (is )?(unavailable|not available)|does not exist|deleted",
        Fault(Reason.REMOVED, False),
    ),
    (r"did not get any data blocks|downloaded file is empty", Fault(Reason.EMPTY_FILE, False)),
    (r"more expected|content too short", Fault(Reason.TRUNCATED, True)),
    (r"timed? ?out", Fault(Reason.TIMED_OUT, True)),
    (
        r"connection (aborted|broken|refused|reset)|unable to connect|remote end closed",
        Fault(Reason.UNREACHABLE, True),
    ),
)
"""The first pattern that occurs in the message, in lower case, decides: for faults whose cause yt-dlp does not pass on."""


def fetch_error(error: BaseException, source: str, *, spherical: bool) -> FetchError:
    """The typed error of what yt-dlp raised; `spherical` where only a spherical format would have done."""
    chain = list(_chain(error))
    own = next((link for link in chain if isinstance(link, FetchError)), None)
    if own:
        return own
    fault = next(filter(None, map(_by_type, chain)), None) or _by_message(
        str(error), spherical=spherical
    )
    return FetchError(
        fault.reason,
        f"{source}: {_plain(str(error))}",
        retryable=fault.retryable,
        retry_after_s=fault.retry_after_s,
    )


def retry_after_s(value: str | None, now: float | None = None) -> float:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3: seconds or a date); 0 for none, or one that is not understood."""
    text = (value or "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(
            0.0,
            email.utils.parsedate_to_datetime(text).timestamp()
            - (time.time() if now is None else now),
        )
    except ValueError:
        return 0.0


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and everything that led to it, nearest first."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        link = waiting.pop(0)
        if isinstance(link, BaseException) and id(link) not in seen:
            seen.add(id(link))
            yield link
            exc_info = getattr(link, "exc_info", None)
            waiting += [
                exc_info[1] if exc_info else None,
                getattr(link, "cause", None),
                link.__cause__,
                link.__context__,
            ]


def _by_type(link: BaseException) -> Fault | None:
    match link:
        case OSError(errno=number) if number in DISK_FULL_ERRNOS:
            return Fault(Reason.DISK_FULL, True)
        case HTTPError():
            fault = _by_status(link.status)
            return (
                fault._replace(
                    retry_after_s=retry_after_s(link.response.headers.get("Retry-After"))
                )
                if fault.retryable
                else fault
            )
        case GeoRestrictedError():
            return Fault(Reason.GEO_BLOCKED, False)
        case UnsupportedError():
            return Fault(Reason.UNSUPPORTED_URL, False)
        case ContentTooShortError() | IncompleteRead():
            return Fault(Reason.TRUNCATED, True)
        case CertificateVerifyError():
            return Fault(Reason.UNREACHABLE, False)
        case TimeoutError():
            return Fault(Reason.TIMED_OUT, True)
        case TransportError():
            return Fault(
                Reason.TIMED_OUT if "timed out" in str(link).lower() else Reason.UNREACHABLE, True
            )
    return None


def _by_status(status: int) -> Fault:
    match status:
        case 404 | 410:
            return Fault(Reason.NOT_FOUND, False)
        case 401 | 403:
            return Fault(Reason.FORBIDDEN, False)
        case 408:
            return Fault(Reason.TIMED_OUT, True)
        case 429:
            return Fault(Reason.RATE_LIMITED, True)
        case 451:
            return Fault(Reason.GEO_BLOCKED, False)
    return Fault(Reason.SERVER_ERROR, True) if status >= 500 else Fault(Reason.FETCH_FAILED, False)


def _by_message(message: str, *, spherical: bool) -> Fault:
    lower = message.lower()
    if "requested format is not available" in lower or "no video formats" in lower:
        return Fault(Reason.NO_SPHERICAL_FORMAT if spherical else Reason.UNSUPPORTED_URL, False)
    if status := re.search(r"http error (\d{3})", lower):
        return _by_status(int(status[1]))
    return next(
        (fault for pattern, fault in MESSAGES if re.search(pattern, lower)),
        Fault(Reason.FETCH_FAILED, False),
    )


def _plain(message: str) -> str:
    """yt-dlp's message in one line, without its advice on its own command line."""
    first = re.split(r"\n|; please report|\. +Use --|  See ", message.removeprefix("ERROR: "))[0]
    return first.strip()[:300]
