"""`argus up`: the servers of this machine, the deployments of prefect.yaml, and a worker that runs them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import flows
from argus.errors import InvalidInput, ServiceError
from flows.local import LocalStack
from ray_jobs.supervisor import SupervisedProcess

POOL = "argus"
WORKER_GRACE_S = 60.0  # its flow runs stop their jobs
DEPLOY_S = 180.0


def checkout() -> Path:
    """The folder with prefect.yaml and `flows/`. Raises InvalidInput where this is an installed copy without it."""
    folder = Path(flows.__file__).parents[1]
    if not (folder / "prefect.yaml").exists():
        raise InvalidInput(
            f"{folder} has no prefect.yaml: deployments need a checkout of the repository; install that with `pip install -e .`"
        )
    return folder


def deploy() -> None:
    """Creates the work pool and every deployment of prefect.yaml on the server of PREFECT_API_URL; doing it again changes nothing."""
    folder = checkout()
    _prefect(folder, "work-pool", "create", POOL, "--type", "process", "--overwrite")
    _prefect(folder, "--no-prompt", "deploy", "--all")


def worker(log: Path) -> SupervisedProcess:
    """A process that runs the flow runs of the pool; it ends with this process."""
    command = (
        sys.executable,
        "-m",
        "prefect",
        "worker",
        "start",
        "--pool",
        POOL,
        "--type",
        "process",
        "--name",
        "local",
    )
    return SupervisedProcess(command, log, cwd=checkout(), grace_s=WORKER_GRACE_S)


def up(say: Callable[[str], None] = print, stack: LocalStack | None = None) -> None:
    """Starts what is not configured, deploys, serves flow runs until Ctrl-C or SIGTERM, and leaves no process."""
    checkout()
    before = {
        number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        with stack or LocalStack() as servers:
            deploy()
            running = worker(servers.log("worker"))
            try:
                say(addresses(servers))
                while running.poll() is None:
                    time.sleep(0.5)
                raise ServiceError(f"the worker ended; see {running.log}")
            except KeyboardInterrupt:
                say("stopping")
            finally:
                running.stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def addresses(servers: LocalStack) -> str:
    """What a person needs to use the servers."""
    lines = {
        "Prefect": servers.prefect_url,
        "Ray": f"{servers.ray_url}  (token: {token})"
        if (token := os.environ.get("RAY_AUTH_TOKEN"))
        else servers.ray_url,
        "MLflow": servers.mlflow_uri,
        "Logs": str(servers.home / "logs"),
    }
    shown = "\n".join(f"{name + ':':<9}{value}" for name, value in lines.items())
    exports = f"export MLFLOW_TRACKING_URI={servers.mlflow_uri}\nexport PREFECT_API_URL={servers.prefect_url}/api"
    return f"{shown}\n\n{exports}\n\nCtrl-C stops all of it."


def _prefect(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "prefect", *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=DEPLOY_S,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        raise ServiceError(
            f"`prefect {' '.join(arguments)}` failed:\n{(done.stdout + done.stderr).strip()[-2000:]}"
        )


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
