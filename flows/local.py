"""Loopback servers for one machine: a Ray head, Prefect and MLflow, each only where none is configured.

They live as long as the process that started them, even when that is killed (`ray_jobs.supervisor`), and write only below ARGUS_HOME.
Imports no Prefect: the environment must be set before Prefect is imported.
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
from ray_jobs.client import ray_headers
from ray_jobs.supervisor import SupervisedProcess

HOST = "127.0.0.1"
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Nothing tells anybody that it was used."""

OBJECT_STORE_BYTES = 512 * 2**20  # jobs pass paths, not frames
RAY_TEMP_LONGEST = (
    40  # characters; Ray puts sockets 64 characters below it, and the kernel allows 107
)
JOB_STOP_WAIT_S = 60  # between SIGTERM and SIGKILL of a job: a checkpoint must fit
START_S = 120.0
TAIL_LINES = 15


@dataclass(frozen=True)
class Server:
    """One server: how it starts and when it is ready."""

    name: str
    command: tuple[str, ...]
    url: str
    health: str  # answers 200 with `expected` in it when the server is ready
    environ: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)
    expected: str = ""
    remove: Path | None = None  # a folder to delete at its end
    grace_s: float = 10.0


class LocalStack:
    """A context in which Ray, Prefect and MLflow run and `os.environ` names them.

    `home` is ARGUS_HOME by default; `cpus` what Ray may reserve (default: this machine's, at least 2, so that two training workers fit). A given
    port must be free, or InvalidInput is raised; the others are found. Raises ServiceError, with the end of its log, where a server does not start.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        cpus: int | None = None,
        ray_port: int | None = None,
        prefect_port: int | None = None,
        mlflow_port: int | None = None,
        start_s: float = START_S,
    ) -> None:
        self.home = (home or argus_home()).absolute()
        self.cpus = cpus or max(2, os.cpu_count() or 1)
        self.start_s = start_s
        self._given = {"ray": ray_port, "prefect": prefect_port, "mlflow": mlflow_port}
        self._running: dict[str, SupervisedProcess] = {}
        self._before: dict[str, str | None] = {}

    ray_url: str
    """The dashboard and Jobs API; also ARGUS_RAY_ADDRESS."""
    prefect_url: str
    """The user interface; PREFECT_API_URL is below it."""
    mlflow_uri: str
    """Also MLFLOW_TRACKING_URI."""

    def __enter__(self) -> Self:
        environ = dict(os.environ)
        ports = _ports(self._given)
        self.environ = {**QUIET, "ARGUS_HOME": str(self.home)}
        wanted = []
        self.ray_url = environ.get("ARGUS_RAY_ADDRESS") or environ.get("RAY_ADDRESS") or ""
        self.mlflow_uri = environ.get("MLFLOW_TRACKING_URI") or ""
        self.prefect_url = environ.get("PREFECT_API_URL", "").removesuffix("/api")
        if not self.mlflow_uri:
            wanted.append(server := _mlflow(self.home, ports["mlflow"]))
            self.mlflow_uri = self.environ["MLFLOW_TRACKING_URI"] = server.url
        if not self.prefect_url:
            wanted.append(server := _prefect(self.home, ports["prefect"]))
            self.prefect_url = server.url
            self.environ |= {
                "PREFECT_API_URL": f"{server.url}/api",
                "PREFECT_HOME": str(self.home / "prefect"),
            }
        if not self.ray_url:
            wanted.append(server := _ray(self.home, ports["ray"], self.cpus))
            self.ray_url = self.environ["ARGUS_RAY_ADDRESS"] = server.url
            self.environ |= {
                name: server.environ[name] for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")
            }
        try:
            for server in wanted:
                self._start(server)
            for server in wanted:
                self._await(server)
        except BaseException:
            self._stop()
            raise
        self._apply()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name, value in self._before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)
        _refresh_prefect()
        self._stop()

    def log(self, name: str) -> Path:
        """The log file of `ray`, `prefect` or `mlflow`."""
        return self.home / "logs" / f"{name}.log"

    def _start(self, server: Server) -> None:
        self.log(server.name).unlink(missing_ok=True)
        environ = {**os.environ, **self.environ, **server.environ}
        self._running[server.name] = SupervisedProcess(
            server.command,
            self.log(server.name),
            env=environ,
            cwd=self.home,
            grace_s=server.grace_s,
            remove=server.remove,
        )

    def _await(self, server: Server) -> None:
        end = time.monotonic() + self.start_s
        guarded = self._running[server.name]
        while not _is_ready(server):
            if guarded.poll() is not None or time.monotonic() > end:
                what = (
                    "ended while it started"
                    if guarded.poll() is not None
                    else f"was not ready within {self.start_s:g} s"
                )
                tail = "\n".join(
                    self.log(server.name).read_text(errors="replace").splitlines()[-TAIL_LINES:]
                )
                raise ServiceError(
                    f"{server.name} {what}; the end of its log ({self.log(server.name)}):\n{tail}"
                )
            guarded.wait(0.2)

    def _apply(self) -> None:
        self._before = {name: os.environ.get(name) for name in self.environ}
        os.environ.update(self.environ)
        _refresh_prefect()

    def _stop(self) -> None:
        for guarded in self._running.values():
            guarded.ask()  # all at once
        for guarded in self._running.values():
            guarded.stop()
        self._running.clear()


def mlflow_database(home: Path) -> str:
    """The uri of the database that the MLflow server of this home serves: it can be read when no server runs."""
    folder = home.absolute() / "mlflow"
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'mlflow.db'}"


def _ray(home: Path, port: int, cpus: int) -> Server:
    temp = home / "ray"
    short = len(str(temp)) <= RAY_TEMP_LONGEST
    folder = temp if short else Path(tempfile.mkdtemp(prefix="argus-"))
    head, client, agent, agent_rpc, environment, metrics, *monitors = _free_ports(8)
    token = secrets.token_hex(32)
    return Server(
        name="ray",
        command=(
            *(
                sys.executable,
                "-m",
                "ray.scripts.scripts",
                "start",
                "--head",
                "--block",
                "--disable-usage-stats",
            ),
            *(f"--node-ip-address={HOST}", f"--port={head}", f"--ray-client-server-port={client}"),
            *(f"--dashboard-host={HOST}", f"--dashboard-port={port}", "--include-dashboard=true"),
            *(f"--dashboard-agent-listen-port={agent}", f"--dashboard-agent-grpc-port={agent_rpc}"),
            *(
                f"--runtime-env-agent-port={environment}",
                f"--metrics-export-port={metrics}",
                "--min-worker-port=0",
                "--max-worker-port=0",
            ),
            *(
                f"--num-cpus={cpus}",
                f"--object-store-memory={OBJECT_STORE_BYTES}",
                f"--temp-dir={folder}",
            ),
        ),
        url=f"http://{HOST}:{port}",
        health=f"http://{HOST}:{port}/api/v0/nodes",
        expected="ALIVE",  # the dashboard answers before there is a node to run anything
        environ={
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": token,
            "RAY_JOB_STOP_WAIT_TIME_S": str(JOB_STOP_WAIT_S),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # otherwise Ray replaces a loopback address by the machine's own, and binds that
            "AUTOSCALER_METRIC_PORT": str(monitors[0]),
            "DASHBOARD_METRIC_PORT": str(monitors[1]),
        },
        headers=ray_headers({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}),
        remove=None if short else folder,
    )


def _prefect(home: Path, port: int) -> Server:
    folder = home / "prefect"
    folder.mkdir(parents=True, exist_ok=True)
    url = f"http://{HOST}:{port}"
    return Server(
        name="prefect",
        command=(
            sys.executable,
            "-m",
            "prefect",
            "server",
            "start",
            "--host",
            HOST,
            "--port",
            str(port),
        ),
        url=url,
        health=f"{url}/api/health",
        environ={
            "PREFECT_HOME": str(folder),
            "PREFECT_API_URL": f"{url}/api",
            "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(folder / "ui"),
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        },
    )


def _mlflow(home: Path, port: int) -> Server:
    url = f"http://{HOST}:{port}"
    return Server(
        name="mlflow",
        command=(
            *(
                sys.executable,
                "-m",
                "mlflow",
                "server",
                "--host",
                HOST,
                "--port",
                str(port),
                "--workers",
                "1",
            ),
            *("--backend-store-uri", mlflow_database(home)),
            *(
                "--no-serve-artifacts",
                "--default-artifact-root",
                (home / "mlflow" / "artifacts").as_uri(),
            ),
        ),
        url=url,
        health=f"{url}/health",
        environ={"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
    )


def _ports(given: Mapping[str, int | None]) -> dict[str, int]:
    """The given ports, checked, and free ones for the rest."""
    for name, port in given.items():
        if port is not None and not _is_free(port):
            raise InvalidInput(
                f"port {port} for {name} is in use; choose another one, or give none to let a free one be found"
            )
    return {
        name: port or found
        for (name, port), found in zip(given.items(), _free_ports(len(given)), strict=True)
    }


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # a port that lingers after its server's end is free
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _is_ready(server: Server) -> bool:
    request = urllib.request.Request(server.health, headers=dict(server.headers))  # noqa: S310  our own http address
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({})
    )  # a loopback address goes through no proxy
    try:
        with opener.open(request, timeout=5) as answer:
            return bool(answer.status == 200 and server.expected in answer.read().decode())
    except (OSError, urllib.error.URLError):
        return False


def _refresh_prefect() -> None:
    """Prefect reads its environment when it is imported; where that has happened, it must look again."""
    if "prefect" in sys.modules:
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()
