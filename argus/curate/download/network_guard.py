"""Network restrictions of a process that downloads from untrusted URLs.

The process may connect to public addresses only, and start no program but Deno, whose scripts have
no access to the network. Connections are checked when they are made, by an audit hook of the
interpreter, so that redirects, URLs in manifests and names that resolve differently the second time
are covered. The hook cannot be removed: install it in a process that ends with the download.

Behind a proxy, only the proxy may be connected to. The proxy resolves the names, so only numeric
addresses in the requests to it are checked.
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
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that is assigned to the internet
_NOT_PUBLIC = tuple(
    map(
        ipaddress.ip_network,
        # IETF protocols, and services that clouds offer to their machines only; documentation
        ("192.0.0.0/24", "168.63.129.16/32", "3fff::/20"),
    )
)
_ALLOWED_PROGRAMS = frozenset({"deno", "deno.exe"})


class NetworkGuard:
    """Audit hook that blocks forbidden connections and programs.

    Args:
        allow_private: allow addresses of this machine and its network.
        proxy: URL of the proxy that all requests go through; empty for none.

    Attributes:
        violation: the first error raised, even if the downloader suppressed or replaced it.

    Raises:
        FetchError: UNREACHABLE if the proxy's name cannot be resolved.
    """

    def __init__(self, *, allow_private: bool, proxy: str = "") -> None:
        self.allow_private = allow_private
        self.proxy_addresses = _resolve_proxy(proxy) if proxy else None
        self.violation: FetchError | None = None

    def install(self) -> "NetworkGuard":
        """Add the hook to this process, permanently, and return the guard."""
        sys.addaudithook(self.check_event)
        return self

    def check_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Raise FetchError(FORBIDDEN_HOST) if an audit event is a forbidden action."""
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            if isinstance(arguments[1], tuple):
                self._check_address(str(arguments[1][0]), arguments[1][1])
        elif event == "http.client.send":
            if self.proxy_addresses is not None and isinstance(arguments[1], bytes):
                self._check_proxy_request(arguments[1])
        elif event == "subprocess.Popen":
            program = Path(str(arguments[0])).name
            if program not in _ALLOWED_PROGRAMS:
                self._forbid(f"a download must not start a program, but tried to start {program}")

    def _check_address(self, host: str, port: int) -> None:
        if self.proxy_addresses is not None:
            if (host, port) not in self.proxy_addresses:
                self._forbid(f"{host} is not the proxy that all requests use (fetch.proxies_file)")
        elif not self.allow_private and not is_public_address(host):
            self._forbid_private(host)

    def _check_proxy_request(self, data: bytes) -> None:
        host = _parse_proxy_target(data)
        if host and not self.allow_private and _is_private_host(host):
            self._forbid_private(host)

    def _forbid_private(self, host: str) -> None:
        self._forbid(
            f"{host} is a loopback, private or reserved address; allow it with "
            "--allow-private-hosts"
        )

    def _forbid(self, message: str) -> None:
        error = FetchError(Reason.FORBIDDEN_HOST, message, retryable=False)
        self.violation = self.violation or error
        raise self.violation


def is_public_address(host: str) -> bool:
    """Return whether a numeric address is globally reachable; False for a name.

    Addresses that embed an IPv4 address (IPv4-mapped, 6to4, Teredo, NAT64) are public only if that
    address is. Of the other IPv6 addresses only global unicast ones are.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        embedded = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _NAT64:
            embedded.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if any(v4 is not None and not is_public_address(str(v4)) for v4 in embedded):
            return False
        if address.ipv4_mapped or address in _NAT64:
            return True
        if address not in _GLOBAL_UNICAST:
            return False
    is_special = any(address in network for network in _NOT_PUBLIC)
    return address.is_global and not address.is_multicast and not is_special


def _resolve_proxy(proxy: str) -> frozenset[tuple[str, int]]:
    """Return the (address, port) pairs that a proxy's name resolves to."""
    parts = urlsplit(proxy)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise FetchError(
            Reason.UNREACHABLE,
            "the name of the proxy cannot be resolved; correct fetch.proxies_file",
            retryable=True,
        ) from error
    return frozenset((str(address[0]), int(address[1])) for *_, address in found)


def _parse_proxy_target(data: bytes) -> str | None:
    """Return the host in a request to a proxy (RFC 9112, 3.2.2 and 3.2.3); None for other data."""
    method, _, rest = data.partition(b"\r\n")[0].partition(b" ")
    target = rest.partition(b" ")[0].decode("latin-1")
    if not (method.isalpha() and (method == b"CONNECT" or "://" in target)):
        return None
    return urlsplit(f"//{target}" if method == b"CONNECT" else target).hostname


def _is_private_host(host: str) -> bool:
    """Return whether a host in a URL is certainly not public.

    That is localhost, or a non-public address in any notation that resolvers accept.
    """
    try:
        return not is_public_address(socket.inet_ntoa(socket.inet_aton(host)))
    except OSError:
        pass
    return not is_public_address(host) if ":" in host else host.rstrip(".").endswith("localhost")
