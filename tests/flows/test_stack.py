"""Real local servers: they answer on loopback only, and end with their owner."""

import os
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
from tests.support.processes import wait_for_end

pytestmark = pytest.mark.slow

OWNER = """
import sys
from pathlib import Path
from flows.local import LocalStack
with LocalStack(Path(sys.argv[1])):
    print("up", flush=True)
    sys.stdin.read()
"""


def read_url(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read().decode()


def find_listening_addresses(pids: list[int]) -> set[str]:
    """Return the IPv4 and IPv6 addresses on which processes listen."""
    inodes = {
        str(entry.readlink())
        for pid in pids
        for entry in Path(f"/proc/{pid}/fd").iterdir()
        if entry.is_symlink()
    }
    addresses = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for row in Path(table).read_text().splitlines()[1:]:
            _, address, _, state, *rest = row.split()
            if state == "0A" and f"socket:[{rest[5]}]" in inodes:
                packed = b"".join(
                    struct.pack("=I", int(address[start : start + 8], 16))
                    for start in range(0, len(address) - 5, 8)
                )
                addresses.add(
                    socket.inet_ntop(
                        socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed
                    )
                )
    return addresses


def test_servers_answer_on_loopback_and_end_with_the_context(tmp_path: Path) -> None:
    before = dict(os.environ)
    with LocalStack(tmp_path) as stack:
        assert read_url(f"{stack.prefect_url}/api/health") == "true"
        assert "<html" in read_url(stack.prefect_url).lower(), "the user interface"
        assert read_url(f"{stack.mlflow_uri}/health") == "OK"
        assert JobClient().resources()["CPU"] >= 2
        assert os.environ["MLFLOW_TRACKING_URI"] == stack.mlflow_uri
        pids = descendants(os.getpid())
        assert find_listening_addresses(pids) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert descendants(os.getpid()) == []
    assert {name: os.environ.get(name) for name in stack.environ} == {
        name: before.get(name) for name in stack.environ
    }
    assert {path.name for path in tmp_path.iterdir()} == {"logs", "mlflow", "prefect"} | (
        {"ray"} if len(str(tmp_path / "ray")) <= 40 else set()
    )


def test_no_process_remains_when_the_owner_is_killed(tmp_path: Path) -> None:
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
        pids = descendants(owner.pid)
        commands = " ".join((Path("/proc") / str(pid) / "cmdline").read_text() for pid in pids)
        assert all(
            name in commands
            for name in ("gcs_server", "raylet", "DashboardAgent", "prefect", "mlflow")
        )
        owner.kill()
        owner.wait()
        assert wait_for_end(pids, 30)


def test_a_server_that_does_not_start_is_an_error_with_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "mlflow.db").write_text("no database")
    monkeypatch.setenv("ARGUS_RAY_ADDRESS", "http://127.0.0.1:9")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with pytest.raises(ServiceError) as caught, LocalStack(tmp_path):
        pass
    assert "mlflow" in str(caught.value)
    assert "not a database" in str(caught.value)
    assert descendants(os.getpid()) == []
