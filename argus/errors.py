"""The errors that users meet.

ArgusError
├── InvalidInput      what was given can never work (also a ValueError); exit status 10
│   └── VideoError    a video that cannot be used; has a `reason`
├── FetchError        a video could not be fetched; has a `reason`, `retryable` and `retry_after_s`
└── ServiceError      a server is away or answered badly; trying again may work; exit status 30

Each message says what was got, what is allowed, and what to do.
"""

from schemas.names import Outcome, Reason


class ArgusError(Exception):
    """Any error that this project raises on purpose."""

    outcome = Outcome.FAILED


class InvalidInput(ArgusError, ValueError):
    """The input can never work as it is."""

    outcome = Outcome.INVALID


class VideoError(InvalidInput):
    """A video that cannot be read or used."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return self.message


class FetchError(ArgusError):
    """A video that could not be fetched.

    Attributes:
        retryable: whether a later try may have more luck.
        retry_after_s: seconds that the site, or the gate before it, wants to be left alone; 0 where nothing was said.
        asked: False where nothing was asked of the site: no try was spent.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        retryable: bool,
        retry_after_s: float = 0.0,
        asked: bool = True,
    ) -> None:
        super().__init__(reason, message, retryable)
        self.reason = reason
        self.message = message
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.asked = asked

    def __reduce__(self) -> tuple[object, ...]:
        return _fetch_error, (
            self.reason,
            self.message,
            self.retryable,
            self.retry_after_s,
            self.asked,
        )

    def __str__(self) -> str:
        return self.message


def _fetch_error(
    reason: Reason, message: str, retryable: bool, retry_after_s: float, asked: bool
) -> FetchError:
    return FetchError(
        reason, message, retryable=retryable, retry_after_s=retry_after_s, asked=asked
    )


class ServiceError(ArgusError):
    """A server is away, or answered badly."""

    outcome = Outcome.RETRY
