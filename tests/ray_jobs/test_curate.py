"""Refreshes in real processes: Ray, yt-dlp, decoders, and a web site on loopback that counts and can hold its answers."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from argus.files import sha256_file
from argus.media import SphericalMetadata, open_video, write_video
from argus.shards import Dataset, ShardReader, SnapshotRow
from argus.synth import write_kind
from schemas.names import EXIT_CODES, Decision, JobKind, Outcome, Reason
from schemas.records import JobResult

pytestmark = pytest.mark.slow


class Site:
    """Serves a folder on loopback, records the path of every request, and can hold the answers to one path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[str] = []
        self.held: str | None = None
        self.holding = threading.Event()
        self.released = threading.Event()
        site = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                site.requests.append(self.path)
                if self.path == site.held:
                    site.holding.set()
                    site.released.wait(120)
                super().do_GET()

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: Handler(*a, directory=str(folder)))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def hold(self, path: str) -> None:
        self.held, self.requests = path, []
        self.holding.clear()
        self.released.clear()

    def release(self) -> None:
        self.held, self.requests = None, []
        self.released.set()


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    for number in range(5):
        write_kind(folder / f"good{number}.mp4", "drive" if number % 2 else "walk", seed=number, seconds=2.5, height=64, tagged=True)
    write_video(folder / "black.mp4", np.zeros((75, 128, 256, 3), np.uint8), Fraction(30), spherical=SphericalMetadata())
    (folder / "text.mp4").write_text("this is no video")
    (folder / "empty.mp4").write_bytes(b"")
    whole = (folder / "good0.mp4").read_bytes()
    (folder / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture
def site(videos: Path) -> Iterator[Site]:
    site = Site(videos)
    yield site
    site.close()


class Refresh:
    """A refresh of its own folder, run as a process of its own."""

    def __init__(self, folder: Path, urls: list[str], **config: object) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        splits = ("train", "val", "test")
        lines = [f"{url},{splits[number % 3]}" for number, url in enumerate(urls)]
        (folder / "catalogue.csv").write_text("\n".join(["url,split", *lines]) + "\n")
        self.config = {
            "catalogue": str(folder / "catalogue.csv"),
            "dataset": str(folder / "dataset"),
            "home": str(folder / "home"),
            "run_id": "nightly",
            "wave_size": 2,
            "fetch": {"allow_private_hosts": True, "attempts": 1},
            "clip": {"height": 64},
            **config,
        }

    def start(self) -> subprocess.Popen[bytes]:
        file = self.folder / f"{self.config['run_id']}.json"
        file.write_text(json.dumps(self.config))
        command = [sys.executable, "-m", "ray_jobs.curate", "--config", str(file)]
        environ = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, env=environ, stderr=log)

    def run(self) -> JobResult:
        status = self.start().wait(timeout=280)
        result = self.result()
        assert result is not None, (self.folder / "log").read_text()
        assert status == EXIT_CODES[result.outcome]
        return result

    def result(self) -> JobResult | None:
        path = self.folder / "home" / "runs" / JobKind.CURATE / str(self.config["run_id"]) / "result.json"
        return JobResult.model_validate_json(path.read_text()) if path.exists() else None

    @property
    def dataset(self) -> Dataset:
        return Dataset(self.folder / "dataset")

    def left_over(self) -> list[str]:
        folders = (self.folder / name for name in ("dataset/staging", "dataset/fetched", "home/work"))
        return sorted(path.name for folder in folders if folder.exists() for path in folder.rglob("*"))

    def shards(self) -> dict[str, str]:
        return {path.name: sha256_file(path) for path in sorted((self.folder / "dataset" / "shards").iterdir())}


def task_worker(driver: int) -> int:
    """The process in which Ray runs the one task of a driver that started its own Ray."""
    lines = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout.splitlines()
    table = {int(pid): (int(parent), name) for pid, parent, name in (line.split(None, 2) for line in lines)}

    def ancestors(pid: int) -> list[int]:
        return [] if pid not in table else [table[pid][0], *ancestors(table[pid][0])]

    (worker,) = (pid for pid, (_, name) in table.items() if name.startswith("ray::fetch_video") and driver in ancestors(pid))
    return worker


def test_every_video_gets_its_decision_and_a_second_refresh_has_nothing_to_do(tmp_path: Path, site: Site) -> None:
    names = ["good0.mp4", "none.mp4", "text.mp4", "good1.mp4", "empty.mp4", "black.mp4", "truncated.mp4"]
    refresh = Refresh(tmp_path, [f"{site.url}/{name}" for name in names], wave_size=3)
    first = refresh.run()
    assert first.outcome is Outcome.DONE
    rows = {Path(row["url"]).name: row for row in refresh.dataset.latest_rows().to_pylist()}
    assert {name: (rows[name]["decision"], rows[name]["reason"]) for name in names if name != "truncated.mp4"} == {
        "good0.mp4": (Decision.KEPT, None),
        "none.mp4": (Decision.FAILED, Reason.NOT_FOUND),
        "text.mp4": (Decision.DROPPED, Reason.NOT_A_VIDEO),
        "good1.mp4": (Decision.KEPT, None),
        "empty.mp4": (Decision.FAILED, Reason.EMPTY_FILE),
        "black.mp4": (Decision.DROPPED, Reason.BLACK),
    }
    assert rows["truncated.mp4"]["decision"] != Decision.KEPT
    counted = {name: first.metrics[name] for name in ("considered", "known", "kept", "failed", "failed.not_found", "dropped.black", "clips")}
    assert counted == {"considered": 7, "known": 0, "kept": 2, "failed": 2, "failed.not_found": 1, "dropped.black": 1, "clips": 2}
    assert first.outputs["digest"] == refresh.dataset.snapshot(first.outputs["snapshot"]).digest
    assert (tmp_path / "dataset" / rows["good0.mp4"]["thumbnail"]).read_bytes()[:2] == b"\xff\xd8"
    assert rows["good0.mp4"]["fetch"]["bytes"] == (site.folder / "good0.mp4").stat().st_size
    assert refresh.left_over() == []

    site.requests.clear()
    second = refresh.run()
    assert (second.outcome, second.metrics["known"], second.outputs["digest"]) == (Outcome.NOTHING, 7, first.outputs["digest"])
    assert site.requests == []


def test_a_failure_that_may_pass_is_tried_again_and_the_same_failure_commits_nothing(tmp_path: Path, site: Site) -> None:
    refresh = Refresh(tmp_path, [f"{site.url}/good0.mp4", "http://127.0.0.1:9/closed.mp4"])
    first = refresh.run()
    assert (first.outcome, first.metrics["kept"], first.metrics["failed.unreachable"]) == (Outcome.DONE, 1, 1)
    assert refresh.dataset.latest_rows(["decision", "retryable"]).to_pylist().count({"decision": "failed", "retryable": True}) == 1
    again = refresh.run()
    assert (again.outcome, again.metrics["known"], again.metrics["failed.unreachable"]) == (Outcome.NOTHING, 1, 1)


def test_a_refresh_killed_half_way_ends_like_one_that_was_not(tmp_path: Path, site: Site) -> None:
    urls = [f"{site.url}/good{number}.mp4" for number in range(5)]
    whole = Refresh(tmp_path / "whole", urls)
    whole.run()

    torn = Refresh(tmp_path / "torn", urls, in_flight=1)
    site.hold("/good3.mp4")
    process = torn.start()
    assert site.holding.wait(200), (torn.folder / "log").read_text()
    process.kill()
    process.wait()
    assert torn.dataset.snapshots() == []  # committed, not yet published
    assert site.requests.count("/good2.mp4") > 0  # staged, not committed

    site.release()
    torn.config["run_id"] = "another"
    result = torn.run()
    assert (result.outcome, result.metrics["known"]) == (Outcome.DONE, 2)
    assert set(site.requests) == {"/good3.mp4", "/good4.mp4"}
    assert torn.shards() == whole.shards()
    assert [snapshot.digest for snapshot in torn.dataset.snapshots()] == [snapshot.digest for snapshot in whole.dataset.snapshots()]
    assert torn.left_over() == []
    rows = [SnapshotRow.of(values) for values in torn.dataset.snapshot().table.to_pylist()]
    assert len(rows) == 5
    for row in rows:
        with ShardReader(torn.dataset.folder / row.shard) as reader:
            assert reader.clip(row.row).clip_id == row.clip_id


def test_a_copy_at_another_url_with_another_yaw_and_encoding_is_a_duplicate(tmp_path: Path, site: Site) -> None:
    with open_video(site.folder / "good0.mp4") as reader:
        frames = np.roll(reader.frames(range(len(reader))), 37, axis=2)
    write_video(site.folder / "copy.mp4", frames, reader.fps, crf=32, spherical=SphericalMetadata())
    refresh = Refresh(tmp_path, [f"{site.url}/{name}" for name in ("good0.mp4", "good1.mp4", "copy.mp4")])
    result = refresh.run()
    rows = {Path(row["url"]).name: row for row in refresh.dataset.latest_rows().to_pylist()}
    assert (rows["copy.mp4"]["decision"], rows["copy.mp4"]["reason"]) == (Decision.DROPPED, Reason.DUPLICATE)
    assert rows["copy.mp4"]["clips"][0]["duplicate_of"] == rows["good0.mp4"]["clips"][0]["clip_id"]
    counted = {name: result.metrics[name] for name in ("kept", "dropped", "dropped.duplicate", "clips")}
    assert counted == {"kept": 2, "dropped": 1, "dropped.duplicate": 1, "clips": 2}
    assert refresh.run().outcome is Outcome.NOTHING


def test_a_video_that_kills_its_worker_fails_alone(tmp_path: Path, site: Site) -> None:
    refresh = Refresh(tmp_path, [f"{site.url}/good{number}.mp4" for number in range(3)], in_flight=1, wave_size=3)
    site.hold("/good1.mp4")
    process = refresh.start()
    for _attempt in range(3):
        assert site.holding.wait(200), (refresh.folder / "log").read_text()
        site.holding.clear()
        os.kill(task_worker(process.pid), signal.SIGKILL)
    assert process.wait(timeout=200) == 0
    rows = {Path(row["url"]).name: row for row in refresh.dataset.latest_rows().to_pylist()}
    assert {name: row["decision"] for name, row in rows.items()} == {"good0.mp4": "kept", "good1.mp4": "failed", "good2.mp4": "kept"}
    assert (rows["good1.mp4"]["reason"], rows["good1.mp4"]["retryable"]) == (Reason.WORKER_DIED, True)
    assert refresh.left_over() == []


def test_a_stop_signal_ends_it_as_cancelled_and_what_is_committed_stays(tmp_path: Path, site: Site) -> None:
    refresh = Refresh(tmp_path, [f"{site.url}/good{number}.mp4" for number in range(4)], in_flight=1)
    site.hold("/good2.mp4")
    process = refresh.start()
    assert site.holding.wait(200), (refresh.folder / "log").read_text()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == EXIT_CODES[Outcome.CANCELLED]
    result = refresh.result()
    assert result is not None
    assert (result.outcome, result.metrics["kept"]) == (Outcome.CANCELLED, 2)
    assert refresh.dataset.snapshot().table.num_rows == 2


def test_a_catalogue_that_does_not_exist_is_invalid_input(tmp_path: Path) -> None:
    refresh = Refresh(tmp_path, [])
    assert (refresh.run().outcome, refresh.dataset.exists) == (Outcome.INVALID, False)  # empty
    (tmp_path / "catalogue.csv").unlink()
    result = refresh.run()
    assert result.outcome is Outcome.INVALID
    assert "does not exist" in result.reason


@pytest.mark.media
def test_real_videos_get_the_decisions_that_a_person_gave_them(tmp_path: Path, media: Path) -> None:
    site = Site(media)
    try:
        names = ["360/overpass.mp4", "360/prison_handheld.mp4", "360/city_cg.ts", "360/audio_only.mp4"]
        names += [f"perspective/{path.name}" for path in sorted((media / "perspective").iterdir())]
        refresh = Refresh(tmp_path, [f"{site.url}/{name}" for name in names], wave_size=32)
        assert refresh.run().outcome is Outcome.DONE
    finally:
        site.close()
    rows = {row["url"].removeprefix(f"{site.url}/"): row for row in refresh.dataset.latest_rows().to_pylist()}
    decisions = {name: (rows[name]["decision"], rows[name]["reason"]) for name in names}
    assert decisions == {
        **dict.fromkeys(names[:3], (Decision.KEPT, None)),
        "360/audio_only.mp4": (Decision.DROPPED, Reason.NO_VIDEO_STREAM),
        **dict.fromkeys(names[4:], (Decision.DROPPED, Reason.NOT_360)),
    }
