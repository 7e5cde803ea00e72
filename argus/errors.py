"""The errors that users meet.

ArgusError
├── InvalidInput      what was given can never work (also a ValueError); exit status 10
│   └── VideoError    a video that cannot be used; has a `reason`
├── FetchError        a video could not be fetched; has a `reason` and `retryable`
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
    """A video that could not be fetched."""

    def __init__(self, reason: Reason, message: str, *, retryable: bool) -> None:
        super().__init__(reason, message, retryable)
        self.reason = reason
        self.message = message
        self.retryable = retryable

    def __reduce__(self) -> tuple[object, ...]:
        return _fetch_error, (self.reason, self.message, self.retryable)

    def __str__(self) -> str:
        return self.message


def _fetch_error(reason: Reason, message: str, retryable: bool) -> FetchError:
    return FetchError(reason, message, retryable=retryable)


class ServiceError(ArgusError):
    """A server is away, or answered badly."""

    outcome = Outcome.RETRY
