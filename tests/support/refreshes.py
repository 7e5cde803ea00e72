"""Refreshes that run as processes of their own, and the processes that they start."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from argus.dataset import Dataset
from argus.files import sha256_file
from schemas.names import EXIT_CODES, JobKind
from schemas.records import JobResult

SPLITS = ("train", "val", "test")
SANDBOX_COMMAND = "argus.media.fork_server"  # in the command line of every sandboxed process


class Refresh:
    """A refresh with its own folder, catalogue and dataset, run by `python -m ray_jobs.curate`.

    Args:
        folder: created; receives everything that the refresh writes.
        urls: the catalogue; their splits alternate.
        **config: fields of the configuration that differ from the quick ones used here.
    """

    def __init__(self, folder: Path, urls: list[str], **config: object) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        folder.mkdir(exist_ok=True, parents=True)
        lines = [f"{url},{SPLITS[number % 3]}" for number, url in enumerate(urls)]
        (folder / "catalogue.csv").write_text("\n".join(["url,split", *lines]) + "\n")
        self.config: dict[str, Any] = {
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
        """Start the refresh; its standard error is appended to `log`."""
        file = self.folder / f"{self.config['run_id']}.json"
        file.write_text(json.dumps(self.config))
        command = [sys.executable, "-m", "ray_jobs.curate", "--config", str(file)]
        inherited = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(command, env=inherited | environment, stderr=log)
        self.processes.append(process)
        return process

    def run(self, timeout_s: float = 280) -> JobResult:
        """Run the refresh to its end and return its result; check the exit status."""
        status = self.start().wait(timeout=timeout_s)
        result = self.result()
        assert result is not None, self.log()
        assert status == EXIT_CODES[result.outcome]
        return result

    def kill(self) -> None:
        """Kill processes that still run."""
        for process in self.processes:
            process.kill()
            process.wait()

    def log(self) -> str:
        """Return the standard error of all starts."""
        return (self.folder / "log").read_text()

    def result(self) -> JobResult | None:
        """Return the result of the latest start, if it has ended."""
        runs = Path(self.config["home"]) / "runs" / JobKind.CURATE
        path = runs / self.config["run_id"] / "result.json"
        return JobResult.model_validate_json(path.read_text()) if path.exists() else None

    @property
    def dataset(self) -> Dataset:
        """The dataset, opened anew."""
        return Dataset(self.config["dataset"])

    def rows(self) -> dict[str, dict[str, Any]]:
        """Return the latest row of each video, by the last part of its URL."""
        table = self.dataset.read_latest()
        return {Path(row["url"]).name: row for row in table.to_pylist()}

    def digests(self) -> list[str]:
        """Return the digest of each snapshot."""
        return [snapshot.digest for snapshot in self.dataset.list_snapshots()]

    def staged(self) -> list[Path]:
        """Return the markers of staged results."""
        return sorted((self.folder / "dataset" / "staging").glob("*/row.json"))

    def leftovers(self) -> list[str]:
        """Return the names of all files that a finished refresh should have removed."""
        dataset = self.folder / "dataset"
        work = Path(self.config.get("work") or Path(self.config["home"]) / "work")
        folders = (dataset / "staging", dataset / "fetched", work)
        return sorted(
            path.name for folder in folders if folder.exists() for path in folder.rglob("*")
        )

    def shards(self) -> dict[str, str]:
        """Return the digest of each shard by its name."""
        paths = sorted((self.folder / "dataset" / "shards").glob("*"))
        return {path.name: sha256_file(path) for path in paths}


def assert_same_dataset(refresh: Refresh, expected: Refresh) -> None:
    """Check for the same shards and snapshots, one row per video, and no leftovers."""
    assert refresh.shards() == expected.shards()
    assert refresh.digests() == expected.digests()
    rows = [
        row["source_id"]
        for part in refresh.dataset.iter_parts_after(0, ["source_id"])
        for row in part.to_pylist()
    ]
    assert Counter(rows) == dict.fromkeys(rows, 1)
    assert refresh.leftovers() == []


@dataclass(frozen=True)
class ProcessTree:
    """The processes that a process has started, and those that these have."""

    commands: dict[int, str] = field(default_factory=dict)  # by process id
    parents: dict[int, int] = field(default_factory=dict)  # by process id

    @classmethod
    def below(cls, pid: int) -> "ProcessTree":
        """Read the descendants of a process, except zombies."""
        lines = subprocess.run(
            ["ps", "-ewwo", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        table = [
            (int(number), int(parent), command)
            for number, parent, state, command in (line.split(None, 3) for line in lines)
            if not state.startswith("Z")
        ]
        every = cls(
            {number: command for number, _, command in table},
            {number: parent for number, parent, _ in table},
        )
        return every.branch(pid)

    def branch(self, pid: int) -> "ProcessTree":
        """Return the part of the tree below a process."""

        def is_below(number: int) -> bool:
            parent = self.parents.get(number)
            return parent is not None and (parent == pid or is_below(parent))

        names = list(filter(is_below, self.parents))
        return ProcessTree(
            {number: self.commands[number] for number in names},
            {number: self.parents[number] for number in names},
        )

    def named(self, prefix: str) -> list[int]:
        """Return the processes whose program's file name or title begins with a prefix."""
        return [
            pid
            for pid, command in self.commands.items()
            if Path(command.split()[0]).name.startswith(prefix) or command.startswith(prefix)
        ]


def sandbox_servers(pid: int, preload: str = "") -> list[int]:
    """Return the fork servers below a process, those of one preloaded module if it is given."""
    return _list_servers(ProcessTree.below(pid), preload)


def sandbox_children(pid: int, preload: str = "") -> list[int]:
    """Return the sandboxed processes that work on a video at present."""
    tree = ProcessTree.below(pid)
    servers = _list_servers(tree, preload)
    return sorted({child for server in servers for child in tree.branch(server).commands})


def _list_servers(tree: ProcessTree, preload: str) -> list[int]:
    every = {number for number, text in tree.commands.items() if SANDBOX_COMMAND in text}
    children = {number for server in every for number in tree.branch(server).commands}
    return sorted(number for number in every - children if preload in tree.commands[number])


def kill_all(pids: list[int]) -> int:
    """Send SIGKILL to processes that may have ended; return how many there were."""
    killed = 0
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
            killed += 1
        except ProcessLookupError:
            continue
    return killed


def wait_until(
    is_true: Callable[[], bool],
    process: subprocess.Popen[bytes] | None = None,
    timeout_s: float = 200,
) -> None:
    """Wait until a condition holds, while a process, if one is given, must keep running."""
    end = time.monotonic() + timeout_s
    while not is_true():
        assert process is None or process.poll() is None, "the process ended early"
        assert time.monotonic() < end, "the condition did not become true in time"
        time.sleep(0.02)
