"""Refreshes as processes of their own, and the processes that they start."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from argus.dataset import Dataset
from argus.files import sha256_file
from schemas.names import EXIT_CODES, JobKind
from schemas.records import JobResult


class Refresh:
    """A refresh of its own folder, run as a process of its own."""

    started: ClassVar[list[subprocess.Popen[bytes]]] = []

    def __init__(self, folder: Path, urls: list[str], **config: object) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True, parents=True)
        splits = ("train", "val", "test")
        lines = [f"{url},{splits[number % 3]}" for number, url in enumerate(urls)]
        (folder / "catalogue.csv").write_text("\n".join(["url,split", *lines]) + "\n")
        self.config = {
            "catalogue": str(folder / "catalogue.csv"),
            "dataset": str(folder / "dataset"),
            "home": str(folder / "home"),
            "run_id": "nightly",
            "chunk_size": 2,
            "fetch": {"allow_private_hosts": True, "attempts": 1},
            "clip": {"height": 64},
            **config,
        }

    def start(self, **environment: str) -> subprocess.Popen[bytes]:
        file = self.folder / f"{self.config['run_id']}.json"
        file.write_text(json.dumps(self.config))
        command = [sys.executable, "-m", "ray_jobs.curate", "--config", str(file)]
        environ = {
            name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"
        } | environment
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(command, env=environ, stderr=log)
        self.started.append(process)
        return process

    def run(self, timeout_s: float = 280) -> JobResult:
        status = self.start().wait(timeout=timeout_s)
        result = self.result()
        assert result is not None, (self.folder / "log").read_text()
        assert status == EXIT_CODES[result.outcome]
        return result

    def result(self) -> JobResult | None:
        path = (
            Path(str(self.config["home"]))
            / "runs"
            / JobKind.CURATE
            / str(self.config["run_id"])
            / "result.json"
        )
        return JobResult.model_validate_json(path.read_text()) if path.exists() else None

    @property
    def dataset(self) -> Dataset:
        return Dataset(str(self.config["dataset"]))

    def staged(self) -> list[Path]:
        return sorted((self.folder / "dataset" / "staging").glob("*/row.json"))

    def left_over(self) -> list[str]:
        work = Path(str(self.config.get("work") or Path(str(self.config["home"])) / "work"))
        folders = (self.folder / "dataset" / "staging", self.folder / "dataset" / "fetched", work)
        return sorted(
            path.name for folder in folders if folder.exists() for path in folder.rglob("*")
        )

    def shards(self) -> dict[str, str]:
        return {
            path.name: sha256_file(path)
            for path in sorted((self.folder / "dataset" / "shards").glob("*"))
        }


def below(pid: int) -> dict[int, str]:
    """The processes that a process has started, and those that these have, with their command lines."""
    lines = subprocess.run(
        ["ps", "-ewwo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    table = {
        int(number): (int(parent), name)
        for number, parent, name in (line.split(None, 2) for line in lines)
    }

    def is_below(number: int) -> bool:
        return number in table and (table[number][0] == pid or is_below(table[number][0]))

    return {number: name for number, (_, name) in table.items() if is_below(number)}


@pytest.fixture(scope="module")
def refreshing() -> Iterator[type[Refresh]]:
    """The class of refreshes: `refreshing(folder, urls, **config)`. None of them outlives its module."""
    yield Refresh
    while Refresh.started:
        with Refresh.started.pop() as process:
            process.kill()


@pytest.fixture(scope="session")
def wait_for() -> Callable[[Callable[[], bool], subprocess.Popen[bytes]], None]:
    """`wait_for(condition, process)`: until it holds, while the process runs."""

    def wait(holds: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + 200
        while not holds():
            assert process.poll() is None, "it ended before its time"
            assert time.monotonic() < end
            time.sleep(0.02)

    return wait


@pytest.fixture(scope="session")
def descendants() -> Callable[[int], dict[int, str]]:
    """The function `below`."""
    return below


@pytest.fixture(scope="session")
def process_of() -> Callable[[int, str], int]:
    """`process_of(driver, prefix)`: the one process below a driver whose command line begins so."""

    def found(driver: int, prefix: str) -> int:
        (pid,) = (number for number, name in below(driver).items() if name.startswith(prefix))
        return pid

    return found
