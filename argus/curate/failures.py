"""Failures that depend on settings, and whether other settings make another attempt worthwhile.

A failure stores the values of the settings that it depends on. Of cookies and proxies it stores 16
bits of a slow hash: enough to notice a change, and too few to test a guess.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Self
from urllib.parse import urlsplit

from argus.curate.download import read_secrets
from schemas.config import FetchSettings
from schemas.names import Reason

FAILURE_SETTINGS: Mapping[Reason, tuple[str, ...]] = {
    Reason.FORBIDDEN_HOST: ("allow_private_hosts", "proxies_file"),
    Reason.TOO_LONG: ("max_duration_s",),
    Reason.TOO_LARGE: ("max_bytes",),
    Reason.PRIVATE: ("cookies_file",),
    Reason.MEMBERS_ONLY: ("cookies_file",),
    Reason.AGE_GATED: ("cookies_file",),
    Reason.GEO_BLOCKED: ("proxies_file",),
    Reason.FORBIDDEN: ("cookies_file", "proxies_file"),
}
"""Settings of `fetch` that each reason depends on. Recipes cover the settings of filters."""

_DEFAULTS = {
    name: FetchSettings.model_fields[name].default
    for name in ("allow_private_hosts", "max_duration_s", "max_bytes")
}
"""What a failure of an earlier version is assumed to depend on. Its cookies and proxies are
unknown: if they are still the same, thousands of videos would be fetched for nothing."""


@dataclass(frozen=True)
class AccessSettings:
    """The settings that decide whether a video can be fetched.

    Attributes:
        fetch: the settings.
        cookies: text of the cookies file, a secret; empty for none.
        proxies: URLs of the proxies, secrets; empty for none.
    """

    fetch: FetchSettings
    cookies: str = field(default="", repr=False)
    proxies: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def read(cls, fetch: FetchSettings) -> Self:
        """Read the files that the settings name.

        Raises:
            InvalidInput: a file of secrets cannot be used.
        """
        routes, cookies = read_secrets(fetch)
        return cls(fetch, cookies, tuple(sorted(route.proxy for route in routes if route.proxy)))

    def describe(self, reason: Reason | None, url: str) -> str | None:
        """Return the settings that a failure depends on as JSON; None if it depends on none.

        Args:
            reason: why the video failed.
            url: of the video; only cookies of its site count.
        """
        names = FAILURE_SETTINGS.get(reason, ()) if reason else ()
        return json.dumps({name: self._value(name, url) for name in names}) if names else None

    def may_help(self, reason: Reason | None, stored: str | None, url: str) -> bool:
        """Return True if a failure may be gone with these settings.

        Args:
            reason: why the video failed.
            stored: what `describe` returned then; None if an earlier version stored nothing.
            url: of the video.
        """
        names = FAILURE_SETTINGS.get(reason, ()) if reason else ()
        then: dict[str, Any] = (
            json.loads(stored)
            if stored
            else {name: value for name, value in _DEFAULTS.items() if name in names}
        )
        return any(
            _LAXER[name](value, self._value(name, url))
            for name, value in then.items()
            if name in _LAXER
        )

    def _value(self, name: str, url: str) -> bool | float | str | None:
        match name:
            case "cookies_file":
                return _hash_secret("\n".join(self._select_cookies(url)))
            case "proxies_file":
                return self._proxies_hash
            case _:
                value: bool | float = getattr(self.fetch, name)
                return value

    @cached_property
    def _proxies_hash(self) -> str | None:
        return _hash_secret("\n".join(self.proxies))

    @cached_property
    def _cookie_lines(self) -> tuple[tuple[str, str], ...]:
        """The cookies as (domain, line) of the Netscape format."""
        lines = (line.removeprefix("#HttpOnly_") for line in self.cookies.splitlines())
        cookies = (line for line in lines if line.count("\t") >= 6 and not line.startswith("#"))
        return tuple((line.split("\t")[0].lstrip("."), line) for line in cookies)

    def _select_cookies(self, url: str) -> list[str]:
        """Return the lines of the cookies that are sent to the site of a URL."""
        if not self._cookie_lines:
            return []
        try:
            host = urlsplit(url).hostname or ""
        except ValueError:
            return []
        return [
            line
            for domain, line in self._cookie_lines
            if host == domain or host.endswith(f".{domain}")
        ]


@lru_cache(maxsize=1024)
def _hash_secret(text: str) -> str | None:
    """Return four hexadecimal digits of a slow hash; None for no text."""
    if not text:
        return None
    digest = hashlib.scrypt(text.encode(), salt=b"argus.failures", n=1 << 14, r=8, p=1, dklen=2)
    return digest.hex()


_LAXER: Mapping[str, Callable[[Any, Any], bool]] = {
    "allow_private_hosts": lambda then, now: now > then,
    "max_duration_s": lambda then, now: now > then,
    "max_bytes": lambda then, now: now > then,
    "cookies_file": lambda then, now: now is not None and now != then,
    "proxies_file": lambda then, now: now != then,
}
"""Whether a setting allows more than it did then."""
