"""The addresses that fetches come from, and the secrets that they carry: proxies and cookies, each in a file that only its owner may read.

Secrets stay in the process that downloads. What names a proxy elsewhere, in a pace, a log or an error, is its number.
"""

import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from argus.errors import InvalidInput
from schemas.config import FetchSettings

DIRECT = "direct"


@dataclass(frozen=True)
class Route:
    """One way out. `proxy` is empty for the machine's own address."""

    name: str
    proxy: str = field(default="", repr=False)


def read_secrets(settings: FetchSettings) -> tuple[list[Route], str]:
    """The ways out, and the text of the cookies. Raises InvalidInput, which a refresh should meet before it begins."""
    cookies = (
        secret_text(settings.cookies_file, "fetch.cookies_file") if settings.cookies_file else ""
    )
    return routes(settings.proxies_file), cookies


def routes(proxies_file: str | None) -> list[Route]:
    """The ways out, in the file's order: `proxy 1`, `proxy 2`, …; without a file the machine's own address. Raises InvalidInput."""
    if not proxies_file:
        return [Route(DIRECT)]
    lines = [line.strip() for line in secret_text(proxies_file, "fetch.proxies_file").splitlines()]
    proxies = [line for line in lines if line and not line.startswith("#")]
    if not proxies:
        raise InvalidInput(
            f"{proxies_file} names no proxy; give one http://[user:password@]host:port a line, or leave out fetch.proxies_file"
        )
    return [
        Route(f"proxy {number}", _checked(proxy, proxies_file, number))
        for number, proxy in enumerate(proxies, 1)
    ]


def secret_text(path: str, setting: str) -> str:
    """The text of a file of secrets. Raises InvalidInput, without any of the text, where it cannot be read or others may read it."""
    file = Path(path)
    try:
        mode = file.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise InvalidInput(
                f"{path} ({setting}) may be read by others (mode {stat.S_IMODE(mode):o}); make it yours alone: chmod 600 {path}"
            )
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidInput(f"{path} ({setting}) cannot be read: {said}") from None


def redacted(message: str, secrets: Iterable[str]) -> str:
    """A message without these secrets, and without the user and password of any url."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        message = message.replace(secret, "***")
    return re.sub(r"(?<=//)[^/@\s]+@", "***@", message)


def secrets_of(route: Route, cookies: str) -> set[str]:
    """What must never be told: the proxy, its user and password as written and as meant, and the cookies' values."""
    parts = urlsplit(route.proxy)
    told = {route.proxy, parts.netloc, parts.username or "", parts.password or ""}
    values = {line.split("\t")[6].strip() for line in cookies.splitlines() if line.count("\t") >= 6}
    return {
        secret
        for secret in told | {unquote(secret) for secret in told} | values
        if len(secret) >= 4
    }


def _checked(proxy: str, file: str, number: int) -> str:
    try:
        parts = urlsplit(proxy)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port:
            return proxy
    except ValueError:
        pass
    raise InvalidInput(
        f"proxy {number} in {file} is not of the form http://[user:password@]host:port; correct that line"
    )
