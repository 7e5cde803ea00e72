"""Faults that a refresh survives: killed processes, drivers and clusters, a full disk, a rival.

After each, and after the refresh was repeated where it had ended, the dataset is that of an
undisturbed local refresh.
"""

import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from argus.synth import write_video_kind
from schemas.names import EXIT_CODES, Outcome
from tests.ray_jobs.conftest import NewRefresh
from tests.support.faulty_server import serve_with_faults
from tests.support.refreshes import (
    ProcessTree,
    Refresh,
    assert_same_dataset,
    kill_all,
    sandbox_children,
    sandbox_servers,
    wait_until,
)

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(1700)]

NAMES = [f"walk{number}.mp4" for number in range(6)]
ROUNDS = 10
DOWNLOADING, PROCESSING = "argus.curate.download.ytdlp", "argus.curate.preload"
VICTIMS: dict[str, dict[str, Callable[[int], list[int]]]] = {
    "local": {
        "driver": lambda driver: [driver],
        "download": lambda driver: sandbox_children(driver, DOWNLOADING),
        "processing": lambda driver: sandbox_children(driver, PROCESSING),
        "download server": lambda driver: sandbox_servers(driver, DOWNLOADING),
        "processing server": lambda driver: sandbox_servers(driver, PROCESSING),
    },
    "ray": {
        "driver": lambda driver: [driver],
        "processing": lambda driver: sandbox_children(driver, PROCESSING),
        "worker": lambda driver: ProcessTree.below(driver).named("ray::process_video_task"),
        "fetcher": lambda driver: ProcessTree.below(driver).named("ray::FetchActor"),
        "head": lambda driver: ProcessTree.below(driver).named("gcs_server"),
        "raylet": lambda driver: ProcessTree.below(driver).named("raylet"),
    },
}
NOT_NOTICED = ("download", "processing", "download server", "processing server", "worker")
"""Victims whose work is repeated within the same refresh."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    for seed, name in enumerate(NAMES):
        kind = "walk" if seed % 2 else "drive"
        write_video_kind(folder / name, kind, seed=seed, seconds=3, height=64, tagged=True)
    return folder


@pytest.fixture(scope="module")
def urls(folder: Path) -> Iterator[list[str]]:
    with serve_with_faults(folder) as server:
        yield [server.url(name) for name in NAMES]


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, urls: list[str], new_refresh: NewRefresh
) -> Refresh:
    refresh = new_refresh(tmp_path_factory.mktemp("whole"), urls)
    result = refresh.run()
    assert (result.outcome, result.metrics["kept"]) == (Outcome.DONE, len(NAMES))
    return refresh


def finish(refresh: Refresh, process: subprocess.Popen[bytes], run_id: str) -> int:
    """Wait for a disturbed refresh and repeat it if it failed; return its exit status."""
    status = process.wait(timeout=400)
    if status:
        refresh.config["run_id"] = run_id
        assert refresh.run().outcome is Outcome.DONE
    return status


def is_any_alive(victims: Callable[[int], list[int]], process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is not None or bool(victims(process.pid))


def test_ray_and_local_refreshes_make_the_same_dataset(
    tmp_path: Path, urls: list[str], undisturbed: Refresh, new_refresh: NewRefresh
) -> None:
    refresh = new_refresh(tmp_path, urls, executor="ray")
    assert refresh.run().outcome is Outcome.DONE
    assert_same_dataset(refresh, undisturbed)


@pytest.mark.parametrize(
    ("executor", "victim"), [(name, victim) for name in VICTIMS for victim in VICTIMS[name]]
)
def test_after_a_kill_and_a_repeat_the_dataset_is_that_of_an_undisturbed_refresh(
    executor: str,
    victim: str,
    tmp_path: Path,
    urls: list[str],
    undisturbed: Refresh,
    new_refresh: NewRefresh,
) -> None:
    refresh = new_refresh(tmp_path, urls, max_concurrent_videos=1, executor=executor)
    process = refresh.start()
    victims = VICTIMS[executor][victim]
    # The first chunk is committed, the second in work.
    wait_until(lambda: refresh.dataset.exists, process)
    wait_until(lambda: is_any_alive(victims, process))
    kill_all(victims(process.pid))
    # Workers of Ray go on for a while without their head: a short refresh may come to its end.
    status = finish(refresh, process, "again")
    if victim in NOT_NOTICED:
        assert status == 0
    assert_same_dataset(refresh, undisturbed)


@pytest.mark.parametrize("executor", VICTIMS)
def test_random_kills_never_change_the_dataset(
    executor: str,
    tmp_path: Path,
    urls: list[str],
    undisturbed: Refresh,
    new_refresh: NewRefresh,
) -> None:
    """In each round a random process is killed at a random moment, twice, before the last repeat."""
    chance = random.Random(executor)
    begun = time.monotonic()
    new_refresh(tmp_path / "timed", urls, executor=executor).run()
    usual_s = time.monotonic() - begun
    for number in range(ROUNDS):
        refresh = new_refresh(tmp_path / str(number), urls, executor=executor)
        for attempt in range(2):
            refresh.config["run_id"] = f"attempt{attempt}"
            process = refresh.start()
            end = time.monotonic() + chance.uniform(0.0, usual_s)
            victims = VICTIMS[executor][chance.choice([*VICTIMS[executor]])]
            while time.monotonic() < end and process.poll() is None:
                time.sleep(0.02)
            if process.poll() is None:
                kill_all(victims(process.pid))
            process.wait(timeout=400)
        refresh.config["run_id"] = "last"
        assert refresh.run().outcome in (Outcome.DONE, Outcome.NOTHING)
        assert_same_dataset(refresh, undisturbed)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A Ray head without CPUs; `add_node` and `remove_node` are machines that join and leave."""
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "node_ip_address": "127.0.0.1", "include_dashboard": False},
    )
    try:
        yield cluster
    finally:
        cluster.shutdown()


def test_a_machine_that_leaves_and_one_that_joins_change_nothing(
    tmp_path: Path,
    urls: list[str],
    undisturbed: Refresh,
    new_refresh: NewRefresh,
    cluster: Any,
) -> None:
    leaving = cluster.add_node(num_cpus=1, node_ip_address="127.0.0.1")
    refresh = new_refresh(tmp_path, urls, executor="ray")
    process = refresh.start(RAY_ADDRESS=cluster.address)
    # The first chunk is committed, the others in work.
    wait_until(lambda: refresh.dataset.exists, process)
    cluster.add_node(num_cpus=1, node_ip_address="127.0.0.1")
    assert process.poll() is None
    cluster.remove_node(leaving, allow_graceful=False)
    assert process.wait(timeout=400) == 0
    assert_same_dataset(refresh, undisturbed)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to mount a small disk")
@pytest.mark.parametrize("executor", VICTIMS)
def test_a_full_disk_ends_a_refresh_that_can_be_run_again(
    executor: str,
    tmp_path: Path,
    urls: list[str],
    undisturbed: Refresh,
    new_refresh: NewRefresh,
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(disk)], check=True)
    try:
        needed = sum(path.stat().st_size for path in (undisturbed.folder / "dataset").rglob("*"))
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(shutil.disk_usage(disk).free - needed // 2))
        fetch = {"allow_private_hosts": True, "attempts": 1}
        refresh = new_refresh(
            disk / "refresh",
            urls,
            fetch={**fetch, "min_free_bytes": 0, "max_bytes": 1_000_000},
            home=str(tmp_path / "home"),
            work=str(disk / "work"),
            executor=executor,
        )
        assert refresh.start().wait(timeout=280) == EXIT_CODES[Outcome.RETRY]
        assert len(refresh.shards()) < len(undisturbed.shards())
        ballast.unlink()
        assert refresh.run().outcome is Outcome.DONE
        assert_same_dataset(refresh, undisturbed)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("executors", [("local", "local"), ("local", "ray")])
def test_two_refreshes_at_once_lose_nothing_and_double_nothing(
    executors: tuple[str, str], tmp_path: Path, urls: list[str], new_refresh: NewRefresh
) -> None:
    first = new_refresh(tmp_path / "first", urls[:4], executor=executors[0])
    shared = {name: first.config[name] for name in ("dataset", "home")}
    second = new_refresh(
        tmp_path / "second", urls[2:], run_id="second", executor=executors[1], **shared
    )
    processes = [refresh.start() for refresh in (first, second)]
    assert [process.wait(timeout=280) for process in processes] == [0, 0]
    table = first.dataset.get_snapshot().table
    assert len(table) == len(set(table["clip_id"].to_pylist())) == len(NAMES)
    rows = [
        row["source_id"]
        for part in first.dataset.iter_parts_after(0, ["source_id"])
        for row in part.to_pylist()
    ]
    assert len(rows) == len(set(rows)) == len(NAMES)
    stored = 0
    for name in first.shards():
        with first.dataset.open_shard(f"shards/{name}") as reader:
            stored += len(reader)
    assert stored == len(NAMES)
    assert first.leftovers() == []


@pytest.mark.parametrize("executor", VICTIMS)
def test_the_same_refresh_into_an_object_store_gives_the_same_snapshot(
    executor: str,
    tmp_path: Path,
    urls: list[str],
    undisturbed: Refresh,
    new_refresh: NewRefresh,
    s3: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    refresh = new_refresh(tmp_path, urls, dataset=f"s3://argus/{executor}/walks", executor=executor)
    assert refresh.run().outcome is Outcome.DONE
    assert refresh.digests() == undisturbed.digests()
    assert refresh.dataset.store.list_names("staging") == []
    row = refresh.dataset.get_snapshot().table.to_pylist()[0]
    with (
        refresh.dataset.open_shard(row["shard"]) as ours,
        undisturbed.dataset.open_shard(row["shard"]) as theirs,
    ):
        assert ours.clip(row["row"]) == theirs.clip(row["row"])
    assert refresh.run().outcome is Outcome.NOTHING


@pytest.fixture
def s3() -> Iterator[dict[str, str]]:
    """Return the environment of a local S3 server with a bucket `argus`."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "tester",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }
    try:
        keys = {"aws_access_key_id": "tester", "aws_secret_access_key": "tester"}
        client = boto3.client(
            "s3", endpoint_url=environment["AWS_ENDPOINT_URL"], region_name="us-east-1", **keys
        )
        client.create_bucket(Bucket="argus")
        yield environment
    finally:
        server.stop()
