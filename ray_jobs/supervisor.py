"""A process that starts another one and outlives nobody.

Whatever the child starts, and whatever its children leave behind, is a descendant of the guardian (Linux: it is their "subreaper") and ends
with it: when the child ends, when the owner says so, and when the owner is gone, even by `kill -9`. The owner's sign of life is a pipe.

    python -I guardian.py --grace SECONDS [--remove FOLDER] -- COMMAND…

This file is run by its path and imports only the standard library, so that it starts at once.
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

SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
POLL_S = 0.1
LEFTOVER_S = 5.0  # between SIGTERM and SIGKILL, for what the child left behind


class SupervisedProcess:
    """The owner's side: a command under a guardian, its output in a log file.

    `grace_s` is the time that the command has between SIGTERM and SIGKILL. `remove` is a folder to delete when all is over.
    `keep_fds` stay open in the command (a lock that must last as long as it does).
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
                start_new_session=True,  # Ctrl-C reaches the owner only, which then asks for the end in good order
            )

    @property
    def pid(self) -> int:
        """The guardian's process id."""
        return self._process.pid

    def poll(self) -> int | None:
        """The command's exit status (128 + signal), or None while anything of it runs."""
        status = self._process.poll()
        if status is not None:
            self.ask()  # closes the pipe
        return status

    def wait(self, timeout_s: float) -> int | None:
        """Waits at most so long; the exit status or None."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        return self.poll()

    def ask(self) -> None:
        """Asks the command to end (SIGTERM, then SIGKILL after the grace time); does not wait."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()

    def stop(self) -> int:
        """Ends the command and all that it started, and waits for it; the exit status."""
        self.ask()
        return self._process.wait(self.grace_s + 4 * LEFTOVER_S)


def descendants(root: int) -> list[int]:
    """Process ids of all children of a process and their children, without zombies."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found, queue = [], [root]
    while queue:
        queue[:0] = (below := children.get(queue.pop(), []))
        found += below
    return found


def _parents() -> list[tuple[int, int]]:
    """(pid, parent) of every process that is not a zombie."""
    if not Path("/proc/self/stat").exists():
        listing = subprocess.run(
            ["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True
        ).stdout
        return [(int(pid), int(parent)) for pid, parent in map(str.split, listing.splitlines())]
    pairs = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # it ended meanwhile
                state, parent = (
                    (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
                )
                if state not in "ZX":
                    pairs.append((int(folder.name), int(parent)))
    return pairs


class _Supervisor:
    def __init__(self, command: list[str], grace_s: float) -> None:
        self.owner = os.getppid()
        self.grace_s = grace_s
        self.told = False
        self.status: int | None = None
        for number in (
            signal.SIGTERM,
            signal.SIGHUP,
            signal.SIGINT,
        ):  # handled here, default in the child, ignored in neither
            signal.signal(number, self._tell)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
        self.child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, start_new_session=True, close_fds=False
        ).pid

    def run(self) -> int:
        """Waits for the child or the owner's end, whichever comes first; leaves no descendant."""
        while self._reap() and not self._alone():
            pass
        if self.status is None:
            _send([self.child], signal.SIGTERM)
            self._linger(self.grace_s, lambda: self.status is None)
            _send([self.child] if self.status is None else [], signal.SIGKILL)
        _send(descendants(os.getpid()), signal.SIGTERM)
        self._linger(LEFTOVER_S, lambda: bool(descendants(os.getpid())))
        while left := descendants(os.getpid()):
            _send(left, signal.SIGKILL)
            self._linger(POLL_S, lambda: True)
        self._reap()
        assert self.status is not None
        return self.status

    def _tell(self, _number: int, _frame: FrameType | None) -> None:
        self.told = True

    def _alone(self) -> bool:
        """Waits a moment; whether the owner is gone or wants the end."""
        readable, _, _ = select.select([0], [], [], POLL_S)
        return self.told or os.getppid() != self.owner or (bool(readable) and not os.read(0, 1))

    def _linger(self, seconds: float, going: Callable[[], bool]) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and going():
            time.sleep(POLL_S / 2)
            self._reap()

    def _reap(self) -> bool:
        """Collects ended children, our own and adopted ones; whether the command still runs."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self.child:
                    code = os.waitstatus_to_exitcode(ended[1])
                    self.status = code if code >= 0 else 128 - code
        return self.status is None


def _send(pids: Sequence[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _main() -> int:
    parser = argparse.ArgumentParser(description="Runs a command that ends with its owner.")
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
