"""Sandbox: whatever the child does, the caller gets a result or a typed error; no child is left."""

import faulthandler
import mmap
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from argus.errors import FetchError, VideoError
from argus.media import (
    CallCancelled,
    MediaInfo,
    cancel_calls,
    decode_clip,
    probe,
    run_sandboxed,
)
from schemas.names import Reason


def fail(function, *args, **options) -> VideoError:
    with pytest.raises(VideoError) as caught:
        run_sandboxed(function, *args, **options)
    return caught.value


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def find_fork_servers() -> list[int]:
    """Return the fork servers started by this process."""
    pids = []
    for children in Path("/proc/self/task").glob("*/children"):
        for pid in children.read_text().split():
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"fork_server" in command and is_running(int(pid)):
                pids.append(int(pid))
    return pids


def test_result_is_returned(library):
    assert run_sandboxed(probe, library("h264.mp4"), timeout_s=30) == probe(library("h264.mp4"))
    np.testing.assert_array_equal(run_sandboxed(np.arange, 5, timeout_s=30), np.arange(5))
    assert run_sandboxed(Fraction, 3, 4, timeout_s=30) == Fraction(3, 4)
    info = run_sandboxed(MediaInfo, 2, 1, Fraction(1), 1, 1.0, "h264", "mp4", timeout_s=30)
    assert info.width == 2


def test_project_error_is_raised_unchanged(tmp_path):
    (tmp_path / "empty.mp4").touch()
    assert fail(probe, tmp_path / "empty.mp4", timeout_s=30).reason is Reason.EMPTY_FILE


def kill_own_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def sleep_and_record(path: Path) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(str(os.getpid()))
    partial.rename(path)
    time.sleep(60)


def raise_fetch_error() -> None:
    raise FetchError(Reason.RATE_LIMITED, "x", retryable=True, retry_after_s=2.5, is_attempt=False)


def test_fetch_error_keeps_its_fields():
    with pytest.raises(FetchError) as caught:
        run_sandboxed(raise_fetch_error, timeout_s=30)
    error = caught.value
    assert (error.reason, error.message, error.retryable) == (Reason.RATE_LIMITED, "x", True)
    assert (error.retry_after_s, error.is_attempt) == (2.5, False)


@pytest.mark.parametrize(
    ("function", "signal_name"), [(os.abort, "SIGABRT"), (faulthandler._sigsegv, "SIGSEGV")]
)
def test_crash_is_a_typed_error_and_the_next_call_works(library, function, signal_name):
    error = fail(function, timeout_s=30)
    assert error.reason is Reason.DECODER_CRASHED
    assert signal_name in error.message
    assert run_sandboxed(probe, library("h264.mp4"), timeout_s=30).frames == 40


def test_crash_of_one_call_leaves_another_running(tmp_path):
    with ThreadPoolExecutor(1) as pool:
        waiting = f"touch {tmp_path}/started; until test -e {tmp_path}/go; do sleep 0.05; done"
        other = pool.submit(run_sandboxed, os.system, waiting, timeout_s=60)
        while not (tmp_path / "started").exists():
            assert not other.done()
            time.sleep(0.01)
        assert fail(os.abort, timeout_s=30).reason is Reason.DECODER_CRASHED
        assert run_sandboxed(Fraction, 1, 2, timeout_s=30) == Fraction(1, 2)
        (tmp_path / "go").touch()
        assert other.result(timeout=30) == 0


def test_processes_end_with_a_killed_server(tmp_path):
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(run_sandboxed, sleep_and_record, tmp_path / "pid", timeout_s=60)
        while not (tmp_path / "pid").exists():
            assert not call.done()
            time.sleep(0.01)
        for server in find_fork_servers():
            os.kill(server, signal.SIGKILL)
        with pytest.raises(VideoError) as caught:
            call.result(timeout=30)
    assert caught.value.reason is Reason.WORKER_DIED
    end = time.monotonic() + 10
    while is_running(int((tmp_path / "pid").read_text())):
        assert time.monotonic() < end


def test_each_call_has_its_own_process_in_the_callers_environment(tmp_path, monkeypatch):
    assert len({run_sandboxed(os.getpid, timeout_s=30) for _ in range(3)}) == 3
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARGUS_SANDBOX_TEST", "seen")
    assert run_sandboxed(os.getcwd, timeout_s=30) == str(tmp_path)
    assert run_sandboxed(os.getenv, "ARGUS_SANDBOX_TEST", timeout_s=30) == "seen"


def test_concurrent_calls_with_large_values():
    numbers = np.arange(1_000_000)
    with ThreadPoolExecutor(4) as pool:
        sums = list(
            pool.map(lambda start: run_sandboxed(np.add, numbers, start, timeout_s=60), range(4))
        )
    for start, result in enumerate(sums):
        np.testing.assert_array_equal(result, numbers + start)


def test_processes_started_by_the_function_end_with_it(tmp_path):
    before = time.monotonic()
    run_sandboxed(os.system, f"sleep 60 & echo $! > {tmp_path}/pid", timeout_s=30)
    error = fail(os.system, f"echo $$ > {tmp_path}/other; exec sleep 60", timeout_s=1)
    assert error.reason is Reason.TIMED_OUT
    for name in ("pid", "other"):
        pid = int((tmp_path / name).read_text())
        while is_running(pid):
            assert time.monotonic() - before < 30


def test_fork_server_that_was_killed_is_restarted():
    run_sandboxed(os.getpid, timeout_s=30)
    servers = find_fork_servers()
    assert servers
    for server in servers:
        os.kill(server, signal.SIGKILL)
    while any(is_running(server) for server in servers):
        time.sleep(0.01)
    assert run_sandboxed(Fraction, 1, 2, timeout_s=30) == Fraction(1, 2)
    (replacement,) = find_fork_servers()
    assert replacement not in servers


class KillServer:
    """Kills the fork server when it is pickled, so that a reply ends in the middle."""

    def __reduce__(self):
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
        return KillServer, ()


def reply_in_part() -> tuple[bytes, KillServer]:
    return bytes(1 << 20), KillServer()


def test_reply_cut_off_by_the_end_of_the_server_can_be_repeated():
    assert fail(reply_in_part, timeout_s=30).reason is Reason.WORKER_DIED
    assert run_sandboxed(len, "abc", timeout_s=30) == 3


def test_call_killed_from_outside_can_be_repeated():
    error = fail(kill_own_process, timeout_s=30)
    assert error.reason is Reason.WORKER_DIED
    assert run_sandboxed(Fraction, 1, 2, timeout_s=30) == Fraction(1, 2)


def test_cancelled_call_raises_and_its_process_ends(tmp_path):
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(run_sandboxed, sleep_and_record, tmp_path / "pid", timeout_s=60)
        while not (tmp_path / "pid").exists():
            assert not call.done()
            time.sleep(0.01)
        cancel_calls([threading.get_ident()])  # this thread is in no call
        (worker,) = (thread.ident for thread in pool._threads)
        cancel_calls([worker])
        with pytest.raises(CallCancelled):
            call.result(timeout=30)
    deadline = time.monotonic() + 30
    while is_running(int((tmp_path / "pid").read_text())):
        assert time.monotonic() < deadline


def test_decoding_into_too_much_memory_is_stopped(library):
    """4 GB of frames are requested; the error is the sandbox's, not that of a damaged file."""
    data = library("h264.mp4").read_bytes()
    size = (4096, 8192)
    error = fail(decode_clip, data, range(40), size, timeout_s=60, memory_bytes=2 << 30)
    assert error.reason is Reason.DECODER_CRASHED
    assert f"{2 << 30:,}" in error.message


@pytest.mark.parametrize(("function", "argument"), [(sum, range(10**13)), (time.sleep, 60)])
def test_hang_is_stopped(function, argument):
    start = time.monotonic()
    assert fail(function, argument, timeout_s=1).reason is Reason.TIMED_OUT
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("limits_reserved", [True, False])
def test_excessive_allocation_is_stopped(limits_reserved):
    options = {"timeout_s": 30, "memory_bytes": 2 << 30, "limits_reserved": limits_reserved}
    assert fail(bytearray, 3 << 30, **options).reason is Reason.DECODER_CRASHED


def reserve_memory(size: int) -> int:
    return len(mmap.mmap(-1, size, prot=0))  # neither readable nor writable


def test_reserved_memory_is_limited_unless_permitted():
    options = {"timeout_s": 30, "memory_bytes": 2 << 30}
    assert run_sandboxed(reserve_memory, 8 << 30, limits_reserved=False, **options) == 8 << 30
    with pytest.raises(RuntimeError, match="Cannot allocate memory"):
        run_sandboxed(reserve_memory, 8 << 30, **options)


def test_program_of_the_child_has_the_same_limits():
    """Where reserved memory is free; a program that never ends is stopped by its CPU time."""
    allocate = [sys.executable, "-c", "bytearray(3 << 30)"]
    options = {"timeout_s": 30, "memory_bytes": 2 << 30, "limits_reserved": False}
    with pytest.raises(RuntimeError, match="non-zero exit status 1"):
        run_sandboxed(subprocess.check_output, allocate, **options)
    ask = "import resource as r; print(r.getrlimit(r.RLIMIT_CPU), r.getrlimit(r.RLIMIT_DATA))"
    found = run_sandboxed(subprocess.check_output, [sys.executable, "-c", ask], **options)
    assert found.decode().split() == ["(35,", "35)", "(2147483648,", "2147483648)"]


def test_bug_in_the_function_is_a_runtime_error_with_its_traceback():
    with pytest.raises(RuntimeError, match="ValueError"):
        run_sandboxed(int, "x", timeout_s=30)


def test_reply_that_would_run_code_is_rejected():
    error = fail(getattr, "text", "upper", timeout_s=30)  # pickled as a call of getattr
    assert error.reason is Reason.DECODER_CRASHED
    assert "builtins.getattr" in error.message


def test_only_importable_functions_can_be_called():
    with pytest.raises(ValueError, match="lambda"):
        run_sandboxed(lambda: 1, timeout_s=30)


def test_printed_text_is_not_part_of_the_reply():
    assert run_sandboxed(print, "noise", timeout_s=30) is None


ORPHANED = """
import os, sys, time
from argus.media import run_sandboxed
run_sandboxed(os.system, f"echo $$ > {sys.argv[1]}; exec sleep 60", timeout_s=60)
"""


def test_child_of_a_killed_caller_ends_with_it(tmp_path):
    pid = tmp_path / "pid"
    before = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", ORPHANED, str(pid)]) as process:
        while not (pid.exists() and pid.read_text().strip()):
            assert process.poll() is None
        process.kill()
    while is_running(int(pid.read_text())):
        assert time.monotonic() - before < 30
