"""A TCP server that forwards connections, for tests in which a server becomes reachable later."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator

HOST = "127.0.0.1"


def find_free_port() -> int:
    """Return a free port on loopback."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def forward(port: int, target_port: int) -> Iterator[None]:
    """Forward connections from one loopback port to another within this context."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((HOST, target_port)) as target:
                upload = threading.Thread(target=_copy, args=(self.request, target), daemon=True)
                upload.start()
                _copy(target, self.request)
                upload.join()

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server((HOST, port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def _copy(source: socket.socket, destination: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            destination.sendall(data)
    with contextlib.suppress(OSError):
        destination.shutdown(socket.SHUT_WR)
