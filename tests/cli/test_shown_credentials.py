"""Commands show and store no credential of the servers that the environment names."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import assert_invalid, run_argus

SECRET = "s3cret"
MAIN = "from argus.cli import main; main()"
CRASH = """
import os
from argus.cli import app, main

@app.command()
def crash() -> None:
    raise ConnectionError(f"no answer from {os.environ['PREFECT_API_URL']}")

main()
"""
SERVERS = {
    "MLFLOW_TRACKING_URI": f"http://user:{SECRET}@127.0.0.1:1",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "PREFECT_API_URL": f"http://user:{SECRET}@127.0.0.1:1/api",
    "AWS_ENDPOINT_URL": f"http://user:{SECRET}@127.0.0.1:1",
    "AWS_MAX_ATTEMPTS": "1",
}


def run_process(code: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process whose environment names unreachable servers with a password."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **SERVERS, **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )


def assert_hidden(done: subprocess.CompletedProcess[str], status: int) -> None:
    assert done.returncode == status, done.stderr
    assert "127.0.0.1:1" in done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_a_registry_that_does_not_answer(home: Path, tmp_path: Path, synthetic_video: Path) -> None:
    out = str(tmp_path / "out.mp4")
    done = run_process(MAIN, "generate", str(synthetic_video), "-o", out, "--json")
    assert_hidden(done, 30)
    assert json.loads(done.stdout)["outcome"] == "retry"
    files = [path for path in home.rglob("*") if path.is_file()]
    assert {"config.json", "log.txt", "progress.json", "result.json"} <= {f.name for f in files}
    for path in files:
        assert SECRET.encode() not in path.read_bytes(), path
    assert_hidden(run_process(MAIN, "promote", "--json"), 30)


def test_a_database_with_a_password(home: Path) -> None:
    uri = f"postgresql+argus://user:{SECRET}@127.0.0.1:1/mlflow?sslpassword={SECRET}"
    assert_hidden(run_process(MAIN, "promote", MLFLOW_TRACKING_URI=uri), 10)


def test_a_cluster_that_does_not_answer(home: Path, tmp_path: Path) -> None:
    catalogue = tmp_path / "videos.txt"
    catalogue.write_text("https://videos.example/x.mp4\n")
    address = f"http://user:{SECRET}@127.0.0.1:1"
    done = run_process(MAIN, "refresh", str(catalogue), ARGUS_RAY_ADDRESS=address)
    assert_hidden(done, 30)
    files = [path for path in home.rglob("*") if path.is_file()]
    assert all(SECRET.encode() not in path.read_bytes() for path in files)


def test_a_traceback_holds_no_credential() -> None:
    done = run_process(CRASH, "crash")
    assert "Traceback" in done.stderr
    assert_hidden(done, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--dry-run", "--set", f"tracking.uri=http://user:{SECRET}@127.0.0.1:1"],
        ["evaluate", "--json", "--set", f"tracking.uri=https://{SECRET}@127.0.0.1:1"],
        ["promote", "--dry-run", "--set", f"tracking_uri=http://127.0.0.1:1?token={SECRET}"],
        ["train", "--dry-run", "--dataset", f"s3://AKIA:{SECRET}@127.0.0.1:1/x"],
        ["dataset", "stats", "--json", "--dataset", f"s3://AKIA:{SECRET}@127.0.0.1:1/x"],
    ],
)
def test_a_credential_in_an_option_is_refused(home: Path, arguments: list[str]) -> None:
    result = run_argus(*arguments)
    assert_invalid(result, "127.0.0.1:1", "environment")
    assert SECRET not in result.output
    assert not home.exists()
