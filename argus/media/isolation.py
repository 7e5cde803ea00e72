"""Running a function on hostile input in a child process that may crash, hang or eat memory without harm here.

The child is this module run by the same Python. The parent tells it by name what to call; the result comes back as a pickle of which only plain data,
numpy arrays and this project's own classes are accepted, so that a child taken over by hostile input cannot run code here.
"""

import contextlib
import importlib
import io
import json
import math
import os
import pickle
import resource
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from argus.errors import ArgusError, VideoError
from schemas.names import Reason

T = TypeVar("T")

_FINISHED, _REFUSED, _FAILED = "finished", "refused", "failed"
_OUT_OF_MEMORY = 77  # the child's exit status
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


def isolated(function: Callable[..., T], *args: Any, timeout_s: float, memory_bytes: int = 4 << 30) -> T:
    """Calls function(*args) in a child process.

    Args:
        function: a function or class at the top level of a module that can be imported (not of a script); given to the child by its name.
        args: picklable.
        timeout_s: wall-clock seconds, after which the child is killed.
        memory_bytes: limit on the child's address space.

    Returns:
        What the function returned: plain data, numpy arrays, classes of this project.

    Raises:
        VideoError: TIMED_OUT, or DECODER_CRASHED when the child died or ran out of memory.
        ArgusError: what the function raised on purpose, unchanged.
        RuntimeError: the function failed in another way: a fault of ours, told with its traceback.
        ValueError: the function is not at the top level of a module.
    """
    name = getattr(function, "__qualname__", repr(function))
    if getattr(sys.modules.get(function.__module__), name, None) is not function or function.__module__ == "__main__":
        raise ValueError(f"{name} cannot be named to a child process; give a function at the top level of a module that can be imported")
    order = json.dumps({"module": function.__module__, "name": name, "seconds": math.ceil(timeout_s) + 5, "bytes": memory_bytes})
    sent = pickle.dumps(args)
    command = [sys.executable, "-P", "-m", "argus.media.isolation", order]
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nothing, env=_environment(), start_new_session=True) as child:
        try:
            answer, _ = child.communicate(sent, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise VideoError(Reason.TIMED_OUT, f"{name} took longer than {timeout_s:g} s and was stopped") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
    if child.returncode == _OUT_OF_MEMORY:
        raise VideoError(Reason.DECODER_CRASHED, f"{name} needed more than {memory_bytes:,} bytes of memory and was stopped")
    if child.returncode != 0:
        raise VideoError(Reason.DECODER_CRASHED, f"{name} crashed ({_how_it_died(child.returncode)}); the input is damaged")
    return _unwrap(answer, name)


def _environment() -> dict[str, str]:
    """Ours, with our import path, and with one thread for libraries that would reserve memory for many."""
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    return {**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _unwrap(answer: bytes, name: str) -> Any:
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


def _child(order: dict[str, Any]) -> int:
    """Reads the arguments from standard input, calls, and writes the outcome to the original standard output."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever the function or its libraries print goes nowhere
    outcome: tuple[str, Any]
    try:
        args = pickle.load(sys.stdin.buffer)  # noqa: S301 (from our parent)
        function = getattr(importlib.import_module(order["module"]), order["name"])
        _limit(order["seconds"], order["bytes"])
        outcome = _FINISHED, function(*args)
    except MemoryError:
        return _OUT_OF_MEMORY
    except ArgusError as exc:
        outcome = _REFUSED, exc
    except Exception:  # noqa: BLE001 (told to the parent, which raises it)
        outcome = _FAILED, traceback.format_exc()
    with answer:
        pickle.dump(outcome, answer, protocol=5)
    return 0


def _limit(seconds: int, memory_bytes: int) -> None:
    """Bounds memory, leaves no core file, and dies on its own where the parent was killed before it could."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    signal.alarm(seconds)


if __name__ == "__main__":
    sys.exit(_child(json.loads(sys.argv[1])))
