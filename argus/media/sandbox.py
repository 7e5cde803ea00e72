"""Sandbox: runs a function on hostile input in a child process that may crash, hang or leak.

Each call has its own process, forked by the fork server (`argus.media.fork_server`). The function
is sent by name; the result comes back as a pickle that is read with an allow-list (plain data,
numpy arrays and this project's classes), so that a compromised child cannot run code here.
"""

import atexit
import contextlib
import io
import json
import math
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from argus.errors import ArgusError, VideoError
from argus.media.fork_server import (
    EXIT_RECORD,
    EXIT_TAG,
    INT32,
    OUT_OF_MEMORY_STATUS,
    RAISED,
    RETURNED,
    SINGLE_THREADED,
)
from schemas.names import Reason

T = TypeVar("T")

_ALARM_MARGIN_S = 5  # after the deadline, the child ends itself
_SERVER_CODE = (
    "import sys; from argus.media.fork_server import serve_requests;"
    " serve_requests(int(sys.argv[1]), sys.argv[2])"
)
_HUGE_PAGES = "glibc.malloc.hugetlb=1"
"""A child touches all its memory for the first time; with huge pages that faults half as often."""

_ALLOWED_PACKAGES = ("argus.", "schemas.", "numpy.dtypes")
_ALLOWED_GLOBALS = {
    ("builtins", "complex"),
    ("builtins", "frozenset"),
    ("builtins", "set"),
    ("builtins", "slice"),
    ("builtins", "range"),
    ("builtins", "bytearray"),
    ("collections", "Counter"),
    ("collections", "OrderedDict"),
    ("datetime", "date"),
    ("datetime", "datetime"),
    ("datetime", "timedelta"),
    ("datetime", "timezone"),
    ("fractions", "Fraction"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("pathlib", "PosixPath"),
    ("argus.errors", "_unpickle_fetch_error"),
}


def run_sandboxed(
    function: Callable[..., T],
    *args: Any,
    timeout_s: float,
    memory_bytes: int = 4 << 30,
    limits_reserved: bool = True,
    preload: str = "",
) -> T:
    """Call `function(*args)` in a child process.

    Args:
        function: a function or class at the top level of an importable module (not of a script).
        *args: picklable arguments.
        timeout_s: wall-clock seconds after which the child is killed.
        memory_bytes: limit on the child's memory.
        limits_reserved: count address space that is reserved but not used. If False, only writable
            memory counts, for the child and for each program that it starts: JavaScript engines
            reserve far more than they use.
        preload: a module that the function imports and that takes long to import; a fork server
            imports it once for all children.

    Returns:
        The function's result: plain data, numpy arrays and classes of this project.

    Raises:
        VideoError: TIMED_OUT; DECODER_CRASHED if the child died or ran out of memory; WORKER_DIED
            if it was killed from outside, so that the call may be repeated.
        CallCancelled: `cancel_calls` was called for this thread.
        ArgusError: raised by the function.
        RuntimeError: the function raised another exception, a bug; with its traceback.
        ValueError: the function is not at the top level of an importable module.
    """
    name = getattr(function, "__qualname__", repr(function))
    if (
        getattr(sys.modules.get(function.__module__), name, None) is not function
        or function.__module__ == "__main__"
    ):
        raise ValueError(
            f"{name} cannot be imported by a child process; "
            "give a function at the top level of an importable module"
        )
    request = {
        "module": function.__module__,
        "preload": preload,
        "name": name,
        "seconds": math.ceil(timeout_s) + _ALARM_MARGIN_S,
        "bytes": memory_bytes,
        "limits_reserved": limits_reserved,
    }
    server = _get_server(preload)
    try:
        reply, status = _send_request(server, _pack_request(request, args), timeout_s, memory_bytes)
    except TimeoutError:
        raise VideoError(
            Reason.TIMED_OUT, f"{name} took longer than {timeout_s:g} s and was killed"
        ) from None
    if status:
        raise _exit_error(server, name, status, memory_bytes)
    return _parse_reply(reply, name)


def start_server(preload: str) -> None:
    """Start the fork server of a preloaded module, which imports it while the caller goes on."""
    _get_server(preload).start()


def cancel_calls(thread_ids: Iterable[int]) -> None:
    """Kill the child processes for which some threads are waiting.

    Their calls raise CallCancelled. A thread that is in no call is left alone.

    Args:
        thread_ids: `ident` of each thread.
    """
    for thread_id in thread_ids:
        if call := _calls.get(thread_id):
            call.is_cancelled = True
            with contextlib.suppress(OSError):  # it has just ended
                call.connection.shutdown(socket.SHUT_RDWR)


class CallCancelled(Exception):
    """A call that `cancel_calls` ended."""


@dataclass
class _Call:
    """A call for whose reply a thread is waiting."""

    connection: socket.socket
    is_cancelled: bool = False


_calls: dict[int, _Call] = {}  # by the `ident` of the waiting thread


def _exit_error(server: "_ForkServer", name: str, status: int, memory_bytes: int) -> VideoError:
    if status == -signal.SIGKILL:  # no decoder does this to itself
        return VideoError(Reason.WORKER_DIED, f"the process of {name} was killed from outside")
    if status == OUT_OF_MEMORY_STATUS:
        return VideoError(
            Reason.DECODER_CRASHED,
            f"{name} needed more than {memory_bytes:,} bytes of memory and was stopped",
        )
    # All children share one memory layout: a series of crashes must not reveal it.
    server.retire()
    return VideoError(
        Reason.DECODER_CRASHED,
        f"{name} crashed ({_describe_status(status)}); the input is damaged",
    )


def _pack_request(request: dict[str, Any], args: tuple[Any, ...]) -> bytes:
    """Pack the header's size, the header and the arguments.

    The header also holds the caller's working folder, import path and environment, as if the child
    were forked from the caller.
    """
    paths = [path or str(Path.cwd()) for path in sys.path]
    header = json.dumps(
        {**request, "folder": str(Path.cwd()), "paths": paths, "environment": dict(os.environ)}
    ).encode()
    return INT32.pack(len(header)) + header + pickle.dumps(args)


def _send_request(
    server: "_ForkServer", request: bytes, timeout_s: float, max_reply_bytes: int
) -> tuple[memoryview, int]:
    """Run a request in a new child and leave no process of it behind.

    Returns:
        The pickled reply and the child's exit status, negative for a signal.

    Raises:
        TimeoutError: the child did not end in time.
        CallCancelled: `cancel_calls` was called for this thread.
    """
    deadline = time.monotonic() + timeout_s
    received = bytearray()
    has_ended = False
    connection, child_end = socket.socketpair()
    call = _calls[threading.get_ident()] = _Call(connection)
    with connection:
        try:
            with child_end:
                server.submit(child_end)
            # A child that died early has closed the socket; its exit status is received below.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.settimeout(_remaining_s(deadline))
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
            while not has_ended and len(received) < max_reply_bytes:
                connection.settimeout(_remaining_s(deadline))
                data = _receive(connection)
                received += data
                has_ended = not data
        finally:
            del _calls[threading.get_ident()]
            if call.is_cancelled or not has_ended:
                _kill_child(server, received)
    if call.is_cancelled:
        raise CallCancelled
    if not has_ended:  # the reply is larger than the child's memory may be
        return memoryview(b""), 1
    if len(received) < INT32.size + EXIT_RECORD.size:
        return memoryview(b""), -signal.SIGKILL
    tag, status = EXIT_RECORD.unpack(received[-EXIT_RECORD.size :])
    if tag != EXIT_TAG:  # the server was killed, and the child with it, maybe within its reply
        return memoryview(b""), -signal.SIGKILL
    return memoryview(received)[INT32.size : -EXIT_RECORD.size], status


def _remaining_s(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    return remaining


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1 << 20)
    except ConnectionResetError:  # the child died without reading its arguments
        return b""


def _kill_child(server: "_ForkServer", received: bytearray) -> None:
    if len(received) < INT32.size:
        server.stop()  # it hung before the fork
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(INT32.unpack(received[: INT32.size])[0], signal.SIGKILL)


class _ForkServer:
    """Handle of the fork server process, which is started on first use and ends with this one."""

    def __init__(self, preload: str) -> None:
        self._preload = preload
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._retired: list[subprocess.Popen[bytes]] = []

    def submit(self, connection: socket.socket) -> None:
        """Pass the child's end of a connection to the server, restarting the server if needed."""
        with self._lock:
            for _ in range(2):
                control = self._control or self._start()
                try:
                    socket.send_fds(control, [b"."], [connection.fileno()])
                    return
                except (BrokenPipeError, ConnectionResetError):  # it was killed
                    self._stop()
        raise RuntimeError("the fork server exits immediately after it is started")

    def start(self) -> None:
        """Start the server if it does not run."""
        with self._lock:
            if self._control is None:
                self._start()

    def retire(self) -> None:
        """Let the server exit when its running children have; the next request starts another."""
        with self._lock:
            if self._control is not None and self._process is not None:
                self._control.close()
                self._retired = [one for one in self._retired if one.poll() is None]
                self._retired.append(self._process)
                self._control = self._process = None

    def stop(self) -> None:
        """Kill the server and its children; the next request starts another."""
        with self._lock:
            self._stop()

    def close(self) -> None:
        """Kill the server, and retired ones that still run, because this process ends."""
        self.stop()
        for process in self._retired:
            process.kill()
            process.wait()

    def _start(self) -> socket.socket:
        control, server_end = socket.socketpair()
        command = [sys.executable, "-P", "-W", "ignore", "-c", _SERVER_CODE]
        command += [str(server_end.fileno()), self._preload]
        with server_end:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_server_environment(),
                pass_fds=[server_end.fileno()],
                start_new_session=True,
            )
        self._control = control  # only now: a failed start is tried again by the next request
        return control

    def _stop(self) -> None:
        if self._control is not None and self._process is not None:
            self._control.close()
            self._process.kill()
            self._process.wait()
            self._control = self._process = None


_servers: dict[str, _ForkServer] = {}  # by preloaded module
_servers_lock = threading.Lock()


def _get_server(preload: str) -> _ForkServer:
    """Return the server of a preloaded module; a child inherits no other preloaded module."""
    with _servers_lock:
        if preload not in _servers:
            _servers[preload] = _ForkServer(preload)
            atexit.register(_servers[preload].close)
        return _servers[preload]


def _server_environment() -> dict[str, str]:
    """Return this process's environment and import path, with single-threaded numeric libraries.

    Such libraries reserve memory per thread, which counts against the children's limit.
    """
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    tunables = ":".join(filter(None, (os.environ.get("GLIBC_TUNABLES"), _HUGE_PAGES)))
    return {**os.environ, "PYTHONPATH": paths, "GLIBC_TUNABLES": tunables, **SINGLE_THREADED}


def _parse_reply(reply: memoryview, name: str) -> Any:
    try:
        status, value = _AllowListUnpickler(io.BytesIO(reply)).load()
    except Exception as exc:
        raise VideoError(
            Reason.DECODER_CRASHED, f"the reply of {name} cannot be read: {exc}"
        ) from exc
    if status == RAISED and isinstance(value, ArgusError):
        raise value
    if status != RETURNED:
        raise RuntimeError(f"{name} failed in its child process:\n{value}")
    return value


def _describe_status(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-status).name
    return f"exit status {abs(status)}"


class _AllowListUnpickler(pickle.Unpickler):
    """Unpickler of plain data, numpy arrays and this project's classes only."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED_GLOBALS:
            return super().find_class(module, name)
        if module.startswith(_ALLOWED_PACKAGES) and "." not in name:
            found = super().find_class(module, name)
            if isinstance(found, type) and found.__module__ == module:
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is not in the allow-list")
