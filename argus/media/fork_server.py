"""Fork server of the sandbox: forks one process per request, away from the caller's memory.

The server imports the modules that requests name, but never reads their arguments, so that
a child starts without import time and without traces of other input. A request arrives as a socket
(SCM_RIGHTS), over which follow the size of a JSON header, the header and the pickled arguments.
The reply is the process group of the child, a pickle of (status, value), and an `EXIT_RECORD`,
which shows that the reply is complete.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import pickle
import resource
import select
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Collection, Iterable
from typing import Any

from argus.errors import ArgusError, ServiceError
from argus.files import is_disk_full

INT32 = struct.Struct("<i")
EXIT_RECORD = struct.Struct("<8si")  # EXIT_TAG, exit status of the child
EXIT_TAG = b"\0argus\0\xff"
RETURNED, RAISED, FAILED = "returned", "raised", "failed"  # status of a reply
OUT_OF_MEMORY_STATUS = 77  # exit status of a child
SINGLE_THREADED = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def serve_requests(control_fd: int, preload: str = "") -> None:
    """Serve the requests received on a control socket until its other end closes.

    Args:
        control_fd: descriptor of the socket.
        preload: a module that is imported before the first request; empty for none.
    """
    with socket.socket(fileno=control_fd) as control:
        _import_modules(preload)
        _RequestLoop(control).run()


class _RequestLoop:
    """Forks a child per request; watches for the end of the children and of their callers."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._process_id = os.getpid()
        self._connections: dict[int, socket.socket] = {}  # by the child's process id
        self._child_ended, self._signal_writer = socket.socketpair()
        self._signal_writer.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._signal_writer.fileno(), warn_on_full_buffer=False)
        self._poll = select.poll()
        self._poll.register(self._control, select.POLLIN)
        self._poll.register(self._child_ended, select.POLLIN)

    def run(self) -> None:
        """Serve until the control socket is closed and the last child has ended."""
        is_open = True
        while is_open or self._connections:
            ready = {fd for fd, _ in self._poll.poll()}
            # Hang-ups come first: the two others close and open connections, whose numbers recur.
            self._kill_children_of(ready.intersection(map(socket.socket.fileno, self._callers())))
            if self._child_ended.fileno() in ready:
                self._child_ended.recv(4096)
                self._reap_children()
            if self._control.fileno() in ready and not self._accept():
                self._poll.unregister(self._control)
                is_open = False

    def _callers(self) -> Iterable[socket.socket]:
        return self._connections.values()

    def _accept(self) -> bool:
        """Fork a child for the next request; return False at the end of the control socket."""
        _, fds, _, _ = socket.recv_fds(self._control, 1, 1)
        if not fds:
            return False
        connection = socket.socket(fileno=fds[0])
        try:
            request = _read_request(connection)
        except (struct.error, ValueError, OSError):  # the caller is gone
            connection.close()
            return True
        sys.path[:] = request["paths"]
        _import_modules(request["module"], request["preload"])
        child = os.fork()
        if child == 0:
            os._exit(self._enter_child(connection, request))
        self._connections[child] = connection
        self._poll.register(connection, 0)  # only what is always reported, such as POLLHUP
        return True

    def _reap_children(self) -> None:
        """Kill what ended children left of their process groups, and send their exit statuses."""
        with contextlib.suppress(ChildProcessError):  # none is left
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                connection = self._connections.pop(ended[0])
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(ended[0], signal.SIGKILL)
                with contextlib.suppress(KeyError):  # its caller hung up
                    self._poll.unregister(connection)
                with connection, contextlib.suppress(OSError):  # its caller is gone
                    status = os.waitstatus_to_exitcode(ended[1])
                    connection.sendall(EXIT_RECORD.pack(EXIT_TAG, status))

    def _kill_children_of(self, fds: Collection[int]) -> None:
        """Kill children whose callers are gone, so that nothing still writes to their files."""
        for child, connection in self._connections.items():
            if connection.fileno() in fds:
                self._poll.unregister(connection)
                for kill in (os.killpg, os.kill):  # it may not have a group of its own yet
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        kill(child, signal.SIGKILL)

    def _enter_child(self, connection: socket.socket, request: dict[str, Any]) -> int:
        """Leave the server's resources and run the request; return the exit status."""
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            server_ends = (self._control, self._child_ended, self._signal_writer)
            for other in (*server_ends, *self._callers()):
                other.close()
            os.setsid()
            connection.sendall(INT32.pack(os.getpid()))
            _die_with_parent(self._process_id)
            return _run_child(connection, request)
        except BaseException:  # noqa: BLE001  a child must never return into the server's loop
            return 1


def _import_modules(*names: str) -> None:
    with contextlib.suppress(Exception):  # the child will raise and report it
        for name in filter(None, names):
            importlib.import_module(name)
    gc.freeze()  # a collection in a child would copy the memory that it inherits


def _read_request(connection: socket.socket) -> dict[str, Any]:
    size = INT32.unpack(connection.recv(INT32.size, socket.MSG_WAITALL))[0]
    request: dict[str, Any] = json.loads(connection.recv(size, socket.MSG_WAITALL))
    return request


def _die_with_parent(parent: int) -> None:
    """Have the kernel kill this process if its parent is killed, also if it was already (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def _run_child(connection: socket.socket, request: dict[str, Any]) -> int:
    """Read the arguments, call the function and send the reply; return the exit status."""
    reply: tuple[str, Any]
    try:
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update({**request["environment"], **SINGLE_THREADED})
        with connection.makefile("rb") as stream:
            args = pickle.load(stream)  # noqa: S301 (from the caller)
        function = getattr(importlib.import_module(request["module"]), request["name"])
        _set_limits(
            request["seconds"], request["bytes"], limits_reserved=request["limits_reserved"]
        )
        reply = RETURNED, function(*args)
    except MemoryError:
        return OUT_OF_MEMORY_STATUS
    except ArgusError as exc:
        reply = RAISED, exc
    except Exception as exc:  # noqa: BLE001 (the caller raises it)
        if is_disk_full(exc):
            reply = RAISED, ServiceError(f"the disk is full ({exc}); free space and run it again")
        else:
            reply = FAILED, traceback.format_exc()
    with connection.makefile("wb") as stream:
        pickle.dump(reply, stream, protocol=5)
    return 0


def _set_limits(seconds: int, memory_bytes: int, limits_reserved: bool) -> None:
    """Limit memory, disable core files, and set an alarm in case the server is killed.

    The alarm is not inherited by a program that the child starts; the limit of CPU time is.
    """
    memory = resource.RLIMIT_AS if limits_reserved else resource.RLIMIT_DATA
    resource.setrlimit(memory, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not limits_reserved:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    signal.alarm(seconds)
