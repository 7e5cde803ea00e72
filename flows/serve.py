"""`argus up`: servers on this machine, the deployments of prefect.yaml, and a worker for them."""

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
from schemas.credentials import has_credential, to_public_uri

WORK_POOL = "argus"
_WORKER_GRACE_S = 60.0  # its flow runs stop their jobs
_DEPLOY_TIMEOUT_S = 180.0


def find_checkout() -> Path:
    """Return the folder with prefect.yaml and `flows/`.

    Raises:
        InvalidInput: The package is installed without prefect.yaml.
    """
    folder = Path(flows.__file__).parents[1]
    if not (folder / "prefect.yaml").exists():
        raise InvalidInput(
            f"{folder} has no prefect.yaml, which deployments need; "
            "install from a checkout of the repository with `pip install -e .`"
        )
    return folder


def deploy_flows() -> None:
    """Create the work pool and all deployments on the server of PREFECT_API_URL (idempotent).

    Raises:
        ServiceError: Prefect's command failed.
    """
    folder = find_checkout()
    _run_prefect(folder, "work-pool", "create", WORK_POOL, "--type", "process", "--overwrite")
    _run_prefect(folder, "--no-prompt", "deploy", "--all")


def start_worker(log: Path) -> SupervisedProcess:
    """Start a worker that executes the work pool's flow runs; it ends with this process."""
    options = ("--pool", WORK_POOL, "--type", "process", "--name", "local")
    command = (sys.executable, "-m", "prefect", "worker", "start", *options)
    return SupervisedProcess(command, log, cwd=find_checkout(), grace_s=_WORKER_GRACE_S)


def serve_flows(show: Callable[[str], None] = print, stack: LocalStack | None = None) -> None:
    """Start missing servers, deploy the flows, and execute flow runs until Ctrl-C or SIGTERM.

    All processes end with this function.

    Args:
        show: Called with the text to show.
        stack: The servers (default: a LocalStack with free ports).

    Raises:
        ServiceError: A server does not start, or the worker ends.
    """
    find_checkout()
    before = {
        number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        with stack or LocalStack() as servers:
            deploy_flows()
            worker = start_worker(servers.log("worker"))
            try:
                show(format_addresses(servers))
                while worker.poll() is None:
                    time.sleep(0.5)
                raise ServiceError(f"the Prefect worker ended; see {worker.log}")
            except KeyboardInterrupt:
                show("stopping")
            finally:
                worker.stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def format_addresses(servers: LocalStack) -> str:
    """Return the servers' addresses and the environment variables to use them, as text."""
    token = servers.environ.get("RAY_AUTH_TOKEN")  # of the server that was started here
    ray_url = to_public_uri(servers.ray_url)
    addresses = {
        "Prefect": to_public_uri(servers.prefect_url),
        "Ray": f"{ray_url}  (token: {token})" if token else ray_url,
        "MLflow": to_public_uri(servers.mlflow_uri),
        "Logs": str(servers.home / "logs"),
    }
    lines = [f"{name + ':':<9}{address}" for name, address in addresses.items()]
    variables = {
        "MLFLOW_TRACKING_URI": servers.mlflow_uri,
        "PREFECT_API_URL": f"{servers.prefect_url}/api",
    }
    exports = [
        f"# {name} holds a credential; set it as in this shell"
        if has_credential(value)
        else f"export {name}={value}"
        for name, value in variables.items()
    ]
    return "\n".join([*lines, "", *exports, "", "Press Ctrl-C to stop all servers."])


def _run_prefect(folder: Path, *arguments: str) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "prefect", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_DEPLOY_TIMEOUT_S,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if process.returncode:
        output = (process.stdout + process.stderr).strip()[-2000:]
        raise ServiceError(f"`prefect {' '.join(arguments)}` failed:\n{output}")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
