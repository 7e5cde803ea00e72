"""The tree of errors that users meet, and the exit status that each stands for.

ArgusError              any error that this project raises on purpose; exit status 1
├── InvalidInput        the input can never work as it is (also a ValueError); exit status 10
│   └── VideoError      a video cannot be read or used; has a `reason`
├── FetchError          a video could not be fetched; has a `reason`, `retryable`, `retry_after_s`
└── ServiceError        a server is away or answered badly; a later try may work; exit status 30

Each message says what was got, what is allowed, and what to do. Errors of other libraries are
mapped to these at the boundary where they enter. No message holds a credential of a URI: each is
redacted when the error is made.
"""

from typing import Any

from schemas.credentials import redact, redact_values
from schemas.names import Outcome, Reason


class ArgusError(Exception):
    """Base class of every error that this project raises on purpose."""

    outcome = Outcome.FAILED

    def __init__(self, *args: object) -> None:
        super().__init__(*redact_values(args))


class InvalidInput(ArgusError, ValueError):
    """Input that can never work as it is."""

    outcome = Outcome.INVALID


class VideoError(InvalidInput):
    """A video that cannot be read or used.

    Attributes:
        reason: the machine-readable cause.
        message: the sentence for a person.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = redact(message)

    def __str__(self) -> str:
        return self.message


class FetchError(ArgusError):
    """A video that could not be fetched.

    Attributes:
        reason: the machine-readable cause.
        message: the sentence for a person.
        retryable: True if a later try may succeed.
        retry_after_s: seconds to wait before the next request to the site; 0 if unknown.
        is_attempt: False if no request was sent to the site, so that no attempt was used up.
        is_media: True if the site refused the media file, whose URL a new extraction may replace.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        retryable: bool,
        retry_after_s: float = 0.0,
        is_attempt: bool = True,
        is_media: bool = False,
    ) -> None:
        super().__init__(reason, message, retryable)
        self.reason = reason
        self.message = redact(message)
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.is_attempt = is_attempt
        self.is_media = is_media

    def __reduce__(self) -> tuple[object, ...]:
        # The default passes only the positional arguments to the constructor.
        names = ("retryable", "retry_after_s", "is_attempt", "is_media")
        values = {name: getattr(self, name) for name in names}
        return _unpickle_fetch_error, (self.reason, self.message, values)

    def __str__(self) -> str:
        return self.message


def _unpickle_fetch_error(reason: Reason, message: str, values: dict[str, Any]) -> FetchError:
    return FetchError(reason, message, **values)


class ServiceError(ArgusError):
    """A server that is away or answered badly."""

    outcome = Outcome.RETRY
