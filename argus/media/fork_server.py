"""Fork server of the sandbox: forks one process group per request, away from the caller's memory.

The server imports the modules that requests name, but never reads their arguments, so that
a child starts without import time and without traces of other input. A request arrives as a socket
(SCM_RIGHTS), over which follow the size of a JSON header, the header and the pickled arguments.
The reply is the process group of the child, a pickle of (status, value), and the child's exit
status.
"""

import contextlib
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
import threading
import traceback
from typing import Any

from argus.errors import ArgusError, ServiceError
from argus.files import is_disk_full

INT32 = struct.Struct("<i")
RETURNED, RAISED, FAILED = "returned", "raised", "failed"  # status of a reply
OUT_OF_MEMORY_STATUS = 77  # exit status of a child
SINGLE_THREADED = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def serve_requests(control_fd: int, preload: str = "") -> None:
    """Fork a supervisor per request received on a control socket, until its other end closes.

    Args:
        control_fd: descriptor of the socket.
        preload: a module that is imported before the first request; empty for none.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors are not waited for
    with socket.socket(fileno=control_fd) as control:
        if preload:
            with contextlib.suppress(Exception):  # the first child will raise and report it
                importlib.import_module(preload)
        while True:
            _, fds, _, _ = socket.recv_fds(control, 1, 1)
            if not fds:
                return
            with socket.socket(fileno=fds[0]) as connection:
                request = _read_request(connection)
                sys.path[:] = request["paths"]
                with contextlib.suppress(Exception):  # the child will raise and report it
                    importlib.import_module(request["module"])
                    importlib.import_module(request["preload"] or request["module"])
                gc.freeze()  # a collection in a child would copy the memory that it inherits
                if os.fork() == 0:
                    control.close()
                    _supervise_child(connection, request)


def _read_request(connection: socket.socket) -> dict[str, Any]:
    size = INT32.unpack(connection.recv(INT32.size, socket.MSG_WAITALL))[0]
    request: dict[str, Any] = json.loads(connection.recv(size, socket.MSG_WAITALL))
    return request


def _supervise_child(connection: socket.socket, request: dict[str, Any]) -> None:
    """Fork the child in a new process group, send its exit status, and kill the group."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        connection.sendall(INT32.pack(os.getpid()))
        child = os.fork()
        if child == 0:
            os._exit(_run_child(connection, request))
        threading.Thread(target=_kill_group_on_hangup, args=(connection,), daemon=True).start()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        connection.sendall(INT32.pack(status))
        os.killpg(0, signal.SIGKILL)
    finally:
        os._exit(1)


def _kill_group_on_hangup(connection: socket.socket) -> None:
    """Kill the process group when the caller is gone, so that nothing still writes to its files."""
    hangup = select.poll()
    hangup.register(connection, 0)  # only the events that are always reported, such as POLLHUP
    hangup.poll()
    os.killpg(0, signal.SIGKILL)


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
        _set_limits(request["seconds"], request["bytes"])
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


def _set_limits(seconds: int, memory_bytes: int) -> None:
    """Limit memory, disable core files, and set an alarm in case the supervisor is killed."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    signal.alarm(seconds)
