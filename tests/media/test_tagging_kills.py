"""Tagging in place, killed at random moments: the file is the original or the finished one."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from argus.media import SphericalMetadata, tag_spherical
from tests.support.mp4_tree import Label, Ref, assemble, box, chunk_offsets, track

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(900)]
KILLS = 200
SIZE = 48 << 20

SERVER = """
import os, sys
from argus.media import SphericalMetadata, tag_spherical
for stereo_mode in sys.stdin:
    pid = os.fork()
    if pid == 0:
        tag_spherical(sys.argv[1], sys.argv[1], SphericalMetadata(stereo_mode=stereo_mode.strip()))
        os._exit(0)
    print(pid, flush=True)
    os.waitpid(pid, 0)
    print("ended", flush=True)
"""


class Tagger:
    """A process that has loaded everything and forks a child for each file to tag."""

    def __init__(self, path):
        arguments = [sys.executable, "-c", SERVER, str(path)]
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(arguments, env=environment, text=True, **pipes)

    def tag(self, stereo_mode: str, kill_after_s: float | None = None) -> None:
        self.process.stdin.write(f"{stereo_mode}\n")
        self.process.stdin.flush()
        pid = int(self.process.stdout.readline())
        if kill_after_s is not None:
            with contextlib.suppress(ProcessLookupError):  # it has ended
                descriptor = os.pidfd_open(pid)
                with os.fdopen(descriptor):
                    time.sleep(kill_after_s)
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        assert self.process.stdout.readline() == "ended\n"


def test_a_killed_writer_leaves_the_original_or_the_finished_file(tmp_path):
    path = tmp_path / "video.mp4"
    moov = box(b"moov", track([chunk_offsets(Ref("data"))]))
    samples = random.Random(0).randbytes(SIZE)
    path.write_bytes(assemble(moov, box(b"mdat", Label("data"), samples), b"\0\0\0\5trailer"))
    states = {}
    for mode in ("mono", "top-bottom"):
        tag_spherical(path, path, SphericalMetadata(stereo_mode=mode))
        states[mode] = path.read_bytes()
    tagger = Tagger(path)
    tagger.tag("mono")  # after its start
    started = time.monotonic()
    tagger.tag("mono")
    duration_s = time.monotonic() - started
    state, outcomes, leftovers = "mono", {"original": 0, "finished": 0}, 0
    moments = random.Random(1)
    for _ in range(KILLS):
        wanted = "top-bottom" if state == "mono" else "mono"
        tagger.tag(wanted, kill_after_s=moments.uniform(0, 1.2 * duration_s))
        content = path.read_bytes()
        assert content in (states[state], states[wanted])
        is_finished = content == states[wanted]
        outcomes["finished" if is_finished else "original"] += 1
        leftovers += len(list(tmp_path.iterdir())) > 1
        state = wanted if is_finished else state
    print(f"{KILLS} kills within {1.2 * duration_s:.2f} s: {outcomes}, {leftovers} with leftovers")
    assert outcomes["original"]
    assert outcomes["finished"]
    assert leftovers
    tagger.tag("mono")
    assert path.read_bytes() == states["mono"]
    assert [item.name for item in tmp_path.iterdir()] == ["video.mp4"]
    tagger.process.stdin.close()
    assert tagger.process.wait() == 0
    tagger.process.stdout.close()
