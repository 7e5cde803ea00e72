"""Whatever the child does, the parent gets a result or a typed error, and no child stays."""

import faulthandler
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from argus.errors import VideoError
from argus.media import decode_clip, isolated, isolation, probe
from argus.media.probing import MediaInfo
from schemas.names import Reason


def test_a_result_comes_back(library):
    assert isolated(probe, library("h264.mp4"), timeout_s=30) == probe(library("h264.mp4"))
    np.testing.assert_array_equal(isolated(np.arange, 5, timeout_s=30), np.arange(5))
    assert isolated(Fraction, 3, 4, timeout_s=30) == Fraction(3, 4)
    assert isolated(MediaInfo, 2, 1, Fraction(1), 1, 1.0, "h264", "mp4", timeout_s=30).width == 2


def test_an_error_raised_on_purpose_survives(tmp_path):
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(VideoError, match="0 bytes") as caught:
        isolated(probe, tmp_path / "empty.mp4", timeout_s=30)
    assert caught.value.reason is Reason.EMPTY_FILE


def test_a_crash_is_a_typed_error():
    with pytest.raises(VideoError, match="SIGABRT") as caught:
        isolated(os.abort, timeout_s=30)
    assert caught.value.reason is Reason.DECODER_CRASHED


def test_a_decoder_that_writes_where_it_must_not_is_a_typed_error(library):
    """A real fault of memory; the next video is read as if nothing had been."""
    with pytest.raises(VideoError, match="SIGSEGV") as caught:
        isolated(faulthandler._sigsegv, timeout_s=30)
    assert caught.value.reason is Reason.DECODER_CRASHED
    assert isolated(probe, library("h264.mp4"), timeout_s=30).frames == 40


def test_each_call_has_a_process_of_its_own_that_lives_where_its_caller_does(tmp_path, monkeypatch):
    assert len({isolated(os.getpid, timeout_s=30) for _ in range(3)}) == 3
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARGUS_OF_THIS_TEST", "seen")
    assert isolated(os.getcwd, timeout_s=30) == str(tmp_path)
    assert isolated(os.getenv, "ARGUS_OF_THIS_TEST", timeout_s=30) == "seen"


def test_many_at_once_and_large_values_pass():
    numbers = np.arange(1_000_000)
    with ThreadPoolExecutor(4) as pool:
        sums = list(
            pool.map(lambda start: isolated(np.add, numbers, start, timeout_s=60), range(4))
        )
    for start, result in enumerate(sums):
        np.testing.assert_array_equal(result, numbers + start)


def test_what_the_function_started_ends_with_it(tmp_path):
    before = time.monotonic()
    isolated(os.system, f"sleep 60 & echo $! > {tmp_path}/pid", timeout_s=30)
    with pytest.raises(VideoError, match="longer than 1 s"):
        isolated(os.system, f"echo $$ > {tmp_path}/other; exec sleep 60", timeout_s=1)
    for name in ("pid", "other"):
        pid = (tmp_path / name).read_text().strip()
        while subprocess.run(
            ["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True
        ).stdout.strip()[:1] not in ("", "Z"):
            assert time.monotonic() - before < 30
    assert time.monotonic() - before < 30


def test_a_server_that_was_killed_is_replaced():
    isolated(os.getpid, timeout_s=30)
    process = isolation._server._process
    assert process is not None
    process.kill()
    process.wait()
    assert isolated(Fraction, 1, 2, timeout_s=30) == Fraction(1, 2)


def test_reading_that_needs_too_much_memory_is_no_verdict_on_the_file(library):
    with pytest.raises(VideoError, match="needed more than") as caught:
        isolated(
            decode_clip,
            library("h264.mp4").read_bytes(),
            range(40),
            (4096, 8192),
            timeout_s=60,
            memory_bytes=2 << 30,
        )  # 4 GB of frames
    assert caught.value.reason is Reason.DECODER_CRASHED


@pytest.mark.parametrize(("function", "argument"), [(sum, range(10**13)), (time.sleep, 60)])
def test_a_hang_is_stopped(function, argument):
    begun = time.monotonic()
    with pytest.raises(VideoError, match="longer than 1 s") as caught:
        isolated(function, argument, timeout_s=1)
    assert caught.value.reason is Reason.TIMED_OUT
    assert time.monotonic() - begun < 10


def test_hunger_for_memory_is_stopped():
    with pytest.raises(VideoError, match="memory") as caught:
        isolated(bytearray, 3 << 30, timeout_s=30, memory_bytes=2 << 30)
    assert caught.value.reason is Reason.DECODER_CRASHED


def test_a_fault_of_ours_is_no_judgement_on_the_video():
    with pytest.raises(RuntimeError, match="invalid literal"):
        isolated(int, "x", timeout_s=30)


def test_an_answer_that_would_run_code_is_refused():
    with pytest.raises(VideoError, match="not expected from a child process"):
        isolated(getattr, "text", "upper", timeout_s=30)  # pickled as a call of getattr


def test_only_functions_with_a_name_can_be_called():
    with pytest.raises(ValueError, match="top level"):
        isolated(lambda: 1, timeout_s=30)


def test_what_the_function_prints_is_no_part_of_the_answer():
    assert isolated(print, "noise", timeout_s=30) is None


ORPHANED = """
import os, sys, time
from argus.media import isolated
isolated(os.system, f"echo $$ > {sys.argv[1]}; exec sleep 60", timeout_s=60)
"""


def test_what_runs_for_a_process_that_was_killed_ends_with_it(tmp_path):
    pid = tmp_path / "pid"
    before = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", ORPHANED, str(pid)]) as process:
        while not (pid.exists() and pid.read_text().strip()):
            assert process.poll() is None
        process.kill()
    state = Path(f"/proc/{pid.read_text().strip()}/stat")
    while state.exists() and state.read_text().split()[2] != "Z":
        assert time.monotonic() - before < 30
