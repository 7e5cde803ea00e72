"""Servers on loopback for one machine: a Ray head, Prefect and MLflow, unless configured elsewhere.

They end with the process that started them, even if it is killed (`ray_jobs.supervisor`), and write
only to ARGUS_HOME. This module imports no Prefect, which reads the environment when imported.
"""

import contextlib
import os
import secrets
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from argus.errors import InvalidInput, ServiceError
from argus.runs import argus_home
from ray_jobs.client import ray_auth_headers
from ray_jobs.supervisor import SupervisedProcess
from schemas.names import TELEMETRY_OFF

HOST = "127.0.0.1"
MAX_RAY_TEMP_CHARACTERS = 40  # Ray's socket paths are 64 longer; the kernel allows 107

_OBJECT_STORE_BYTES = 512 * 2**20  # jobs pass paths rather than frames
_JOB_STOP_WAIT_S = 60  # between SIGTERM and SIGKILL of a job: enough to save a checkpoint
_START_TIMEOUT_S = 120.0
_LOG_TAIL_LINES = 15


@dataclass(frozen=True)
class ServerSpec:
    """Command and health check of one server."""

    name: str
    command: tuple[str, ...]
    url: str
    health: str  # answers with status 200 and `expected` in the body when the server is ready
    environ: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)
    expected: str = ""
    remove: Path | None = None  # a folder to delete after the server's end
    grace_s: float = 10.0


class LocalStack:
    """A context in which Ray, Prefect and MLflow run, with their addresses in `os.environ`.

    A server that ARGUS_RAY_ADDRESS or RAY_ADDRESS, PREFECT_API_URL or MLFLOW_TRACKING_URI names is
    not started. Entering raises InvalidInput if a given port is in use, and ServiceError, with the
    end of the log, if a server does not start.

    Args:
        home: The folder to write to (default: ARGUS_HOME).
        cpus: CPUs that Ray may reserve (default: this machine's, at least 2 for two training
            workers).
        ray_port: Port of Ray's dashboard (default: a free one).
        prefect_port: Port of Prefect (default: a free one).
        mlflow_port: Port of MLflow (default: a free one).
        start_s: Time within which each server must start, in seconds.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        cpus: int | None = None,
        ray_port: int | None = None,
        prefect_port: int | None = None,
        mlflow_port: int | None = None,
        start_s: float = _START_TIMEOUT_S,
    ) -> None:
        self.home = (home or argus_home()).absolute()
        self.cpus = cpus or max(2, os.cpu_count() or 1)
        self.start_s = start_s
        self._requested_ports = {"ray": ray_port, "prefect": prefect_port, "mlflow": mlflow_port}
        self._processes: dict[str, SupervisedProcess] = {}
        self._previous_environ: dict[str, str | None] = {}

    ray_url: str
    """Address of the dashboard and Jobs API; also ARGUS_RAY_ADDRESS."""
    prefect_url: str
    """Address of the user interface; PREFECT_API_URL is below it."""
    mlflow_uri: str
    """Tracking URI; also MLFLOW_TRACKING_URI."""

    def __enter__(self) -> Self:
        servers = self._configure()
        try:
            for server in servers:
                self._start(server)
            for server in servers:
                self._wait_until_ready(server)
        except BaseException:
            self._stop()
            raise
        self._previous_environ = {name: os.environ.get(name) for name in self.environ}
        os.environ.update(self.environ)
        _reload_prefect_settings()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name, value in self._previous_environ.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)
        _reload_prefect_settings()
        self._stop()

    def log(self, name: str) -> Path:
        """Return the log file of `ray`, `prefect`, `mlflow` or another process."""
        return self.home / "logs" / f"{name}.log"

    def _configure(self) -> list[ServerSpec]:
        """Set the addresses and `environ`; return the servers to start."""
        environ = os.environ
        ports = _choose_ports(self._requested_ports)
        self.environ = {**TELEMETRY_OFF, "ARGUS_HOME": str(self.home)}
        servers = []
        self.ray_url = environ.get("ARGUS_RAY_ADDRESS") or environ.get("RAY_ADDRESS") or ""
        self.mlflow_uri = environ.get("MLFLOW_TRACKING_URI") or ""
        self.prefect_url = environ.get("PREFECT_API_URL", "").removesuffix("/api")
        if not self.mlflow_uri:
            servers.append(server := mlflow_server(self.home, ports["mlflow"]))
            self.mlflow_uri = self.environ["MLFLOW_TRACKING_URI"] = server.url
        if not self.prefect_url:
            servers.append(server := prefect_server(self.home, ports["prefect"]))
            self.prefect_url = server.url
            self.environ |= {
                "PREFECT_API_URL": f"{server.url}/api",
                "PREFECT_HOME": str(self.home / "prefect"),
            }
        if not self.ray_url:
            servers.append(server := ray_server(self.home, ports["ray"], self.cpus))
            self.ray_url = self.environ["ARGUS_RAY_ADDRESS"] = server.url
            self.environ |= {
                name: server.environ[name] for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")
            }
        return servers

    def _start(self, server: ServerSpec) -> None:
        self.log(server.name).unlink(missing_ok=True)
        self._processes[server.name] = SupervisedProcess(
            server.command,
            self.log(server.name),
            env={**os.environ, **self.environ, **server.environ},
            cwd=self.home,
            grace_s=server.grace_s,
            remove=server.remove,
        )

    def _wait_until_ready(self, server: ServerSpec) -> None:
        deadline = time.monotonic() + self.start_s
        process = self._processes[server.name]
        while not _is_ready(server):
            has_ended = process.poll() is not None
            if has_ended or time.monotonic() > deadline:
                problem = (
                    "ended while starting"
                    if has_ended
                    else f"was not ready within {self.start_s:g} s"
                )
                log = self.log(server.name)
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:])
                raise ServiceError(f"{server.name} {problem}; end of its log ({log}):\n{tail}")
            process.wait(0.2)

    def _stop(self) -> None:
        for process in self._processes.values():
            process.request_end()  # all of them, before waiting for each
        for process in self._processes.values():
            process.stop()
        self._processes.clear()


def mlflow_database_uri(home: Path) -> str:
    """Return the URI of the local MLflow server's database, which also works without the server."""
    folder = home.absolute() / "mlflow"
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'mlflow.db'}"


def ray_server(home: Path, port: int, cpus: int) -> ServerSpec:
    """Return a Ray head node with token authentication.

    Args:
        home: Its temporary folder is `home/ray`, or one in the system's if that path is too long.
        port: Port of the dashboard.
        cpus: CPUs that jobs may reserve.
    """
    temp = home / "ray"
    is_short = len(str(temp)) <= MAX_RAY_TEMP_CHARACTERS
    folder = temp if is_short else Path(tempfile.mkdtemp(prefix="argus-"))
    head, client, agent, agent_rpc, environment, metrics, *monitors = _find_free_ports(8)
    token = secrets.token_hex(32)
    options = (
        "--head",
        "--block",
        "--disable-usage-stats",
        f"--node-ip-address={HOST}",
        f"--port={head}",
        f"--ray-client-server-port={client}",
        f"--dashboard-host={HOST}",
        f"--dashboard-port={port}",
        "--include-dashboard=true",
        f"--dashboard-agent-listen-port={agent}",
        f"--dashboard-agent-grpc-port={agent_rpc}",
        f"--runtime-env-agent-port={environment}",
        f"--metrics-export-port={metrics}",
        "--min-worker-port=0",
        "--max-worker-port=0",
        f"--num-cpus={cpus}",
        f"--object-store-memory={_OBJECT_STORE_BYTES}",
        f"--temp-dir={folder}",
    )
    return ServerSpec(
        name="ray",
        command=(sys.executable, "-m", "ray.scripts.scripts", "start", *options),
        url=f"http://{HOST}:{port}",
        health=f"http://{HOST}:{port}/api/v0/nodes",
        expected="ALIVE",  # the dashboard answers before there is a node to run anything
        environ={
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": token,
            "RAY_JOB_STOP_WAIT_TIME_S": str(_JOB_STOP_WAIT_S),
            # Otherwise Ray replaces a loopback address with the machine's, and binds to that.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "AUTOSCALER_METRIC_PORT": str(monitors[0]),
            "DASHBOARD_METRIC_PORT": str(monitors[1]),
        },
        headers=ray_auth_headers({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}),
        remove=None if is_short else folder,
    )


def prefect_server(home: Path, port: int) -> ServerSpec:
    """Return a Prefect server that stores its data in `home/prefect`."""
    folder = home / "prefect"
    folder.mkdir(parents=True, exist_ok=True)
    url = f"http://{HOST}:{port}"
    options = ("--host", HOST, "--port", str(port))
    return ServerSpec(
        name="prefect",
        command=(sys.executable, "-m", "prefect", "server", "start", *options),
        url=url,
        health=f"{url}/api/health",
        environ={
            "PREFECT_HOME": str(folder),
            "PREFECT_API_URL": f"{url}/api",
            "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(folder / "ui"),
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        },
    )


def mlflow_server(home: Path, port: int) -> ServerSpec:
    """Return an MLflow server over the database of `mlflow_database_uri`."""
    url = f"http://{HOST}:{port}"
    options = (
        *("--host", HOST, "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", mlflow_database_uri(home)),
        "--no-serve-artifacts",
        *("--default-artifact-root", (home / "mlflow" / "artifacts").as_uri()),
    )
    return ServerSpec(
        name="mlflow",
        command=(sys.executable, "-m", "mlflow", "server", *options),
        url=url,
        health=f"{url}/health",
        environ={"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
    )


def _choose_ports(requested: Mapping[str, int | None]) -> dict[str, int]:
    """Return the requested ports, and free ones for those that are None."""
    for name, port in requested.items():
        if port is not None and not _is_free(port):
            raise InvalidInput(
                f"port {port} for {name} is in use; choose another port, or none for a free one"
            )
    free = _find_free_ports(len(requested))
    return {
        name: port or free_port
        for (name, port), free_port in zip(requested.items(), free, strict=True)
    }


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # A port in TIME_WAIT after the end of its server counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _find_free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _is_ready(server: ServerSpec) -> bool:
    request = urllib.request.Request(server.health, headers=dict(server.headers))  # noqa: S310  our own URL
    # Loopback addresses must not go through a proxy.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as response:
            return bool(response.status == 200 and server.expected in response.read().decode())
    except (OSError, urllib.error.URLError):
        return False


def _reload_prefect_settings() -> None:
    """Make Prefect read the environment again, if it is already imported."""
    if "prefect" in sys.modules:
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()
