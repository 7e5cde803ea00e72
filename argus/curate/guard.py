"""What a process that fetches untrusted urls may do: connect to public addresses, and start no program but the JavaScript sandbox of yt-dlp.

The check stands at the moment of connecting (an audit hook of the interpreter), so it holds for redirects, for every url inside a manifest
and for names that resolve differently the second time. It cannot be undone: it belongs in a process of its own.
"""

import ipaddress
import sys
from pathlib import Path
from typing import Any

from argus.errors import FetchError
from schemas.names import Reason

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_PROGRAMS = frozenset({"deno", "deno.exe"})


class Guard:
    """Installed once in a process; `refusal` is the first thing that it refused, whoever swallowed the error since."""

    def __init__(self, *, allow_private: bool) -> None:
        self.allow_private = allow_private
        self.refusal: FetchError | None = None

    def install(self) -> "Guard":
        """Watches this process until it ends."""
        sys.addaudithook(self._audit)
        return self

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto"):
            address = arguments[1]
            if not self.allow_private and isinstance(address, tuple) and not is_public(str(address[0])):
                self._refuse(f"{address[0]} is a loopback, private or reserved address; allow it with --allow-private-hosts")
        elif event == "subprocess.Popen" and Path(str(arguments[0])).name not in _PROGRAMS:
            self._refuse(f"a download may not start a program, but wanted {Path(str(arguments[0])).name}")

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
