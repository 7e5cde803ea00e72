"""The real servers of one machine: they answer, on loopback only, and leave no process, whatever ends their owner."""

import os
import select
import socket
import struct
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from argus.errors import ServiceError
from flows.local import LocalStack
from ray_jobs.client import JobClient
from ray_jobs.supervisor import descendants

pytestmark = pytest.mark.slow

OWNER = """
import sys
from pathlib import Path
from flows.local import LocalStack
with LocalStack(Path(sys.argv[1])):
    print("up", flush=True)
    sys.stdin.read()
"""


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def all_ended(pids: list[int], timeout_s: float) -> bool:
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


def listening(pids: list[int]) -> set[str]:
    """The IPv4 and IPv6 addresses on which processes listen."""
    inodes = {
        str(entry.readlink())
        for pid in pids
        for entry in Path(f"/proc/{pid}/fd").iterdir()
        if entry.is_symlink()
    }
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for row in Path(table).read_text().splitlines()[1:]:
            _, address, _, state, *rest = row.split()
            if state == "0A" and f"socket:[{rest[5]}]" in inodes:
                packed = b"".join(
                    struct.pack("=I", int(address[start : start + 8], 16))
                    for start in range(0, len(address) - 5, 8)
                )
                found.add(
                    socket.inet_ntop(
                        socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed
                    )
                )
    return found


def test_the_servers_answer_on_loopback_and_end_with_the_context(tmp_path: Path) -> None:
    before = dict(os.environ)
    with LocalStack(tmp_path) as stack:
        assert get(f"{stack.prefect_url}/api/health") == "true"
        assert "<html" in get(stack.prefect_url).lower(), "the user interface"
        assert get(f"{stack.mlflow_uri}/health") == "OK"
        assert JobClient().resources()["CPU"] >= 2
        assert os.environ["MLFLOW_TRACKING_URI"] == stack.mlflow_uri
        pids = descendants(os.getpid())
        assert listening(pids) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert descendants(os.getpid()) == []
    assert {name: os.environ.get(name) for name in stack.environ} == {
        name: before.get(name) for name in stack.environ
    }
    assert {path.name for path in tmp_path.iterdir()} == {"logs", "mlflow", "prefect"} | (
        {"ray"} if len(str(tmp_path / "ray")) <= 40 else set()
    )


def test_no_process_is_left_when_the_owner_is_killed(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert owner.stdin
    assert owner.stdout
    with owner.stdin, owner.stdout:
        assert owner.stdout.readline() == b"up\n"
        below = descendants(owner.pid)
        commands = " ".join((Path("/proc") / str(pid) / "cmdline").read_text() for pid in below)
        assert all(
            name in commands
            for name in ("gcs_server", "raylet", "DashboardAgent", "prefect", "mlflow")
        )
        owner.kill()
        owner.wait()
        assert all_ended(below, 30)


def test_a_server_that_does_not_start_is_said_with_its_log_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "mlflow.db").write_text("no database")
    monkeypatch.setenv("ARGUS_RAY_ADDRESS", "http://127.0.0.1:9")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with (
        pytest.raises(
            ServiceError, match=r"mlflow ended while it started[\s\S]*file is not a database"
        ),
        LocalStack(tmp_path),
    ):
        pass
    assert descendants(os.getpid()) == []
