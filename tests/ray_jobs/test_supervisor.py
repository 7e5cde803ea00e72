"""A supervised process and all its descendants end with its owner."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from ray_jobs import supervisor
from ray_jobs.supervisor import SupervisedProcess, descendants
from tests.support.processes import wait_for_end

ORPHAN = (
    "import os, subprocess, sys; subprocess.Popen([sys.executable, '-c', "
    "'import time; time.sleep(100)'], start_new_session=True)"
)
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('ready', flush=True); time.sleep(100)"
)


def test_exit_status_and_output_are_available(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('hello'); raise SystemExit(7)"]
    process = SupervisedProcess(command, tmp_path / "log")
    assert process.wait(60) == 7
    assert (tmp_path / "log").read_text() == "hello\n"


def test_processes_that_the_command_leaves_behind_are_ended(tmp_path: Path) -> None:
    before = descendants(os.getpid())
    folder = tmp_path / "removed"
    folder.mkdir()
    process = SupervisedProcess(
        [sys.executable, "-c", f"{ORPHAN}; raise SystemExit(3)"], tmp_path / "log", remove=folder
    )
    assert process.wait(60) == 3
    assert set(descendants(os.getpid())) <= set(before)
    assert not folder.exists()


def test_a_command_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    process = SupervisedProcess([sys.executable, "-c", STUBBORN], tmp_path / "log", grace_s=0.2)
    while "ready" not in (tmp_path / "log").read_text():
        assert process.wait(0.05) is None
    assert process.stop() == 128 + signal.SIGKILL


def test_no_process_remains_when_the_owner_is_killed(tmp_path: Path) -> None:
    command = f"{ORPHAN}; print(1, flush=True); import time; time.sleep(100)"
    code = (
        "import sys, time; from pathlib import Path; "
        "from ray_jobs.supervisor import SupervisedProcess; "
        f"SupervisedProcess([sys.executable, '-c', {command!r}], Path(sys.argv[1])); "
        "print('up', flush=True); time.sleep(100)"
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
    pids = descendants(owner.pid)
    assert len(pids) == 3, "supervisor, command and orphan"
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert wait_for_end(pids, 10)


def test_a_child_has_default_signal_handlers_even_if_its_owner_ignores_signals(
    tmp_path: Path,
) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
        assert SupervisedProcess([sys.executable, "-c", code], tmp_path / "log").wait(60) == 0
    finally:
        signal.signal(signal.SIGINT, before)
    assert (tmp_path / "log").read_text() == "True\n"


def test_a_command_that_ends_while_its_supervisor_waits_for_the_processor() -> None:
    """Its status must not be lost: the supervisor would wait for ever."""
    code = (
        "import runpy, subprocess, sys, time\n"
        "class SlowPopen(subprocess.Popen):\n"
        "    def __init__(self, *args, **kwargs):\n"
        "        super().__init__(*args, **kwargs)\n"
        "        time.sleep(1)\n"
        "subprocess.Popen = SlowPopen\n"
        "sys.argv = ['supervisor', '--grace', '1', '--', 'sh', '-c', 'exit 7']\n"
        f"runpy.run_path({supervisor.__file__!r}, run_name='__main__')\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process:
        try:
            assert process.wait(30) == 7
        finally:
            process.kill()
