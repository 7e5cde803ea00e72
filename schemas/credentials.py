"""Removal of credentials from the URIs in texts, records and log records.

A credential is the user information of a URI (`https://user:password@host`, `https://token@host`)
or the value of a parameter such as `password`, `token` or `X-Amz-Signature`. Errors, results,
progress and logs pass through this module, so that none of them stores or shows a credential.
Programs get credentials from the environment.
"""

import logging
import re
import traceback
from collections.abc import Mapping
from typing import Any

MASK = "***"
"""Text in place of a credential."""

_USER_INFORMATION = re.compile(
    r"""(?<=://)(?:
        [^\s/?\#"<>]+  # up to the last @ before the path (RFC 3986, section 3.2)
        |[^\s/@:?\#"<>\[\]]*:(?!\d+[/?\#])[^\s"<>]{0,300}  # a password with an unescaped / ? or #
    )@""",
    re.VERBOSE,
)
_PARAMETER = re.compile(
    r"""(
        (?:passw|pwd|passphrase|secret|token|signature|credential|odbc_connect|api_?key|access_?key)
        [\w.%-]{0,60}
        |(?<=[?&;])(?:auth|jwt|key|pass|sig)
    )=(?:[^\s&\#"'<>]|'(?=\w))+""",
    re.VERBOSE | re.IGNORECASE,
)


def redact(text: str) -> str:
    """Return a text with `***` in place of every credential in its URIs."""
    return _PARAMETER.sub(rf"\1={MASK}", _USER_INFORMATION.sub(f"{MASK}@", text))


def redact_values(value: Any) -> Any:
    """Return a value with all of its texts redacted, also those in mappings, lists and tuples."""
    if type(value) is str:  # members of a StrEnum stay what they are
        return redact(value)
    if isinstance(value, Mapping):
        return {name: redact_values(item) for name, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(redact_values, value))
    return value


def has_credential(value: Any) -> bool:
    """Return True if a text, or one in a mapping, list or tuple, holds a credential."""
    if isinstance(value, str):
        return redact(value) != value
    if isinstance(value, Mapping):
        return any(map(has_credential, value.values()))
    return isinstance(value, list | tuple) and any(map(has_credential, value))


def to_public_uri(uri: str) -> str:
    """Return a URI without user information, for links, and with `***` for secret parameters."""
    return redact(uri).replace(f"://{MASK}@", "://")


def redact_logs() -> None:
    """Redact the messages and tracebacks of all loggers of this process, also those of libraries.

    Calling it again changes nothing.
    """
    factory = logging.getLogRecordFactory()
    if not isinstance(factory, _RedactingFactory):
        logging.setLogRecordFactory(_RedactingFactory(factory))


class _RedactingFactory:
    """A factory of log records that replaces only what holds a credential."""

    def __init__(self, factory: Any) -> None:
        self._factory = factory

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record: logging.LogRecord = self._factory(*args, **kwargs)
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):
            record.args = redact_values(record.args)  # the handler reports the wrong format
            return record
        if has_credential(message):
            record.msg, record.args = redact(message), None
        if record.exc_info and record.exc_info[0]:
            trace = "".join(traceback.format_exception(*record.exc_info))
            if has_credential(trace):
                record.exc_text = redact(trace).rstrip("\n")  # handlers print it in this place
        return record
