"""What a process that fetches untrusted urls may do: connect to public addresses, and start no program but the JavaScript sandbox of yt-dlp.

The check stands at the moment of connecting (an audit hook of the interpreter), so it holds for redirects, for every url inside a manifest
and for names that resolve differently the second time. It cannot be undone: it belongs in a process of its own.

Behind a proxy only the proxy may be connected to. It is the one who resolves names, so what it may reach is its own affair; addresses that are
written as numbers are still checked, in what is asked of it.
"""

import ipaddress
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from argus.errors import FetchError
from schemas.names import Reason

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_PROGRAMS = frozenset({"deno", "deno.exe"})


class Guard:
    """Installed once in a process; `refusal` is the first thing that it refused, whoever swallowed the error since.

    Args:
        allow_private: whether addresses of this machine and its network may be reached.
        proxy: the url of the proxy that everything goes through; empty: none. FetchError where its name leads nowhere.
    """

    def __init__(self, *, allow_private: bool, proxy: str = "") -> None:
        self.allow_private = allow_private
        self.proxies = _addresses(proxy) if proxy else None
        self.refusal: FetchError | None = None

    def install(self) -> "Guard":
        """Watches this process until it ends."""
        sys.addaudithook(self._audit)
        return self

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto"):
            if isinstance(arguments[1], tuple):
                self._check_address(str(arguments[1][0]), arguments[1][1])
        elif (
            event == "http.client.send"
            and self.proxies is not None
            and isinstance(arguments[1], bytes)
        ):
            host = _asked_of_proxy(arguments[1])
            if host and not self.allow_private and _is_inside(host):
                self._refuse_private(host)
        elif event == "subprocess.Popen" and Path(str(arguments[0])).name not in _PROGRAMS:
            self._refuse(
                f"a download may not start a program, but wanted {Path(str(arguments[0])).name}"
            )

    def _check_address(self, host: str, port: int) -> None:
        if self.proxies is not None:
            if (host, port) not in self.proxies:
                self._refuse(
                    f"{host} is not the proxy, which everything goes through (fetch.proxies_file)"
                )
        elif not self.allow_private and not is_public(host):
            self._refuse_private(host)

    def _refuse_private(self, host: str) -> None:
        self._refuse(
            f"{host} is a loopback, private or reserved address; allow it with --allow-private-hosts"
        )

    def _refuse(self, message: str) -> None:
        self.refusal = self.refusal or FetchError(Reason.FORBIDDEN_HOST, message, retryable=False)
        raise self.refusal


def is_public(host: str) -> bool:
    """Whether a numeric address is reachable for everyone; a name is not an address, so it is not.

    Addresses inside addresses (IPv4-mapped, 6to4, Teredo, NAT64) count as what they lead to.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inside = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _NAT64:
            inside.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if any(v4 is not None and not is_public(str(v4)) for v4 in inside):
            return False
        if address.ipv4_mapped:
            return True
    return address.is_global and not address.is_multicast


def _addresses(proxy: str) -> frozenset[tuple[str, int]]:
    """What the name of a proxy leads to, as (address, port)."""
    parts = urlsplit(proxy)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise FetchError(
            Reason.UNREACHABLE,
            "the name of the proxy leads to no address; see fetch.proxies_file",
            retryable=True,
        ) from error
    return frozenset((str(address[0]), int(address[1])) for *_, address in found)


def _asked_of_proxy(sent: bytes) -> str | None:
    """The host that a request names to a proxy (RFC 9112, 3.2.2 and 3.2.3); None where the bytes are no such request."""
    method, _, rest = sent.partition(b"\r\n")[0].partition(b" ")
    target = rest.partition(b" ")[0].decode("latin-1")
    if not (method.isalpha() and (method == b"CONNECT" or "://" in target)):
        return None
    return urlsplit(f"//{target}" if method == b"CONNECT" else target).hostname


def _is_inside(host: str) -> bool:
    """Whether a host as written in a url is surely no public one: a number in any of the forms that resolvers take, or localhost."""
    try:
        return not is_public(socket.inet_ntoa(socket.inet_aton(host)))
    except OSError:
        pass
    return not is_public(host) if ":" in host else host.rstrip(".").endswith("localhost")
