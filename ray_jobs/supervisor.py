"""Supervisor: kills the child's process tree when the child or its owner exits.

    python -I supervisor.py --grace SECONDS [--remove FOLDER] -- COMMAND…

On Linux the supervisor is the "subreaper" of all its descendants: processes that the child leaves
behind become its own children. The owner holds the write end of a pipe on the supervisor's standard
input, which closes when the owner exits, even by `kill -9`. This file runs by its path and imports
only the standard library, so that it starts fast.
"""

import argparse
import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
_POLL_S = 0.1
_LEFTOVER_GRACE_S = 5.0  # between SIGTERM and SIGKILL, for processes that the child left behind


class SupervisedProcess:
    """The owner's handle of a command that runs under a supervisor.

    Args:
        command: The command and its arguments.
        log: File to which its output is appended.
        env: Its environment (default: this process's).
        cwd: Its working folder.
        grace_s: Time between SIGTERM and SIGKILL, in seconds.
        remove: A folder to delete after the end.
        keep_fds: File descriptors that stay open in the command, such as that of a lock.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        grace_s: float = 10.0,
        remove: Path | None = None,
        keep_fds: tuple[int, ...] = (),
    ) -> None:
        self.log = log
        self.grace_s = grace_s
        log.parent.mkdir(parents=True, exist_ok=True)
        removal = ["--remove", str(remove)] if remove else []
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-I", __file__, "--grace", str(grace_s), *removal, "--", *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=cwd,
                pass_fds=keep_fds,
                start_new_session=True,  # Ctrl-C reaches only the owner, which then stops the child
            )

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return the command's exit status (128 + signal), or None while it runs."""
        status = self._process.poll()
        if status is not None:
            self.request_end()  # closes the pipe
        return status

    def wait(self, timeout_s: float) -> int | None:
        """Wait at most `timeout_s` seconds; return the exit status, or None if it still runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        return self.poll()

    def request_end(self) -> None:
        """Request the end of the command (SIGTERM, then SIGKILL) without waiting for it."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()

    def stop(self) -> int:
        """End the command and all its descendants, and return its exit status."""
        self.request_end()
        return self._process.wait(self.grace_s + 4 * _LEFTOVER_GRACE_S)


def descendants(root: int) -> list[int]:
    """Return the process ids of all descendants of a process, without zombies."""
    children: dict[int, list[int]] = {}
    for pid, parent in _list_processes():
        children.setdefault(parent, []).append(pid)
    pids, queue = [], [root]
    while queue:
        queue[:0] = (direct := children.get(queue.pop(), []))
        pids += direct
    return pids


def _list_processes() -> list[tuple[int, int]]:
    """Return (pid, parent pid) of every process that is not a zombie."""
    if not Path("/proc/self/stat").exists():
        listing = subprocess.run(
            ["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True
        ).stdout
        return [(int(pid), int(parent)) for pid, parent in map(str.split, listing.splitlines())]
    pairs = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # the process ended meanwhile
                fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
                state, parent = fields[:2]
                if state not in "ZX":
                    pairs.append((int(folder.name), int(parent)))
    return pairs


class _Supervisor:
    """The supervisor's side: starts the child and ends all descendants."""

    def __init__(self, command: list[str], grace_s: float) -> None:
        self.owner = os.getppid()
        self.grace_s = grace_s
        self.is_signaled = False
        self.status: int | None = None  # exit status of the child
        # A handler, rather than SIG_IGN, so that the child inherits the default action.
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, self._handle_signal)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        # Kept: the destructor of a Popen object collects the status of a child that has ended.
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, start_new_session=True, close_fds=False
        )
        self.child = self._process.pid

    def run(self) -> int:
        """Wait until the child or the owner ends, then end all descendants."""
        while self._reap() and not self._must_end():
            pass
        if self.status is None:
            _send_signal([self.child], signal.SIGTERM)
            self._wait_while(lambda: self.status is None, self.grace_s)
            _send_signal([self.child] if self.status is None else [], signal.SIGKILL)
        _send_signal(descendants(os.getpid()), signal.SIGTERM)
        self._wait_while(lambda: bool(descendants(os.getpid())), _LEFTOVER_GRACE_S)
        while remaining := descendants(os.getpid()):
            _send_signal(remaining, signal.SIGKILL)
            self._wait_while(lambda: True, _POLL_S)
        self._reap()
        assert self.status is not None
        return self.status

    def _handle_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.is_signaled = True

    def _must_end(self) -> bool:
        """Wait one interval; return whether the owner has exited or requests the end."""
        readable, _, _ = select.select([0], [], [], _POLL_S)
        is_pipe_closed = bool(readable) and not os.read(0, 1)
        return self.is_signaled or os.getppid() != self.owner or is_pipe_closed

    def _wait_while(self, condition: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and condition():
            time.sleep(_POLL_S / 2)
            self._reap()

    def _reap(self) -> bool:
        """Collect ended child processes; return whether the command still runs."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self.child:
                    code = os.waitstatus_to_exitcode(ended[1])
                    self.status = code if code >= 0 else 128 - code
        return self.status is None


def _send_signal(pids: Sequence[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _main() -> int:
    parser = argparse.ArgumentParser(description="Run a command that ends with its owner.")
    parser.add_argument("--grace", type=float, required=True)
    parser.add_argument("--remove", type=Path)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    try:
        return _Supervisor(options.command, options.grace).run()
    finally:
        if options.remove:
            shutil.rmtree(options.remove, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(_main())
