"""A guarded process ends with its owner, and so does all that it started."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from ray_jobs.supervisor import SupervisedProcess, descendants

ORPHAN = "import os, subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'], start_new_session=True)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(100)"


def all_ended(pids: Iterable[int], timeout_s: float) -> bool:
    """Waits for the end of processes that are not ours."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        with os.fdopen(descriptor, "rb") as file:
            if not select.select([file], [], [], timeout_s)[0]:
                return False
    return True


def test_gives_the_exit_status_and_the_output(tmp_path: Path) -> None:
    guarded = SupervisedProcess(
        [sys.executable, "-c", "print('hello'); raise SystemExit(7)"], tmp_path / "log"
    )
    assert guarded.wait(10) == 7
    assert (tmp_path / "log").read_text() == "hello\n"


def test_what_the_command_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    before = descendants(os.getpid())
    guarded = SupervisedProcess(
        [sys.executable, "-c", f"{ORPHAN}; raise SystemExit(3)"],
        tmp_path / "log",
        remove=(folder := tmp_path / "gone"),
    )
    folder.mkdir(exist_ok=True)
    assert guarded.wait(10) == 3
    assert set(descendants(os.getpid())) <= set(before)
    assert not folder.exists()


def test_a_command_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    guarded = SupervisedProcess([sys.executable, "-c", STUBBORN], tmp_path / "log", grace_s=0.2)
    while "ready" not in (tmp_path / "log").read_text():
        assert guarded.wait(0.05) is None
    assert guarded.stop() == 128 + signal.SIGKILL


def test_nothing_survives_an_owner_that_is_killed(tmp_path: Path) -> None:
    command = f"{ORPHAN}; print(1, flush=True); import time; time.sleep(100)"
    code = (
        "import sys, time; from pathlib import Path; from ray_jobs.supervisor import SupervisedProcess;"
        f"SupervisedProcess([sys.executable, '-c', {command!r}], Path(sys.argv[1])); print('up', flush=True); time.sleep(100)"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "log"],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert owner.stdout
    assert owner.stdout.readline() == b"up\n"
    while not (tmp_path / "log").read_text():
        assert owner.poll() is None
    below = descendants(owner.pid)
    assert len(below) == 3  # guardian, command, orphan
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert all_ended(below, 10)


def test_a_child_has_the_default_signals_though_its_owner_ignores_them(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        show = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
        assert SupervisedProcess([sys.executable, "-c", show], tmp_path / "log").wait(10) == 0
    finally:
        signal.signal(signal.SIGINT, before)
    assert (tmp_path / "log").read_text() == "True\n"
