"""Running a function on hostile input in a child process that may crash, hang or eat memory without harm here.

Each call has a process of its own, which ends with it. It is forked, without the wait for imports, from a server: a process that has imported
what it takes and has never seen any input. The parent tells it by name what to call; the result comes back as a pickle of which only plain data,
numpy arrays and this project's own classes are accepted, so that a child taken over by hostile input cannot run code here.
"""

import atexit
import contextlib
import importlib
import io
import json
import math
import os
import pickle
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from argus.errors import ArgusError, ServiceError, VideoError
from argus.files import is_disk_full
from schemas.names import Reason

T = TypeVar("T")

_FINISHED, _REFUSED, _FAILED = "finished", "refused", "failed"
_OUT_OF_MEMORY = 77  # the child's exit status
_NUMBER = struct.Struct("<i")
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
_TRUSTED_PACKAGES = ("argus.", "schemas.", "numpy.dtypes")
_TRUSTED = {
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
    ("argus.errors", "_fetch_error"),
}


def isolated(
    function: Callable[..., T],
    *args: Any,
    timeout_s: float,
    memory_bytes: int = 4 << 30,
    warm: str = "",
) -> T:
    """Calls function(*args) in a child process.

    Args:
        function: a function or class at the top level of a module that can be imported (not of a script); given to the child by its name.
        args: picklable.
        timeout_s: wall-clock seconds, after which the child is killed.
        memory_bytes: limit on the child's address space.
        warm: a module that takes long to import, which the function will: the server imports it once, for all its children.

    Returns:
        What the function returned: plain data, numpy arrays, classes of this project.

    Raises:
        VideoError: TIMED_OUT, or DECODER_CRASHED when the child died or ran out of memory.
        ArgusError: what the function raised on purpose, unchanged.
        RuntimeError: the function failed in another way: a fault of ours, told with its traceback.
        ValueError: the function is not at the top level of a module.
    """
    name = getattr(function, "__qualname__", repr(function))
    if (
        getattr(sys.modules.get(function.__module__), name, None) is not function
        or function.__module__ == "__main__"
    ):
        raise ValueError(
            f"{name} cannot be named to a child process; give a function at the top level of a module that can be imported"
        )
    order = {
        "module": function.__module__,
        "warm": warm,
        "name": name,
        "seconds": math.ceil(timeout_s) + 5,
        "bytes": memory_bytes,
    }
    try:
        answer, status = _exchange(_packed(order, args), timeout_s, memory_bytes)
    except TimeoutError:
        raise VideoError(
            Reason.TIMED_OUT, f"{name} took longer than {timeout_s:g} s and was stopped"
        ) from None
    if status == _OUT_OF_MEMORY:
        raise VideoError(
            Reason.DECODER_CRASHED,
            f"{name} needed more than {memory_bytes:,} bytes of memory and was stopped",
        )
    if status != 0:
        _server.stop()  # its children share one layout of memory: let no series of crashes find it out
        raise VideoError(
            Reason.DECODER_CRASHED, f"{name} crashed ({_how_it_died(status)}); the input is damaged"
        )
    return _unwrap(answer, name)


def _packed(order: dict[str, Any], args: tuple[Any, ...]) -> bytes:
    """The length of the order, the order, and the arguments; the order says also where the parent is, as if the child were forked from it."""
    paths = [path or str(Path.cwd()) for path in sys.path]
    header = json.dumps(
        {**order, "folder": str(Path.cwd()), "paths": paths, "environment": dict(os.environ)}
    ).encode()
    return _NUMBER.pack(len(header)) + header + pickle.dumps(args)


def _exchange(sent: bytes, timeout_s: float, most_bytes: int) -> tuple[memoryview, int]:
    """Has a new child do a call; its answer and its exit status, negative for a signal. Leaves no process of it behind.

    What comes back is the child's process group, the answer, and, from the keeper that waits for the child, the status.
    """
    end = time.monotonic() + timeout_s
    received = bytearray()
    has_ended = False
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            _server.give(theirs)
        try:
            with contextlib.suppress(
                BrokenPipeError, ConnectionResetError
            ):  # it died early: its status comes all the same
                ours.settimeout(_until(end))
                ours.sendall(sent)
                ours.shutdown(socket.SHUT_WR)
            while not has_ended and len(received) < most_bytes:
                ours.settimeout(_until(end))
                piece = _received(ours)
                received += piece
                has_ended = not piece
        finally:
            if not has_ended:
                _kill(received)
    if not has_ended or len(received) < 2 * _NUMBER.size:
        return memoryview(b""), -signal.SIGKILL
    return memoryview(received)[_NUMBER.size : -_NUMBER.size], _NUMBER.unpack(
        received[-_NUMBER.size :]
    )[0]


def _until(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _received(call: socket.socket) -> bytes:
    try:
        return call.recv(1 << 20)
    except ConnectionResetError:  # it died without reading its arguments
        return b""


def _kill(received: bytearray) -> None:
    if len(received) < _NUMBER.size:
        _server.stop()  # it hangs before it has forked
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(_NUMBER.unpack(received[: _NUMBER.size])[0], signal.SIGKILL)


class _Server:
    """The process that forks children, started when it is first needed; ends with this one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def give(self, call: socket.socket) -> None:
        """Has the call at the other end of a socket done."""
        with self._lock:
            for _ in range(2):
                control = self._control or self._start()
                try:
                    socket.send_fds(control, [b"."], [call.fileno()])
                    return
                except (BrokenPipeError, ConnectionResetError):  # somebody killed it
                    self._end()
        raise RuntimeError("the server of child processes ends as soon as it starts")

    def stop(self) -> None:
        """Ends it, not the calls that its children are doing; the next call starts another."""
        with self._lock:
            self._end()

    def _start(self) -> socket.socket:
        self._control, theirs = socket.socketpair()
        program = "import sys; from argus.media import isolation; isolation.serve(int(sys.argv[1]))"
        command = [sys.executable, "-P", "-W", "ignore", "-c", program, str(theirs.fileno())]
        nothing = subprocess.DEVNULL
        with theirs:
            self._process = subprocess.Popen(
                command,
                stdin=nothing,
                stdout=nothing,
                stderr=nothing,
                env=_environment(),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        return self._control

    def _end(self) -> None:
        if self._control is not None and self._process is not None:
            self._control.close()
            self._process.kill()
            self._process.wait()
            self._control = self._process = None


_server = _Server()
atexit.register(_server.stop)


def _environment() -> dict[str, str]:
    """Ours, with our import path, and with one thread for libraries that would reserve memory for many."""
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    return {**os.environ, "PYTHONPATH": paths, **_ONE_THREAD}


def _unwrap(answer: memoryview, name: str) -> Any:
    try:
        how, what = _OwnClasses(io.BytesIO(answer)).load()
    except Exception as exc:
        raise VideoError(Reason.DECODER_CRASHED, f"the answer of {name} is damaged: {exc}") from exc
    if how == _REFUSED and isinstance(what, ArgusError):
        raise what
    if how != _FINISHED:
        raise RuntimeError(f"{name} failed in its child process:\n{what}")
    return what


def _how_it_died(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-status).name
    return f"exit status {abs(status)}"


class _OwnClasses(pickle.Unpickler):
    """Reads plain data, numpy arrays and classes of this project; refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _TRUSTED:
            return super().find_class(module, name)
        if module.startswith(_TRUSTED_PACKAGES) and "." not in name:
            found = super().find_class(module, name)
            if isinstance(found, type) and found.__module__ == module:
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is not expected from a child process")


def serve(control: int) -> None:
    """The server: forks a keeper for each call that comes through the socket of this number, until its other end is closed."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the keepers
    with socket.socket(fileno=control) as calls:
        while True:
            _, received, _, _ = socket.recv_fds(calls, 1, 1)
            if not received:
                return
            with socket.socket(fileno=received[0]) as call:
                order = _read_order(call)
                sys.path[:] = order["paths"]
                with contextlib.suppress(Exception):  # the child will tell
                    importlib.import_module(order["module"])
                    importlib.import_module(order["warm"] or order["module"])
                if os.fork() == 0:
                    calls.close()
                    _keep(call, order)


def _read_order(call: socket.socket) -> dict[str, Any]:
    size = _NUMBER.unpack(call.recv(_NUMBER.size, socket.MSG_WAITALL))[0]
    order: dict[str, Any] = json.loads(call.recv(size, socket.MSG_WAITALL))
    return order


def _keep(call: socket.socket, order: dict[str, Any]) -> None:
    """Forks the child, tells how it died, and takes with it whatever it started."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        call.sendall(_NUMBER.pack(os.getpid()))
        child = os.fork()
        if child == 0:
            os._exit(_child(call, order))
        threading.Thread(target=_end_with_caller, args=(call,), daemon=True).start()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        call.sendall(_NUMBER.pack(status))
        os.killpg(0, signal.SIGKILL)
    finally:
        os._exit(1)


def _end_with_caller(call: socket.socket) -> None:
    """Ends this call's processes when whoever wants its answer is gone: nobody may find them at work on a file of theirs."""
    hangup = select.poll()
    hangup.register(call, 0)  # only what is always told
    hangup.poll()
    os.killpg(0, signal.SIGKILL)


def _child(call: socket.socket, order: dict[str, Any]) -> int:
    """Reads the arguments, calls, and answers; the exit status."""
    outcome: tuple[str, Any]
    try:
        os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update({**order["environment"], **_ONE_THREAD})
        with call.makefile("rb") as stream:
            args = pickle.load(stream)  # noqa: S301 (from our parent)
        function = getattr(importlib.import_module(order["module"]), order["name"])
        _limit(order["seconds"], order["bytes"])
        outcome = _FINISHED, function(*args)
    except MemoryError:
        return _OUT_OF_MEMORY
    except ArgusError as exc:
        outcome = _REFUSED, exc
    except Exception as exc:  # noqa: BLE001 (told to the parent, which raises it)
        full = ServiceError(f"the disk is full ({exc}); make room, then run it again")
        outcome = (_REFUSED, full) if is_disk_full(exc) else (_FAILED, traceback.format_exc())
    with call.makefile("wb") as answer:
        pickle.dump(outcome, answer, protocol=5)
    return 0


def _limit(seconds: int, memory_bytes: int) -> None:
    """Bounds memory, leaves no core file, and dies on its own where the parent was killed before it could."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    signal.alarm(seconds)
