"""What a refresh survives: killed workers, drivers and heads of a cluster, a full disk, another refresh at its side."""

import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from argus.synth import write_video_kind
from schemas.names import EXIT_CODES, Outcome
from tests.support.faulty_server import FaultyServer, serve_with_faults

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

NAMES = [f"walk{number}.mp4" for number in range(6)]
KILLS = {"worker": "ray::stage_video", "head": "gcs_server", "raylet": "raylet", "driver": None}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    for seed, name in enumerate(NAMES):
        write_video_kind(
            folder / name,
            "walk" if seed % 2 else "drive",
            seed=seed,
            seconds=3,
            height=64,
            tagged=True,
        )
    return folder


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[FaultyServer]:
    with serve_with_faults(folder) as site:
        for name in NAMES:
            site.url(name)
        yield site


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, site: FaultyServer, refreshing: type
) -> Any:
    refresh = refreshing(tmp_path_factory.mktemp("whole"), [site.url(name) for name in NAMES])
    result = refresh.run()
    assert (result.outcome, result.metrics["kept"]) == (Outcome.DONE, len(NAMES))
    return refresh


def assert_same(refresh: Any, other: Any) -> None:
    """The same shards, the same snapshot, one row a video, and nothing left over."""
    assert refresh.shards() == other.shards()
    assert [snapshot.digest for snapshot in refresh.dataset.list_snapshots()] == [
        snapshot.digest for snapshot in other.dataset.list_snapshots()
    ]
    rows = [
        row["source_id"]
        for part in refresh.dataset.iter_parts_after(0, ["source_id"])
        for row in part.to_pylist()
    ]
    assert Counter(rows) == dict.fromkeys(rows, 1)
    assert refresh.left_over() == []


@pytest.mark.parametrize("victim", KILLS)
def test_after_a_kill_and_a_rerun_the_dataset_is_that_of_an_undisturbed_refresh(
    victim: str,
    tmp_path: Path,
    site: FaultyServer,
    undisturbed: Any,
    refreshing: type,
    descendants: Callable[[int], dict[int, str]],
    wait_for: Callable[..., None],
) -> None:
    refresh = refreshing(tmp_path, [site.url(name) for name in NAMES], max_concurrent_videos=1)
    process = refresh.start()
    wait_for(
        lambda: refresh.dataset.exists, process
    )  # the first wave is committed, the second in work

    def prey() -> list[int]:
        if victim == "driver":
            return [process.pid]
        return [
            number
            for number, name in descendants(process.pid).items()
            if Path(name.split()[0]).name.startswith(Path(KILLS[victim]).name)
        ]

    wait_for(lambda: bool(prey()), process)
    for number in prey():
        os.kill(number, signal.SIGKILL)
    status = process.wait(timeout=400)
    if victim == "worker":
        assert status == 0  # the task was begun again
    if (
        status
    ):  # for a while Ray's workers do without their head: a short refresh may come to its end
        refresh.config["run_id"] = "again"
        assert refresh.run().outcome is Outcome.DONE
    assert_same(refresh, undisturbed)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head that works on nothing, which refreshes join; its `add_node` and `remove_node` are machines that come and go."""
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
    site: FaultyServer,
    undisturbed: Any,
    refreshing: type,
    wait_for: Callable[..., None],
    cluster: Any,
) -> None:
    leaving = cluster.add_node(num_cpus=1, node_ip_address="127.0.0.1")
    refresh = refreshing(tmp_path, [site.url(name) for name in NAMES])
    process = refresh.start(RAY_ADDRESS=cluster.address)
    wait_for(
        lambda: refresh.dataset.exists, process
    )  # the first wave is committed, the others in work
    cluster.add_node(num_cpus=1, node_ip_address="127.0.0.1")
    assert process.poll() is None
    cluster.remove_node(leaving, allow_graceful=False)
    assert process.wait(timeout=400) == 0
    assert_same(refresh, undisturbed)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to mount a small disk")
def test_a_full_disk_ends_a_refresh_that_can_be_run_again(
    tmp_path: Path, site: FaultyServer, undisturbed: Any, refreshing: type
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(disk)], check=True)
    try:
        ballast, needed = (
            disk / "ballast",
            sum(path.stat().st_size for path in (undisturbed.folder / "dataset").rglob("*")),
        )
        ballast.write_bytes(bytes(shutil.disk_usage(disk).free - needed // 2))
        fetch = {
            "allow_private_hosts": True,
            "attempts": 1,
            "min_free_bytes": 0,
            "max_bytes": 1_000_000,
        }
        refresh = refreshing(
            disk / "refresh",
            [site.url(name) for name in NAMES],
            fetch=fetch,
            home=str(tmp_path / "home"),
            work=str(disk / "work"),
        )
        assert refresh.start().wait(timeout=280) == EXIT_CODES[Outcome.RETRY]
        result = refresh.result()
        assert result is not None
        assert "disk is full" in result.reason or "make room" in result.reason
        assert len(refresh.shards()) < len(undisturbed.shards())
        ballast.unlink()
        assert refresh.run().outcome is Outcome.DONE
        assert_same(refresh, undisturbed)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_two_refreshes_at_once_lose_nothing_and_double_nothing(
    tmp_path: Path, site: FaultyServer, refreshing: type
) -> None:
    first = refreshing(tmp_path / "first", [site.url(name) for name in NAMES[:4]])
    shared = {name: first.config[name] for name in ("dataset", "home")}
    second = refreshing(
        tmp_path / "second", [site.url(name) for name in NAMES[2:]], run_id="second", **shared
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
    assert first.left_over() == []


def test_the_same_refresh_into_an_object_store_gives_the_same_snapshot(
    tmp_path: Path,
    site: FaultyServer,
    undisturbed: Any,
    refreshing: type,
    s3: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    refresh = refreshing(
        tmp_path, [site.url(name) for name in NAMES], dataset="s3://argus/datasets/walks"
    )
    assert refresh.run().outcome is Outcome.DONE
    assert [snapshot.digest for snapshot in refresh.dataset.list_snapshots()] == [
        snapshot.digest for snapshot in undisturbed.dataset.list_snapshots()
    ]
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
    """The environment of a local S3 server with a bucket `argus`."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environ = {
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "tester",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }
    try:
        keys = {"aws_access_key_id": "tester", "aws_secret_access_key": "tester"}
        client = boto3.client(
            "s3", endpoint_url=environ["AWS_ENDPOINT_URL"], region_name="us-east-1", **keys
        )
        client.create_bucket(Bucket="argus")
        yield environ
    finally:
        server.stop()
