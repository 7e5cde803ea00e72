"""Network routes of fetches, and their secrets: files of proxies and cookies.

Only their owner may read these files. Secrets stay in the downloading process: rate limits, logs
and errors refer to a proxy by its number.
"""

import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from argus.errors import InvalidInput
from schemas.config import FetchSettings
from schemas.credentials import MASK, redact

DIRECT = "direct"


@dataclass(frozen=True)
class Route:
    """A network route: the machine's own address, or a proxy.

    Attributes:
        name: "direct", or "proxy N" with the proxy's number in its file.
        proxy: the proxy's URL, a secret; empty for the machine's own address.
    """

    name: str
    proxy: str = field(default="", repr=False)


def read_secrets(settings: FetchSettings) -> tuple[list[Route], str]:
    """Read the files of proxies and cookies named in the settings.

    Returns:
        The routes, and the text of the cookies file (empty without one).

    Raises:
        InvalidInput: a file cannot be used. Call it before a refresh starts to fail early.
    """
    cookies = ""
    if settings.cookies_file:
        cookies = read_secret_file(settings.cookies_file, "fetch.cookies_file")
    return read_routes(settings.proxies_file), cookies


def read_routes(proxies_file: str | None) -> list[Route]:
    """Return one route per proxy in a file, in its order; the direct route without a file.

    Raises:
        InvalidInput: the file cannot be read, lists no proxy, or has a malformed line.
    """
    if not proxies_file:
        return [Route(DIRECT)]
    text = read_secret_file(proxies_file, "fetch.proxies_file")
    lines = [line.strip() for line in text.splitlines()]
    proxies = [line for line in lines if line and not line.startswith("#")]
    if not proxies:
        raise InvalidInput(
            f"{proxies_file} lists no proxy; give one http://[user:password@]host:port per line, "
            "or omit fetch.proxies_file"
        )
    return [
        Route(f"proxy {number}", _check_proxy(proxy, proxies_file, number))
        for number, proxy in enumerate(proxies, 1)
    ]


def read_secret_file(path: str, setting: str) -> str:
    """Read a text file that only its owner may read.

    Args:
        path: the file.
        setting: the setting that names it, for messages.

    Raises:
        InvalidInput: it cannot be read, or others may read it; the message has none of its text.
    """
    file = Path(path)
    try:
        mode = file.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise InvalidInput(
                f"{path} ({setting}) is accessible to other users "
                f"(mode {stat.S_IMODE(mode):o}); run: chmod 600 {path}"
            )
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        detail = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidInput(f"{path} ({setting}) cannot be read: {detail}") from None


def redact_secrets(message: str, secrets: Iterable[str]) -> str:
    """Return a message without the given secrets and without credentials in URLs."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        message = message.replace(secret, MASK)
    return redact(message)


def collect_secrets(route: Route, cookies: str) -> set[str]:
    """Return the strings to redact: proxy URL, its credentials (also unquoted), cookie values."""
    parts = urlsplit(route.proxy)
    proxy = {route.proxy, parts.netloc, parts.username or "", parts.password or ""}
    # A cookies file has seven tab-separated columns, the last of which is the value.
    values = {line.split("\t")[6].strip() for line in cookies.splitlines() if line.count("\t") >= 6}
    secrets = proxy | {unquote(secret) for secret in proxy} | values
    return {secret for secret in secrets if len(secret) >= 4}  # shorter ones occur in other words


def _check_proxy(proxy: str, file: str, number: int) -> str:
    try:
        parts = urlsplit(proxy)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port:
            return proxy
    except ValueError:
        pass
    raise InvalidInput(
        f"proxy {number} in {file} is not of the form http://[user:password@]host:port; "
        "correct that line"
    )
